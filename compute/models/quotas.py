"""Quota groups: what projects own of a pool, what they lend each other, and who was asked to give it back."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from compute.models.jobs import Job, JobAttempt
from compute.models.offers import Pool
from core.db import Base, Id, ShortText, Utc
from core.identity.models import Person, Project


class QuotaGroup(Base):
    """The projects that own GPUs of one pool, and the terms on which they get them back."""

    __tablename__ = "quota_group"
    __table_args__ = (
        CheckConstraint("grace_seconds BETWEEN 0 AND 86400", name="grace"),
        CheckConstraint("lost_gpu_seconds_max >= 0", name="lost"),
        CheckConstraint("length(trim(reason)) > 0", name="reason"),
        CheckConstraint("num_nulls(ended_at, end_reason) IN (0, 2)", name="end"),
        # One at a time; those that were ended stay as they were.
        Index("uq_quota_group_living_name", "name", unique=True, postgresql_where="ended_at IS NULL"),
        Index("uq_quota_group_living_pool", "pool_id", unique=True, postgresql_where="ended_at IS NULL"),
    )

    id: Mapped[Id]
    name: Mapped[ShortText]
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pool.id"))
    grace_seconds: Mapped[int]
    """Between being asked to leave and having to."""
    lost_gpu_seconds_max: Mapped[int]
    """Work that may be thrown away for one job that gets its own back."""
    reason: Mapped[str]
    set_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    set_at: Mapped[Utc]
    ended_at: Mapped[datetime | None]
    """Since then nobody owns anything of the pool, and its shares are history."""
    ended_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    end_reason: Mapped[str | None]

    pool: Mapped[Pool] = relationship(lazy="joined")
    shares: Mapped[list["QuotaShare"]] = relationship(back_populates="group", cascade="all, delete-orphan")


class QuotaShare(Base):
    """What one project owns of a group's pool, in GPUs (slices where the flavor is cut)."""

    __tablename__ = "quota_share"
    __table_args__ = (
        CheckConstraint("nominal > 0", name="nominal"),
        CheckConstraint("lends BETWEEN 0 AND nominal", name="lends"),
        CheckConstraint("borrows >= 0", name="borrows"),
        CheckConstraint("length(trim(reason)) > 0", name="reason"),
    )

    group_id: Mapped[UUID] = mapped_column(ForeignKey("quota_group.id"), primary_key=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), primary_key=True)
    nominal: Mapped[int]
    lends: Mapped[int | None]
    """At most this much of its own while it does not use it; none: all of it."""
    borrows: Mapped[int | None]
    """At most this much beyond its own; none: whatever the others lend."""
    reason: Mapped[str]
    set_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    set_at: Mapped[Utc]

    group: Mapped[QuotaGroup] = relationship(back_populates="shares")
    project: Mapped[Project] = relationship(lazy="joined")
    set_by: Mapped[Person | None] = relationship()


class ReclaimNotice(Base):
    """A running attempt was asked to give its GPUs back to a job whose project owns them."""

    __tablename__ = "reclaim_notice"
    __table_args__ = (
        # However many schedulers run at once: an attempt is asked once at a time.
        Index("uq_reclaim_notice_attempt", "attempt_id", unique=True, postgresql_where="spared_at IS NULL"),
        Index("ix_reclaim_notice_for_job", "for_job_id"),
        CheckConstraint("num_nonnulls(spared_at, stopped_at) <= 1", name="one_ending"),
        CheckConstraint("leaves_at >= asked_at AND lost_gpu_seconds >= 0", name="sizes"),
    )

    id: Mapped[Id]
    attempt_id: Mapped[UUID] = mapped_column(ForeignKey("job_attempt.id"))
    for_job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"))
    asked_at: Mapped[Utc]
    leaves_at: Mapped[Utc]
    lost_gpu_seconds: Mapped[int]
    """What it will have done by then and has to do again; nothing if its declared time is over before."""
    spared_at: Mapped[datetime | None]
    """The room came by itself, or nobody needs it any more."""
    stopped_at: Mapped[datetime | None]
    """Its grace was over, and its executor is told to end it."""

    attempt: Mapped[JobAttempt] = relationship(lazy="joined")
    for_job: Mapped[Job] = relationship(lazy="joined", foreign_keys=[for_job_id])
