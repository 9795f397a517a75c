"""Paying an instalment through the provider: open a page, look at what became of it, follow it to the fund.

What the provider says is applied whole, never event by event: state and movements follow from its objects as they are now, so
notices may come late, twice or in any order, or not at all.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit
from core.config import settings
from core.db import new_id
from core.errors import DomainError
from core.identity import access
from core.identity.models import Person, Role
from core.money import Money
from core.tasks import Task, enqueue
from pledge import host_queries, queries, terms
from pledge.models import (
    PAYABLE_INVOICES,
    InstalmentStatus,
    InstalmentWay,
    MovementKind,
    PayIn,
    PayInStatus,
    Pledge,
    PledgeInstalment,
)
from pledge.policies import online_ways
from pledge.policies import pay_ins as policy
from pledge.providers.base import Movement, NotThere, PageWanted, PayPage, Provider, Snapshot
from pledge.services import invoice_states, pay_in_counting, pay_in_postings, refund_holds, refund_states

LOOKS_MAX = 5
PAYABLE = frozenset({InstalmentStatus.AWAITING_PAYMENT, InstalmentStatus.PROCESSING, InstalmentStatus.FAILED})
"""Where an instalment can still be paid, or paid on."""

KINDS_IN_ORDER = list(MovementKind)

Sessions = Callable[[], AbstractContextManager[Session]]


class NotPayable(DomainError):
    """This instalment is not waiting for a payment online."""

    code = "not_payable"


class CurrencyNotTaken(DomainError):
    """The payment provider does not take this currency from companies here."""

    code = "currency_not_taken"


class LookedMeanwhile(DomainError):
    """Somebody else applied what the provider said; what we heard may be older."""

    code = "looked_meanwhile"


@dataclass(frozen=True)
class LookAt(Task):
    """Ask the provider about a pay-in, and apply what it says."""

    kind: ClassVar[str] = "pledge.look_at_pay_in"
    pay_in_id: UUID


@dataclass(frozen=True, slots=True)
class Watched:
    """A pay-in before the provider is asked: whom to ask about, and how often it was asked by then."""

    session_id: str | None
    invoice_id: str | None
    looks: int

    def ask(self, provider: Provider) -> Snapshot | None:
        """What the provider says; None where it was asked for nothing yet."""
        if self.invoice_id is not None:
            return provider.look_at_invoice(self.invoice_id)
        return provider.look(self.session_id) if self.session_id is not None else None


def start(session: Session, instalment_id: UUID, *, actor: Person, now: datetime) -> PayIn:
    """The pay-in that the company pays next: the open one if there is one, else a new one for what is outstanding.

    Raises:
        NotPayable: nothing is outstanding, a transfer is on its way, or the pledge's period is over.
        CurrencyNotTaken: so much of this currency can't be paid online here.
    """
    instalment = _payable(session, instalment_id, actor=actor, now=now)
    open_one = next((each for each in instalment.pay_ins if each.status is PayInStatus.OPEN), None)
    if open_one is not None:
        return open_one
    part = _part(instalment)
    known, limit = terms_on(session, instalment.currency, now=now)
    if not online_ways.methods(known, limit, part):
        raise CurrencyNotTaken(online_ways.why_none(limit, part))
    return _begin(session, instalment, part, actor=actor, now=now)


def start_invoice(session: Session, instalment_id: UUID, *, actor: Person, now: datetime) -> PayIn:
    """A new pay-in for what is outstanding, to be asked for by an invoice.

    Raises:
        NotPayable: as for a page, or a page is open.
    """
    instalment = _payable(session, instalment_id, actor=actor, now=now)
    if any(each.status is PayInStatus.OPEN for each in instalment.pay_ins):
        raise NotPayable("A payment page of this instalment is open. Pay there, or close it and ask for an invoice then.")
    return _begin(session, instalment, _part(instalment), actor=actor, now=now)


def _payable(session: Session, instalment_id: UUID, *, actor: Person, now: datetime) -> PledgeInstalment:
    instalment = queries.locked_instalment(session, instalment_id)
    access.require_role(session, actor, Role.PLEDGE_EDITOR, organisation_id=instalment.member.organisation_id, on=now.date())
    if host_queries.live(session, instalment.id) is not None:
        raise NotPayable("A fiscal host expects this instalment as a transfer. To pay it here, have finance take that back.")
    _require_payable(instalment, now)
    return instalment


def _part(instalment: PledgeInstalment) -> Money:
    """What is outstanding, as much of it as one charge takes."""
    outstanding = policy.outstanding(instalment.money, instalment.pay_ins)
    if not outstanding:
        raise NotPayable("Everything of this instalment is paid or on its way. Its page shows where the money is.")
    if outstanding.amount_minor < policy.CHARGE_MIN_MINOR:
        raise NotPayable(f"{outstanding} is too little to be paid online; send a bank transfer.")
    return policy.parts(outstanding)[0]


def _begin(session: Session, instalment: PledgeInstalment, part: Money, *, actor: Person, now: datetime) -> PayIn:
    pay_in = PayIn(
        id=new_id(),
        instalment=instalment,
        number=len(instalment.pay_ins) + 1,
        amount_minor=part.amount_minor,
        currency=instalment.currency,
        status=PayInStatus.OPEN,
        started_by_id=actor.id,
        started_at=now,
    )
    instalment.way = InstalmentWay.PROVIDER
    if instalment.status is InstalmentStatus.FAILED:
        _move_instalment(session, instalment, InstalmentStatus.AWAITING_PAYMENT, now=now)
    session.add(pay_in)
    session.flush()
    audit.record(session, "pay_in.started", pay_in, actor=actor, at=now, amount=str(pay_in.money))
    return pay_in


def has_page(pay_in: PayIn) -> bool:
    """Is there a page to pay it at? It is never replaced while it lives: two pages could both be paid."""
    return pay_in.page_url is not None


def ask(session: Session, pay_in_id: UUID) -> str:
    """Count that the provider is asked for a page, before it is; the key to ask under."""
    pay_in = queries.locked_pay_in(session, pay_in_id)
    pay_in.asked += 1
    return f"pw-page-{pay_in.id}-{pay_in.asked}"


def wanted(session: Session, pay_in: PayIn, *, key: str, customer_id: str, now: datetime) -> PageWanted:
    """What the page says and takes."""
    instalment, member = pay_in.instalment, pay_in.instalment.member
    home = f"{settings().base_url}/company/{member.slug}/instalments/{instalment.id}"
    known, limit = terms_on(session, pay_in.currency, now=now)
    methods = online_ways.methods(known, limit, pay_in.money)
    by_transfer = known is not None and terms.TRANSFER in methods
    return PageWanted(
        pay_in_id=pay_in.id,
        key=key,
        money=pay_in.money,
        customer_id=customer_id,
        reference=instalment.reference,
        title=title_of(pay_in),
        methods=methods,
        transfer=known.transfer if known is not None and by_transfer else None,
        transfer_country=known.transfer_country if known is not None and by_transfer else None,
        return_url=f"{home}/return",
        cancel_url=home,
    )


def terms_on(session: Session, currency: str, *, now: datetime) -> tuple[terms.Terms | None, Money]:
    """What holds for a currency now: its ways, and the largest payment by card."""
    return terms.book().on(currency, now.date()), policy.card_limit_on(queries.card_limits(session), currency, now.date())


def title_of(pay_in: PayIn) -> str:
    """What the company's people read at the provider."""
    instalment = pay_in.instalment
    return f"{instalment.member.name}, open-source pledge {instalment.pledge.label}, {instalment.reference}"


