"""What providers say of the balances we have with them, what people found out about differences, and months that are closed."""

import enum
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, CurrencyCode, Id, MinorUnits, ShortText, Utc
from core.identity.models import Person
from core.money import Money


class OutsideMovement(Base):
    """One movement of a balance of ours with a provider, as the provider told it first. It meets at most one entry."""

    __tablename__ = "outside_movement"
    __table_args__ = (
        UniqueConstraint("provider", "remote_id"),
        CheckConstraint("amount_minor <> 0", name="moves_something"),
        # An entry between two providers is told by both.
        Index("uq_outside_movement_entry", "entry_id", "provider", unique=True, postgresql_where="entry_id IS NOT NULL"),
        Index("ix_outside_movement_open", "occurred_at", postgresql_where="entry_id IS NULL"),
    )

    id: Mapped[Id]
    provider: Mapped[ShortText]
    remote_id: Mapped[ShortText]
    """What the provider calls the movement itself: a balance transaction."""
    kind: Mapped[ShortText]
    about: Mapped[str | None]
    """What the provider calls the thing that moved the balance: a transfer, a charge."""
    occurred_at: Mapped[Utc]
    amount_minor: Mapped[MinorUnits]
    """What the balance changed by, fees included; negative when it became less."""
    currency: Mapped[CurrencyCode]
    description: Mapped[str]
    first_seen_at: Mapped[Utc]
    entry_id: Mapped[UUID | None] = mapped_column(ForeignKey("ledger_entry.id"))

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)


class ProviderBalance(Base):
    """What a provider said on a day that it holds for us, and what the ledger had at that moment."""

    __tablename__ = "provider_balance"
    __table_args__ = (UniqueConstraint("provider", "on", "currency"),)

    id: Mapped[Id]
    provider: Mapped[ShortText]
    on: Mapped[date]
    currency: Mapped[CurrencyCode]
    there_minor: Mapped[MinorUnits]
    """All of it, usable or not yet."""
    ledger_minor: Mapped[MinorUnits]
    lists_minor: Mapped[MinorUnits]
    """By how much more the lists of differences say that it should hold."""
    asked_at: Mapped[Utc]

    @property
    def there(self) -> Money:
        return Money(self.there_minor, self.currency)

    @property
    def ledger(self) -> Money:
        return Money(self.ledger_minor, self.currency)

    @property
    def in_lists(self) -> Money:
        return Money(self.lists_minor, self.currency)

    @property
    def difference(self) -> Money:
        return self.there - self.ledger

    @property
    def unexplained(self) -> Money:
        """What no list explains: a movement that nobody told, or one that was told wrongly."""
        return self.difference - self.in_lists


class Subject(enum.StrEnum):
    """What an explanation is about."""

    BANK_LINE = "bank_line"
    OUTSIDE_MOVEMENT = "outside_movement"
    ENTRY = "entry"
    PROVIDER_BALANCE = "provider_balance"  # what a provider holds more or less than every list says


class Side(enum.StrEnum):
    """Which of the three lists of differences."""

    MISSING_HERE = "missing_here"  # outside says it, the ledger does not
    MISSING_THERE = "missing_there"  # the ledger says it, outside does not
    DIFFERENT = "different"  # both say it, with other amounts


class Explanation(Base):
    """Why something is on one side only, or of another amount: one person's finding, and a second person's decision.

    It is of this difference only: of another side or amount it explains nothing.
    """

    __tablename__ = "books_explanation"
    __table_args__ = (
        CheckConstraint("confirmed IS NOT TRUE OR decided_by_id <> proposed_by_id", name="two_people"),
        CheckConstraint("num_nulls(decided_by_id, decided_at, confirmed) IN (0, 3)", name="decided"),
        CheckConstraint("length(trim(text)) > 0", name="says_something"),
        CheckConstraint("num_nulls(side, amount_minor, currency) IN (0, 3)", name="of_a_difference"),
        # One that stands or waits at a time; one that was turned down makes room for another.
        Index(
            "uq_books_explanation_difference",
            "subject",
            "subject_id",
            "side",
            "amount_minor",
            "currency",
            unique=True,
            postgresql_where="confirmed IS NOT FALSE",
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[Id]
    subject: Mapped[Subject]
    subject_id: Mapped[UUID]
    side: Mapped[Side | None]
    """None for what was explained before this was kept and can't be told: it explains nothing any more."""
    amount_minor: Mapped[int | None]
    """Signed, as the list showed it."""
    currency: Mapped[str | None] = mapped_column(String(3))
    text: Mapped[str]
    proposed_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    proposed_at: Mapped[Utc]
    decided_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    decided_at: Mapped[datetime | None]
    confirmed: Mapped[bool | None]

    proposed_by: Mapped[Person] = relationship(foreign_keys=[proposed_by_id])
    decided_by: Mapped[Person | None] = relationship(foreign_keys=[decided_by_id])

    @property
    def money(self) -> Money | None:
        return None if self.amount_minor is None or self.currency is None else Money(self.amount_minor, self.currency)


class FeedReading(Base):
    """When a provider's list was read last, to its end. The moment the reading began: what came later may be missing."""

    __tablename__ = "books_feed_reading"

    provider: Mapped[ShortText] = mapped_column(primary_key=True)
    read_at: Mapped[Utc]


class ClosedMonth(Base):
    """A month, and with it everything before, in which nothing is posted any more. Two people can open it again."""

    __tablename__ = "closed_month"
    __table_args__ = (
        CheckConstraint("extract(day FROM month) = 1", name="first_day"),
        CheckConstraint("reopened_by_id <> reopening_asked_by_id", name="two_people"),
        CheckConstraint("num_nulls(reopening_asked_by_id, reopening_asked_at, reopening_reason) IN (0, 3)", name="asked"),
        CheckConstraint("num_nulls(reopened_by_id, reopened_at) IN (0, 2)", name="reopened"),
        CheckConstraint("reopened_at IS NULL OR reopening_asked_at IS NOT NULL", name="asked_before"),
        Index("uq_closed_month_month", "month", unique=True, postgresql_where="reopened_at IS NULL"),
    )

    id: Mapped[Id]
    month: Mapped[date]
    explained: Mapped[int]
    """How many differences it was closed with, each of them explained."""
    closed_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    closed_at: Mapped[Utc]
    reopening_asked_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    reopening_asked_at: Mapped[datetime | None]
    reopening_reason: Mapped[str | None]
    reopened_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    reopened_at: Mapped[datetime | None]

    closed_by: Mapped[Person] = relationship(foreign_keys=[closed_by_id])
    reopening_asked_by: Mapped[Person | None] = relationship(foreign_keys=[reopening_asked_by_id])
    reopened_by: Mapped[Person | None] = relationship(foreign_keys=[reopened_by_id])
