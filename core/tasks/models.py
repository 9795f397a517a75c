"""The task table and its states."""

import enum
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base, Id, JsonObject, ShortText, Utc


class TaskStatus(enum.StrEnum):
    """The life of a task."""

    READY = "ready"  # waits for `run_at` and a worker
    RUNNING = "running"  # a worker holds the lease; after `lease_until` anybody may take it over
    DONE = "done"  # handled, once
    PARKED = "parked"  # gave up after its tries; a person looks and retries it


class TaskRow(Base):
    """One piece of background work."""

    __tablename__ = "task"
    __table_args__ = (
        Index("ix_task_due", "run_at", postgresql_where="status IN ('ready', 'running')"),
        Index("ix_task_status_created", "status", "created_at"),
        # Two equal wishes while the first still waits are one.
        Index("uq_task_waiting_dedupe", "dedupe_key", unique=True, postgresql_where="status = 'ready'"),
        CheckConstraint("tries >= 0 AND tries_max > 0", name="tries"),
        CheckConstraint("(status = 'running') = (lease_token IS NOT NULL)", name="lease_while_running"),
    )

    id: Mapped[Id]
    kind: Mapped[ShortText]
    arguments: Mapped[JsonObject]
    dedupe_key: Mapped[str | None]
    status: Mapped[TaskStatus] = mapped_column(default=TaskStatus.READY)
    created_at: Mapped[Utc]
    run_at: Mapped[Utc]
    """Not before this moment. While running: the end of the lease, so that one index finds all that is due."""
    lease_token: Mapped[UUID | None]
    tries: Mapped[int] = mapped_column(default=0)
    tries_max: Mapped[int] = mapped_column(default=8)
    last_error: Mapped[str | None]
    finished_at: Mapped[datetime | None]


class ClockRun(Base):
    """The last day a piece of daily work was done, so that a missed day is made up for and no day is done twice."""

    __tablename__ = "clock_run"

    name: Mapped[ShortText] = mapped_column(primary_key=True)
    done_on: Mapped[date]
    finished_at: Mapped[Utc]


class ClockTry(Base):
    """Daily work that was begun, or recurring work that failed, and has not succeeded since. Success removes the row."""

    __tablename__ = "clock_try"

    name: Mapped[ShortText] = mapped_column(primary_key=True)
    since: Mapped[Utc]
    """When it was first tried without success."""
    tried_at: Mapped[Utc]
    error: Mapped[str | None]
    """Of the last try that ended; empty during the first one."""
