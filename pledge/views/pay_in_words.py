"""What the state of an online payment means, and what whoever reads it does next."""

from collections.abc import Mapping

from core.ledger import Balance
from core.money import Money
from core.web.filters import money
from pledge.models import PayIn, PayInRefund, PayInStatus, RefundStatus
from pledge.policies.pay_ins import may_be_given_up
from pledge.views import invoice_words
from pledge.views.blueprint import bp

METHODS = {"us_bank_account": "bank debit", "customer_balance": "bank transfer", "card": "card", "sepa_debit": "SEPA debit"}
TOO_SMALL = "too_small"
NO_PAGE = "no_page"
ODD = "odd"
ODD_INVOICE = "odd_invoice"
DETAILS = "details"
NOT_SENT = "not_sent"

FOR_COMPANY: Mapping[str, str] = {
    NO_PAGE: "The provider has not answered with a page yet. Press Pay again.",
    ODD: "What the provider shows is not what was asked for, so it is not booked. Finance looks into it; pay nothing more.",
    ODD_INVOICE: "The invoice is not as you asked for it any more, so it is not booked. Finance looks into it; do not pay it.",
    PayInStatus.OPEN: "The page is open and nobody has paid. Pay there, or close it.",
    TOO_SMALL: "Your transfer was {missing} too small. Send {missing} more to the same account; nothing counts before.",
    NOT_SENT: "Waits for your bank transfer to the account that the payment page shows. It takes as long as your bank takes.",
    PayInStatus.PROCESSING: "On its way. A debit takes up to four business days. Nothing to do.",
    PayInStatus.PAID: "Arrived by {method}. The fund may use it from {available}; then it counts for your year.",
    PayInStatus.SETTLED: "In the fund, and counts for your year.",
    PayInStatus.FAILED: "{problem} Nothing was paid. Pay again, with another account or another way.",
    PayInStatus.EXPIRED: "Nobody paid before the page closed. Nothing was paid.",
    PayInStatus.REFUNDED_PART: "{refunded} went back to you, {kept} stays and counts for your year once it is settled.",
    PayInStatus.REFUNDED_FULL: "All of it went back to you. It does not count any more; plan another instalment to pay.",
    PayInStatus.DISPUTED: "Your bank asks for it back, so it does not count now. If that is a mistake, have your bank withdraw "
    "the dispute, and tell finance.",
    PayInStatus.LOST: "Your bank took it back, so it does not count. Plan another instalment to pay again, by transfer best.",
}
FOR_FINANCE: Mapping[str, str] = {
    NO_PAGE: "Stripe has not answered with a page. The company presses Pay again.",
    ODD: "{problem} Look at it in Stripe's dashboard: refund it there, or find whose it is.",
    ODD_INVOICE: "{problem} If nobody has paid it, withdraw it here, and the company asks for another. If it is paid, refund all "
    "of it in Stripe's dashboard: both are booked then, and the instalment can be paid anew.",
    PayInStatus.OPEN: "Waits for the company.",
    TOO_SMALL: "The company's transfer was {missing} too small; it sees that. Stripe sends money back that nobody completes.",
    NOT_SENT: "Waits for the company's bank transfer; it sees to which account. Until it came, the company can give it up.",
    PayInStatus.PROCESSING: "On its way. Nothing to do.",
    PayInStatus.PAID: "Arrived at Stripe, ours to use from {available}. Nothing of it can be granted before.",
    PayInStatus.SETTLED: "In the fund.",
    PayInStatus.FAILED: "{problem} The company sees why, and can pay again.",
    PayInStatus.EXPIRED: "Nobody paid before the page closed.",
    PayInStatus.REFUNDED_PART: "{refunded} went back to the company.",
    PayInStatus.REFUNDED_FULL: "All of it went back to the company.",
    PayInStatus.DISPUTED: "The company's bank asks for it back. Answer in Stripe's dashboard, with evidence, before the day "
    "that it names there.",
    PayInStatus.LOST: "The bank took it back for good. Ask the company to pay another way; what the fund had given away of it "
    "is what the fund is short of.",
}
assert FOR_COMPANY.keys() == FOR_FINANCE.keys() == set(PayInStatus) | {NO_PAGE, TOO_SMALL, ODD, ODD_INVOICE, NOT_SENT}


@bp.app_template_filter()
def pay_in_method(value: str | None) -> str:
    """The way of a payment in words."""
    return METHODS.get(value, value.replace("_", " ")) if value else "not chosen yet"


@bp.app_template_filter()
def pay_in_fee(value: Money | None) -> str:
    """What a way of paying costs, beforehand."""
    return f"about {money(value)}" if value is not None else "Stripe's price of it is not known here"


