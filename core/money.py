"""Money in whole minor units, and the one way to split it.

Exponents follow ISO 4217 (list one, active currencies), kept in data/iso4217.csv; Babel's CLDR digits differ from it for
some currencies and are used for display only.
"""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import cache
from importlib.resources import files
from typing import Self

from core.errors import InvalidInput

MINOR_MAX = 2**63 - 1
"""Amounts live in PostgreSQL BIGINT columns."""

_PLAIN_AMOUNT = re.compile(r"-?([0-9]+|[0-9]{1,3}(,[0-9]{3})+)(\.[0-9]+)?")


@cache
def exponents() -> Mapping[str, int]:
    """Every active ISO 4217 currency and the number of its minor digits."""
    with (files("core") / "data" / "iso4217.csv").open(encoding="utf-8") as rows:
        return {row["currency"]: int(row["exponent"]) for row in csv.DictReader(rows)}


def exponent(currency: str) -> int:
    """The number of minor digits of a currency.

    Raises:
        InvalidInput: the code is not an active ISO 4217 currency.
    """
    try:
        return exponents()[currency]
    except KeyError:
        raise InvalidInput(
            f"“{currency}” is not a currency; use a three-letter ISO 4217 code such as USD or EUR.", field="currency"
        ) from None


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in whole minor units (cents for USD, yen for JPY) of one currency. It may be negative."""

    amount_minor: int
    currency: str

    def __post_init__(self) -> None:
        exponent(self.currency)
        if not isinstance(self.amount_minor, int) or isinstance(self.amount_minor, bool):
            raise TypeError(f"Money takes whole minor units, not {self.amount_minor!r}")
        if abs(self.amount_minor) > MINOR_MAX:
            raise InvalidInput(f"The amount is larger than the platform can keep ({MINOR_MAX} minor units).")

    @classmethod
    def parse(cls, text: str, currency: str) -> Self:
        """Read a decimal amount such as `28,000.00`. Commas may group thousands; more digits than the currency has are refused.

        Raises:
            InvalidInput: not a plain decimal number, or finer than the currency's minor unit.
        """
        cleaned = text.strip().removeprefix("$").strip()
        if len(cleaned) > 30 or not _PLAIN_AMOUNT.fullmatch(cleaned):
            raise InvalidInput(f"“{text[:40]}” is not an amount; write it like 28000.00.", field="amount")
        try:
            return cls.from_decimal(Decimal(cleaned.replace(",", "")), currency)
        except InvalidOperation:
            raise InvalidInput(f"“{text[:40]}” is not an amount; write it like 28000.00.", field="amount") from None

    @classmethod
    def from_decimal(cls, amount: Decimal, currency: str) -> Self:
        """Take an exact decimal amount in major units.

        Raises:
            InvalidInput: not finite, or finer than the currency's minor unit.
        """
        digits = exponent(currency)
        if not amount.is_finite():
            raise InvalidInput("The amount is not a number.", field="amount")
        minor = Fraction(amount) * 10**digits
        if minor.denominator != 1:
            unit = "whole units" if digits == 0 else f"at most {digits} decimals"
            raise InvalidInput(f"{amount} {currency} is too fine: {currency} has {unit}.", field="amount")
        return cls(int(minor), currency)

    @property
    def decimal(self) -> Decimal:
        """The amount in major units, with exactly the currency's number of decimals."""
        return Decimal(self.amount_minor).scaleb(-exponent(self.currency))

    def __str__(self) -> str:
        return f"{self.decimal:,.{exponent(self.currency)}f} {self.currency}"

    def __add__(self, other: Self) -> Self:
        return type(self)(self.amount_minor + self._same(other), self.currency)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.amount_minor - self._same(other), self.currency)

    def __neg__(self) -> Self:
        return type(self)(-self.amount_minor, self.currency)

    def __mul__(self, times: int) -> Self:
        if not isinstance(times, int) or isinstance(times, bool):
            raise TypeError("Money is multiplied by whole numbers only; use split() for shares")
        return type(self)(self.amount_minor * times, self.currency)

    def __lt__(self, other: Self) -> bool:
        return self.amount_minor < self._same(other)

    def __le__(self, other: Self) -> bool:
        return self.amount_minor <= self._same(other)

    def __gt__(self, other: Self) -> bool:
        return self.amount_minor > self._same(other)

    def __ge__(self, other: Self) -> bool:
        return self.amount_minor >= self._same(other)

    def __bool__(self) -> bool:
        return self.amount_minor != 0

    def split(self, weights: Sequence[int | Fraction], *, maxima: Sequence[int | None] | None = None) -> "Split":
        """Split by weights, losing nothing: parts + left over = the whole, to the minor unit.

        Largest remainder (Hamilton's method); equal remainders go to the earlier part. `maxima` caps single parts, in minor
        units: what a capped part can't take is shared by the others in proportion to their weights (water-filling), and only
        what nobody can take is left over.

        Raises:
            InvalidInput: no parts, a negative weight, all weights zero, or a negative amount.
        """
        parts, left_over = allocate(self.amount_minor, [Fraction(w) for w in weights], maxima)
        return Split(tuple(Money(part, self.currency) for part in parts), Money(left_over, self.currency))

    def _same(self, other: Self) -> int:
        if other.currency != self.currency:
            raise TypeError(f"{self.currency} and {other.currency} don't mix; convert through a trading account first")
        return other.amount_minor


