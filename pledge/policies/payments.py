"""Which payments count, and why. The rules are those of the Open Source Pledge; docs/how-to/pledge-year.md explains them."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from core.errors import InvalidInput
from core.money import Money, exponent
from pledge.models import PledgeRule
from pledge.policies.standing import round_half_up


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
            f"{paid_on} is in the future: money promised does not count, money paid does. Enter it on the day it was paid.",
            field="paid_on",
            paid_on=paid_on.isoformat(),
        )


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
    scale = Fraction(10) ** (exponent(currency) - exponent(amount.currency))
    exact = amount.amount_minor * Fraction(rate) * scale
    return Money(round_half_up(exact), currency) if eligible else Money(0, currency)
