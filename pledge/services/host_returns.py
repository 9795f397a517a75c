"""What a fiscal host gave back, or took of an instalment that was paid another way: booked row by row, as its own books say.

Every row there is one entry here, under its id. What an instalment settled with goes out of the fund again, if the fund still has
it; what the fund has given away by then is not taken from anybody, and finance is told how much is missing. Money that never was
for the fund lies apart in `liabilities:returning:…` until the host gives it back: nothing of it can be granted.
"""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit, ledger
from core.books import between
from core.books.models import OutsideMovement
from core.ledger import Guard, Leg, Side
from core.money import Money
from pledge import queries
from pledge.host_queries import RAIL, THROUGH
from pledge.models import HostOrder, HostOrderStatus, InstalmentStatus
from pledge.providers.hosts import Booked, Found, Round
from pledge.services import instalments
from pledge.services.payments import PaymentInput, make

PAID_ANOTHER_WAY = frozenset({
    InstalmentStatus.PAID, InstalmentStatus.SETTLED, InstalmentStatus.REFUNDED_PART, InstalmentStatus.REFUNDED_FULL,
    InstalmentStatus.DISPUTED, InstalmentStatus.LOST,
})  # fmt: skip
"""Where an instalment stands that got its money, when it was not this order's."""


def follow(session: Session, order: HostOrder, found: Found, *, now: datetime) -> str | None:
    """Book what is nobody's pay-in, or no longer; for people, what is left to be done. The same again changes nothing."""
    if found.last is None:
        return None
    told = [_book(session, order, each, now=now) for each in found.rounds]
    if told[-1] is None and not found.last.gone and not settled_by(order):
        return None  # what an earlier round lacks, this one brings when it settles; until then it stands in the reconciliation
    return next((each for each in reversed(told) if each is not None), None)


def is_apart(order: HostOrder, came: Round) -> bool:
    """Is this money that settled nothing, and won't?"""
    return not _settled_with(order, came) and (came.gone or order.instalment.status in PAID_ANOTHER_WAY)


def settled_by(order: HostOrder) -> bool:
    """Is it this order's money that the instalment settled with?"""
    instalment = order.instalment
    names = (instalment.bank_reference or "").split()
    return order.remote_id in names and instalment.status in THROUGH


def _settled_with(order: HostOrder, came: Round) -> bool:
    return settled_by(order) and came.received.movement_id == order.movement_id


def _book(session: Session, order: HostOrder, came: Round, *, now: datetime) -> str | None:
    if is_apart(order, came):
        return _apart(session, order, came, now=now)
    if came.refunded > came.received.money:
        return f"The host gave {came.refunded} back of {came.received.money} that came; ask its people what the rest was."
    if _settled_with(order, came):
        return _out_of_the_fund(session, order, came, now=now)
    if came.refunds:
        return (
            f"The host gave {came.refunded} of {came.received.money} back before anybody confirmed it. Have it give back the "
            "rest, too: then all of it is booked by itself, and the instalment can be paid again."
        )
    return None


def _out_of_the_fund(session: Session, order: HostOrder, came: Round, *, now: datetime) -> str | None:
    """The host gave back what had settled, or its fee, or both. The fund bore the fee, and has it again if it was returned."""
    if not came.refunds and not came.fees_back:
        return None
    instalment = queries.locked_instalment(session, order.instalment_id)
    fund = instalments.accounts(instalment).fund
    there, fees, borne = _accounts(session, order)
    try:
        with session.begin_nested():  # all of it, or nothing
            for row in came.fees_back:
                back = [Leg(debit=there, credit=fees, amount=row.money.amount_minor),
                        Leg(debit=borne, credit=fund, amount=row.money.amount_minor)]  # fmt: skip
                _post(session, order, row, "fee_back", back, now=now)
            for row in came.refunds:
                leg = Leg(debit=fund, credit=there, amount=row.money.amount_minor)
                _post(session, order, row, "given_back", [leg], now=now)
    except ledger.InsufficientFunds as short:
        return _short(came, short, f"fund {instalment.fund}" if short.account == fund else "our fund at the host")
    becomes = InstalmentStatus.REFUNDED_FULL if came.gone else InstalmentStatus.REFUNDED_PART
    if came.refunds and instalment.status is not becomes:
        instalment.advance(becomes)
        audit.record(session, "instalment.given_back", instalment, actor=None, at=now, amount=str(came.refunded))
    _count_what_stayed(session, order, came, now=now)
    return None


