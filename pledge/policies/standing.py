"""Is a pledge met, and by how much? In minor units, by multiplication: never by a division."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from typing import Protocol, TypeVar

from core.errors import DomainError, InvalidInput
from core.money import Money, exponent

DEVELOPERS_MAX = 10_000_000
DEVELOPERS_DECIMALS = 6


class NoMinimum(DomainError):
    """There is no minimum in this currency, so nothing can be measured in it."""

    code = "no_minimum"


class DatedAmount(Protocol):
    """A row of the minimum table, as far as the rule reads it."""

    @property
    def currency(self) -> str: ...
    @property
    def valid_from(self) -> date: ...


Row = TypeVar("Row", bound=DatedAmount)


def minimum_on(rows: Sequence[Row], currency: str, on: date) -> Row:
    """The minimum in force on a day: the newest row not after it. Days before the first row are measured by the first.

    Raises:
        NoMinimum: the table has no row in this currency.
    """
    known = sorted((row for row in rows if row.currency == currency), key=lambda row: row.valid_from)
    if not known:
        have = ", ".join(sorted({row.currency for row in rows})) or "none"
        raise NoMinimum(
            f"There is no minimum per developer in {currency}; the table has {have}. "
            "Enter the figures in one of those, or ask for a row with `pledgeworks pledge minimum add`.",
            currency=currency,
        )
    return next((row for row in reversed(known) if row.valid_from <= on), known[0])


@dataclass(frozen=True, slots=True)
class Standing:
    """How much was paid against the minimum of a period."""

    developers: Decimal
    minimum: Money
    """Per developer and year."""
    paid: Money
    """What counts: eligible cash, nothing else."""

    @property
    def met(self) -> bool:
        """Paid ≥ minimum × developers, exactly."""
        return self.paid.amount_minor >= Fraction(self.minimum.amount_minor) * Fraction(self.developers)

    @property
    def required(self) -> Money:
        """The least whole amount that meets the pledge (parts of a person can make the product finer than a cent)."""
        return Money(math.ceil(Fraction(self.minimum.amount_minor) * Fraction(self.developers)), self.minimum.currency)

    @property
    def margin(self) -> Money:
        """Paid beyond what is required; negative while it is short."""
        return self.paid - self.required

    @property
    def short_by(self) -> Money:
        return max(self.required - self.paid, Money(0, self.paid.currency))

    @property
    def per_developer(self) -> Fraction | None:
        """Minor units per developer, exact; none where nobody is on staff. For ordering and for display only."""
        if not self.developers:
            return None
        return Fraction(self.paid.amount_minor) / Fraction(self.developers)

    @property
    def per_developer_exact(self) -> Money | None:
        """Per developer to the minor unit, half up: for programs."""
        return None if self.per_developer is None else Money(round_half_up(self.per_developer), self.paid.currency)

    @property
    def per_developer_rounded(self) -> Money | None:
        """The figure people are shown: whole units of the currency, half up."""
        if self.per_developer is None:
            return None
        unit = 10 ** exponent(self.paid.currency)
        return Money(round_half_up(self.per_developer / unit) * unit, self.paid.currency)


def round_half_up(value: Fraction) -> int:
    """To the nearest whole number; a half goes up. For amounts that are not negative."""
    return math.floor(value + Fraction(1, 2))


def developers_from(text: str) -> Decimal:
    """Read a number of developers as a person types it.

    Raises:
        InvalidInput: not a plain number of zero or more with at most six decimals.
    """
    try:
        value = Decimal(text.strip().replace(",", ""))
    except ArithmeticError:
        value = Decimal("NaN")
    return checked_developers(value, shown=text.strip()[:40])


def checked_developers(value: Decimal, *, shown: str | None = None) -> Decimal:
    """Refuse a number of developers that can't be one.

    Raises:
        InvalidInput: negative, not finite, larger than ten million, or finer than six decimals.
    """
    shown = shown if shown is not None else str(value)
    if not value.is_finite() or value < 0:
        raise InvalidInput(
            f"“{shown}” is not a number of developers; write it like 14, or 12.5 for an average.", field="developers"
        )
    if value > DEVELOPERS_MAX:
        raise InvalidInput(f"{shown} developers are more than the {DEVELOPERS_MAX:,} we believe.", field="developers")
    if value != round(value, DEVELOPERS_DECIMALS):
        raise InvalidInput(f"{shown} developers are too fine; use at most {DEVELOPERS_DECIMALS} decimals.", field="developers")
    return value


@dataclass(frozen=True, slots=True)
class Concentration:
    """How much of what counts went to one payee: nobody is refused for it, but everybody can see it."""

    payee: str
    amount: Money
    share: Fraction


def concentration(payments: Iterable[tuple[str, Money]]) -> Concentration | None:
    """The payee with the largest sum and its share of the whole; none without payments. Ties go by name.

    Names that differ only in case and spaces are one payee.
    """
    sums: dict[str, tuple[str, Money]] = {}
    for payee, money in payments:
        key = " ".join(payee.split()).casefold()
        shown, so_far = sums.get(key, (payee, Money(0, money.currency)))
        sums[key] = (shown, so_far + money)
    if not sums:
        return None
    total = sum(money.amount_minor for _, money in sums.values())
    name, largest = min(sums.values(), key=lambda entry: (-entry[1].amount_minor, entry[0].casefold()))
    return Concentration(name, largest, Fraction(largest.amount_minor, total)) if total else None
