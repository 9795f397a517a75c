"""What providers say they hold for us, by their newest answers, and what of it nothing explains.

Such a rest is a difference as those of movements are, only that nobody knows which movement it is of. It has a name that stays
the same from day to day, so that what was said about it holds while the amount does; after a day on which everything agreed it is
another one, also of the same amount.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID, uuid5

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from core.books.models import ProviderBalance

NAMES = UUID("5f0b3f3e-5d0c-4f5e-9b0a-6c1f2f7f9a51")
"""The names of rests are made in here."""
UNEXPLAINED = ProviderBalance.there_minor - ProviderBalance.ledger_minor - ProviderBalance.lists_minor


@dataclass(frozen=True, slots=True)
class Rest:
    """What no list explains of one balance."""

    balance: ProviderBalance
    since: date
    """The first day of all those since when there has been one."""
    agreed_at: datetime | None
    """When everything was explained for the last time, if it ever was: it came after that, whatever it is."""

    @property
    def id(self) -> UUID:
        """The same, today and tomorrow, until everything agrees again."""
        of = f"{self.balance.provider}:{self.balance.currency}"
        return uuid5(NAMES, f"{of}:{self.agreed_at.astimezone(UTC).isoformat()}" if self.agreed_at is not None else of)


def latest(session: Session) -> Sequence[ProviderBalance]:
    """The newest row of each provider and currency, without those where nothing lies and nothing should."""
    newest = (
        select(ProviderBalance)
        .ext(distinct_on(ProviderBalance.provider, ProviderBalance.currency))
        .order_by(ProviderBalance.provider, ProviderBalance.currency, ProviderBalance.on.desc())
        .execution_options(populate_existing=True)
    )
    return [each for each in session.scalars(newest) if each.there_minor or each.ledger_minor or each.lists_minor]


def rests(session: Session, *, before: datetime | None = None) -> list[Rest]:
    """What no list explains; only what may have come before a moment, if one is given: all agreed at no time since."""
    found = [_rest(session, each) for each in latest(session) if each.unexplained]
    return [each for each in found if before is None or each.agreed_at is None or each.agreed_at < before]


def _rest(session: Session, balance: ProviderBalance) -> Rest:
    same = (ProviderBalance.provider == balance.provider, ProviderBalance.currency == balance.currency)
    agreed_at = session.scalar(select(func.max(ProviderBalance.asked_at)).where(*same, UNEXPLAINED == 0))
    after = select(func.min(ProviderBalance.on)).where(*same)
    if agreed_at is not None:
        after = after.where(ProviderBalance.asked_at > agreed_at)
    return Rest(balance, session.scalar(after) or balance.on, agreed_at)
