"""Rules of paying an instalment through a provider: how it is split, and what state follows from what came."""

from collections.abc import Collection, Sequence
from datetime import date

from core.money import Money
from pledge.models import PAYABLE_INVOICES, UNENDED_INVOICES, CardLimit, InstalmentStatus, InvoiceStanding, PayIn, PayInStatus
from pledge.providers.base import Snapshot, Standing

CHARGE_MAX_MINOR = 99_999_999
"""A charge has at most eight digits: $999,999.99. A larger instalment takes several."""
CHARGE_MIN_MINOR = 50
"""Nothing below $0.50 is charged."""

ASKING = PAYABLE_INVOICES | {InvoiceStanding.PAID}
"""Invoices that ask the company for money, or got it."""

_BEFORE_MONEY = {
    Standing.OPEN: PayInStatus.OPEN,
    Standing.EXPIRED: PayInStatus.EXPIRED,
    Standing.ON_ITS_WAY: PayInStatus.PROCESSING,
    Standing.FAILED: PayInStatus.FAILED,
    Standing.ARRIVED: PayInStatus.PROCESSING,  # until the provider's books show it
}


def parts(amount: Money) -> list[Money]:
    """An instalment as it is charged: full charges, then the rest; a rest too small to be charged takes from the one before."""
    full, rest = divmod(amount.amount_minor, CHARGE_MAX_MINOR)
    charges = [CHARGE_MAX_MINOR] * full + ([rest] if rest else [])
    if len(charges) > 1 and rest and rest < CHARGE_MIN_MINOR:
        charges[-2:] = [CHARGE_MAX_MINOR - CHARGE_MIN_MINOR, rest + CHARGE_MIN_MINOR]
    return [Money(each, amount.currency) for each in charges]


def outstanding(asked: Money, pay_ins: Sequence[PayIn]) -> Money:
    """What nobody has paid or is about to pay. Zero if more came than was asked for."""
    covered = sum(_covers(each) for each in pay_ins)
    return Money(max(asked.amount_minor - covered, 0), asked.currency)


def _covers(pay_in: PayIn) -> int:
    match pay_in.status:
        case PayInStatus.FAILED | PayInStatus.EXPIRED:
            return 0
        case PayInStatus.OPEN | PayInStatus.PROCESSING:
            return pay_in.amount_minor
        case PayInStatus.DISPUTED:
            return (pay_in.received - pay_in.refunded).amount_minor  # it may come back yet
    return pay_in.kept.amount_minor


def waits_for_payment(pay_in: PayIn) -> bool:
    """Can its invoice be paid, or will it be in a moment? After a debit that bounced it can be paid again."""
    if pay_in.invoice is None:
        return False
    if pay_in.status is PayInStatus.OPEN:
        return pay_in.invoice.standing in UNENDED_INVOICES
    return pay_in.status is PayInStatus.FAILED and pay_in.invoice.is_payable


def leaves_a_transfer(pay_in: PayIn) -> bool:
    """May the same money come by a transfer to our bank? Nothing came here, and no page is open where it could be paid twice.

    An invoice may be open: companies pay those to the account they know. It is ended there once two people found the money.
    """
    if pay_in.invoice is not None and waits_for_payment(pay_in):
        return not pay_in.received and not pay_in.missing_minor
    return pay_in.status in {PayInStatus.FAILED, PayInStatus.EXPIRED}


def may_be_given_up(pay_in: PayIn) -> bool:
    """Nobody has paid, and nothing is on its way that the provider knows of: the page is open, or a bank transfer is awaited.

    Invoices are withdrawn instead.
    """
    if pay_in.invoice is not None:
        return False
    if pay_in.status is PayInStatus.PROCESSING:
        return pay_in.method == "customer_balance" and not pay_in.received and not pay_in.missing_minor
    return pay_in.status is PayInStatus.OPEN


def card_limit_on(limits: Sequence[CardLimit], currency: str, on: date) -> Money:
    """The largest pay-in by card on a day; zero where no limit was ever set."""
    known = [each for each in limits if each.currency == currency and each.valid_from <= on]
    return max(known, key=lambda each: each.valid_from).money if known else Money(0, currency)


def status_of(pay_in: PayIn, seen: Snapshot) -> PayInStatus:
    """Where a pay-in stands, once everything seen is booked."""
    nothing = Money(0, pay_in.currency)
    if not pay_in.received:
        # What was on its way and turned open again (a declined card) is open still: the page can be paid.
        return _BEFORE_MONEY[seen.standing]
    if any(dispute.open for dispute in seen.disputes):
        return PayInStatus.DISPUTED
    if pay_in.withdrawn > nothing:
        return PayInStatus.LOST
    if pay_in.refunded >= pay_in.received:
        return PayInStatus.REFUNDED_FULL
    if pay_in.refunded > nothing:
        return PayInStatus.REFUNDED_PART
    return PayInStatus.SETTLED if pay_in.settled_at else PayInStatus.PAID


def not_as_asked(pay_in: PayIn, seen: Snapshot, *, customers: Collection[str]) -> str | None:
    """Why what the provider shows can't be this pay-in's money, for finance; None if it is as we asked for it."""
    changed = _changed_invoice(pay_in, seen)
    if changed is not None or seen.payment_id is None:
        return changed
    if seen.pay_in_id != pay_in.id:
        return f"The payment {seen.payment_id} is not marked as this one's, so nothing of it is booked."
    if seen.customer_id not in customers:
        return f"The payment {seen.payment_id} is of another customer ({seen.customer_id}), so nothing of it is booked."
    for currency in [seen.currency, *(each.gross.currency for each in seen.movements)]:
        if currency != pay_in.currency:
            return f"The payment {seen.payment_id} moved {currency}, not {pay_in.currency}, so nothing of it is booked."
    return None


def _changed_invoice(pay_in: PayIn, seen: Snapshot) -> str | None:
    """Whether the provider's invoice asks for something else than ours by now. Once all that came went back, no more does."""
    invoice = seen.invoice
    if invoice is None or invoice.standing not in ASKING or invoice.money == pay_in.money:
        return None
    if seen.movements and sum(each.gross.amount_minor for each in seen.movements) == 0:
        return None
    return (
        f"Invoice {invoice.number} was changed there: it is over {invoice.money}, and the company was asked for {pay_in.money}. "
        "Nothing of it is booked."
    )


def instalment_status(asked: Money, pay_ins: Sequence[PayIn]) -> InstalmentStatus:
    """Where an instalment stands that is paid by these, in the order in which they were tried."""
    statuses = [each.status for each in pay_ins]
    nothing = Money(0, asked.currency)
    kept = sum((each.kept for each in pay_ins), nothing)
    if PayInStatus.DISPUTED in statuses:
        status = InstalmentStatus.DISPUTED
    elif kept >= asked:
        settled = all(each.settled_at for each in pay_ins if each.kept)
        status = InstalmentStatus.SETTLED if settled else InstalmentStatus.PAID
    elif PayInStatus.LOST in statuses:
        status = InstalmentStatus.LOST
    elif any(each.refunded for each in pay_ins):
        status = InstalmentStatus.REFUNDED_PART if kept else InstalmentStatus.REFUNDED_FULL
    elif kept or PayInStatus.PROCESSING in statuses:
        status = InstalmentStatus.PROCESSING
    elif statuses and statuses[-1] is PayInStatus.FAILED:
        status = InstalmentStatus.FAILED
    else:
        status = InstalmentStatus.AWAITING_PAYMENT
    return status
