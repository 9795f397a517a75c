"""A run before it is sent: what it would do, and what stands in its way."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import DomainError
from core.money import Money
from payouts import queries
from payouts.models import Payout, PayoutStatus, RuleKind, Run, RunStatus
from payouts.policies import Usage, content_hash
from payouts.policies.ways import Way, changed_words
from payouts.rails.base import Cash, Rail
from payouts.services import cash, choices, claims, controls, documents, runs

WAITING = {PayoutStatus.DRAFT, PayoutStatus.APPROVED}
DUE_LOOKED_AT_MAX = 1_000
"""Of what is due, so many are looked at each time the console is opened."""


class Notice(enum.StrEnum):
    """What can stand out about a line, the most urgent first."""

    TROUBLE = "trouble"  # it could not be sent now
    DOCUMENT = "document"  # it can go, and a document should be there
    CHANGED = "changed"  # its destination replaced another one
    FIRST = "first"  # nothing was ever paid there


@dataclass(frozen=True)
class Line:
    """A line of a run and what an approver should notice about it."""

    payout: Payout
    first_time: bool
    """Nothing was ever paid to this destination."""
    changed: bool
    """It replaced another one."""
    problem: str | None
    """Why it could not be sent now."""
    leaving: Money
    """What the rail is told to pay, where it pays whole units only or something was carried from before."""
    price: "Price"
    warnings: Sequence[str]
    """What should be there and does not stop it, such as a document that a rail's provider asks for itself."""

    @property
    def notices(self) -> list[Notice]:
        """What stands out about it. A destination that was paid now is not new any more."""
        stands = {
            Notice.TROUBLE: self.problem,
            Notice.DOCUMENT: self.warnings,
            Notice.CHANGED: self.changed,
            Notice.FIRST: self.first_time and self.payout.paid_at is None,
        }
        return [notice for notice, here in stands.items() if here]


@dataclass(frozen=True)
class Price:
    """What a payment costs whom. None: the rail does not say, or it can't be known beforehand."""

    gross: Money
    fee: Money | None
    cost: Money | None
    at_most: bool
    reported: bool
    """Told by the rail afterwards, not expected."""

    @property
    def net(self) -> Money | None:
        """What the payee gets."""
        return None if self.fee is None else self.gross - self.fee


@dataclass(frozen=True)
class Cover:
    """Whether an account has what lines of the run take from it: a fund, or the place that a rail pays from."""

    title: str
    account: str
    wanted: Money
    available: Money

    @property
    def short_by(self) -> Money | None:
        return self.wanted - self.available if self.wanted > self.available else None


@dataclass(frozen=True)
class Preview:
    """Everything an approver decides on. The hash names exactly these lines."""

    run: Run
    content_hash: str
    lines: list[Line]
    total: Money
    net: Money
    """What the payees get, where that is known."""
    net_unknown: int
    """For so many lines it is not."""
    cost: Money
    """What comes on top for us, where that is known."""
    cost_at_most: bool
    by_rail: Mapping[str, tuple[Money, int]]
    cover: list[Cover]
    """Funds."""
    cash: list[Cover]
    """Where the money lies that the rails pay from."""
    limits: list[Usage]
    approvals_needed: int
    approvals_given: int

    @property
    def problems(self) -> list[str]:
        """What stands in the way, in sentences."""
        found = [f"{cover.title} lacks {cover.short_by}." for cover in self.cover if cover.short_by]
        found += [
            f"{cover.title} lacks {cover.short_by} for these lines; top it up first ({cash.GUIDE})."
            for cover in self.cash
            if cover.short_by
        ]
        found += [f"The limit for {usage.what} is {usage.limit}." for usage in self.limits if not usage.kept]
        return found + sorted({line.problem for line in self.lines if line.problem})

    @property
    def warnings(self) -> list[str]:
        """What stops nothing, in sentences."""
        return sorted({warning for line in self.lines for warning in line.warnings})


def preview(session: Session, run_id: UUID, *, rails: Mapping[str, Rail], now: datetime) -> Preview:
    """What the run would do. Reads only."""
    run = queries.run(session, run_id)
    numbers = controls.limits(session, now=now)
    nothing = Money(0, run.currency)
    new_places = queries.first_time(session, run.payouts)
    by_rail: dict[str, tuple[Money, int]] = {}
    wanted: dict[str, Money] = {}
    known = choices.outlook(session, run.payouts, rails=rails, now=now)
    counted = [payout for payout in run.payouts if payout.status is not PayoutStatus.CANCELLED]
    for payout in counted:
        total, count = by_rail.get(payout.rail or "", (nothing, 0))
        by_rail[payout.rail or ""] = (total + payout.money, count + 1)
        if payout.status in WAITING:
            wanted[payout.fund_account] = wanted.get(payout.fund_account, nothing) + payout.money
    beside: dict[documents.Payee, int] = {}
    lines = []
    for payout in run.payouts:
        payee = documents.payee_of(payout.recipient)
        lines.append(_line(payout, known, beside=beside.get(payee, 0), first_time=payout.id in new_places))
        if payout.status in WAITING:
            beside[payee] = beside.get(payee, 0) + payout.amount_minor
    prices = [line.price for line in lines if line.payout.status is not PayoutStatus.CANCELLED]
    total = sum((payout.money for payout in counted), nothing)
    free = cash.free(session, wanted.keys(), run.currency)
    cover = [Cover(code, code, need, free[code]) for code, need in sorted(wanted.items())]
    cover.sort(key=lambda each: each.short_by is None)  # what is short first, else by name
    return Preview(
        run=run,
        content_hash=content_hash(run.payouts) if run.payouts else run.content_hash,
        lines=lines,
        total=total,
        net=sum((price.net for price in prices if price.net is not None), nothing),
        net_unknown=sum(price.net is None for price in prices),
        cost=sum((price.cost for price in prices if price.cost is not None), nothing),
        cost_at_most=any(price.at_most for price in prices),
        by_rail=by_rail,
        cover=cover,
        cash=_cash(session, lines, rails, run.currency),
        limits=_limits(session, run, counted, total, numbers, now=now),
        approvals_needed=numbers.approvals_needed(total),
        approvals_given=len(runs.current_approvals(run)),
    )