def opened(session: Session, pay_in_id: UUID, page: PayPage, *, now: datetime) -> PayIn:
    """Keep the page that the provider opened. If somebody else's came first, that one stands; nobody knows ours."""
    pay_in = queries.locked_pay_in(session, pay_in_id)
    if pay_in.session_id is None and pay_in.status is PayInStatus.OPEN:
        pay_in.session_id, pay_in.page_url, pay_in.page_expires_at = page.session_id, page.url, page.expires_at
        enqueue(session, LookAt(pay_in.id), now=now, run_at=page.expires_at + timedelta(minutes=1), dedupe_key=f"{pay_in.id}:end")
    return pay_in


def expire(session: Session, pay_in_id: UUID, *, now: datetime, reason: str | None = None) -> None:
    """End an open pay-in that nobody can pay any more."""
    pay_in = queries.locked_pay_in(session, pay_in_id)
    pay_in.advance(PayInStatus.EXPIRED)
    audit.record(session, "pay_in.expired", pay_in, actor=None, at=now, reason=reason)


def never_opened(session: Session, pay_in_id: UUID, *, now: datetime) -> None:
    """Give up a pay-in for which no page is known; if the provider opened one after all, nobody has its address."""
    pay_in = queries.locked_pay_in(session, pay_in_id)
    if pay_in.session_id is None and pay_in.status is PayInStatus.OPEN:
        expire(session, pay_in_id, now=now)


