"""Money splits without losing anything, whatever the order."""

import csv
import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import InvalidInput
from core.money import Money, allocate, exponent

weights = st.lists(st.fractions(min_value=0, max_value=1000), min_size=1, max_size=30).filter(any)


@given(total=st.integers(0, 10**15), shares=weights, data=st.data())
def test_parts_and_left_over_sum_to_the_whole(total: int, shares: list[Fraction], data: st.DataObject) -> None:
    maxima = data.draw(st.none() | st.lists(st.none() | st.integers(0, 10**15), min_size=len(shares), max_size=len(shares)))
    parts, left_over = allocate(total, shares, maxima)
    assert sum(parts) + left_over == total
    assert all(part >= 0 for part in parts)
    assert left_over >= 0
    if maxima is None:
        assert left_over == 0
    else:
        assert all(cap is None or part <= cap for part, cap in zip(parts, maxima, strict=True))
        takes_more = any(weight and (cap is None or part < cap) for part, cap, weight in zip(parts, maxima, shares, strict=True))
        assert left_over == 0 or not takes_more, "something is left over although a part could take it"


@given(total=st.integers(0, 10**12), shares=weights)
def test_every_part_is_within_one_unit_of_its_exact_share(total: int, shares: list[Fraction]) -> None:
    parts, _ = allocate(total, shares)
    whole = sum(shares, Fraction(0))
    assert all(abs(part - Fraction(total) * share / whole) < 1 for part, share in zip(parts, shares, strict=True))


@pytest.mark.parametrize(
    ("amount", "currency", "parts", "maxima", "expected"),
    [
        pytest.param("100000", "USD", 12, None, ["8333.34"] * 4 + ["8333.33"] * 8, id="AE-020"),
        pytest.param("12500", "USD", 13, None, ["961.54"] * 11 + ["961.53"] * 2, id="AE-029 thirteen"),
        pytest.param("12500", "USD", 175, None, ["71.43"] * 150 + ["71.42"] * 25, id="AE-029 many"),
        pytest.param("100000", "EUR", 8, [300_000] + [None] * 7, ["3000.00"] + ["13857.15"] * 2 + ["13857.14"] * 5, id="AE-031"),
        pytest.param("10", "JPY", 3, None, ["4", "3", "3"], id="no minor digits"),
        pytest.param("1", "KWD", 3, None, ["0.334", "0.333", "0.333"], id="three minor digits"),
    ],
)
def test_known_splits(amount: str, currency: str, parts: int, maxima: list[int | None] | None, expected: list[str]) -> None:
    result = Money.parse(amount, currency).split([1] * parts, maxima=maxima)
    assert [str(part.decimal) for part in result.parts] == expected


def test_what_nobody_can_take_is_left_over() -> None:
    result = Money.parse("100", "USD").split([1, 1], maxima=[1000, 2000])
    assert [part.amount_minor for part in result.parts] == [1000, 2000]
    assert result.left_over == Money(7000, "USD")


@pytest.mark.parametrize("text", ["", "12,34", "1e5", "NaN", "0x10", "1.234", "١٢٣", "1" * 40, "--5", "5 USD"])
def test_what_is_no_amount_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(InvalidInput, match=re.compile("not an amount|too fine")):
        Money.parse(text, "USD")


def test_grouped_thousands_and_a_dollar_sign_are_read() -> None:
    assert Money.parse(" $1,234,567.8 ", "USD") == Money(123_456_780, "USD")


def test_currencies_don_t_mix() -> None:
    with pytest.raises(TypeError, match="trading account"):
        Money(1, "USD") + Money(1, "EUR")


def test_no_float_ever_becomes_money() -> None:
    with pytest.raises(TypeError):
        Money(1.0, "USD")  # type: ignore[arg-type]
    assert Money.from_decimal(Decimal("0.01"), "USD").amount_minor == 1


def test_the_currency_table_holds_every_active_code_once() -> None:
    with (Path(__file__).parents[3] / "core/data/iso4217.csv").open() as rows:
        codes = [row["currency"] for row in csv.DictReader(rows)]
    assert len(codes) == len(set(codes))
    assert (exponent("JPY"), exponent("USD"), exponent("BHD"), exponent("CLF")) == (0, 2, 3, 4)
    with pytest.raises(InvalidInput, match="XYZ"):
        exponent("XYZ")
