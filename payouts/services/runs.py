"""Runs: prepare what is due, approve exactly that content with four eyes, send it canary first."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload
from sqlalchemy.orm.attributes import set_committed_value

from core import audit
from core.db import new_id
from core.errors import DomainError, NotFound
from core.identity.models import Person
from core.money import Money
from payouts.models import Destination, Payout, PayoutStatus, RuleKind, Run, RunApproval, RunStatus
from payouts.policies import Usage, content_hash, line_hash
from payouts.policies.ways import Way
from payouts.rails.base import Rail
from payouts.services import choices, controls, documents, payees

LINES_MAX = 10_000
"""What is due beyond that goes into the next run. An approver reads what stands out, and pages through the rest."""


class NothingToPay(DomainError):
    """No payout is due that could be put in a run."""

    code = "nothing_to_pay"


class SelfApproval(DomainError):
    """Four eyes: who prepared a run, or asked for one of its payouts, does not approve it."""

    code = "self_approval"


class ContentChanged(DomainError):
    """The approver looked at another content than the run has now."""

    code = "content_changed"


class NotEditable(DomainError):
    """The run is on its way or ended."""

    code = "run_not_editable"


class AlreadyApproved(DomainError):
    """One person counts once."""

    code = "already_approved"


@dataclass(frozen=True)
class Unready:
    """A payout that is due and could not be put in the run, and what to do about it."""

    payout: Payout
    reason: str


# ------------------------------------------------------------------------------------------------ preparing


def prepare(
    session: Session,
    *,
    currency: str,
    due_by: date,
    preparer: Person,
    rails: Mapping[str, Rail],
    now: datetime,
    rail: str | None = None,
    obligations: Collection[str] | None = None,
    is_demo: bool = False,
) -> tuple[Run, list[Unready]]:
    """Put every draft payout that is due and ready into a new run; of one rail, or of these obligations, if given.

    Each goes by the rail that the rules choose for it (policies/ways.py), or by the one a person named.

    Raises:
        NothingToPay: none is; says why for the first of those that are due.
    """
    query = (
        select(Payout)
        .where(
            Payout.status == PayoutStatus.DRAFT,
            Payout.run_id.is_(None),
            Payout.currency == currency,
            Payout.due_on <= due_by,
        )
        .options(selectinload(Payout.recipient))
        .order_by(Payout.due_on, Payout.id)
        .limit(LINES_MAX)
        .with_for_update(skip_locked=True, of=Payout)
    )
    if obligations is not None:
        query = query.where(Payout.obligation.in_(obligations))
    due = session.scalars(query).all()
    known = choices.outlook(session, due, rails=rails, now=now)
    ready: list[Payout] = []
    unready: list[Unready] = []
    chosen: dict[str, Payout] = {}
    by_payee: dict[documents.Payee, int] = {}
    for payout in due:
        payee = documents.payee_of(payout.recipient)
        choice = known.choice(payout, chosen=chosen, beside=by_payee.get(payee, 0))
        if choice.way is None:
            if rail is None or known.place(payout.recipient, currency, rail) is not None:
                unready.append(Unready(payout, choice.why))
        elif rail is None or choice.way.rail == rail:
            place = known.place(payout.recipient, currency, choice.way.rail)
            assert place is not None, "a possible way has a place"
            _take(payout, choice.way, place, choice.why)
            ready.append(payout)
            chosen.setdefault(place.fingerprint, payout)
            by_payee[payee] = by_payee.get(payee, 0) + payout.amount_minor
    if not ready:
        first = f" The first of {len(unready)}: {unready[0].reason}" if unready else ""
        raise NothingToPay(f"No payout in {currency} that is due by {due_by} can be paid now.{first}")
    run = Run(
        id=new_id(),
        currency=currency,
        status=RunStatus.DRAFT,
        content_hash=content_hash(ready),
        prepared_by_id=preparer.id,
        prepared_at=now,
        is_demo=is_demo,
    )
    session.add(run)
    for payout in ready:
        payout.run = run
    session.flush()
    audit.record(session, "run.prepared", run, actor=preparer, at=now, lines=len(ready), content_hash=run.content_hash)
    return run, unready


def remove_line(session: Session, run_id: UUID, payout_id: UUID, *, actor: Person, now: datetime) -> Run:
    """Take a payout out of a run that is not on its way. It is due again; approvals of the old content are void.

    Raises:
        NotEditable: the run is on its way or ended.
        NotFound: the run has no such line.
    """
    run = editable(session, run_id)
    payout = next((line for line in run.payouts if line.id == payout_id), None)
    if payout is None:
        raise NotFound(f"{run.name} has no such line.")
    _void_approvals(session, run, actor=actor, now=now, reason="A line was taken out.")
    leave(payout)
    audit.record(session, "payout.left_run", payout, actor=actor, at=now, run=str(run.id))
    if run.payouts:
        run.content_hash = content_hash(run.payouts)
    else:
        cancel(session, run_id, actor=actor, now=now)
    return run


def cancel(session: Session, run_id: UUID, *, actor: Person, now: datetime, reason: str | None = None) -> Run:
    """Give a run up before it is sent; its payouts are due again.

    Raises:
        NotEditable: the run is on its way or ended.
    """
    run = editable(session, run_id)
    _void_approvals(session, run, actor=actor, now=now, reason="The run was given up.")
    for payout in list(run.payouts):
        leave(payout)
    run.advance(RunStatus.CANCELLED)
    run.finished_at = now
    audit.record(session, "run.cancelled", run, actor=actor, at=now, reason=reason)
    return run


# ------------------------------------------------------------------------------------------------ approving


def approve(session: Session, run_id: UUID, *, approver: Person, seen_hash: str, now: datetime) -> Run:
    """Approve exactly the content the approver saw. With enough approvals the run may be sent.

    Raises:
        NotEditable: the run is not a draft any more.
        SelfApproval: the approver prepared the run, asked for one of its payouts, is paid by it, entered a destination, or
            chose a rail.
        AlreadyApproved: this person did.
        ContentChanged: the run holds something else than the approver saw, or than was prepared.
        LimitReached: the run is larger than a run may be, or one of its payouts than a payout may be.
    """
    run = locked(session, run_id)
    if run.status is not RunStatus.DRAFT:
        raise NotEditable(f"{run.name} is {run.status}; only a draft is approved.")
    if approver.id == run.prepared_by_id:
        raise SelfApproval(f"You prepared {run.name}; another person approves it.")
    own = next((payout for payout in run.payouts if payout.prepared_by_id == approver.id), None)
    if own is not None:
        raise SelfApproval(f"You asked for the payout to {own.recipient.name} in {run.name}; another person approves it.")
    _require_no_stake(session, run, approver, now=now)
    content = content_hash(run.payouts)
    if run.content_hash != content:
        raise ContentChanged(f"{run.name} is not what was prepared; give it up and prepare it again.", content_hash=content)
    if not run.payouts or seen_hash != content:
        raise ContentChanged(
            f"{run.name} is not what you looked at any more; look again before you approve.", content_hash=content
        )
    given = current_approvals(run)
    if any(approval.approver_id == approver.id for approval in given):
        raise AlreadyApproved(f"You approved {run.name} already; it needs another person.")
    total = Money(sum(payout.amount_minor for payout in run.payouts), run.currency)
    numbers = controls.limits(session, now=now)
    _require_limits(session, run, total, numbers, now=now)
    approval = RunApproval(
        id=new_id(),
        run=run,
        prepared_by_id=run.prepared_by_id,
        approver_id=approver.id,
        content_hash=content,
        approved_at=now,
    )
    session.add(approval)
    audit.record(session, "run.approval_given", run, actor=approver, at=now, content_hash=content)
    if len(given) + 1 >= numbers.approvals_needed(total):
        run.advance(RunStatus.APPROVED)
        run.approved_at, run.approved_minor = now, total.amount_minor
        for payout in run.payouts:
            _mark_approved(payout, approver, now=now)
            audit.record(session, "payout.approved", payout, actor=approver, at=now)
        audit.record(session, "run.approved", run, actor=approver, at=now, content_hash=content)
    session.flush()
    return run


def _require_no_stake(session: Session, run: Run, approver: Person, *, now: datetime) -> None:
    """Nobody approves money to themselves, nor where they steered it: the second pair of eyes is for account and rail, too."""
    own = payees.own_among(session, [payout.recipient for payout in run.payouts], approver, on=now.date())
    if own:
        raise SelfApproval(f"{run.name} pays you, or an organisation of yours; another person approves it.")
    for payout in run.payouts:
        if payout.destination is not None and payout.destination.created_by_id == approver.id:
            raise SelfApproval(
                f"You entered where the money of {payout.recipient.name} in {run.name} goes; another person approves it."
            )
        if payout.recipient.preferred_by_id == approver.id:
            raise SelfApproval(
                f"You said by which rail {payout.recipient.name} in {run.name} is paid; another person approves it."
            )
        if payout.wish_by_id == approver.id:
            raise SelfApproval(f"You chose the rail for {payout.recipient.name} in {run.name}; another person approves it.")


def withdraw_approval(session: Session, run_id: UUID, *, actor: Person, now: datetime, reason: str) -> Run:
    """Void the approvals of a run that is not on its way yet.

    Raises:
        NotEditable: it is.
    """
    run = editable(session, run_id)
    _void_approvals(session, run, actor=actor, now=now, reason=reason)
    return run


def current_approvals(run: Run) -> list[RunApproval]:
    """Those of exactly what the run holds now."""
    return [approval for approval in run.approvals if approval.voided_at is None and approval.content_hash == run.content_hash]


def lock(session: Session, run_id: UUID) -> Run:
    """The run under its lock, without its lines.

    The lock leaves its key alone (NO KEY UPDATE): who updates a payout looks at the key of its run, and must not wait for that.

    Raises:
        NotFound: there is none of this id.
    """
    run = session.scalars(
        select(Run).where(Run.id == run_id).with_for_update(of=Run, key_share=True).execution_options(populate_existing=True)
    ).one_or_none()
    if run is None:
        raise NotFound("There is no such run.")
    return run


def locked(session: Session, run_id: UUID) -> Run:
    """The run under its lock, freshly read with its lines.

    Raises:
        NotFound: there is none of this id.
    """
    run = lock(session, run_id)
    lines = (
        select(Payout)
        .where(Payout.run_id == run_id)
        .options(selectinload(Payout.recipient), selectinload(Payout.destination), selectinload(Payout.attempts))
        .order_by(Payout.obligation)
        .execution_options(populate_existing=True)
    )
    # Not by refresh(): that would read the lines again, each without its attempts.
    set_committed_value(run, "payouts", list(session.scalars(lines)))
    session.refresh(run, ["approvals"])
    return run


def editable(session: Session, run_id: UUID) -> Run:
    """The run under its lock, if its lines may still change.

    Raises:
        NotEditable: it is on its way or ended.
    """
    run = locked(session, run_id)
    if run.status not in {RunStatus.DRAFT, RunStatus.APPROVED}:
        raise NotEditable(f"{run.name} is {run.status}; its lines can't be changed any more. Take single payouts back instead.")
    return run


def _void_approvals(session: Session, run: Run, *, actor: Person, now: datetime, reason: str) -> None:
    for approval in run.approvals:
        if approval.voided_at is None:
            approval.voided_at = now
            audit.record(
                session, "run.approval_voided", run, actor=actor, at=now, reason=reason, approver=str(approval.approver_id)
            )
    if run.status is RunStatus.APPROVED:
        run.advance(RunStatus.DRAFT)
        run.approved_at = run.approved_minor = None
        for payout in run.payouts:
            back_to_draft(payout)


def _mark_approved(payout: Payout, approver: Person, *, now: datetime) -> None:
    # Read before the first write: a lazy load in between would flush half an approval.
    approved_line, attempts = line_hash(payout), len(payout.attempts)
    payout.advance(PayoutStatus.APPROVED)
    payout.approved_by_id, payout.approved_at = approver.id, now
    payout.approved_line_hash, payout.attempts_allowed = approved_line, attempts + 1


def back_to_draft(payout: Payout) -> None:
    """Without its approval."""
    attempts = len(payout.attempts)
    payout.advance(PayoutStatus.DRAFT)
    payout.approved_by_id = payout.approved_at = payout.approved_line_hash = None
    payout.attempts_allowed = attempts


def _take(payout: Payout, way: Way, place: Destination, why: str) -> None:
    """Make it a line: where it goes, by which rail and why, and what that is expected to cost."""
    payout.destination, payout.rail, payout.rail_reason = place, way.rail, why
    payout.expected_fee_minor = None if way.fee is None else way.fee.amount_minor
    payout.expected_cost_minor = None if way.cost is None else way.cost.amount_minor
    payout.expected_at_most = way.at_most


def leave(payout: Payout) -> None:
    """Make it no line of any run: where and how it goes is open again."""
    payout.run = payout.destination = payout.rail = payout.blocked_reason = payout.rail_reason = None
    payout.expected_fee_minor = payout.expected_cost_minor = None
    payout.is_canary = payout.expected_at_most = False


def _require_limits(session: Session, run: Run, total: Money, numbers: controls.Limits, *, now: datetime) -> None:
    """What can be known before money moves; the rest is checked when it is reserved."""
    run_max = numbers.money(RuleKind.RUN_MAX, run.currency)
    nothing = Money(0, run.currency)
    if run_max is not None:
        Usage(RuleKind.RUN_MAX, "one run", run_max, nothing, total).require()
    largest = max(run.payouts, key=lambda payout: payout.amount_minor)
    for usage in controls.usages(session, largest, now=now, known=numbers):
        if usage.kind is RuleKind.PAYOUT_MAX:
            usage.require()