@dataclass(frozen=True, slots=True)
class Split:
    """The parts of a split, in the order of its weights, and what no part could take under its maximum."""

    parts: tuple[Money, ...]
    left_over: Money


def allocate(total: int, weights: Sequence[Fraction], maxima: Sequence[int | None] | None = None) -> tuple[list[int], int]:
    """Share whole units by weight: exact shares first, capped by water-filling, then rounded by largest remainder.

    Returns (parts, left over); sum(parts) + left over == total, 0 <= part <= its maximum.

    Raises:
        InvalidInput: no parts, a negative total, weight or maximum, or all weights zero.
    """
    caps: list[int | None] = list(maxima) if maxima is not None else [None] * len(weights)
    if not weights:
        raise InvalidInput("A split needs at least one part.", field="weights")
    if len(caps) != len(weights):
        raise InvalidInput(f"There are {len(weights)} weights but {len(caps)} maxima.", field="max")
    if total < 0:
        raise InvalidInput("A negative amount can't be split; split the positive amount and negate it.", field="amount")
    if any(weight < 0 for weight in weights) or not any(weights):
        raise InvalidInput("Weights are zero or more, and at least one is above zero.", field="weights")
    if any(cap is not None and cap < 0 for cap in caps):
        raise InvalidInput("A maximum can't be negative.", field="max")

    exact = _water_fill(total, weights, caps)
    parts = [int(share) for share in exact]  # floor: shares are never negative
    spare = int(sum(exact, Fraction(0))) - sum(parts)
    by_remainder = sorted(range(len(parts)), key=lambda i: (parts[i] - exact[i], i))
    for i in by_remainder[:spare]:
        parts[i] += 1
    return parts, total - sum(parts)


def _water_fill(total: int, weights: Sequence[Fraction], caps: Sequence[int | None]) -> list[Fraction]:
    """Exact shares: whoever would pass its maximum gets the maximum, and the rest is shared again among the others."""
    shares = [Fraction(0)] * len(weights)
    open_parts = [i for i, weight in enumerate(weights) if weight]
    remaining = Fraction(total)
    while open_parts:
        weight_sum = sum((weights[i] for i in open_parts), Fraction(0))
        full = [i for i in open_parts if (cap := caps[i]) is not None and remaining * weights[i] / weight_sum >= cap]
        if not full:
            for i in open_parts:
                shares[i] = remaining * weights[i] / weight_sum
            break
        for i in full:
            shares[i] = Fraction(caps[i] or 0)
        remaining -= sum((shares[i] for i in full), Fraction(0))
        open_parts = [i for i in open_parts if i not in set(full)]
    return shares
