"""What holds the engine back: a switch per rail, dated limits, and alarms that a person must look at."""

import enum
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, Id, ShortText, Utc
from core.identity.models import Person
from core.money import Money


class RailSwitch(Base):
    """Whether money may leave on a rail. Read under lock when money is reserved, and again before each send."""

    __tablename__ = "rail_switch"
    __table_args__ = (CheckConstraint("NOT stopped OR reason IS NOT NULL", name="stopped_for_a_reason"),)

    id: Mapped[Id]
    rail: Mapped[ShortText] = mapped_column(unique=True)
    stopped: Mapped[bool] = mapped_column(default=False)
    reason: Mapped[str | None]
    changed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    """None when the platform stopped it itself, such as after the rail refused our credentials."""
    changed_at: Mapped[Utc]

    changed_by: Mapped[Person | None] = relationship()


class RuleKind(enum.StrEnum):
    """What a dated number limits. Amounts are in minor units of the rule's currency."""

    PAYOUT_MAX = "payout_max"  # one payout; without it nothing is paid in that currency
    RECIPIENT_MONTH_MAX = "recipient_month_max"  # one recipient in any 30 days
    RUN_MAX = "run_max"  # one run
    DAY_MAX = "day_max"  # all rails together on one UTC day
    RAIL_DAY_MAX = "rail_day_max"  # one rail on one UTC day
    SECOND_APPROVER_FROM = "second_approver_from"  # a run of at least this much wants two approvers
    COOL_OFF_HOURS = "cool_off_hours"  # hours a changed destination waits


class PayoutRule(Base):
    """One number with the date from which it holds. The newest that has begun is in force; none is ever edited."""

    __tablename__ = "payout_rule"
    __table_args__ = (
        CheckConstraint("value >= 0", name="value"),
        CheckConstraint("(kind = 'cool_off_hours') = (currency IS NULL)", name="amounts_have_a_currency"),
        CheckConstraint("(kind = 'rail_day_max') = (rail IS NOT NULL)", name="rail_where_it_matters"),
        Index("ix_payout_rule_kind", "kind", "currency", "valid_from"),
    )

    id: Mapped[Id]
    kind: Mapped[RuleKind]
    currency: Mapped[str | None]
    rail: Mapped[str | None]
    value: Mapped[int]
    valid_from: Mapped[Utc]
    set_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    """None for the numbers an installation starts with."""
    reason: Mapped[str]

    set_by: Mapped[Person | None] = relationship()

    @property
    def money(self) -> Money | None:
        return Money(self.value, self.currency) if self.currency else None


class Alarm(Base):
    """Something that must not happen and did, or may have. Stays on the console until a person closes it with a note."""

    __tablename__ = "payout_alarm"
    __table_args__ = (
        CheckConstraint("num_nulls(closed_by_id, closed_at, closing_note) IN (0, 3)", name="closed"),
        Index("ix_payout_alarm_open", "raised_at", postgresql_where="closed_at IS NULL"),
    )

    id: Mapped[Id]
    payout_id: Mapped[UUID] = mapped_column(ForeignKey("payout.id"), index=True)
    message: Mapped[str]
    raised_at: Mapped[Utc]
    closed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    closed_at: Mapped[datetime | None]
    closing_note: Mapped[str | None]

    closed_by: Mapped[Person | None] = relationship()
