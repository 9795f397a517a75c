"""Our bank accounts, the statements of them that were read, and their lines. What a bank said never changes here."""

import enum
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, CurrencyCode, Id, MinorUnits, ShortText, Utc
from core.files import StoredFile
from core.identity.models import Person
from core.money import Money


class Direction(enum.StrEnum):
    """Which way money went, seen from our account."""

    IN = "in"
    OUT = "out"


class StatementFormat(enum.StrEnum):
    """What a statement came as."""

    CAMT = "camt.053"
    CSV = "csv"


class Match(enum.StrEnum):
    """How a line met its entry of the ledger."""

    CONFIRMED = "confirmed"  # a person found what was expected, and confirming it posted the entry
    LINKED = "linked"  # the entry was in the ledger already
    SET_ASIDE = "set_aside"  # money in whose purpose is not settled yet; nothing of it can be granted
    FEE = "fee"  # what the bank took for itself
    SENT_BACK = "sent_back"  # money that had been set aside and left again
    SEVERAL = "several"  # the sum of several entries, which stand in BankLinePart


class BankAccount(Base):
    """An account of ours. All accounts of a currency together are `assets:bank:<currency>` in the ledger."""

    __tablename__ = "bank_account"
    __table_args__ = (
        UniqueConstraint("number", "currency"),
        CheckConstraint("number ~ '^[A-Z0-9]{4,34}$'", name="number"),
    )

    id: Mapped[Id]
    name: Mapped[ShortText]
    number: Mapped[ShortText]
    """The IBAN, or whatever number the bank's statements name; capitals and digits only."""
    currency: Mapped[CurrencyCode]
    csv_columns: Mapped[dict[str, object] | None] = mapped_column(JSONB(none_as_null=True))
    """Which column of the bank's CSV file says what; see bank_csv.Columns. None: this account sends CAMT only."""
    added_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    added_at: Mapped[Utc]
    read_at: Mapped[datetime | None]
    """When a file of it was read last that was not older than those before, also if it brought nothing new."""

    @property
    def ledger_code(self) -> str:
        return f"assets:bank:{self.currency.lower()}"


class BankStatement(Base):
    """A statement that brought lines we did not have. The file is kept as it came."""

    __tablename__ = "bank_statement"
    __table_args__ = (Index("ix_bank_statement_account_id", "account_id", "until_on"),)

    id: Mapped[Id]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("bank_account.id"))
    format: Mapped[StatementFormat]
    name: Mapped[ShortText]
    """What the bank calls it, or the name of the file."""
    from_on: Mapped[date]
    until_on: Mapped[date]
    opening_minor: Mapped[int | None]
    closing_minor: Mapped[int | None]
    """Booked balances where the statement says them; a CAMT statement's lines must lead from one to the other."""
    file_id: Mapped[UUID] = mapped_column(ForeignKey("stored_file.id"))
    imported_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    imported_at: Mapped[Utc]

    account: Mapped[BankAccount] = relationship()
    file: Mapped[StoredFile] = relationship()
    imported_by: Mapped[Person] = relationship()

    @property
    def opening(self) -> Money | None:
        return None if self.opening_minor is None else Money(self.opening_minor, self.account.currency)

    @property
    def closing(self) -> Money | None:
        return None if self.closing_minor is None else Money(self.closing_minor, self.account.currency)


class BankLine(Base):
    """One movement on one of our accounts, as the bank booked it. It meets at most one entry of the ledger, an entry one line."""

    __tablename__ = "bank_line"
    __table_args__ = (
        UniqueConstraint("account_id", "identity"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("num_nulls(match, matched_by_id, matched_at) IN (0, 3)", name="matched"),
        CheckConstraint("(entry_id IS NULL) = (match IS NULL OR match = 'several')", name="met_one"),
        # Never one line for two deeds of the ledger (it has one column for it), never one deed for two lines.
        Index("uq_bank_line_entry", "entry_id", "currency", unique=True, postgresql_where="entry_id IS NOT NULL"),
        Index("ix_bank_line_open", "account_id", "booked_on", postgresql_where="match IS NULL"),
        Index("ix_bank_line_statement_id", "statement_id", "position"),
    )

    id: Mapped[Id]
    account_id: Mapped[UUID] = mapped_column(ForeignKey("bank_account.id"))
    statement_id: Mapped[UUID] = mapped_column(ForeignKey("bank_statement.id"))
    position: Mapped[int]
    """Its place in the statement: the number of the entry, or the line of the CSV file."""
    identity: Mapped[ShortText]
    """SHA-256 of what makes it this line and no other (parsed.identities): the same line of another file is this one."""
    booked_on: Mapped[date]
    value_on: Mapped[date | None]
    direction: Mapped[Direction]
    amount_minor: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    bank_reference: Mapped[str | None]
    end_to_end: Mapped[str | None]
    """The reference the payer gave, which the bank passed on unread."""
    counterparty: Mapped[str | None]
    counterparty_account: Mapped[str | None]
    text: Mapped[str]

    entry_id: Mapped[UUID | None] = mapped_column(ForeignKey("ledger_entry.id"))
    """What it met: all that this entry of the ledger moves on the bank's account is this line. Several stand in `parts`."""
    match: Mapped[Match | None]
    matched_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    matched_at: Mapped[datetime | None]
    note: Mapped[str | None]

    account: Mapped[BankAccount] = relationship()
    statement: Mapped[BankStatement] = relationship(lazy="joined")
    matched_by: Mapped[Person | None] = relationship()
    parts: Mapped[list["BankLinePart"]] = relationship(order_by="BankLinePart.entry_id")

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @property
    def label(self) -> str:
        """How people find it again at the bank."""
        return f"{self.statement.name}, line {self.position}"[:250]


class BankLinePart(Base):
    """One of the entries that a line is the sum of, such as a payment in a batch, or the fee on top of it."""

    __tablename__ = "bank_line_part"
    # As a line has its own entry, an entry is a part of one line only; a trigger looks at both tables.
    __table_args__ = (UniqueConstraint("entry_id", "currency"),)

    line_id: Mapped[UUID] = mapped_column(ForeignKey("bank_line.id"), primary_key=True)
    entry_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_entry.id"), primary_key=True)
    currency: Mapped[CurrencyCode]
    posted: Mapped[bool]
    """It was posted with the line, and so stays with it."""
