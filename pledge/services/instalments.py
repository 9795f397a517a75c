"""Paying an instalment of a pledge through us, recorded by hand: the company says it paid, finance sees it on the bank.

What comes through the payment provider has the same states and its own file, pay_ins.py; here every step has a person and
evidence.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit, ledger
from core.db import new_id
from core.errors import DomainError, InvalidInput
from core.files import StoredFile
from core.identity import access
from core.identity.models import Person, Role
from core.ledger import Guard, Leg, Side
from core.money import Money
from pledge import host_queries, queries
from pledge.models import (
    InstalmentStatus,
    InstalmentWay,
    PaymentChannel,
    Pledge,
    PledgeInstalment,
    PledgeRule,
)
from pledge.policies.pay_ins import leaves_a_transfer
from pledge.policies.payments import require_paid, require_plausible
from pledge.services import invoices
from pledge.services.payments import EvidenceNeeded, PaymentInput, make

OPEN_PLEDGE_FUND = "open-pledge"
ENTRY_PREFIX = "pledge-instalment:"


class AtHost(DomainError):
    """The host's books say what came; a line of a bank statement would count the same money again."""

    code = "at_host"


class SelfConfirmation(DomainError):
    """Who says that money was sent does not also say that it arrived."""

    code = "self_confirmation"


class PaidOnline(DomainError):
    """A transfer and an online payment of the same instalment would pay it twice."""

    code = "paid_online"


@dataclass(frozen=True, slots=True)
class FundAccounts:
    """Where a pay-in lands in the ledger."""

    bank: str
    fund: str


def announce(
    session: Session, pledge: Pledge, *, money: Money, fund: str = OPEN_PLEDGE_FUND, actor: Person, now: datetime
) -> PledgeInstalment:
    """Plan an instalment; it gets the reference that the company writes on its bank transfer.

    Raises:
        InvalidInput: nothing to pay, or another currency than the pledge's.
    """
    access.require_role(session, actor, Role.PLEDGE_EDITOR, organisation_id=pledge.member.organisation_id, on=now.date())
    if money.amount_minor <= 0:
        raise InvalidInput("Enter an amount above zero.", field="amount")
    require_plausible(money, field="amount")
    if money.currency != pledge.currency:
        raise InvalidInput(f"Pay in {pledge.currency}, like the pledge.", field="currency")
    instalment_id = new_id()
    instalment = PledgeInstalment(
        id=instalment_id,
        pledge=pledge,
        fund=fund,
        amount_minor=money.amount_minor,
        currency=money.currency,
        status=InstalmentStatus.DRAFT,
        reference=f"PW-{instalment_id.hex[-10:].upper()}",
        entered_by_id=actor.id,
        entered_at=now,
    )
    instalment.advance(InstalmentStatus.AWAITING_PAYMENT)
    session.add(instalment)
    session.flush()
    audit.record(session, "instalment.announced", instalment, actor=actor, at=now, amount=str(money), fund=fund)
    return instalment


def say_sent(
    session: Session,
    instalment_id: UUID,
    *,
    sent_on: date,
    evidence_url: str | None = None,
    evidence_file: StoredFile | None = None,
    actor: Person,
    now: datetime,
) -> PledgeInstalment:
    """Say that the company paid, with evidence. Finance looks for it on the bank statement next.

    Raises:
        Promised: the day lies in the future.
        EvidenceNeeded: neither a link nor a file shows it.
        PaidOnline: a payment page is open, or money came that way.
        IllegalTransition: it is not waiting for a payment.
    """
    instalment = queries.locked_instalment(session, instalment_id)
    pledge = instalment.pledge
    access.require_role(session, actor, Role.PLEDGE_EDITOR, organisation_id=pledge.member.organisation_id, on=now.date())
    take_by_transfer(instalment)
    require_paid(sent_on, on=now.date())
    _require_within(pledge, sent_on)
    if not evidence_url and evidence_file is None:
        raise EvidenceNeeded(
            "Give a link or a file that shows the transfer, such as the bank's confirmation.", field="evidence_url"
        )
    instalment.advance(InstalmentStatus.PROCESSING)
    instalment.sent_on, instalment.evidence_url, instalment.evidence_file = sent_on, evidence_url, evidence_file
    # Whoever vouches for the payment is the first pair of eyes, even if somebody else planned it.
    instalment.entered_by_id = actor.id
    audit.record(session, "instalment.sent", instalment, actor=actor, at=now, sent_on=str(sent_on))
    return instalment


