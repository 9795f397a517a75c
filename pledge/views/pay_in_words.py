"""What the state of an online payment means, and what whoever reads it does next."""

from collections.abc import Mapping

from core.ledger import Balance
from core.money import Money
from core.web.filters import money
from pledge.models import PayIn, PayInStatus
from pledge.views.blueprint import bp

METHODS = {"us_bank_account": "bank debit", "customer_balance": "bank transfer", "card": "card"}
TOO_SMALL = "too_small"
NO_PAGE = "no_page"

FOR_COMPANY: Mapping[str, str] = {
    NO_PAGE: "The provider has not answered with a page yet. Press Pay again.",
    PayInStatus.OPEN: "The page is open and nobody has paid. Pay there, or close it.",
    TOO_SMALL: "Your transfer was {missing} too small. Send {missing} more to the same account; nothing counts before.",
    PayInStatus.PROCESSING: "On its way. A debit takes up to four business days, a transfer as long as your bank takes. "
    "Nothing to do.",
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
    PayInStatus.OPEN: "Waits for the company.",
    TOO_SMALL: "The company's transfer was {missing} too small; it sees that. Stripe sends money back that nobody completes.",
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
assert FOR_COMPANY.keys() == FOR_FINANCE.keys() == set(PayInStatus) | {NO_PAGE, TOO_SMALL}


@bp.app_template_filter()
def pay_in_method(value: str | None) -> str:
    """The way of a payment in words."""
    return METHODS.get(value, value.replace("_", " ")) if value else "not chosen yet"


@bp.app_template_filter()
def pay_in_meaning(row: PayIn) -> str:
    """For the company."""
    return _told(FOR_COMPANY, row)


@bp.app_template_filter()
def pay_in_for_finance(row: PayIn) -> str:
    """For finance."""
    return _told(FOR_FINANCE, row)


@bp.app_template_filter()
def shortfall_money(balance: Balance) -> str:
    """What a fund is short of."""
    return money(Money(balance.posted, balance.commodity))


def _told(words: Mapping[str, str], row: PayIn) -> str:
    key: str = row.status
    if row.status is PayInStatus.OPEN and row.page_url is None:
        key = NO_PAGE
    elif row.status is PayInStatus.PROCESSING and row.missing_minor:
        key = TOO_SMALL
    return words[key].format(
        missing=money(Money(row.missing_minor or 0, row.currency)),
        method=pay_in_method(row.method),
        available=f"{row.available_at:%-d %b %Y}" if row.available_at else "soon on",
        problem=row.problem,
        refunded=money(row.refunded),
        kept=money(row.kept),
    )
