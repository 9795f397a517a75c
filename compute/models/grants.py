"""What projects may use: compute grants in reference GPU-hours, and the reminders before they end."""

import enum
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, Id, ShortText, Utc
from core.errors import IllegalTransition
from core.identity.models import Person, Project


class GrantStatus(enum.StrEnum):
    """The life of a compute grant."""

    REQUESTED = "requested"  # a project asked
    REVIEWED = "reviewed"  # somebody looked and wrote what they think
    APPROVED = "approved"  # decided; its start has not come
    ACTIVE = "active"  # its hours are in the ledger and jobs may draw on them
    LOW = "low"  # active, with little left
    EXHAUSTED = "exhausted"  # every tick is settled
    EXPIRED = "expired"  # its end has come; nothing is drawn, running work is drained
    DECLINED = "declined"  # not approved
    CLOSED = "closed"  # the unused rest went back, the account is empty


GRANT_NEXT: dict[GrantStatus, frozenset[GrantStatus]] = {
    GrantStatus.REQUESTED: frozenset({GrantStatus.REVIEWED, GrantStatus.DECLINED}),
    GrantStatus.REVIEWED: frozenset({GrantStatus.APPROVED, GrantStatus.DECLINED}),
    GrantStatus.APPROVED: frozenset({GrantStatus.ACTIVE, GrantStatus.EXPIRED}),
    GrantStatus.ACTIVE: frozenset({GrantStatus.LOW, GrantStatus.EXHAUSTED, GrantStatus.EXPIRED}),
    # A hold that is released can lift a grant above its mark again.
    GrantStatus.LOW: frozenset({GrantStatus.ACTIVE, GrantStatus.EXHAUSTED, GrantStatus.EXPIRED}),
    GrantStatus.EXHAUSTED: frozenset({GrantStatus.CLOSED}),
    GrantStatus.EXPIRED: frozenset({GrantStatus.CLOSED}),
    GrantStatus.DECLINED: frozenset(),
    GrantStatus.CLOSED: frozenset(),
}
assert GRANT_NEXT.keys() == set(GrantStatus)
DRAWABLE = frozenset({GrantStatus.ACTIVE, GrantStatus.LOW})


class ComputeGrant(Base):
    """Reference GPU-hours a project may use until a date."""

    __tablename__ = "compute_grant"
    __table_args__ = (
        CheckConstraint("requested_ticks > 0 AND (granted_ticks IS NULL OR granted_ticks > 0)", name="amounts"),
        CheckConstraint("expires_at > starts_at", name="window"),
        CheckConstraint("low_below_percent BETWEEN 0 AND 100", name="low_mark"),
        CheckConstraint(
            "status IN ('requested', 'reviewed', 'declined') OR (granted_ticks IS NOT NULL AND decided_at IS NOT NULL)",
            name="decided",
        ),
        CheckConstraint("decided_by_id <> requested_by_id", name="four_eyes"),
        Index("ix_compute_grant_project_expires", "project_id", "expires_at"),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    title: Mapped[ShortText]
    purpose: Mapped[str]
    requested_ticks: Mapped[int]
    granted_ticks: Mapped[int | None]
    """In reference ticks; may differ from the request."""
    starts_at: Mapped[Utc]
    expires_at: Mapped[Utc]
    """Work charged to this grant must end before this moment."""
    low_below_percent: Mapped[int] = mapped_column(Integer(), default=10)
    remind_days: Mapped[list[int]] = mapped_column(ARRAY(Integer()), default=lambda: [30, 14, 7])
    grant_reference: Mapped[str | None]
    """The programme decision behind it, if any: kept as text, because programmes live above compute."""
    source: Mapped[str | None]
    status: Mapped[GrantStatus] = mapped_column(default=GrantStatus.REQUESTED)
    status_at: Mapped[Utc]
    requested_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    reviewed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    review_note: Mapped[str | None]
    decided_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    decision_note: Mapped[str | None]
    decided_at: Mapped[datetime | None]
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Utc]

    project: Mapped[Project] = relationship(lazy="joined")
    requested_by: Mapped[Person | None] = relationship(foreign_keys=[requested_by_id])
    reviewed_by: Mapped[Person | None] = relationship(foreign_keys=[reviewed_by_id])
    decided_by: Mapped[Person | None] = relationship(foreign_keys=[decided_by_id])

    @property
    def ledger_account(self) -> str:
        return f"liabilities:gpu:grant:{self.id}"

    @property
    def drawable(self) -> bool:
        return self.status in DRAWABLE

    def advance(self, to: GrantStatus, at: datetime) -> None:
        if to not in GRANT_NEXT[self.status]:
            raise IllegalTransition("This compute grant", self.status, to)
        self.status, self.status_at = to, at


class ExpiryReminder(Base):
    """One reminder that a grant or an offer will end: written once per mark, however often the clock rings."""

    __tablename__ = "expiry_reminder"
    __table_args__ = (
        CheckConstraint("num_nonnulls(grant_id, offer_id) = 1", name="one_subject"),
        Index("uq_expiry_reminder_mark", "grant_id", "offer_id", "days_before", unique=True, postgresql_nulls_not_distinct=True),
    )

    id: Mapped[Id]
    grant_id: Mapped[UUID | None] = mapped_column(ForeignKey("compute_grant.id"))
    offer_id: Mapped[UUID | None] = mapped_column(ForeignKey("compute_offer.id"))
    days_before: Mapped[int] = mapped_column(Integer())
    ends_at: Mapped[Utc]
    at: Mapped[Utc]


class WarningKind(enum.StrEnum):
    """What a forecast warns of."""

    RUNS_OUT = "runs_out"  # used up before its end
    LAPSES = "lapses"  # a part of it will not be used by its end


class ForecastWarning(Base):
    """One warning from the pace of the last weeks: written once per kind and mark, however often the clock rings."""

    __tablename__ = "forecast_warning"
    __table_args__ = (
        CheckConstraint("num_nonnulls(grant_id, offer_id) = 1", name="one_subject"),
        Index(
            "uq_forecast_warning_mark",
            *("grant_id", "offer_id", "kind", "days_before"),
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    id: Mapped[Id]
    grant_id: Mapped[UUID | None] = mapped_column(ForeignKey("compute_grant.id"))
    offer_id: Mapped[UUID | None] = mapped_column(ForeignKey("compute_offer.id"))
    kind: Mapped[WarningKind]
    days_before: Mapped[int] = mapped_column(Integer())
    expected_at: Mapped[Utc]
    """The day it is used up, or its end, as the forecast of that day said."""
    title: Mapped[ShortText]
    message: Mapped[str]
    at: Mapped[Utc]