def fail(session: Session, pay_in_id: UUID, problem: str, *, now: datetime) -> PayIn:
    """The provider refuses to ask for it; the company sees why."""
    instalment = queries.locked_instalment(session, queries.pay_in(session, pay_in_id).instalment_id)
    pay_in = queries.locked_pay_in(session, pay_in_id)
    pay_in.problem = problem
    pay_in.advance(PayInStatus.FAILED)
    audit.record(session, "pay_in.failed", pay_in, actor=None, at=now, reason=problem, amount=str(pay_in.money))
    if instalment.way is InstalmentWay.PROVIDER:
        _move_instalment(session, instalment, policy.instalment_status(instalment.money, instalment.pay_ins), now=now)
    return pay_in


def expire_unknown(session: Session, pay_in_id: UUID, *, now: datetime) -> bool:
    """End a pay-in whose page the provider does not know any more, once that page is over; False while it may still be paid.

    When nobody can pay an invoice any more, only people know (invoice_endings.py).
    """
    pay_in = queries.locked_pay_in(session, pay_in_id)
    if pay_in.invoice is not None:
        invoice_states.lose(session, pay_in.invoice, now=now)
    if pay_in.status is not PayInStatus.OPEN or pay_in.page_expires_at is None or pay_in.page_expires_at > now:
        return pay_in.status is PayInStatus.EXPIRED
    expire(session, pay_in_id, now=now, reason="Its page was opened under another key or account, and is over.")
    return True


def give_up(session: Session, pay_in_id: UUID, *, actor: Person, now: datetime) -> PayIn:
    """Note that the company will not pay it; the provider closes the page or cancels the payment next, then it is looked at.

    Raises:
        NotPayable: something came of it already.
    """
    pay_in = queries.locked_pay_in(session, pay_in_id)
    member = pay_in.instalment.member
    access.require_role(session, actor, Role.PLEDGE_EDITOR, organisation_id=member.organisation_id, on=now.date())
    if not policy.may_be_given_up(pay_in):
        raise NotPayable("This payment is on its way or ended. Once it is there, finance can send it back.")
    audit.record(session, "pay_in.given_up", pay_in, actor=actor, at=now)
    return pay_in


def look(
    sessions: Sessions,
    provider: Provider,
    pay_in_id: UUID,
    *,
    clock: Callable[[], datetime],
    also: Callable[[Session], None] = lambda _session: None,
) -> None:
    """Ask the provider and apply its answer; `also` happens in the transaction that does. No transaction is open meanwhile.

    Raises:
        LookedMeanwhile: others kept applying newer answers; theirs hold.
        NotThere: it was made under another key or account, and may still be paid there.
        ProviderSilent, ProviderRefused: it did not say.
    """
    for _ in range(LOOKS_MAX):
        with sessions() as session:
            before = watched(session, pay_in_id)
        try:
            seen = before.ask(provider)
        except NotThere:
            with sessions() as session:
                over = expire_unknown(session, pay_in_id, now=clock())
                if over:
                    also(session)
            if not over:
                raise
            return
        with sessions() as session:
            if seen is None or apply(session, pay_in_id, seen, looks=before.looks, now=clock()):
                also(session)
                return
    raise LookedMeanwhile("Others look at this pay-in all the time; try again in a minute.")


def watched(session: Session, pay_in_id: UUID) -> Watched:
    """Whom to ask about, read before asking."""
    pay_in = queries.pay_in(session, pay_in_id)
    return Watched(pay_in.session_id, pay_in.invoice.invoice_id if pay_in.invoice else None, pay_in.looks)