def price(payout: Payout, way: Way | None = None) -> Price:
    """What a payout costs: as its rail reported it, else as `way` says now, else as it was expected when it joined its run."""
    accepted = payout.live_attempt
    if accepted is not None and (accepted.fee is not None or accepted.cost is not None):
        return Price(accepted.money, accepted.fee, accepted.cost, at_most=False, reported=True)
    if way is not None:
        return Price(way.gross, way.fee, way.cost, at_most=way.at_most, reported=False)
    return Price(payout.leaving, payout.expected_fee, payout.expected_cost, at_most=payout.expected_at_most, reported=False)


@dataclass(frozen=True)
class NotReady:
    """A payout that is due and can't go, and why."""

    payout: Payout
    why: str


def not_ready(session: Session, *, due_by: date, rails: Mapping[str, Rail], now: datetime, most: int = 50) -> list[NotReady]:
    """Those of what is due and in no run that could not be put into one now, the longest due first."""
    due = session.scalars(
        queries.payouts(queries.Filter(due_by=due_by, free=True)).order_by(Payout.due_on, Payout.id).limit(DUE_LOOKED_AT_MAX)
    ).all()
    known = choices.outlook(session, due, rails=rails, now=now)
    found = []
    for payout in due:
        choice = known.choice(payout)
        if choice.way is None:
            found.append(NotReady(payout, choice.why))
            if len(found) == most:
                break
    return found


def _line(payout: Payout, known: choices.Outlook, *, beside: int, first_time: bool) -> Line:
    place, problem = payout.destination, payout.blocked_reason
    way = None
    if payout.status in WAITING and place is not None:
        way = known.way(payout, payout.rail or "", beside=beside)
        if place.retired_at is not None:
            problem = changed_words(payout.recipient.name)
        elif way is not None and way.needs:
            problem = " ".join(need.words for need in way.needs)
    now = price(payout, way)
    leaves = payout.leaving if way is None else way.gross
    return Line(payout, first_time, bool(place and place.replaces_id), problem, leaves, now, way.warnings if way else ())


@dataclass(frozen=True)
class DryLine:
    """What would happen to a line if it were its turn now."""

    payout: Payout
    refusal: str | None


def dry_run(session: Session, run_id: UUID, *, rails: Mapping[str, Rail], now: datetime) -> list[DryLine]:
    """Reserve every line that is not on its way with the engine's own code, note what it says, and undo all of it."""
    run = runs.locked(session, run_id)
    todo = [payout for payout in run.payouts if payout.status in {PayoutStatus.DRAFT, PayoutStatus.APPROVED}]
    found: list[tuple[UUID, str | None]] = []
    undone = session.begin_nested()
    try:
        for payout in todo:
            single = session.begin_nested()
            try:
                claims.reserve(session, payout, rails=rails, now=now)
                session.flush()
            except DomainError as error:
                single.rollback()
                found.append((payout.id, error.message))
            else:
                single.commit()
                found.append((payout.id, None))
    finally:
        undone.rollback()
        session.expire_all()
    by_id = {payout.id: payout for payout in session.scalars(select(Payout).where(Payout.run_id == run_id))}
    return [DryLine(by_id[payout_id], refusal) for payout_id, refusal in found]


def _cash(session: Session, lines: Sequence[Line], rails: Mapping[str, Rail], currency: str) -> list[Cover]:
    """What the lines that are still to be reserved take from each place, and what is free there."""
    wanted: dict[Cash, Money] = {}
    for line in lines:
        rail = rails.get(line.payout.rail or "")
        if rail is not None and line.payout.status in WAITING:
            place = rail.capabilities.cash
            wanted[place] = wanted.get(place, Money(0, currency)) + line.leaving
    codes = {place: place.account(currency) for place in wanted}
    free = cash.free(session, codes.values(), currency)
    return [
        Cover(place.title, codes[place], need, free[codes[place]])
        for place, need in sorted(wanted.items(), key=lambda each: codes[each[0]])
    ]


def _limits(
    session: Session, run: Run, counted: list[Payout], total: Money, numbers: controls.Limits, *, now: datetime
) -> list[Usage]:
    """The limits this run counts against, with what was paid already."""
    nothing = Money(0, run.currency)
    if not counted or run.status in {RunStatus.DONE, RunStatus.CANCELLED}:
        return []
    found = []
    largest = max(counted, key=lambda payout: payout.amount_minor)
    waiting = [payout for payout in counted if payout.status in {PayoutStatus.DRAFT, PayoutStatus.APPROVED}]
    left = sum((payout.money for payout in waiting), nothing)
    for usage in controls.usages(session, largest, now=now, known=numbers):
        if usage.kind in {RuleKind.PAYOUT_MAX, RuleKind.RUN_MAX}:
            found.append(usage)
        elif usage.kind is RuleKind.DAY_MAX:
            found.append(Usage(usage.kind, usage.what, usage.limit, usage.used, left))
    return found
