"""Where movements of our balances elsewhere come from, and which entry of the ledger each of them is.

A provider that can list its movements is a `Feed`; a domain that knows which of its entries a movement is, a `Claimant`. app.py
registers both. Where an entry carries the movement's own id (`refs` with `rail` and `balance_transaction`), nobody is asked.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol, runtime_checkable
from uuid import UUID

from sqlalchemy.orm import Session

from core.books.models import OutsideMovement
from core.errors import InfrastructureError
from core.money import Money


class FeedUnreachable(InfrastructureError):
    """The provider gave no list. What is known stays known; the next try reads the same days again."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A movement as a provider tells it."""

    remote_id: str
    kind: str
    occurred_at: datetime
    money: Money
    """Signed: what the balance changed by, fees included."""
    about: str | None = None
    description: str = ""


class Feed(Protocol):
    """A provider's own list of what moved our balance."""

    name: str
    title: str

    def read(self, since: datetime | None) -> Iterable[Seen]:
        """Everything from a moment on, or from the beginning. Raises FeedUnreachable."""
        ...


@runtime_checkable
class HoldingFeed(Feed, Protocol):
    """A provider that also tells how much it holds for us."""

    def holds(self) -> Sequence[Money]:
        """All of it per currency, usable or not yet. Raises FeedUnreachable."""
        ...


class Claimant(Protocol):
    """A domain that knows movements of a provider as its own."""

    def claims(self, session: Session, provider: str, movements: Sequence[OutsideMovement]) -> Mapping[UUID, str]:
        """The ledger keys of the entries that these movements are, by the movement's id; those it knows."""
        ...


_feeds: list[Callable[[], Sequence[Feed]]] = []
_claimants: list[Claimant] = []


def register_feeds(configured: Callable[[], Sequence[Feed]]) -> None:
    """Add a function that tells which feeds this installation has, by its settings."""
    _feeds.append(configured)


def register_claimant(claimant: Claimant) -> None:
    """Add a domain that knows movements."""
    _claimants.append(claimant)


def all_feeds() -> Sequence[Feed]:
    """The feeds of this installation."""
    return [feed for configured in _feeds for feed in configured()]


def title_of(provider: str) -> str:
    """What people call a provider, also one whose feed was set up once and is no more."""
    return next((feed.title for feed in all_feeds() if feed.name == provider), provider.replace("_", " ").title())


def claimed(session: Session, provider: str, rows: Sequence[OutsideMovement]) -> dict[UUID, str]:
    """Which of a provider's movements a domain knows, with the keys of the entries that they are or will be."""
    return {movement_id: key for claimant in _claimants for movement_id, key in claimant.claims(session, provider, rows).items()}


def unclaimed(session: Session, rows: Sequence[OutsideMovement]) -> list[OutsideMovement]:
    """Movements that no domain knows: what they are is for finance to say."""
    taken: set[UUID] = set()
    for provider in {row.provider for row in rows}:
        taken |= claimed(session, provider, [row for row in rows if row.provider == provider]).keys()
    return [row for row in rows if row.id not in taken]