def apply(session: Session, pay_in_id: UUID, seen: Snapshot, *, looks: int, now: datetime) -> bool:
    """Bring a pay-in, its instalment and the ledger to what the provider says. Applying the same again changes nothing.

    False if another answer was applied since `looks` was read: this one may be older than that one.
    """
    instalment = queries.locked_instalment(session, queries.pay_in(session, pay_in_id).instalment_id)
    pay_in = queries.locked_pay_in(session, pay_in_id)
    if pay_in.looks != looks:
        return False
    pay_in.looks, pay_in.looked_at = looks + 1, now
    odd = policy.not_as_asked(pay_in, seen, customers=queries.customers_of(session, instalment.member.organisation_id))
    if odd is not None:
        _leave_to_finance(session, pay_in, seen, odd, now=now)
        return True
    pay_in.payment_id = seen.payment_id or pay_in.payment_id
    pay_in.method, pay_in.paid_on = seen.method or pay_in.method, seen.paid_on or pay_in.paid_on
    if pay_in.invoice is not None and seen.invoice is not None:
        invoice_states.follow(session, pay_in.invoice, seen.invoice, now=now)
    pay_in.missing_minor = seen.missing.amount_minor if seen.missing else None
    pay_in.surplus_minor = seen.surplus.amount_minor if seen.surplus else None
    _book(session, pay_in, seen, now=now)
    _note_unknown(session, pay_in, seen, now=now)
    _follow_refunds(session, pay_in, seen, now=now)  # before it settles: what is booked or failed is not held any more
    _settle_if_due(session, pay_in, now=now)
    _follow(session, pay_in, seen, now=now)
    if pay_in.received and instalment.status in PAYABLE:
        instalment.way = InstalmentWay.PROVIDER  # money came here after all, whatever was said about a transfer
    if instalment.way is InstalmentWay.PROVIDER:
        _move_instalment(session, instalment, policy.instalment_status(instalment.money, instalment.pay_ins), now=now)
        pay_in_counting.count(session, instalment, now=now)
    session.flush()
    return True


def _require_payable(instalment: PledgeInstalment, now: datetime) -> None:
    pledge = instalment.pledge
    if instalment.status is InstalmentStatus.PROCESSING and instalment.way is InstalmentWay.TRANSFER:
        raise NotPayable("You said that a transfer of this instalment was sent; finance looks for it on the bank statement.")
    waiting = next((each for each in instalment.pay_ins if each.invoice is not None and policy.waits_for_payment(each)), None)
    if waiting is not None and waiting.invoice is not None:
        name = f"Invoice {waiting.invoice.number}" if waiting.invoice.number else "An invoice"
        raise NotPayable(f"{name} over {waiting.money} is open. Pay it, or withdraw it to pay another way.")
    if instalment.status not in PAYABLE:
        raise NotPayable(f"This instalment is {instalment.status.replace('_', ' ')}; plan another one to pay more.")
    words = outside_period(pledge, now.date())
    if words is not None:
        raise NotPayable(words)


def outside_period(pledge: Pledge, on: date) -> str | None:
    """Why a payment of this day does not count for the pledge, if it does not."""
    if on > pledge.ends_on:
        return (
            f"The period {pledge.label} ended on {pledge.ends_on:%-d %b %Y}, so a payment of today does not count for it. "
            "Plan the instalment in the period that runs."
        )
    if on < pledge.starts_on:
        return f"The period {pledge.label} starts on {pledge.starts_on:%-d %b %Y}; pay from then on."
    return None


def _leave_to_finance(session: Session, pay_in: PayIn, seen: Snapshot, problem: str, *, now: datetime) -> None:
    """Book and move nothing: money of another payment, or in another currency, would be counted as this one's."""
    if pay_in.invoice is not None and seen.invoice is not None and seen.invoice.standing in PAYABLE_INVOICES:
        invoice_states.follow(session, pay_in.invoice, seen.invoice, now=now)  # so that it can be withdrawn
    if pay_in.problem != problem:
        pay_in.problem = problem
        audit.record(session, "pay_in.not_as_asked", pay_in, actor=None, at=now, reason=problem)
    session.flush()