@bp.app_template_filter()
def pay_in_meaning(row: PayIn) -> str:
    """For the company."""
    return _told(FOR_COMPANY, invoice_words.FOR_COMPANY, row)


@bp.app_template_filter()
def pay_in_for_finance(row: PayIn) -> str:
    """For finance."""
    return _told(FOR_FINANCE, invoice_words.FOR_FINANCE, row)


@bp.app_template_filter()
def pay_in_state(row: PayIn) -> str:
    """The word for where it stands; of an invoice that waits or ended, the invoice's own."""
    return invoice_words.key_of(row) or row.status


@bp.app_template_filter()
def shortfall_money(balance: Balance) -> str:
    """What a fund is short of."""
    return money(Money(balance.posted, balance.commodity))


REFUND_FOR_FINANCE: Mapping[str, str] = {
    RefundStatus.ASKED: "Waits for a second person.",
    RefundStatus.APPROVED: "Being sent. If Stripe does not answer, it is found out and not sent twice.",
    RefundStatus.PENDING: "At Stripe; the company has it in some days.",
    DETAILS: "Stripe asks the company by e-mail for the account to pay back to.",
    RefundStatus.DONE: "The company has it.",
    RefundStatus.FAILED: "{failure} Ask for another, or pay it back by bank transfer.",
    RefundStatus.TURNED_DOWN: "Nothing was sent.",
}
REFUND_FOR_COMPANY: Mapping[str, str] = {
    RefundStatus.ASKED: "Being looked at.",
    RefundStatus.APPROVED: "It is being sent: {reason}",
    RefundStatus.PENDING: "It is on its way back to you, and takes some days: {reason}",
    DETAILS: "Stripe has sent you an e-mail that asks for the account to pay back to. Answer it, else the money stays here: "
    "{reason}",
    RefundStatus.DONE: "It went back to you: {reason}",
    RefundStatus.FAILED: "It did not reach you, and the money is still here. Finance tries another way: {reason}",
    RefundStatus.TURNED_DOWN: "It was not sent.",
}
assert REFUND_FOR_FINANCE.keys() == REFUND_FOR_COMPANY.keys() == set(RefundStatus) | {DETAILS}


@bp.app_template_filter()
def refund_meaning(row: PayInRefund) -> str:
    """For finance."""
    return REFUND_FOR_FINANCE[_refund_key(row)].format(failure=row.failure)


@bp.app_template_filter()
def refund_for_company(row: PayInRefund) -> str:
    """For the company."""
    return REFUND_FOR_COMPANY[_refund_key(row)].format(reason=row.reason)


@bp.app_template_filter()
def surplus_for_company(row: PayIn) -> str:
    """What Stripe keeps for the company."""
    return f"Stripe keeps {_surplus(row)} for you. It pays your next instalment by bank transfer, or ask finance to return it."


@bp.app_template_filter()
def surplus_for_finance(row: PayIn) -> str:
    """The same for finance."""
    return (
        f"Stripe keeps {_surplus(row)} in the company's cash balance; it is not on ours. It pays the company's next transfer, or "
        "you send it back in Stripe's dashboard. After 75 days Stripe sends it back by itself."
    )


def _surplus(row: PayIn) -> str:
    return money(Money(row.surplus_minor or 0, row.currency))


def _refund_key(row: PayInRefund) -> str:
    return DETAILS if row.status is RefundStatus.PENDING and row.wants_details else row.status


def _told(words: Mapping[str, str], of_invoices: Mapping[str, str], row: PayIn) -> str:
    by_invoice = invoice_words.key_of(row)
    key: str = row.status
    if row.problem and row.status is not PayInStatus.FAILED:
        by_invoice, key = None, ODD_INVOICE if row.invoice else ODD
    elif row.status is PayInStatus.OPEN and row.page_url is None:
        key = NO_PAGE
    elif row.status is PayInStatus.PROCESSING and row.missing_minor:
        key = TOO_SMALL
    elif row.status is PayInStatus.PROCESSING and may_be_given_up(row):
        key = NOT_SENT
    invoice = row.invoice
    return (words[key] if by_invoice is None else of_invoices[by_invoice]).format(
        missing=money(Money(row.missing_minor or 0, row.currency)),
        method=pay_in_method(row.method),
        available=f"{row.available_at:%-d %b %Y}" if row.available_at else "soon on",
        problem=row.problem,
        refunded=money(row.refunded),
        kept=money(row.kept),
        email=invoice.email if invoice else None,
        due=f"{invoice.due_on:%-d %b %Y}" if invoice and invoice.due_on else "its day",
        not_sent=invoice.not_sent if invoice else None,
    )
