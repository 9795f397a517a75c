"""What rails reach and cost, as dated data: data/rail_terms.toml, or a file of the installation's own.

Nothing about prices, countries and largest amounts is in code, and nothing here decides: payouts/policies/ways.py does.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from core import dated_data
from core.config import settings
from core.errors import InvalidInput
from core.money import Money

REQUIRED = {"rail", "title", "since", "source"}
KEYS = REQUIRED | {"note", "payer_countries", "countries", "currencies", "least", "most", "fees", "areas"}
FEE_KEYS = {"name", "percent", "fixed", "currency", "paid_by", "where", "at_most"}


class PaidBy(enum.StrEnum):
    """Out of whose money a fee goes."""

    PAYEE = "payee"  # the payee gets so much less
    US = "us"  # it comes on top of the payout


class Where(enum.StrEnum):
    """For which payees a fee is charged."""

    EVERYWHERE = "everywhere"
    ABROAD = "abroad"  # in another country than the payer, unless both are in one area
    HOME = "home"


@dataclass(frozen=True)
class Fee:
    """One price: a part of the amount, or so much per payment, or both."""

    name: str
    percent: Decimal
    fixed: Money | None
    paid_by: PaidBy
    where: Where
    at_most: bool
    """The exact fee is known afterwards only; it is never more than this."""


@dataclass(frozen=True)
class Terms:
    """What is known of a rail from a day on. `None` where nothing is known, or nothing is limited."""

    rail: str
    title: str
    since: date
    source: str
    note: str | None
    payer_countries: frozenset[str] | None
    countries: frozenset[str] | None
    currencies: frozenset[str] | None
    least: Mapping[str, Money]
    most: Mapping[str, Money]
    fees: tuple[Fee, ...] | None
    """Empty: it costs nothing. None: that can't be known beforehand."""
    areas: tuple[frozenset[str], ...]
    """Countries among which a payment is not abroad."""

    def is_abroad(self, payer: str, payee: str) -> bool:
        return payer != payee and not any({payer, payee} <= area for area in self.areas)


class Book:
    """Every rail's terms through time."""

    def __init__(self, terms: Iterable[Terms]) -> None:
        self._terms: dict[str, list[Terms]] = {}
        for each in sorted(terms, key=lambda terms: (terms.rail, terms.since)):
            self._terms.setdefault(each.rail, []).append(each)

    @property
    def rails(self) -> Sequence[str]:
        return list(self._terms)

    def in_force(self, rail: str, on: date) -> Terms | None:
        """The newest terms of a rail that have begun; None if nothing is known of it yet."""
        return next((each for each in reversed(self._terms.get(rail, [])) if each.since <= on), None)


def in_force(rail: str, on: date) -> Terms | None:
    """A rail's terms in this installation."""
    return book().in_force(rail, on)


def book() -> Book:
    """The terms of this installation. The file is read once per process.

    Raises:
        InvalidInput: the file can't be used; says where.
    """
    return _read_file(settings().pledgeworks_rail_terms)


@lru_cache(maxsize=4)
def _read_file(own: Path | None) -> Book:
    return read(dated_data.text_of("payouts", "rail_terms.toml", own=own, setting="PLEDGEWORKS_RAIL_TERMS"))


def read(text: str) -> Book:
    """Terms from TOML.

    Raises:
        InvalidInput: names the rail and the key that can't be used.
    """
    stored = dated_data.parsed(text, "the rails' terms")
    groups = {f"@{name}": frozenset(countries) for name, countries in stored.get("groups", {}).items()}
    found = [_terms(each, groups) for each in stored.get("terms", [])]
    if len({(each.rail, each.since) for each in found}) < len(found):
        raise InvalidInput("The rails' terms name one rail twice for the same day.")
    return Book(found)


def _terms(stored: Mapping[str, Any], groups: Mapping[str, frozenset[str]]) -> Terms:
    rail = stored.get("rail", "without a name")

    def wrong(what: str) -> NoReturn:
        raise InvalidInput(f"The terms of the rail “{rail}”: {what}.")

    unknown = set(stored) - KEYS
    if unknown:
        wrong(f"“{min(unknown)}” is not known")
    if missing := REQUIRED - set(stored):
        wrong(f"“{min(missing)}” is missing")
    if not isinstance(stored["since"], date):
        wrong("“since” is not a day like 2026-11-22")

    def countries(names: Iterable[str]) -> frozenset[str]:
        found: set[str] = set()
        for name in names:
            if name.startswith("@") and name not in groups:
                wrong(f"there is no group “{name}”")
            found |= groups.get(name, {name})
        for each in found:
            if len(each) != 2 or not each.isupper():
                wrong(f"“{each}” is no country of two capitals")
        return frozenset(found)

    def amounts(key: str) -> Mapping[str, Money]:
        try:
            return {currency: Money.parse(amount, currency) for currency, amount in stored.get(key, {}).items()}
        except (InvalidInput, AttributeError) as error:
            wrong(f"“{key}”: {error}")

    return Terms(
        rail=stored["rail"],
        title=stored["title"],
        since=stored["since"],
        source=stored["source"],
        note=stored.get("note"),
        payer_countries=countries(stored["payer_countries"]) if "payer_countries" in stored else None,
        countries=countries(stored["countries"]) if "countries" in stored else None,
        currencies=frozenset(stored["currencies"]) if "currencies" in stored else None,
        least=amounts("least"),
        most=amounts("most"),
        fees=tuple(_fee(each, wrong) for each in stored["fees"]) if "fees" in stored else None,
        areas=tuple(countries(each) for each in stored.get("areas", [])),
    )


def _fee(stored: Mapping[str, Any], wrong: Any) -> Fee:
    if set(stored) - FEE_KEYS or "name" not in stored or not {"percent", "fixed"} & set(stored):
        wrong(f"a fee has a name, a percent or fixed amount, and of {', '.join(sorted(FEE_KEYS))} what it needs")
    try:
        percent = Decimal(stored.get("percent", "0"))
        fixed = Money.parse(stored["fixed"], stored["currency"]) if "fixed" in stored else None
        paid_by, where = PaidBy(stored["paid_by"]), Where(stored.get("where", "everywhere"))
    except (KeyError, ValueError, TypeError, InvalidOperation, InvalidInput) as error:
        wrong(f"the fee “{stored['name']}” can't be read ({error})")
    if not 0 <= percent <= 100 or (fixed is not None and fixed.amount_minor < 0):
        wrong(f"the fee “{stored['name']}” is below nothing or above everything")
    return Fee(stored["name"], percent, fixed, paid_by, where, bool(stored.get("at_most", False)))
