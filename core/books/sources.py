"""What domains know about money on our bank accounts: what they expect, and what their transfers are called at the bank.

A domain registers one `Source` when its services are imported. Nothing here settles by itself: `found` is called when a person
has confirmed a suggestion, and keeps whatever rule the domain has about who may.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Protocol
from uuid import UUID

from sqlalchemy.orm import Session

from core.books.models import Direction
from core.files import StoredFile
from core.identity.models import Person
from core.money import Money


@dataclass(frozen=True, slots=True)
class Expected:
    """Money that should show on an account of ours."""

    source: str
    id: UUID
    direction: Direction
    reference: str
    """What is written on the transfer."""
    money: Money
    who: str
    """Who pays, or is paid."""
    path: str
    """Where people look at it."""
    said_by: UUID | None = None
    """Who said that it was sent, and so can't confirm that it arrived."""
    is_said: bool = True
    """False: nobody said that it was sent; a person notes it first, another one confirms."""

    @property
    def key(self) -> str:
        return f"{self.source}:{self.id}"


@dataclass(frozen=True, slots=True)
class Posted:
    """An entry of the ledger as its domain knows it."""

    references: Sequence[str]
    who: str
    path: str


@dataclass(frozen=True, slots=True)
class Finding:
    """The line a person found it on."""

    label: str
    on: date
    money: Money
    bank_reference: str | None
    set_aside: str | None = None
    """The account the money was set aside on, if it was; else it lies on the bank's."""


class Source(Protocol):
    """A domain that expects money."""

    name: str

    def expected(self, session: Session) -> Sequence[Expected]:
        """What should show on a bank account and was not found yet, longest waiting first."""
        ...

    def posted(self, session: Session, keys: Collection[str]) -> Mapping[str, Posted]:
        """Those of these ledger keys that are this domain's, with the references they go by at the bank."""
        ...

    def note_sent(
        self, session: Session, expected_id: UUID, finding: Finding, evidence: StoredFile, *, actor: Person, now: datetime
    ) -> None:
        """Take the line for evidence that it was sent, where nobody said so. Raises DomainError."""
        ...

    def found(self, session: Session, expected_id: UUID, finding: Finding, *, actor: Person, now: datetime) -> str:
        """Book it; returns the key of the ledger's entry. Raises DomainError: its own rules, such as who may confirm."""
        ...


_sources: dict[str, Source] = {}


def register(source: Source) -> None:
    """Add a domain's source; called once, when its module is imported."""
    _sources[source.name] = source


def all_sources() -> Sequence[Source]:
    """Every source, by name."""
    return [_sources[name] for name in sorted(_sources)]


def source(name: str) -> Source:
    """The source of this name, which an `Expected` carried."""
    return _sources[name]
