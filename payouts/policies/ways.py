"""By which rail a payee is paid, and why: pure rules over what is known of the payee, the payout and each rail.

A rail is possible if nothing is needed for it any more. Of the possible ones a person's word comes first, then the payee's
wish, then what leaves the payee most, then what costs us least, machines before people, and the name, so that the same facts
always give the same rail.
"""

import enum
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction

from core.money import Money
from payouts.policies.engine import leaving
from payouts.policies.papers import TaxFacts, demands
from payouts.rails.base import Capabilities
from payouts.tax import Effect
from payouts.terms import Fee, PaidBy, Terms, Where


class NeedKind(enum.StrEnum):
    """What can stand between a payee and a rail."""

    SETTINGS = "settings"  # an operator sets the rail up first
    TERMS = "terms"  # nobody entered what the rail costs and allows, or it begins later
    PAYER = "payer"  # we are in a country the rail does not pay from
    COUNTRY = "country"  # the payee is in a country the rail does not serve
    CURRENCY = "currency"
    TOO_LITTLE = "too_little"
    TOO_MUCH = "too_much"
    THIS_MONTH = "this_month"  # one payment per place and month, and there is another
    STOPPED = "stopped"
    DESTINATION = "destination"  # the payee has not said where
    COOL_OFF = "cool_off"
    SECOND_LOOK = "second_look"  # a second person compares the destination first
    ONBOARDING = "onboarding"  # the rail wants something from the payee
    HELD = "held"  # nothing is paid to this payee at all
    DOCUMENT = "document"  # a tax document is wanted first


NEVER = {
    NeedKind.SETTINGS, NeedKind.TERMS, NeedKind.PAYER, NeedKind.COUNTRY, NeedKind.CURRENCY, NeedKind.TOO_LITTLE,
    NeedKind.TOO_MUCH,
}  # fmt: skip
"""What neither time, nor the payee, nor an approver can bring."""


@dataclass(frozen=True)
class Need:
    """One thing that is missing, in a sentence that says what to do."""

    kind: NeedKind
    words: str


@dataclass(frozen=True)
class Place:
    """A payee's destination on a rail."""

    label: str
    usable_from: datetime
    looked_at: bool = True
    """A second person compared it."""
    problem: str | None = None
    """What the rail said, the last time it was asked, that it still wants from the payee."""


@dataclass(frozen=True)
class Candidate:
    """A rail, and how far this payee got with it."""

    rail: str
    title: str
    capabilities: Capabilities | None
    """None: the rail is not part of this installation."""
    terms: Terms | None
    place: Place | None = None
    stopped: str | None = None
    lacks: Sequence[str] = ()
    """Settings it would take to have the rail."""
    asks_for: str = ""
    """What a payee enters, in words."""
    has_accounts: bool = False
    """Payees open an account there, and are asked for what it needs."""
    taken: str | None = None
    """Why the rail can't pay this place again this month."""


@dataclass(frozen=True)
class Asked:
    """What is to be paid, and to whom."""

    owed: Money
    kept: int
    """Kept before for the payee, in minor units: it leaves with this payment."""
    payee: str
    country: str
    payer_country: str
    now: datetime
    preferred: str | None = None
    """The rail the payee asked for."""
    held: str | None = None
    """Why nothing at all is paid to it now."""
    tax: TaxFacts | None = None


@dataclass(frozen=True)
class Way:
    """A rail as a way to pay this: what leaves, what it costs, what the payee gets, and what is needed first."""

    rail: str
    title: str
    gross: Money
    """What leaves, of which `net` arrives."""
    fee: Money | None
    """What is taken from the payee; None if that is not known beforehand."""
    cost: Money | None
    """What comes on top for us; None if that is not known beforehand."""
    at_most: bool
    """Fee and cost are upper bounds."""
    needs: Sequence[Need]
    warnings: Sequence[str]
    """What should be there and does not stop a payment."""
    by_hand: bool
    label: str | None
    terms: Terms | None

    @property
    def possible(self) -> bool:
        return not self.needs

    @property
    def net(self) -> Money | None:
        return None if self.fee is None else self.gross - self.fee

    @property
    def never(self) -> bool:
        """Whatever is still brought, this rail can't pay this."""
        return any(need.kind in NEVER for need in self.needs)


