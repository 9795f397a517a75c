"""The tables of the ledger: commodities, accounts, entries of two-leg transfers, seals and repairs.

Functions and triggers that keep the rules lie in the migration `0003_ledger`; docs/explanation/ledger.md tells the story.
"""

import enum
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Enum,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    LargeBinary,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base, Id, JsonObject, ShortText, Utc


class CommodityKind(enum.StrEnum):
    """Money and GPU time never meet in one transfer; they are different commodities like USD and EUR."""

    CURRENCY = "currency"
    GPU_TIME = "gpu_time"


class Side(enum.StrEnum):
    """The side on which an account normally stands: bank and expenses debit, funds and income credit."""

    DEBIT = "debit"
    CREDIT = "credit"


class Guard(enum.StrEnum):
    """Which side may never fall short, holds included. A guard stands on the account's normal side."""

    NONE = "none"
    DEBIT = "debit"  # credits, held ones included, never exceed debits: cash in a bank
    CREDIT = "credit"  # debits, held ones included, never exceed credits: money in a fund


class Phase(enum.StrEnum):
    """What a transfer does. A hold reserves; exactly one of settle, void or expire ends it."""

    DIRECT = "direct"  # moves at once
    HOLD = "hold"  # reserves on both accounts, moves nothing
    SETTLE = "settle"  # moves the whole or a part of a hold; the rest of the hold is released
    VOID = "void"  # releases a hold
    EXPIRE = "expire"  # releases a hold whose time has passed


def _words(states: type[enum.StrEnum]) -> Enum:
    """A column of these words whose CHECK is part of another one."""
    return Enum(states, native_enum=False, length=40, validate_strings=True, values_callable=lambda all_: [s.value for s in all_])


class Commodity(Base):
    """What is counted: a currency in its minor units, or GPU time of one flavor in 1/840 GPU-seconds."""

    __tablename__ = "ledger_commodity"
    __table_args__ = (CheckConstraint("code ~ '^[A-Z][A-Z0-9._-]{0,22}[A-Z0-9]$'", name="code"),)

    code: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[CommodityKind]
    scale: Mapped[int] = mapped_column(SmallInteger())
    """Decimal digits of the minor unit: 2 for USD; 0 for GPU time, whose ticks are exported as they are."""


class Account(Base):
    """Where a commodity lies. The four sums are kept by the transfers' trigger; nobody else can change them."""

    __tablename__ = "ledger_account"
    __table_args__ = (
        UniqueConstraint("id", "commodity"),
        # The database itself refuses overdrafts, holds included. Every constraint here is paid for with every transfer: what
        # never changes (code, side, guard) is checked by a trigger when the account is opened.
        CheckConstraint(
            "debits_pending >= 0 AND credits_pending >= 0 AND CASE guard"
            " WHEN 'credit' THEN debits_posted + debits_pending <= credits_posted"
            " WHEN 'debit' THEN credits_posted + credits_pending <= debits_posted ELSE true END",
            name="no_overdraft",
        ),
        # Half-empty pages: the sums change with every transfer, and a new version on the same page needs no index update.
        {"postgresql_with": {"fillfactor": 50}},
    )

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name: Mapped[ShortText]
    commodity: Mapped[str] = mapped_column(ForeignKey("ledger_commodity.code"))
    normal: Mapped[Side] = mapped_column(_words(Side))
    guard: Mapped[Guard] = mapped_column(_words(Guard))
    debits_posted: Mapped[int] = mapped_column(server_default=text("0"))
    debits_pending: Mapped[int] = mapped_column(server_default=text("0"))
    credits_posted: Mapped[int] = mapped_column(server_default=text("0"))
    credits_pending: Mapped[int] = mapped_column(server_default=text("0"))


class EntryRow(Base):
    """One deed of the ledger, with all its transfers, known by the caller's key. Append-only."""

    __tablename__ = "ledger_entry"
    __table_args__ = (
        # Entries lie in the table in the order of their transactions: a few bytes per block range find a seal's entries.
        Index("ix_ledger_entry_xid", "xid", postgresql_using="brin"),
        Index(
            "ix_ledger_entry_refs",
            "refs",
            postgresql_using="gin",
            postgresql_ops={"refs": "jsonb_path_ops"},
            postgresql_where=text("refs <> '{}'"),
        ),
    )

    id: Mapped[Id]
    key: Mapped[str] = mapped_column(unique=True)
    request_hash: Mapped[bytes] = mapped_column(LargeBinary())
    """SHA-256 of what was asked for under the key, so that the same key with other content is refused."""
    kind: Mapped[ShortText]
    memo: Mapped[str]
    refs: Mapped[JsonObject]
    at: Mapped[Utc]
    xid: Mapped[int] = mapped_column(server_default=text("(pg_current_xact_id()::text)::bigint"))
    """The writing transaction. Sealing looks only at those that were not certainly finished at the last seal."""


