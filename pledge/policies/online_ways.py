"""By what ways an amount can be paid online: those of its currency, and a card up to its limit."""

from core.money import Money
from pledge.terms import CARD, Terms


def methods(known: Terms | None, limit: Money, money: Money) -> tuple[str, ...]:
    """The ways to pay an amount at the provider's page; none where it can't be paid online."""
    return (*(known.page if known else ()), *([CARD] if money <= limit else []))


def why_none(limit: Money, money: Money) -> str:
    """Why an amount can't be paid online, for the company."""
    if limit.amount_minor > 0:
        return f"In {money.currency} only cards are taken here, up to {limit}, and this is {money}; send a bank transfer instead."
    return f"{money.currency} can't be paid online here: no way to take it is set up; send a bank transfer instead."
