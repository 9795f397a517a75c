"""What rates were worth, and what grants and offers have left: read from the ledger, never kept twice."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from compute.models import ComputeGrant, ComputeOffer, ExchangeRate, Flavor
from core import ledger
from core.errors import DomainError


class NoRate(DomainError):
    """The exchange table says nothing about this flavor yet."""

    code = "no_exchange_rate"


@dataclass(frozen=True, slots=True)
class Budget:
    """The three numbers of a grant or an offer, in ticks: settled, in flight, and what is left."""

    granted: int
    settled: int
    held: int

    @property
    def unsettled(self) -> int:
        """What could still be used if every job in flight came back."""
        return self.granted - self.settled

    @property
    def left(self) -> int:
        """Neither settled nor held."""
        return self.granted - self.settled - self.held

    @property
    def left_percent(self) -> Fraction:
        return Fraction(100 * self.left, self.granted) if self.granted else Fraction(0)


def rate_at(session: Session, flavor: Flavor, at: datetime) -> Fraction:
    """Reference GPU-hours per GPU-hour of a flavor at a moment.

    Raises:
        NoRate: nothing was entered for that moment.
    """
    row = session.scalars(
        select(ExchangeRate)
        .where(ExchangeRate.flavor_id == flavor.id, ExchangeRate.valid_from <= at)
        .order_by(ExchangeRate.valid_from.desc())
        .limit(1)
    ).first()
    if row is None:
        raise NoRate(
            f"The exchange table has no rate for {flavor.name} yet; an administrator has to enter one.", flavor=flavor.slug
        )
    return row.rate


def rates_at(session: Session, at: datetime) -> dict[UUID, Fraction]:
    """Every flavor's rate at a moment, by flavor."""
    rows = session.scalars(
        select(ExchangeRate)
        .where(ExchangeRate.valid_from <= at)
        .ext(distinct_on(ExchangeRate.flavor_id))
        .order_by(ExchangeRate.flavor_id, ExchangeRate.valid_from.desc())
    )
    return {row.flavor_id: row.rate for row in rows}


def of_grant(session: Session, grant: ComputeGrant) -> Budget:
    """A grant's numbers in reference ticks; all zero before it is active."""
    return _budgets(session, [(grant.id, grant.ledger_account)])[grant.id]


def of_grants(session: Session, grants: Iterable[ComputeGrant]) -> dict[UUID, Budget]:
    """Several grants' numbers."""
    return _budgets(session, [(grant.id, grant.ledger_account) for grant in grants])


def of_offer(session: Session, offer: ComputeOffer) -> Budget:
    """An offer's numbers in flavor ticks; all zero before it is active."""
    return _budgets(session, [(offer.id, offer.ledger_account)])[offer.id]


def of_offers(session: Session, offers: Iterable[ComputeOffer]) -> dict[UUID, Budget]:
    """Several offers' numbers."""
    return _budgets(session, [(offer.id, offer.ledger_account) for offer in offers])


def _budgets(session: Session, accounts: list[tuple[UUID, str]]) -> dict[UUID, Budget]:
    """Whole numbers from kept balances. Accounts that don't exist yet (nothing was given so far) have nothing."""
    known = ledger.balances_of(session, [code for _, code in accounts])
    budgets = {}
    for owner, code in accounts:
        if code not in known:
            budgets[owner] = Budget(0, 0, 0)
            continue
        balance = known[code]
        # Offers are assets (given = debits), grants are liabilities (granted = credits).
        if balance.normal is ledger.Side.DEBIT:
            budgets[owner] = Budget(balance.debits_posted, balance.credits_posted, balance.credits_pending)
        else:
            budgets[owner] = Budget(balance.credits_posted, balance.debits_posted, balance.debits_pending)
    return budgets
