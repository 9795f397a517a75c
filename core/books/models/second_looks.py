"""Bookings of bank lines that nobody else asked for: what one person may do alone, and what waits for a second one."""

import enum
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.books.models.bank import BankLine
from core.db import Base, CurrencyCode, Id, MinorUnits, ShortText, Utc
from core.identity.models import Person
from core.money import Money


class AloneLimit(Base):
    """The most that one person books alone in any 30 days, from a day on. Rows are added, not changed; none allows nothing."""

    __tablename__ = "books_alone_limit"
    __table_args__ = (UniqueConstraint("currency", "valid_from"), CheckConstraint("amount_minor >= 0", name="amount"))

    id: Mapped[Id]
    currency: Mapped[CurrencyCode]
    valid_from: Mapped[date]
    amount_minor: Mapped[MinorUnits]
    source: Mapped[ShortText]
    author: Mapped[ShortText]
    created_at: Mapped[Utc]

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)


class Deed(enum.StrEnum):
    """What is proposed for a line."""

    FEE = "fee"  # the bank took it for itself
    SENT_BACK = "sent_back"  # it returned what had been set aside
    SEVERAL = "several"  # it is the sum of several entries, and perhaps a fee


class Assignment(Base):
    """One person's word for what set-aside money is, and a second person's decision. Nothing is posted before it.

    Of what each of two people set aside the other is the second pair of eyes, so it takes no third one.
    """

    __tablename__ = "books_assignment"
    __table_args__ = (
        CheckConstraint("confirmed IS NOT TRUE OR decided_by_id <> proposed_by_id", name="two_people"),
        CheckConstraint("num_nulls(decided_by_id, decided_at, confirmed) IN (0, 3)", name="decided"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        Index("uq_books_assignment_waiting", "expected_key", unique=True, postgresql_where="decided_at IS NULL"),
    )

    id: Mapped[Id]
    set_aside_on: Mapped[ShortText]
    """The account that the money lies on."""
    expected_key: Mapped[ShortText]
    """What it is for: the key of sources.Expected."""
    reference: Mapped[ShortText]
    """The same for people."""
    amount_minor: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    proposed_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    proposed_at: Mapped[Utc]
    decided_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    decided_at: Mapped[datetime | None]
    confirmed: Mapped[bool | None]

    proposed_by: Mapped[Person] = relationship(foreign_keys=[proposed_by_id])
    decided_by: Mapped[Person | None] = relationship(foreign_keys=[decided_by_id])

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)


class Proposal(Base):
    """One person's booking of a line, and a second person's decision. Nothing is posted before it."""

    __tablename__ = "books_proposal"
    __table_args__ = (
        CheckConstraint("confirmed IS NOT TRUE OR decided_by_id <> proposed_by_id", name="two_people"),
        CheckConstraint("num_nulls(decided_by_id, decided_at, confirmed) IN (0, 3)", name="decided"),
        CheckConstraint("(deed = 'sent_back') = (set_aside_on IS NOT NULL)", name="from_where"),
        CheckConstraint("(deed = 'several') = (chosen IS NOT NULL)", name="of_what"),
        CheckConstraint("length(trim(note)) > 0", name="says_something"),
        Index("uq_books_proposal_waiting", "line_id", unique=True, postgresql_where="decided_at IS NULL"),
        Index("ix_books_proposal_line_id", "line_id"),
    )

    id: Mapped[Id]
    line_id: Mapped[UUID] = mapped_column(ForeignKey("bank_line.id"))
    deed: Mapped[Deed]
    set_aside_on: Mapped[str | None]
    """The account it was set aside on, for what is sent back."""
    chosen: Mapped[list[str] | None] = mapped_column(JSONB(none_as_null=True))
    """What the line is the sum of: keys of several.Candidate."""
    note: Mapped[str]
    why_two: Mapped[str]
    """Why one person was not enough, as it was told then."""
    proposed_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    proposed_at: Mapped[Utc]
    decided_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    decided_at: Mapped[datetime | None]
    confirmed: Mapped[bool | None]

    line: Mapped[BankLine] = relationship()
    proposed_by: Mapped[Person] = relationship(foreign_keys=[proposed_by_id])
    decided_by: Mapped[Person | None] = relationship(foreign_keys=[decided_by_id])
