"""How companies can pay online in each currency, and what it costs, as dated data: data/online_terms.toml, or a file of the
installation's own. No method, price or number of days is in code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn

from core import dated_data
from core.config import settings
from core.errors import InvalidInput
from core.money import Money

REQUIRED = {"currency", "since", "source", "page", "invoice", "due_days", "fees"}
KEYS = REQUIRED | {"transfer", "transfer_country"}
FEE_KEYS = {"method", "percent", "fixed", "at_most"}
TRANSFER = "customer_balance"
CARD = "card"
INVOICING = "invoicing"
DUE_DAYS_MAX = 365


@dataclass(frozen=True)
class Price:
    """What the provider keeps of a payment. `percent` None: nobody here knows."""

    percent: Decimal | None
    fixed: Money | None = None
    at_most: Money | None = None

    def of(self, money: Money) -> Money | None:
        """The fee of a payment, if the price is known; half a minor unit is rounded up, as the provider does."""
        if self.percent is None:
            return None
        share = (money.amount_minor * self.percent / 100).quantize(Decimal(1), ROUND_HALF_UP)
        fee = Money(int(share) + (self.fixed.amount_minor if self.fixed else 0), money.currency)
        return min(fee, self.at_most) if self.at_most else fee


@dataclass(frozen=True)
class Terms:
    """What is known of a currency from a day on."""

    currency: str
    since: date
    source: str
    page: tuple[str, ...]
    invoice: tuple[str, ...]
    transfer: str | None
    transfer_country: str | None
    due_days: int
    """Until an invoice is due."""
    prices: Mapping[str, Price]

    def fee(self, method: str, money: Money) -> Money | None:
        """What a method costs, if its price is known."""
        price = self.prices.get(method)
        return price.of(money) if price else None


@dataclass(frozen=True)
class Book:
    """Every entry."""

    entries: Sequence[Terms]

    def on(self, currency: str, day: date) -> Terms | None:
        """What holds for a currency on a day; None where nobody set up anything but cards."""
        known = [each for each in self.entries if each.currency == currency and each.since <= day]
        return max(known, key=lambda each: each.since, default=None)


def book() -> Book:
    """The terms of this installation. The file is read once per process.

    Raises:
        InvalidInput: the file can't be used; says where.
    """
    return _read_file(settings().pledgeworks_online_terms)


@lru_cache(maxsize=4)
def _read_file(own: Path | None) -> Book:
    return read(dated_data.text_of("pledge", "online_terms.toml", own=own, setting="PLEDGEWORKS_ONLINE_TERMS"))


def read(text: str) -> Book:
    """Terms from TOML.

    Raises:
        InvalidInput: names the currency and the key that can't be used.
    """
    stored = dated_data.parsed(text, "the terms of paying online")
    found = [_terms(each) for each in stored.get("terms", [])]
    if len({(each.currency, each.since) for each in found}) < len(found):
        raise InvalidInput("The terms of paying online name one currency twice for the same day.")
    return Book(found)


def _terms(stored: Mapping[str, Any]) -> Terms:
    currency = str(stored.get("currency", "without a name"))

    def wrong(what: str) -> NoReturn:
        raise InvalidInput(f"The terms of paying online in {currency}: {what}.")

    if unknown := set(stored) - KEYS:
        wrong(f"“{min(unknown)}” is not known")
    if missing := REQUIRED - set(stored):
        wrong(f"“{min(missing)}” is missing")
    if type(stored["since"]) is not date:
        wrong("“since” is not a day like 2026-11-22")
    if not isinstance(stored["due_days"], int) or not 1 <= stored["due_days"] <= DUE_DAYS_MAX:
        wrong(f"“due_days” is not a number between 1 and {DUE_DAYS_MAX}")
    ways = {*stored["page"], *stored["invoice"]}
    if TRANSFER in ways and not stored.get("transfer"):
        wrong("“transfer” does not say to what kind of account a company transfers")
    prices = {}
    for fee in stored["fees"]:
        if set(fee) - FEE_KEYS or "method" not in fee:
            wrong(f"a fee has {', '.join(sorted(FEE_KEYS))} and nothing else")
        try:
            prices[fee["method"]] = Price(
                percent=Decimal(fee["percent"]) if "percent" in fee else None,
                fixed=Money.parse(fee["fixed"], currency) if "fixed" in fee else None,
                at_most=Money.parse(fee["at_most"], currency) if "at_most" in fee else None,
            )
        except (InvalidOperation, InvalidInput, TypeError, ValueError):
            wrong(f'the fee of “{fee["method"]}” can\'t be read; write numbers as text, such as "0.8"')
    if not ways <= prices.keys():
        wrong(f"“{min(ways - prices.keys())}” has no fee; give it one without “percent” where nobody knows")
    return Terms(
        currency=currency,
        since=stored["since"],
        source=str(stored["source"]),
        page=tuple(stored["page"]),
        invoice=tuple(stored["invoice"]),
        transfer=stored.get("transfer"),
        transfer_country=stored.get("transfer_country"),
        due_days=stored["due_days"],
        prices=prices,
    )
