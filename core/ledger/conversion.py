"""From one commodity to another through trading accounts, at a rate with a source and a date, rounded once or not at all.

A transfer never mixes commodities, so a conversion is two transfers per pair of accounts: what is given goes into the
trading account of its commodity, what is received comes out of the other's. The trading accounts' balances are the open
position; the entry's references keep the rate.
"""

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from math import ceil, floor

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.errors import DomainError, InvalidInput
from core.ledger.accounts import ensure_account
from core.ledger.entries import Entry, Leg
from core.ledger.errors import BadEntry, MixedCommodities, UnknownAccount
from core.ledger.models import Account, Commodity, Guard, Side
from core.ledger.posting import post
from core.ledger.units import amount_in_words, is_gpu_time


class Rounding(enum.StrEnum):
    """How a converted amount that falls between two units becomes whole."""

    DOWN = "down"
    UP = "up"
    HALF_EVEN = "half_even"


class RateNeedsRounding(DomainError):
    """At this rate the amount does not come out in whole units, and nobody said how to round."""

    code = "rate_needs_rounding"


@dataclass(frozen=True, slots=True)
class Rate:
    """How much of `into` one of `of` is worth: major units for currencies (1 USD = 0.92 EUR), GPU time for GPU time."""

    of: str
    into: str
    value: Fraction
    source: str
    on: date

    def __post_init__(self) -> None:
        if self.value <= 0:
            raise InvalidInput("A rate is above zero.", field="rate")
        if is_gpu_time(self.of) != is_gpu_time(self.into):
            raise InvalidInput("Cash and GPU time are never converted into each other.", field="rate")
        if self.of == self.into:
            raise InvalidInput(f"A conversion needs two commodities, not {self.of} twice.", field="rate")


@dataclass(frozen=True, slots=True)
class Conversion:
    """Transfers that convert, and what an entry keeps about the rate."""

    legs: tuple[Leg, ...]
    given: int
    received: int
    refs: Mapping[str, str]


def trading_account(commodity: str) -> str:
    """The trading account of a commodity: `equity:trading:usd`, `equity:trading:gpu:h100`."""
    return f"equity:trading:{commodity.replace('.', ':', 1).lower()}"


def conversion(
    session: Session,
    *,
    amount: int,
    rate: Rate,
    between: Sequence[tuple[str, str]],
    rounding: Rounding | None = None,
) -> Conversion:
    """The transfers that turn `amount` (whole units of `rate.of`) into `rate.into`, for `post` or `hold`.

    `between` names pairs (debit account, credit account), one on each side of the rate: a fund in dollars and the fund in
    euros, and for the money itself the bank in euros and the bank in dollars. The amount is converted once, for all pairs.

    Raises:
        RateNeedsRounding: the result is not whole and `rounding` is None.
        MixedCommodities: a pair's accounts are not the rate's two commodities.
        UnknownAccount: an account does not exist.
    """
    received = _converted(session, amount, rate, rounding)
    trading = {commodity: _ensure_trading(session, commodity) for commodity in (rate.of, rate.into)}
    units = {rate.of: amount, rate.into: received}
    commodities = _commodities(session, [code for pair in between for code in pair])
    legs = []
    for debit, credit in between:
        given, taken = commodities[debit], commodities[credit]
        if {given, taken} != set(units):
            raise MixedCommodities(debit, given, credit, taken)
        legs.append(Leg(debit=debit, credit=trading[given], amount=units[given]))
        legs.append(Leg(debit=trading[taken], credit=credit, amount=units[taken]))
    refs = {
        "rate": f"{rate.value.numerator}/{rate.value.denominator}",
        "rate_of": rate.of,
        "rate_into": rate.into,
        "rate_source": rate.source,
        "rate_on": rate.on.isoformat(),
        **({"rounding": rounding.value} if rounding else {}),
    }
    return Conversion(tuple(legs), amount, received, refs)


def convert(
    session: Session,
    *,
    key: str,
    kind: str,
    amount: int,
    rate: Rate,
    between: Sequence[tuple[str, str]],
    at: datetime,
    rounding: Rounding | None = None,
    memo: str = "",
    refs: Mapping[str, str] | None = None,
) -> Entry:
    """Post a conversion as one entry; see `conversion` for its parameters and refusals, `post` for the rest."""
    made = conversion(session, amount=amount, rate=rate, between=between, rounding=rounding)
    return post(session, key=key, kind=kind, legs=made.legs, at=at, memo=memo, refs={**(refs or {}), **made.refs})


def _converted(session: Session, amount: int, rate: Rate, rounding: Rounding | None) -> int:
    scale = dict(session.execute(select(Commodity.code, Commodity.scale).where(Commodity.code.in_([rate.of, rate.into]))).all())
    missing = {rate.of, rate.into} - scale.keys()
    if missing:
        raise InvalidInput(f"The ledger has no commodity {min(missing)}.", field="rate")
    exact = amount * rate.value * Fraction(10) ** (scale[rate.into] - scale[rate.of])
    if exact.denominator != 1 and rounding is None:
        raise RateNeedsRounding(
            f"{amount_in_words(amount, rate.of)} at {rate.value} is not a whole number of units of {rate.into}; "
            "say how to round it.",
            amount=amount,
            rate=str(rate.value),
        )
    whole = _ROUND[rounding or Rounding.DOWN](exact)
    if whole < 1:
        raise BadEntry(f"{amount_in_words(amount, rate.of)} is less than one unit of {rate.into}.", field="amount")
    return whole


_ROUND: Mapping[Rounding, Callable[[Fraction], int]] = {
    Rounding.DOWN: floor,
    Rounding.UP: ceil,
    Rounding.HALF_EVEN: round,
}


def _ensure_trading(session: Session, commodity: str) -> str:
    code = trading_account(commodity)
    return ensure_account(session, code, commodity, normal=Side.CREDIT, guard=Guard.NONE, name=f"Trading {commodity}").code


def _commodities(session: Session, codes: Sequence[str]) -> dict[str, str]:
    known = dict(session.execute(select(Account.code, Account.commodity).where(Account.code.in_(codes))).all())
    for code in codes:
        if code not in known:
            raise UnknownAccount(code)
    return known