@dataclass(frozen=True)
class Wish:
    """A person's word about one payout."""

    rail: str
    who: str
    reason: str


@dataclass(frozen=True)
class Choice:
    """The rail that was chosen, or none, and why."""

    way: Way | None
    why: str
    missing: frozenset[NeedKind] = frozenset()
    """What every way that was begun lacks, if none can be taken."""


def ways(asked: Asked, candidates: Iterable[Candidate]) -> list[Way]:
    """Every rail as a way to pay this, the best possible one first and the impossible ones last."""
    return sorted((_way(asked, each) for each in candidates), key=lambda way: _rank(way, asked.preferred))


def choose(found: Sequence[Way], asked: Asked, wish: Wish | None = None) -> Choice:
    """One of the possible ways, `found` being those of `ways`."""
    if wish is not None:
        named = next((way for way in found if way.rail == wish.rail), None)
        if named is None or not named.possible:
            lacking = " ".join(need.words for need in named.needs) if named else "It is not part of this installation."
            title = named.title if named else wish.rail
            return Choice(None, f"{wish.who} chose {title} for this payout, and it can't go by it now. {lacking}")
        return Choice(named, f"{wish.who} chose it: {wish.reason}")
    possible = [way for way in found if way.possible]
    if not possible:
        begun = [{need.kind for need in way.needs} for way in found if way.label is not None]
        return Choice(None, why_none(found, asked), frozenset(set.intersection(*begun) if begun else set()))
    return Choice(possible[0], _why(possible, asked))


def why_none(found: Sequence[Way], asked: Asked) -> str:
    """Why nobody can be paid this now: first of all what is missing where the payee has a destination."""
    begun = [way for way in found if way.label is not None]
    if not begun:
        return f"{asked.payee} has no destination for {asked.owed.currency}; add one under Payouts → Recipients."
    if len(begun) == 1:
        return " ".join(need.words for need in begun[0].needs)
    return " ".join(f"{way.title}: {' '.join(need.words for need in way.needs)}" for way in begun)


def _why(possible: Sequence[Way], asked: Asked) -> str:
    best, others = possible[0], possible[1:]
    if best.rail == asked.preferred:
        return f"{asked.payee} asked for it."
    said = (
        _why_best(best, others[0], asked.payee) if others else f"Of the rails it is the only one that can pay {asked.payee} now."
    )
    if asked.preferred is not None:
        return f"{asked.payee} asked for another rail, which can't pay this now. {said}"
    return said


def _why_best(best: Way, second: Way, payee: str) -> str:
    """What the first of several has before the next one, in the order of `_rank`."""
    if best.net is not None and (second.net is None or best.net > second.net):
        return f"It leaves {payee} most, as far as is known: {best.net} of {best.gross}."
    if best.cost is not None and (second.cost is None or best.cost < second.cost):
        return f"No other rail is known to leave {payee} more, and it costs us least."
    if second.by_hand and not best.by_hand:
        return "No other rail is known to be better, and it takes no handwork."
    return "No other possible rail is known to be better; of equals the first by name is taken."


def _rank(way: Way, preferred: str | None) -> tuple[object, ...]:
    return (
        not way.possible,
        way.rail != preferred,
        way.label is None,
        way.net is None,
        0 if way.net is None else -way.net.amount_minor,
        way.cost is None,
        0 if way.cost is None else way.cost.amount_minor,
        way.by_hand,
        way.rail,
    )