def _book(session: Session, pay_in: PayIn, seen: Snapshot, *, now: datetime) -> None:
    known = {each.id for each in pay_in.movements}
    fresh = [each for each in seen.movements if each.id not in known and not _waits(session, pay_in, each, now=now)]
    ours = {each.id: each.refund_id for each in seen.refunds}
    for movement in sorted(fresh, key=lambda each: (each.happened_at, KINDS_IN_ORDER.index(each.kind), each.id)):
        refund_id = ours.get(movement.source) if movement.kind is MovementKind.REFUND else None
        held = refund_holds.settle(session, refund_id, now=now) if refund_id is not None else 0
        pay_in_postings.book(session, pay_in, movement, held=held, now=now)
    pay_in.available_at = max((each.available_at for each in pay_in.movements if each.kind is MovementKind.ARRIVAL), default=None)


def _note_unknown(session: Session, pay_in: PayIn, seen: Snapshot, *, now: datetime) -> None:
    """What nobody can book stands on the pay-in until it is known or gone; what is known of it goes on."""
    said = "; ".join(seen.unknown) or None
    if said is not None and said != pay_in.unknown:
        audit.record(session, "pay_in.unknown_movement", pay_in, actor=None, at=now, reason=said)
    pay_in.unknown = said


def _waits(session: Session, pay_in: PayIn, movement: Movement, *, now: datetime) -> bool:
    """What comes after the rest has settled goes to the fund at once, so it is booked when the fund may use it."""
    if pay_in.settled_at is None or movement.kind is not MovementKind.ARRIVAL or movement.available_at <= now:
        return False
    enqueue(session, LookAt(pay_in.id), now=now, run_at=movement.available_at, dedupe_key=movement.id)
    return True


def _settle_if_due(session: Session, pay_in: PayIn, *, now: datetime) -> None:
    if pay_in.settled_at is not None or pay_in.available_at is None or not pay_in.received:
        return
    if pay_in.available_at <= now:
        pay_in_postings.settle(session, pay_in, now=now)
        pay_in.settled_at = now
        refund_holds.hold_approved(session, pay_in, now=now)
    else:
        enqueue(session, LookAt(pay_in.id), now=now, run_at=pay_in.available_at, dedupe_key=f"{pay_in.id}:settle")


def _follow_refunds(session: Session, pay_in: PayIn, seen: Snapshot, *, now: datetime) -> None:
    ours = {each.id: each for each in pay_in.refunds}
    for refund in seen.refunds:
        if refund.refund_id in ours:
            refund_states.follow(session, ours[refund.refund_id], refund, now=now)


def _follow(session: Session, pay_in: PayIn, seen: Snapshot, *, now: datetime) -> None:
    if pay_in.status is not PayInStatus.FAILED:
        pay_in.problem = None  # what kept us from booking is put right
    status = policy.status_of(pay_in, seen)
    if status in {pay_in.status, PayInStatus.OPEN}:
        return
    pay_in.problem = (seen.failure or "The payment did not succeed.") if status is PayInStatus.FAILED else None
    pay_in.advance(status)
    amount = pay_in.kept if pay_in.received else pay_in.money
    audit.record(session, f"pay_in.{status}", pay_in, actor=None, at=now, reason=pay_in.problem, amount=str(amount))


def _move_instalment(session: Session, instalment: PledgeInstalment, to: InstalmentStatus, *, now: datetime) -> None:
    before = instalment.status
    if before is to:
        return
    problems = [each.problem for each in instalment.pay_ins if each.problem]
    instalment.failure_reason = problems[-1] if to is InstalmentStatus.FAILED else None
    instalment.advance(to)
    audit.record(
        session, "instalment.followed", instalment, actor=None, at=now,
        before=before.replace("_", " "), after=to.replace("_", " "),
    )  # fmt: skip


def overpaid(instalment: PledgeInstalment) -> Money | None:
    """What came beyond what was asked for, if anything; by transfer to our bank, too."""
    nothing = Money(0, instalment.currency)
    by_transfer = instalment.way is InstalmentWay.TRANSFER and instalment.status is InstalmentStatus.SETTLED
    kept = sum((each.kept for each in instalment.pay_ins), instalment.money if by_transfer else nothing)
    return kept - instalment.money if kept > instalment.money else None
