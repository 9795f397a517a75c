"""What a pledge is measured by: dated rows, never constants. Rows are added, not changed; a trigger refuses the rest."""

from datetime import date

from sqlalchemy import CheckConstraint, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column
from sqlalchemy.types import BigInteger

from core.db import Base, CurrencyCode, Id, MinorUnits, ShortText, Utc
from core.money import Money


class PledgeMinimum(Base):
    """The least to pay per developer and year, from a day on. The newest row that is in force on the day counts."""

    __tablename__ = "pledge_minimum"
    __table_args__ = (
        UniqueConstraint("currency", "valid_from"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
    )

    id: Mapped[Id]
    currency: Mapped[CurrencyCode]
    valid_from: Mapped[date]
    amount_minor: Mapped[MinorUnits]
    """Per full-time-equivalent developer and year."""
    source: Mapped[ShortText]
    author: Mapped[ShortText]
    rules_version: Mapped[ShortText]
    created_at: Mapped[Utc]

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)


class RenewalRule(Base):
    """When a membership falls due and what happens around that day, from a day on."""

    __tablename__ = "pledge_renewal_rule"
    __table_args__ = (
        UniqueConstraint("valid_from"),
        CheckConstraint("due_after_months > 0 AND due_soon_months >= 0 AND grace_months >= 0", name="months"),
    )

    id: Mapped[Id]
    valid_from: Mapped[date]
    due_after_months: Mapped[int]
    """The next report is due this long after the latest one."""
    due_soon_months: Mapped[int]
    grace_months: Mapped[int]
    reminder_days: Mapped[list[int]] = mapped_column(ARRAY(BigInteger()))
    """Days relative to the due day, negative before it."""
    source: Mapped[ShortText]
    author: Mapped[ShortText]
    rules_version: Mapped[ShortText]
    created_at: Mapped[Utc]