def _way(asked: Asked, about: Candidate) -> Way:
    able, terms = about.capabilities, about.terms
    unit = able.unit_minor if able else 1
    gross = Money(leaving(asked.owed.amount_minor, asked.kept, unit), asked.owed.currency)
    fee, at_most = _charged(PaidBy.PAYEE, gross, asked, terms)
    cost, cost_at_most = _charged(PaidBy.US, gross, asked, terms)
    needs = list(_needs(asked, about, gross))
    papers = demands(asked.tax, gross, about.rail, asked.payee) if asked.tax is not None and gross.amount_minor > 0 else []
    needs += [Need(NeedKind.DOCUMENT, demand.words) for demand in papers if demand.effect is Effect.HOLD]
    if fee is not None and gross.amount_minor > 0 and fee >= gross:
        needs.append(Need(NeedKind.TOO_LITTLE, f"{about.title} takes {fee} for it, which leaves {asked.payee} nothing."))
        fee = gross
    return Way(
        rail=about.rail,
        title=about.title,
        gross=gross,
        fee=fee if gross.amount_minor > 0 else None,
        cost=cost if gross.amount_minor > 0 else None,
        at_most=at_most or cost_at_most,
        needs=tuple(needs),
        warnings=tuple(demand.words for demand in papers if demand.effect is Effect.WARN),
        by_hand=bool(able and able.needs_person),
        label=about.place.label if about.place else None,
        terms=terms,
    )


def _needs(asked: Asked, about: Candidate, gross: Money) -> Iterable[Need]:
    able, title = about.capabilities, about.title
    if able is None:
        yield Need(NeedKind.SETTINGS, _not_here(asked, about))
    if about.terms is not None:
        yield from _outside(asked, about.terms, gross)
    elif able is not None:
        yield terms_need(title)
    if able is not None:
        amount = amount_need(asked.owed, asked.kept, gross, able, title=title, payee=asked.payee)
        if amount is not None:
            yield amount
    if about.taken is not None:
        yield Need(NeedKind.THIS_MONTH, about.taken)
    if about.stopped is not None:
        yield Need(NeedKind.STOPPED, f"The rail “{title}” is stopped: {about.stopped}")
    if asked.held is not None:
        yield Need(NeedKind.HELD, held_words(asked.payee, asked.held))
    yield from _unready(asked, about)


def _not_here(asked: Asked, about: Candidate) -> str:
    if about.place is None:
        return f"It is not set up here: an operator sets {' and '.join(about.lacks)}."
    return f"The rail “{about.title}” of {asked.payee} is not part of this installation; enter another destination."


def terms_need(title: str) -> Need:
    """Without terms nothing is known of the rail's largest payment, its countries and its price; so it pays nothing."""
    return Need(
        NeedKind.TERMS,
        f"{title} has no terms in force: what it costs and allows is not known. An operator enters them in the terms file "
        "(PLEDGEWORKS_RAIL_TERMS), from a day that has begun.",
    )


def second_look_words(payee: str) -> str:
    return f"A second person has not compared the payment details of {payee} yet; that is done under Payouts → Recipients."


def changed_words(payee: str) -> str:
    """What keeps a payout from going where it was approved to go after that changed."""
    return (
        f"{payee} changed its payment details; take the payout out of its run (“Take out” there, “Take it back” on its own "
        "page), so that the new ones are approved."
    )


def held_words(payee: str, reason: str) -> str:
    return f"Nothing is paid to {payee} for now: {reason} An approver can lift this under Payouts → Recipients."


def _outside(asked: Asked, terms: Terms, gross: Money) -> Iterable[Need]:
    """What the rail's terms do not allow, whatever the payee does."""
    if terms.payer_countries is not None and asked.payer_country not in terms.payer_countries:
        yield Need(NeedKind.PAYER, f"{terms.title} does not pay from {asked.payer_country}, where we are.")
    if terms.countries is not None and asked.country not in terms.countries:
        yield Need(NeedKind.COUNTRY, f"{terms.title} does not serve {asked.country}, where {asked.payee} is.")
    if terms.currencies is not None and gross.currency not in terms.currencies:
        yield Need(NeedKind.CURRENCY, f"{terms.title} pays {', '.join(sorted(terms.currencies))}, not {gross.currency}.")
    limit = amount_outside(terms, asked.owed, asked.kept, gross, payee=asked.payee)
    if limit is not None:
        yield limit


