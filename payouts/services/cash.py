"""The money that rails pay from: which account of the ledger it is, how much of it is free, and what to do where it is short."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy.orm import Session

from core import ledger
from core.errors import DomainError
from core.ledger import Guard, Side
from core.money import Money
from payouts import queries
from payouts.models import Payout
from payouts.rails.base import Cash, Rail

GUIDE = "docs/how-to/fund-the-rails.md"


class CashShort(DomainError):
    """The balance that the rail pays from holds less than the payment."""

    code = "cash_short"


@dataclass(frozen=True)
class Stock:
    """What lies in one place in one currency, as the ledger has it."""

    cash: Cash
    account: str
    there: Money
    free: Money
    """What no payout on its way has taken."""
    waiting: Money
    """What the lines of runs that are not on their way yet would take."""

    @property
    def held(self) -> Money:
        return self.there - self.free

    @property
    def short_by(self) -> Money | None:
        return self.waiting - self.free if self.waiting > self.free else None


def ensure(session: Session, rail: Rail, currency: str) -> str:
    """The account that payments of this rail leave from."""
    cash = rail.capabilities.cash
    name = f"{cash.title}, {currency}"
    return ledger.ensure_account(
        session, cash.account(currency), currency, normal=Side.DEBIT, guard=Guard.DEBIT, name=name
    ).code  # fmt: skip


def in_words(short: ledger.InsufficientFunds, rail: Rail, payout: Payout) -> DomainError:
    """A shortfall of what the rail pays from, with what to do about it; of anything else as it is."""
    if short.account != payout.cash_account:
        return short
    cash = rail.capabilities.cash
    free, wanted = Money(max(short.available, 0), payout.currency), Money(short.wanted, payout.currency)
    return CashShort(
        f"{cash.title} has {free} free in the ledger, {wanted - free} less than the {wanted} of this payout. {what_to_do(cash)}",
        account=short.account,
        short_by=str((wanted - free).decimal),
    )


def what_to_do(cash: Cash) -> str:
    """How money gets to a place, in a sentence."""
    if cash.provider is None:
        return f"Pay money in, and confirm what arrived under Books → Bank statements; then it goes by itself ({GUIDE})."
    return f"Top it up there, and book what arrived under Books → Reconciliation; then it goes by itself ({GUIDE})."


def free(session: Session, accounts: Collection[str], currency: str) -> Mapping[str, Money]:
    """What can be taken from accounts now; nothing from one that does not exist, because nothing was ever put there."""
    known = ledger.balances_of(session, accounts)
    return {code: Money(known[code].available if code in known else 0, currency) for code in accounts}


def stocks(session: Session, rails: Iterable[Rail]) -> list[Stock]:
    """Every place that these rails pay from, in each currency that lies there or is waited for, our bank first."""
    waiting: dict[tuple[Cash, str], Money] = {}
    places = {rail.name: rail.capabilities.cash for rail in rails}
    for (name, currency), amount in queries.waiting_in_runs(session).items():
        if name in places:
            place = (places[name], currency)
            waiting[place] = waiting.get(place, Money(0, currency)) + amount
    found = []
    for cash in sorted(set(places.values()), key=lambda each: (each.provider or "", each.title)):
        known = {each.commodity: each for each in ledger.balances(session, cash.account("").rstrip(":"))}
        for currency in sorted(known.keys() | {currency for place, currency in waiting if place == cash}):
            there, free_now = (known[currency].posted, known[currency].available) if currency in known else (0, 0)
            wanted = waiting.get((cash, currency), Money(0, currency))
            found.append(Stock(cash, cash.account(currency), Money(there, currency), Money(free_now, currency), wanted))
    return found
