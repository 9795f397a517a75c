"""Which documents a payee's next payment wants, and where each stands: pure rules over dated data, papers and a year's sum."""

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from core.money import Money
from payouts.tax import Effect, Rule


@dataclass(frozen=True)
class Paper:
    """A document of a payee that is on file."""

    document: str
    signed_on: date
    valid_until: date | None

    def valid(self, on: date) -> bool:
        return self.signed_on <= on and (self.valid_until is None or on <= self.valid_until)


@dataclass(frozen=True)
class TaxFacts:
    """What is known of a payee: the rules that concern it, its papers, and what it was paid in this calendar year."""

    rules: Sequence[Rule]
    papers: Sequence[Paper]
    paid: Money
    """Of this currency, with what is on its way."""
    on: date
    remind_days: int = 0

    def and_also(self, money: Money) -> "TaxFacts":
        """The same payee after one more payment."""
        return replace(self, paid=self.paid + money)


class PaperState(enum.StrEnum):
    """Where a document stands."""

    VALID = "valid"
    EXPIRING = "expiring"  # valid, and not for long
    EXPIRED = "expired"
    MISSING = "missing"  # wanted, and not there
    NOT_YET = "not_yet"  # not there, and not wanted before a larger sum


@dataclass(frozen=True)
class Item:
    """One line of a payee's checklist."""

    rule: Rule
    state: PaperState
    paper: Paper | None
    """The newest, valid or not."""
    wanted: bool
    """The year's sum has reached the rule."""

    @property
    def asked_for(self) -> bool:
        """Now is the time to send it."""
        return self.state in {PaperState.MISSING, PaperState.EXPIRING} or (self.wanted and self.state is PaperState.EXPIRED)


@dataclass(frozen=True)
class Demand:
    """A document that one payment wants and that is not there."""

    effect: Effect
    words: str


def checklist(facts: TaxFacts) -> list[Item]:
    """Every document that may be asked of this payee, and where it stands."""
    return [_item(rule, facts) for rule in facts.rules]


def demands(facts: TaxFacts, money: Money, rail: str, payee: str) -> list[Demand]:
    """What paying so much more on a rail wants and lacks."""
    total = facts.paid + money
    found = []
    for rule in facts.rules:
        effect = rule.effect(rail)
        if effect is Effect.NONE or not rule.wanted(total) or _valid(rule, facts) is not None:
            continue
        start = rule.starts.get(total.currency)
        reached = f"with this payment {payee} is paid {total} this year" + (f", and from {start} on" if start else ", and")
        held = "nothing is paid without it" if effect is Effect.HOLD else "it can be paid all the same"
        found.append(
            Demand(effect, f"{reached} a valid {rule.document} is wanted; {held}. Finance notes it under Payouts → Recipients.")
        )
    return [replace(demand, words=demand.words[:1].upper() + demand.words[1:]) for demand in found]


def _item(rule: Rule, facts: TaxFacts) -> Item:
    own = sorted((paper for paper in facts.papers if paper.document == rule.document), key=lambda paper: paper.signed_on)
    valid, wanted = _valid(rule, facts), rule.wanted(facts.paid)
    if valid is not None:
        soon = facts.on + timedelta(days=facts.remind_days)
        state = PaperState.VALID if valid.valid_until is None or valid.valid_until > soon else PaperState.EXPIRING
        return Item(rule, state, valid, wanted)
    if own:
        return Item(rule, PaperState.EXPIRED, own[-1], wanted)
    return Item(rule, PaperState.MISSING if wanted else PaperState.NOT_YET, None, wanted)


def _valid(rule: Rule, facts: TaxFacts) -> Paper | None:
    """The paper for this rule that holds longest."""
    valid = [paper for paper in facts.papers if paper.document == rule.document and paper.valid(facts.on)]
    return max(valid, key=lambda paper: (paper.valid_until is None, paper.valid_until or date.min), default=None)
