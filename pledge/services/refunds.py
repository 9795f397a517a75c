"""Sending money back: one person in finance asks, another approves, the provider does it under one key, and every look tells.

An unanswered request is found out by reading the provider's list of refunds, which names ours; only then it is asked again, with
the same key. Once the key could be forgotten, what is not in the list was never made.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit, ledger
from core.db import new_id
from core.errors import DomainError, InvalidInput
from core.identity import access
from core.identity.models import Person, Role
from core.money import Money
from core.tasks import Task, enqueue
from pledge import queries
from pledge.models import LIVE_REFUNDS, PayIn, PayInRefund, PayInStatus, RefundStatus
from pledge.providers.base import Provider, ProviderRefused, RefundSeen, RefundWanted
from pledge.services import pay_in_postings, refund_holds
from pledge.services.pay_ins import LookAt, Sessions
from pledge.services.refund_states import fail, follow

KEY_WINDOW = timedelta(hours=23)
"""The provider remembers a key for 24 hours."""

REFUNDABLE = frozenset({PayInStatus.PAID, PayInStatus.SETTLED, PayInStatus.REFUNDED_PART})


class NotRefundable(DomainError):
    """This payment has nothing that can be sent back now."""

    code = "not_refundable"


class SelfApproval(DomainError):
    """Who asks for a refund does not also approve it."""

    code = "refund_self_approval"


@dataclass(frozen=True)
class SendRefund(Task):
    """Have the provider make an approved refund."""

    kind: ClassVar[str] = "pledge.send_refund"
    tries_max: ClassVar[int] = 40
    refund_id: UUID


def refundable(pay_in: PayIn, *, besides: PayInRefund | None = None) -> Money:
    """What is kept of a payment and not yet asked back, leaving one refund out of account."""
    asked = [each.money for each in pay_in.refunds if each.status in LIVE_REFUNDS and each is not besides]
    spoken_for = sum(asked, Money(0, pay_in.currency))
    left = pay_in.kept - spoken_for
    return left if pay_in.status in REFUNDABLE and left.amount_minor > 0 else Money(0, pay_in.currency)


def ask(session: Session, pay_in_id: UUID, *, money: Money, reason: str, actor: Person, now: datetime) -> PayInRefund:
    """Ask for a refund; nothing leaves before somebody else in finance approves it.

    Raises:
        NotRefundable: the payment is not ours to send back (disputed, lost, refunded), or the fund has given it away.
        InvalidInput: more than is left, nothing, or no reason.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    pay_in = queries.locked_pay_in(session, pay_in_id)
    if not reason.strip():
        raise InvalidInput("Say why it goes back; the company sees it.", field="reason")
    _require_left(session, pay_in, money)
    refund = PayInRefund(
        id=new_id(),
        pay_in=pay_in,
        amount_minor=money.amount_minor,
        currency=money.currency,
        reason=reason.strip(),
        asked_by_id=actor.id,
        asked_at=now,
    )
    session.add(refund)
    session.flush()
    audit.record(session, "refund.asked", refund, actor=actor, at=now, reason=refund.reason, amount=str(money))
    return refund


def approve(session: Session, refund_id: UUID, *, actor: Person, now: datetime) -> PayInRefund:
    """Approve a refund, as the second person; its money is held from now on, and it is sent at once.

    Raises:
        SelfApproval: the actor asked for it.
        NotRefundable: meanwhile the money was taken back, or given away.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    pay_in, refund = _locked(session, refund_id)
    if refund.asked_by_id == actor.id:
        raise SelfApproval("You asked for this refund, so somebody else in finance approves it.")
    _require_left(session, pay_in, refund.money, besides=refund)
    if pay_in.settled_at is not None:
        refund_holds.hold(session, refund, refund.amount_minor, now=now)
    refund.advance(RefundStatus.APPROVED)
    refund.approved_by_id, refund.approved_at = actor.id, now
    audit.record(session, "refund.approved", refund, actor=actor, at=now, amount=str(refund.money))
    enqueue(session, SendRefund(refund.id), now=now)
    return refund


def turn_down(session: Session, refund_id: UUID, *, actor: Person, now: datetime) -> PayInRefund:
    """Leave the money where it is: the asker's change of mind, or the second person's no."""
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    refund = queries.locked_refund(session, refund_id)
    refund.advance(RefundStatus.TURNED_DOWN)
    audit.record(session, "refund.turned_down", refund, actor=actor, at=now, amount=str(refund.money))
    return refund


def send(sessions: Sessions, provider: Provider, refund_id: UUID, *, now: datetime) -> None:
    """Make an approved refund, if it isn't made yet. No transaction is open while the provider is asked.

    Raises:
        ProviderSilent: no clear answer; the same call again finds out.
    """
    with sessions() as session:
        refund = queries.refund(session, refund_id)
        payment_id, approved_at = refund.pay_in.payment_id, refund.approved_at
        if refund.status is not RefundStatus.APPROVED or payment_id is None or approved_at is None:
            return
        wanted = RefundWanted(refund.id, payment_id, refund.money, key=f"pw-refund-{refund.id}")
    failure: str | None = None
    if _named(provider, wanted) is None:
        if now - approved_at > KEY_WINDOW:
            failure = "Stripe never made it: it did not answer for a day, and does not list it."
        else:
            try:
                provider.refund(wanted)
            except ProviderRefused as error:
                failure = error.message
    seen = _named(provider, wanted) if failure is None else None
    with sessions() as session:
        _, refund = _locked(session, refund_id)
        if failure is not None:
            fail(session, refund, failure, now=now)
        elif seen is not None:
            follow(session, refund, seen, now=now)
        enqueue(session, LookAt(refund.pay_in_id), now=now, dedupe_key=f"{refund.pay_in_id}:refund")


def _locked(session: Session, refund_id: UUID) -> tuple[PayIn, PayInRefund]:
    """Both, in the order in which a look locks them; the other way round the two could wait for each other."""
    pay_in = queries.locked_pay_in(session, queries.refund(session, refund_id).pay_in_id)
    return pay_in, queries.locked_refund(session, refund_id)


def _named(provider: Provider, wanted: RefundWanted) -> RefundSeen | None:
    return next((each for each in provider.refunds_of(wanted.payment_id) if each.refund_id == wanted.refund_id), None)


def _require_left(session: Session, pay_in: PayIn, money: Money, *, besides: PayInRefund | None = None) -> None:
    left = refundable(pay_in, besides=besides)
    if not left:
        raise NotRefundable(f"This payment is {pay_in.status.replace('_', ' ')}: nothing of it can be sent back now.")
    if money.currency != left.currency or not 0 < money.amount_minor <= left.amount_minor:
        raise InvalidInput(f"Between one cent and {left} can be sent back.", field="amount")
    if pay_in.settled_at is not None:
        fund = ledger.balance(session, pay_in_postings.accounts(pay_in.instalment.fund, pay_in.currency).fund)
        if fund.available < money.amount_minor:
            holds = Money(max(fund.available, 0), pay_in.currency)
            raise NotRefundable(
                f"The fund holds {holds}, less than {money}: the rest is given away. Refund less, or wait for more to come in."
            )