def note_arrival(
    session: Session, instalment_id: UUID, *, sent_on: date, evidence: StoredFile, actor: Person, now: datetime
) -> PledgeInstalment:
    """Note that an announced instalment shows on our bank statement though the company has not said that it sent it.

    Whoever notes it is the first pair of eyes; somebody else in finance confirms it.

    Raises:
        NotAllowed: the actor is not in finance.
        InvalidInput: the day lies outside of the pledge's period.
        PaidOnline: a payment page is open, or money came that way.
        IllegalTransition: it is not waiting for a payment.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    instalment = queries.locked_instalment(session, instalment_id)
    take_by_transfer(instalment)
    _require_within(instalment.pledge, sent_on)
    instalment.advance(InstalmentStatus.PROCESSING)
    instalment.sent_on, instalment.evidence_file, instalment.entered_by_id = sent_on, evidence, actor.id
    audit.record(session, "instalment.arrival_noted", instalment, actor=actor, at=now, sent_on=str(sent_on))
    return instalment


def confirm(
    session: Session,
    instalment_id: UUID,
    *,
    received_on: date,
    bank_reference: str,
    cash: str | None = None,
    refs: Mapping[str, str] | None = None,
    by_host: bool = False,
    actor: Person,
    now: datetime,
) -> PledgeInstalment:
    """Confirm that the money is on our account: post it, settle it, and count it as a payment of the pledge.

    `cash` is the ledger's account that holds it, where it was set aside before; else it is the bank's. `refs` name the movement
    that a provider's own list has of it. `by_host`: its books show it, and it is confirmed with them.

    Raises:
        NotAllowed: the actor is not in finance.
        AtHost: a fiscal host receives it.
        SelfConfirmation: the actor is who said that it was sent.
        InvalidInput: no line of the bank statement is named, or a day in the future.
        PaidOnline: the provider says what came.
        IllegalTransition: it is not being processed (confirmed already, say).
    """
    instalment = require_confirmable(session, instalment_id, actor=actor, now=now)
    if not by_host and host_queries.live(session, instalment.id) is not None:
        raise AtHost(
            "A fiscal host receives this instalment. Confirm it on the page “At the host”, by what its books show, or have the "
            "host expect it no longer."
        )
    if not bank_reference.strip():
        raise InvalidInput("Name the line of the bank statement you found it on.", field="bank_reference")
    require_paid(received_on, on=now.date())
    instalment.advance(InstalmentStatus.PAID)
    instalment.received_on, instalment.bank_reference = received_on, bank_reference.strip()
    instalment.confirmed_by_id, instalment.confirmed_at = actor.id, now
    audit.record(session, "instalment.paid", instalment, actor=actor, at=now, bank_reference=bank_reference.strip())
    # Cash on our own bank account can't be called back like a card payment: paid is settled in the same breath.
    _settle(session, instalment, cash=cash, refs=refs or {}, now=now)
    audit.record(session, "instalment.settled", instalment, actor=actor, at=now, amount=str(instalment.money))
    invoices.end_as_paid_elsewhere(session, instalment, now=now)
    return instalment


def require_confirmable(session: Session, instalment_id: UUID, *, actor: Person, now: datetime) -> PledgeInstalment:
    """The instalment, locked, if this person may say that its money arrived.

    Raises:
        NotAllowed: the actor is not in finance.
        SelfConfirmation: the actor is who said that it was sent.
        PaidOnline: the provider says what came.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    instalment = queries.locked_instalment(session, instalment_id)
    _require_transfer(instalment)
    if instalment.entered_by_id == actor.id:
        raise SelfConfirmation("You said that this was sent, so somebody else in finance confirms that it arrived.")
    return instalment


