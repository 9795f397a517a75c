"""Which documents payees must have on file, as dated data: data/tax_rules.toml, or a file of the installation's own.

Nothing here decides: payouts/policies/papers.py does. And nothing here is tax advice.
"""

import enum
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from core import dated_data
from core.config import settings
from core.errors import InvalidInput
from core.money import Money

REQUIRED = {"name", "document", "since", "payer", "effect", "why", "source"}
KEYS = REQUIRED | {"payee", "payee_not", "kinds", "from", "valid_years"}


class Effect(enum.StrEnum):
    """What happens to a payment when the document is wanted and missing."""

    NONE = "none"
    WARN = "warn"
    HOLD = "hold"


@dataclass(frozen=True)
class Rule:
    """A document that is wanted of some payees from a sum of a calendar year on."""

    name: str
    document: str
    since: date
    payer: frozenset[str]
    payee: frozenset[str] | None
    payee_not: frozenset[str]
    kinds: frozenset[str] | None
    starts: Mapping[str, Money]
    """The sum by currency; none at all: from the first payment on, in whatever currency."""
    valid_years: int | None
    effects: Mapping[str, Effect]
    why: str
    source: str

    def concerns(self, payer: str, payee: str, kind: str) -> bool:
        return (
            payer in self.payer
            and (self.payee is None or payee in self.payee)
            and payee not in self.payee_not
            and (self.kinds is None or kind in self.kinds)
        )

    def effect(self, rail: str) -> Effect:
        return self.effects.get(rail, self.effects["default"])

    def wanted(self, total: Money) -> bool:
        """Whether a year's sum reaches it. Sums in another currency than the rule's are not compared."""
        if not self.starts:
            return total.amount_minor > 0
        start = self.starts.get(total.currency)
        return start is not None and total >= start

    def valid_until(self, signed_on: date) -> date | None:
        """The last day a document signed then is good for."""
        if self.valid_years is None:
            return None
        year = signed_on.year + self.valid_years
        leap_day = (signed_on.month, signed_on.day) == (2, 29)
        anniversary = date(year, 3, 1) if leap_day else signed_on.replace(year=year)
        return anniversary - timedelta(days=1)


@dataclass(frozen=True)
class Book:
    """Every rule through time."""

    rules: Sequence[Rule]
    remind_days: int

    def in_force(self, on: date) -> list[Rule]:
        """Of each name the newest rule that has begun."""
        begun = {rule.name: rule for rule in sorted(self.rules, key=lambda rule: rule.since) if rule.since <= on}
        return [begun[name] for name in sorted(begun)]

    def for_payee(self, payer: str, payee: str, kind: str, on: date) -> list[Rule]:
        return [rule for rule in self.in_force(on) if rule.concerns(payer, payee, kind)]


def book() -> Book:
    """The rules of this installation. The file is read once per process.

    Raises:
        InvalidInput: the file can't be used; says where.
    """
    return _read_file(settings().pledgeworks_tax_rules)


@lru_cache(maxsize=4)
def _read_file(own: Path | None) -> Book:
    return read(dated_data.text_of("payouts", "tax_rules.toml", own=own, setting="PLEDGEWORKS_TAX_RULES"))


def read(text: str) -> Book:
    """Rules from TOML.

    Raises:
        InvalidInput: names the rule and the key that can't be used.
    """
    stored = dated_data.parsed(text, "the tax rules")
    remind = stored.get("remind_days", 0)
    if not isinstance(remind, int) or remind < 0:
        raise InvalidInput("The tax rules: “remind_days” is no number of days.")
    rules = [_rule(each) for each in stored.get("rules", [])]
    if len({(rule.name, rule.since) for rule in rules}) < len(rules):
        raise InvalidInput("The tax rules name one rule twice for the same day.")
    return Book(rules, remind)


def _rule(stored: Mapping[str, Any]) -> Rule:
    name = stored.get("name", "without a name")
    missing, unknown = REQUIRED - set(stored), set(stored) - KEYS
    if missing or unknown:
        said = f"“{min(missing)}” is missing" if missing else f"“{min(unknown)}” is not known"
        raise InvalidInput(f"The tax rule “{name}”: {said}.")
    if not isinstance(stored["since"], date):
        raise InvalidInput(f"The tax rule “{name}”: “since” is not a day like 2026-11-22.")
    try:
        effects = {rail: Effect(effect) for rail, effect in stored["effect"].items()}
        starts = {currency: Money.parse(amount, currency) for currency, amount in stored.get("from", {}).items()}
    except (ValueError, AttributeError, InvalidInput) as error:
        raise InvalidInput(f"The tax rule “{name}”: {error}.") from error
    if "default" not in effects:
        raise InvalidInput(f"The tax rule “{name}”: “effect” says nothing about the rails it does not name (default).")
    years = stored.get("valid_years")
    if years is not None and (not isinstance(years, int) or years < 1):
        raise InvalidInput(f"The tax rule “{name}”: “valid_years” is no number of years.")
    return Rule(
        name=stored["name"],
        document=stored["document"],
        since=stored["since"],
        payer=_countries(stored["payer"], name),
        payee=_countries(stored["payee"], name) if "payee" in stored else None,
        payee_not=_countries(stored.get("payee_not", []), name),
        kinds=frozenset(stored["kinds"]) if "kinds" in stored else None,
        starts=starts,
        valid_years=years,
        effects=effects,
        why=stored["why"],
        source=stored["source"],
    )


def _countries(names: Iterable[str], rule: str) -> frozenset[str]:
    found = frozenset(names)
    for each in found:
        if len(each) != 2 or not each.isupper():
            raise InvalidInput(f"The tax rule “{rule}”: “{each}” is no country of two capitals.")
    return found
