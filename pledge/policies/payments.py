"""Which payments count, and why. The rules are those of the Open Source Pledge; docs/how-to/pledge-year.md explains them."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from core.errors import InvalidInput
from core.money import Money, exponent
from pledge.models import PledgeRule
from pledge.policies.standing import round_half_up

AMOUNT_MAX_MINOR = 10**13
"""Beyond this an amount is a slip of the keyboard; below it, sums of very many fit the database's whole numbers."""
RATE_MAX, RATE_DECIMALS = Decimal(10**6), 10


class Promised(InvalidInput):
    """Money already spent counts, money promised does not."""

    code = "promised_not_paid"


@dataclass(frozen=True, slots=True)
class Eligibility:
    """What a rule says about a payment."""

    counts: bool
    label: str
    because: str


RULES: dict[PledgeRule, Eligibility] = {
    PledgeRule.OPEN_SOURCE_PROJECT: Eligibility(
        True, "Cash to an open-source project", "Cash to a project under the Open Source Definition counts."
    ),
    PledgeRule.MAINTAINER: Eligibility(
        True, "Cash to a maintainer", "Cash to a maintainer of open-source software who is not on our staff counts."
    ),
    PledgeRule.FOUNDATION: Eligibility(
        True, "Cash to an open-source foundation or fund", "Cash to a foundation or fund for open source counts."
    ),
    PledgeRule.NOT_OPEN_SOURCE: Eligibility(
        False, "The project is not open source", "Its licence does not meet the Open Source Definition."
    ),
    PledgeRule.OWN_PROJECT: Eligibility(
        False, "The company owns or controls the project", "Projects the company owns the trademark of, or controls, don't count."
    ),
    PledgeRule.OWN_ECOSYSTEM: Eligibility(
        False, "It serves only the company's own ecosystem", "Payments that serve only the company's own ecosystem don't count."
    ),
    PledgeRule.OWN_EMPLOYEE: Eligibility(
        False, "The maintainer is on the company's staff", "Payments to maintainers the company employs don't count."
    ),
    PledgeRule.BENEFIT_IN_RETURN: Eligibility(
        False,
        "The company got more than a logo in return",
        "More than an incidental benefit (a logo, an hour or two of advice) makes it a purchase.",
    ),
}
assert RULES.keys() == set(PledgeRule)


def require_paid(paid_on: date, *, on: date) -> None:
    """Refuse sums that are promised.

    Raises:
        Promised: the payment lies after `on`.
    """
    if paid_on > on:
        raise Promised(
            f"{paid_on:%-d %b %Y} is in the future: money promised does not count, money paid does. "
            "Enter it on the day it was paid.",
            field="paid_on",
            paid_on=paid_on.isoformat(),
        )


def require_plausible(money: Money, *, field: str) -> None:
    """Refuse amounts that nobody pays.

    Raises:
        InvalidInput: more than a hundred billion dollars, or as many minor units of another currency.
    """
    if abs(money.amount_minor) > AMOUNT_MAX_MINOR:
        most = Money(AMOUNT_MAX_MINOR, money.currency)
        raise InvalidInput(f"{money} is more than the {most} we believe; correct it.", field=field)


def counted(amount: Money, *, currency: str, rate: Decimal | None, eligible: bool) -> Money:
    """What a payment adds to a pledge in `currency`: converted at the rate given with it, rounded half up once.

    Raises:
        InvalidInput: currencies differ and there is no rate, or they agree and there is one.
    """
    if amount.currency == currency:
        if rate is not None:
            raise InvalidInput(f"The payment is in {currency} like the pledge; leave the rate empty.", field="rate")
        return amount if eligible else Money(0, currency)
    if rate is None or not rate.is_finite() or rate <= 0:
        raise InvalidInput(
            f"The pledge is measured in {currency}: give the rate of the day, {currency} for 1 {amount.currency}.", field="rate"
        )
    if rate > RATE_MAX or rate != round(rate, RATE_DECIMALS):
        raise InvalidInput(
            f"The rate {rate} is too large or too fine; use at most {RATE_MAX:,} and {RATE_DECIMALS} decimals.", field="rate"
        )
    scale = Fraction(10) ** (exponent(currency) - exponent(amount.currency))
    converted = Money(round_half_up(amount.amount_minor * Fraction(rate) * scale), currency)
    require_plausible(converted, field="rate")
    return converted if eligible else Money(0, currency)
