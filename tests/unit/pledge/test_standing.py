"""Met or short, in cents."""

from datetime import date
from decimal import Decimal
from fractions import Fraction
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.money import Money
from pledge.policies.standing import NoMinimum, Standing, concentration, developers_from, minimum_on

TWO_THOUSAND = Money(200_000, "USD")


def standing(developers: str, paid: str) -> Standing:
    return Standing(Decimal(developers), TWO_THOUSAND, Money.parse(paid, "USD"))


@pytest.mark.parametrize(
    ("developers", "paid", "met", "required", "margin", "shown"),
    [
        ("75", "155000", True, "150000", "5000", "2067"),
        ("130", "260280", True, "260000", "280", "2002"),
        ("135", "500000", True, "270000", "230000", "3704"),
        ("129", "750000", True, "258000", "492000", "5814"),
        ("14", "30000", True, "28000", "2000", "2143"),
        ("14", "28000.00", True, "28000", "0", "2000"),
        ("14", "27999.99", False, "28000", "-0.01", "2000"),
        ("0", "5000", True, "0", "5000", None),
        ("12.5", "24999.99", False, "25000", "-0.01", "2000"),
        ("0.000001", "0", False, "0.01", "-0.01", "0"),
    ],
)
def test_known_answers(developers: str, paid: str, met: bool, required: str, margin: str, shown: str | None) -> None:
    found = standing(developers, paid)
    assert found.met is met
    assert found.required.decimal == Decimal(required)
    assert found.margin.decimal == Decimal(margin)
    assert found.short_by.decimal == max(-Decimal(margin), 0)
    rounded = found.per_developer_rounded
    assert (f"{rounded.decimal:.0f}" if rounded is not None else None) == shown


DEVELOPERS = st.decimals(min_value=0, max_value=100_000, places=6)


@given(developers=DEVELOPERS, minimum=st.integers(1, 10**8), paid=st.integers(0, 10**14))
def test_a_pledge_is_met_exactly_when_paid_reaches_the_product(developers: Decimal, minimum: int, paid: int) -> None:
    found = Standing(developers, Money(minimum, "USD"), Money(paid, "USD"))
    # Scaled to whole numbers: no rational arithmetic, no division.
    scaled = int(developers * 10**6)
    assert found.met == (paid * 10**6 >= minimum * scaled)
    assert found.met == (found.paid >= found.required)
    assert found.met == (not found.short_by)


@given(developers=DEVELOPERS, minimum=st.integers(1, 10**8))
def test_one_minor_unit_less_than_required_is_short(developers: Decimal, minimum: int) -> None:
    required = Standing(developers, Money(minimum, "USD"), Money(0, "USD")).required
    assert Standing(developers, Money(minimum, "USD"), required).met
    if required:
        assert not Standing(developers, Money(minimum, "USD"), required - Money(1, "USD")).met


@given(paid=st.integers(0, 10**14), currency=st.sampled_from(["USD", "JPY", "BHD"]))
def test_nobody_on_staff_has_no_figure_per_developer(paid: int, currency: str) -> None:
    found = Standing(Decimal(0), Money(200_000, currency), Money(paid, currency))
    assert found.per_developer is None
    assert found.per_developer_rounded is None
    assert found.per_developer_exact is None


def test_a_half_dollar_rounds_up() -> None:
    assert standing("2", "5001").per_developer_rounded == Money.parse("2501", "USD")
    assert standing("2", "5000.98").per_developer_rounded == Money.parse("2500", "USD")


@pytest.mark.parametrize("text", ["", "x", "-1", "NaN", "Infinity", "1e400", "10000001", "0.0000001", "1 2"])
def test_what_is_no_number_of_developers_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(InvalidInput, match="developers"):
        developers_from(text)


def row(currency: str, day: str, amount: int) -> SimpleNamespace:
    return SimpleNamespace(currency=currency, valid_from=date.fromisoformat(day), amount_minor=amount)


def test_the_newest_minimum_in_force_counts_and_the_first_one_measures_the_time_before() -> None:
    rows = [row("USD", "2026-01-01", 3), row("USD", "2021-01-01", 1), row("EUR", "2021-01-01", 9), row("USD", "2024-01-01", 2)]
    picked = {day: minimum_on(rows, "USD", date.fromisoformat(day)).amount_minor for day in
              ["2020-06-01", "2021-01-01", "2023-12-31", "2024-01-01", "2025-12-31", "2026-01-01", "2030-01-01"]}  # fmt: skip
    assert list(picked.values()) == [1, 1, 1, 2, 2, 3, 3]


def test_a_currency_without_a_minimum_is_refused() -> None:
    with pytest.raises(NoMinimum, match="no minimum per developer in GBP; the table has USD"):
        minimum_on([row("USD", "2021-01-01", 1)], "GBP", date(2026, 1, 1))


def test_concentration_is_the_share_of_the_largest_payee_however_its_name_is_typed() -> None:
    paid = [("NumFOCUS", 40_00), ("  numfocus ", 20_00), ("curl", 40_00)]
    found = concentration((payee, Money(amount, "USD")) for payee, amount in paid)
    assert found is not None
    assert (found.payee, found.share, found.amount) == ("NumFOCUS", Fraction(60, 100), Money(60_00, "USD"))
    assert concentration([]) is None