class TransferRow(Base):
    """One debit account, one credit account, one commodity, one positive integer. Append-only."""

    __tablename__ = "ledger_transfer"
    __table_args__ = (
        # Both accounts hold the transfer's commodity: a row that mixes two can't be written.
        ForeignKeyConstraint(["debit_id", "commodity"], ["ledger_account.id", "ledger_account.commodity"]),
        ForeignKeyConstraint(["credit_id", "commodity"], ["ledger_account.id", "ledger_account.commodity"]),
        # An ending carries its hold's accounts, commodity and amount, and what it points at is a hold.
        ForeignKeyConstraint(
            ["hold_entry_id", "hold_leg", "debit_id", "credit_id", "commodity", "held_amount", "hold_phase"],
            [
                f"ledger_transfer.{column}"
                for column in ("entry_id", "leg", "debit_id", "credit_id", "commodity", "amount", "phase")
            ],
            name="fk_ledger_transfer_hold",
        ),
        # A hold ends once.
        Index(
            "uq_ledger_transfer_hold",
            "hold_entry_id",
            "hold_leg",
            unique=True,
            postgresql_where=text("hold_entry_id IS NOT NULL"),
        ),
        Index("ix_ledger_transfer_expires_at", "expires_at", postgresql_where=text("expires_at IS NOT NULL")),
        Index("ix_ledger_transfer_debit_id", "debit_id"),
        Index("ix_ledger_transfer_credit_id", "credit_id"),
        CheckConstraint("amount > 0", name="amount_positive"),
        CheckConstraint("debit_id <> credit_id", name="two_accounts"),
    )

    # One index serves as identity and as what an ending's foreign key points at; legs of an entry lie side by side in it.
    entry_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_entry.id"), primary_key=True)
    leg: Mapped[int] = mapped_column(SmallInteger(), primary_key=True)
    debit_id: Mapped[int] = mapped_column(primary_key=True)
    credit_id: Mapped[int] = mapped_column(primary_key=True)
    commodity: Mapped[str] = mapped_column(primary_key=True)
    amount: Mapped[int] = mapped_column(primary_key=True)
    phase: Mapped[Phase] = mapped_column(_words(Phase), primary_key=True)
    hold_entry_id: Mapped[UUID | None]
    hold_leg: Mapped[int | None] = mapped_column(SmallInteger())
    held_amount: Mapped[int | None] = mapped_column(BigInteger())
    hold_phase: Mapped[str | None]
    """`hold` on an ending, for its foreign key. That, and what a transfer of each phase carries, the trigger sees to."""
    expires_at: Mapped[datetime | None]


class Seal(Base):
    """One link of the hash chain, over the entries that were not sealed before. Append-only."""

    __tablename__ = "ledger_seal"
    __table_args__ = (CheckConstraint("no > 0 AND entries > 0", name="not_empty"),)

    no: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    entries: Mapped[int]
    content_hash: Mapped[bytes] = mapped_column(LargeBinary())
    """SHA-256 over the hashes of its entries, in the order of their positions."""
    previous_hash: Mapped[bytes] = mapped_column(LargeBinary(), unique=True)
    hash: Mapped[bytes] = mapped_column(LargeBinary(), unique=True)
    signature: Mapped[bytes] = mapped_column(LargeBinary())
    """Ed25519 over `hash`; the key lies outside the database."""
    public_key: Mapped[bytes] = mapped_column(LargeBinary())
    sealed_at: Mapped[Utc]
    horizon: Mapped[int]
    """Every transaction below this number had ended when the seal was made, so its entries are sealed. Not hashed."""


class SealedEntry(Base):
    """An entry's place in the chain: 1, 2, 3 … without a gap. Append-only."""

    __tablename__ = "ledger_sealed_entry"
    __table_args__ = (CheckConstraint("position > 0", name="position"),)

    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    entry_id: Mapped[UUID] = mapped_column(ForeignKey("ledger_entry.id"), unique=True)
    seal_no: Mapped[int] = mapped_column(ForeignKey("ledger_seal.no"))
    hash: Mapped[bytes] = mapped_column(LargeBinary())
    """SHA-256 of the entry as it was when it was sealed."""


class Repair(Base):
    """A correction of kept sums that differed from the transfers. Its trigger recomputes and writes them. Append-only."""

    __tablename__ = "ledger_repair"

    id: Mapped[Id]
    account_id: Mapped[int] = mapped_column(ForeignKey("ledger_account.id"))
    before: Mapped[dict[str, Any]]
    at: Mapped[Utc]