def _apart(session: Session, order: HostOrder, came: Round, *, now: datetime) -> str | None:
    """Money that is not for the fund: kept apart from it, until the host gives it back."""
    there, fees, _ = _accounts(session, order)
    code = f"liabilities:returning:{RAIL}:{order.currency.lower()}"
    apart = ledger.ensure_account(
        session, code, order.currency, normal=Side.CREDIT, guard=Guard.CREDIT, name="At the fiscal host, to be given back"
    ).code
    try:
        with session.begin_nested():
            row = came.received
            _post(session, order, row, "apart", [Leg(debit=there, credit=apart, amount=row.money.amount_minor)], now=now)
            for row in came.fees:
                _post(session, order, row, "fee_apart", [Leg(debit=fees, credit=there, amount=row.money.amount_minor)], now=now)
            for row in came.fees_back:
                _post(session, order, row, "fee_back", [Leg(debit=there, credit=fees, amount=row.money.amount_minor)], now=now)
        with session.begin_nested():
            for row in came.refunds:
                _post(session, order, row, "given_back", [Leg(debit=apart, credit=there, amount=row.money.amount_minor)], now=now)
    except ledger.InsufficientFunds as short:
        return _short(came, short, "our fund at the host")
    if not came.gone:
        why = "after the instalment had settled with it once" if settled_by(order) else "but the instalment was paid another way"
        left = came.received.money - came.refunded
        return (
            f"{came.received.money} came to the host, {why}. {left} of it are booked apart from the fund, and "
            "nothing of that can be granted: have the host give it back, which is booked by itself."
        )
    if not settled_by(order) and came.received.movement_id == (order.movement_id or came.received.movement_id):
        _end(session, order, now=now)
    return None


def _short(came: Round, short: ledger.InsufficientFunds, where: str) -> str:
    has, missing = (Money(each, short.commodity) for each in (short.available, short.wanted - short.available))
    return (
        f"The host gave {came.refunded} back, and {where} has {has} free in the ledger, {missing} too little. It is booked by "
        f"itself, within the hour or with “Look now”, once {missing} more lie there: by the next pay-in, by money that a "
        "programme gives back, or by what somebody adds."
    )


def _end(session: Session, order: HostOrder, *, now: datetime) -> None:
    """Nothing of it is left, so the instalment can be paid another way, if it is not."""
    if order.status in {HostOrderStatus.PAID, HostOrderStatus.EXPECTED}:
        order.advance(HostOrderStatus.EXPIRED)
        order.received_minor, order.movement_id, order.fee_minor, order.fee_movement_id = None, None, 0, None
        audit.record(session, "host_order.given_back", order.instalment, actor=None, at=now, order=order.remote_id or "")


def _count_what_stayed(session: Session, order: HostOrder, came: Round, *, now: datetime) -> None:
    """The pledge's payment says what stayed. What it said before stays, superseded."""
    standing, stayed = queries.payment_of_instalment(session, order.instalment), came.received.money - came.refunded
    if standing is None or standing.money == stayed:
        return
    standing.superseded_at = now
    standing.superseded_reason = f"The fiscal host gave {'all' if came.gone else came.refunded} of it back."
    session.flush()
    audit.record(
        session, "payment.struck_out", standing, actor=None, at=now, reason=standing.superseded_reason,
        amount=str(standing.money),
    )  # fmt: skip
    if stayed:
        kept = PaymentInput(
            payee=standing.payee, project=standing.project, money=stayed, paid_on=standing.paid_on, channel=standing.channel,
            rule=standing.rule, reason=standing.reason, evidence_url=standing.evidence_url, evidence_file=standing.evidence_file,
        )  # fmt: skip
        fresh = make(standing.pledge, kept, entered_by_id=standing.entered_by_id, instalment_id=order.instalment_id, now=now)
        session.add(fresh)
        session.flush()
        audit.record(session, "payment.recorded", fresh, actor=None, at=now, amount=str(stayed), eligible=fresh.eligible)


def _accounts(session: Session, order: HostOrder) -> tuple[str, str, str]:
    """Our fund at the host, its fees, and what the fund here bore of them."""
    currency, code, fund = order.currency, order.currency.lower(), order.instalment.fund
    there = between.account_of(session, currency, RAIL)
    fees, borne = f"expenses:fees:{RAIL}:{code}", f"income:fees-borne:{fund}:{code}"
    ledger.ensure_account(session, fees, currency, normal=Side.DEBIT, name=f"Fees of the fiscal host, {currency}")
    ledger.ensure_account(session, borne, currency, normal=Side.CREDIT, name=f"Fees of receiving, borne by fund {fund}")
    return there, fees, borne


def _post(session: Session, order: HostOrder, row: Booked, what: str, legs: Sequence[Leg], *, now: datetime) -> None:
    key = f"host-row:{row.movement_id}"
    if ledger.entry_by_key(session, key) is not None:
        return  # looked at before, at another moment
    instalment, refs = order.instalment, {"rail": RAIL, "balance_transaction": row.movement_id}
    if _booked_by_somebody(session, row):
        there = between.account_of(session, order.currency, RAIL)
        legs, refs = [leg for leg in legs if there not in {leg.debit, leg.credit}], {}
    if not legs:
        return
    ledger.post(
        session,
        key=key,
        kind=f"pledge.host_{what}",
        legs=legs,
        at=now,
        memo=f"{instalment.reference} at the fiscal host, order {order.remote_id}",
        refs={"pledge_instalment": str(instalment.id), **refs},
    )


def _booked_by_somebody(session: Session, row: Booked) -> bool:
    """People could book what a host gave back of its fee before orders claimed it: what is left is the fund's side."""
    entry = select(OutsideMovement.entry_id).where(OutsideMovement.provider == RAIL, OutsideMovement.remote_id == row.movement_id)
    return session.scalar(entry) is not None