def _unready(asked: Asked, about: Candidate) -> Iterable[Need]:
    """What the payee, or time, still has to bring."""
    place = about.place
    if place is None and about.capabilities is None:
        return  # nobody can give it anything yet
    if place is None:
        told = f"an account at {about.title}" if about.has_accounts else about.asks_for or "a destination"
        yield Need(NeedKind.DESTINATION, f"It needs from {asked.payee}: {told}.")
        return
    if asked.now < place.usable_from:
        until = f"{place.usable_from:%Y-%m-%d %H:%M} UTC"
        yield Need(NeedKind.COOL_OFF, f"The new payment details of {asked.payee} cool off until {until}.")
    if not place.looked_at:
        yield Need(NeedKind.SECOND_LOOK, second_look_words(asked.payee))
    if place.problem is not None:
        yield Need(NeedKind.ONBOARDING, place.problem)


def amount_need(owed: Money, kept: int, gross: Money, able: Capabilities, *, title: str, payee: str) -> Need | None:
    """Whether anything leaves in the rail's whole units."""
    if gross.amount_minor > 0:
        return None
    step = Money(able.unit_minor, owed.currency)
    return Need(
        NeedKind.TOO_LITTLE,
        f"{title} pays steps of {step}, and {owed} to {payee}{_with_kept(kept, owed.currency)} makes none; "
        "enter another destination, or owe it together with more.",
    )


def amount_outside(terms: Terms, owed: Money, kept: int, gross: Money, *, payee: str) -> Need | None:
    """Whether the amount is more than the rail pays at once, or less than it pays at all."""
    most, least = terms.most.get(gross.currency), terms.least.get(gross.currency)
    if most is not None and gross > most:
        return Need(
            NeedKind.TOO_MUCH,
            f"{terms.title} pays at most {most} at once, less than {owed} to {payee}{_with_kept(kept, owed.currency)}; "
            "enter another destination, or owe it in parts.",
        )
    if least is not None and 0 < gross.amount_minor < least.amount_minor:
        return Need(
            NeedKind.TOO_LITTLE,
            f"{terms.title} pays {least} or more, and this is {gross} to {payee}; owe it together with more.",
        )
    return None


def _with_kept(kept: int, currency: str) -> str:
    return f" with {Money(kept, currency)} carried from before" if kept else ""


def _charged(payer: PaidBy, gross: Money, asked: Asked, terms: Terms | None) -> tuple[Money | None, bool]:
    """What one side pays for a payment, rounded up, and whether that is an upper bound. None: not known beforehand."""
    if terms is None or terms.fees is None:
        return None, False
    abroad = terms.is_abroad(asked.payer_country, asked.country)
    place = Where.ABROAD if abroad else Where.HOME
    charged = [fee for fee in terms.fees if fee.paid_by is payer and fee.where in {Where.EVERYWHERE, place}]
    total = Fraction(0)
    for fee in charged:
        part = _of(fee, gross)
        if part is None:
            return None, False
        total += part
    return Money(math.ceil(total), gross.currency), any(fee.at_most for fee in charged)


def _of(fee: Fee, gross: Money) -> Fraction | None:
    """A fee in minor units of what leaves; None if its fixed part is in another currency."""
    if fee.fixed is not None and fee.fixed.currency != gross.currency:
        return None
    fixed = fee.fixed.amount_minor if fee.fixed else 0
    return fixed + Fraction(fee.percent) / 100 * max(gross.amount_minor, 0)