def fail(session: Session, instalment_id: UUID, *, reason: str, actor: Person, now: datetime) -> PledgeInstalment:
    """Say that the money did not come. The company sees why and can pay again.

    Raises:
        NotAllowed: the actor is not in finance.
        InvalidInput: no reason.
        IllegalTransition: it settled already.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    if not reason.strip():
        raise InvalidInput("Say what is wrong, so that the company can put it right.", field="reason")
    instalment = queries.locked_instalment(session, instalment_id)
    _require_transfer(instalment)
    instalment.advance(InstalmentStatus.FAILED)
    instalment.failure_reason = reason.strip()
    audit.record(session, "instalment.failed", instalment, actor=actor, at=now, reason=reason.strip())
    return instalment


def try_again(session: Session, instalment_id: UUID, *, actor: Person, now: datetime) -> PledgeInstalment:
    """Wait for the payment once more after it failed.

    Raises:
        IllegalTransition: it did not fail.
    """
    instalment = queries.locked_instalment(session, instalment_id)
    access.require_role(session, actor, Role.PLEDGE_EDITOR, organisation_id=instalment.member.organisation_id, on=now.date())
    instalment.advance(InstalmentStatus.AWAITING_PAYMENT)
    instalment.failure_reason = instalment.sent_on = instalment.evidence_url = instalment.evidence_file = None
    audit.record(session, "instalment.reopened", instalment, actor=actor, at=now)
    return instalment


def take_by_transfer(instalment: PledgeInstalment) -> None:
    """From here on people say what came.

    Raises:
        PaidOnline: a payment page is open, or money came that way.
    """
    if not all(leaves_a_transfer(each) for each in instalment.pay_ins):
        raise PaidOnline("This instalment is being paid online. Close the payment page first, or plan another instalment.")
    instalment.way = InstalmentWay.TRANSFER


def _require_within(pledge: Pledge, sent_on: date) -> None:
    if not pledge.starts_on <= sent_on <= pledge.ends_on:
        raise InvalidInput(
            f"{sent_on:%-d %b %Y} lies outside of the period {pledge.label} "
            f"({pledge.starts_on:%-d %b %Y} to {pledge.ends_on:%-d %b %Y}).",
            field="sent_on",
        )


def accounts(instalment: PledgeInstalment) -> FundAccounts:
    """The two accounts of a pay-in."""
    currency = instalment.currency.lower()
    return FundAccounts(bank=f"assets:bank:{currency}", fund=f"liabilities:fund:{instalment.fund}:{currency}")


def entry_key(instalment_id: UUID) -> str:
    """The ledger's key of the money that came for an instalment by transfer."""
    return f"{ENTRY_PREFIX}{instalment_id}"


def _require_transfer(instalment: PledgeInstalment) -> None:
    if instalment.way is not InstalmentWay.TRANSFER:
        raise PaidOnline("This instalment is paid online: the payment provider says what came, and nobody confirms it by hand.")


def _settle(session: Session, instalment: PledgeInstalment, *, cash: str | None, refs: Mapping[str, str], now: datetime) -> None:
    codes = accounts(instalment)
    ledger.ensure_account(
        session, codes.bank, instalment.currency, normal=Side.DEBIT, guard=Guard.DEBIT, name=f"Bank, {instalment.currency}"
    )
    ledger.ensure_account(
        session, codes.fund, instalment.currency, normal=Side.CREDIT, guard=Guard.CREDIT, name=f"Fund {instalment.fund}"
    )
    ledger.post(
        session,
        key=entry_key(instalment.id),
        kind="pledge.pay_in",
        legs=[Leg(debit=cash or codes.bank, credit=codes.fund, amount=instalment.amount_minor)],
        at=now,
        memo=f"Pay-in of {instalment.member.name}, {instalment.reference}",
        refs={"pledge_instalment": str(instalment.id), "organisation": str(instalment.member.organisation_id), **refs},
    )
    instalment.advance(InstalmentStatus.SETTLED)
    assert instalment.sent_on is not None, "a CHECK ties processing to the day of sending"
    session.add(
        make(
            instalment.pledge,
            PaymentInput(
                payee=f"Pledgeworks fund {instalment.fund}",
                project="Open-source projects, by the fund's programmes",
                money=instalment.money,
                paid_on=instalment.sent_on,
                channel=PaymentChannel.PLEDGEWORKS,
                rule=PledgeRule.FOUNDATION,
                reason=f"Arrived on our account on {instalment.received_on:%-d %b %Y}, reference {instalment.reference}.",
                evidence_url=instalment.evidence_url,
                evidence_file=instalment.evidence_file,
            ),
            entered_by_id=instalment.entered_by_id,
            instalment_id=instalment.id,
            now=now,
        )
    )
    session.flush()
