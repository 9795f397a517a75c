"""Times at which a pool has fewer GPUs for everybody: maintenance, reservations, and planned drains."""

import enum
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from compute.models.offers import Pool
from core.db import Base, Id, Utc
from core.errors import IllegalTransition
from core.identity.models import Person, Project


class WindowKind(enum.StrEnum):
    """What becomes of the GPUs."""

    MAINTENANCE = "maintenance"  # nobody has them meanwhile
    RESERVATION = "reservation"  # one project's jobs have them meanwhile
    DRAIN = "drain"  # from a moment on the pool starts nothing; a person opens it again


class WindowStatus(enum.StrEnum):
    """The life of a window."""

    PLANNED = "planned"  # to come, or going on
    OVER = "over"  # its end has passed; of a drain: the pool drains
    CALLED_OFF = "called_off"  # by a person, with a reason


WINDOW_NEXT: dict[WindowStatus, frozenset[WindowStatus]] = {
    WindowStatus.PLANNED: frozenset({WindowStatus.OVER, WindowStatus.CALLED_OFF}),
    WindowStatus.OVER: frozenset(),
    WindowStatus.CALLED_OFF: frozenset(),
}
assert WINDOW_NEXT.keys() == set(WindowStatus)


class PoolWindow(Base):
    """From one moment to another GPUs of a pool are taken. What could still run then does not start, unless it fits beside."""

    __tablename__ = "pool_window"
    __table_args__ = (
        CheckConstraint("ends_at > begins_at", name="times"),
        CheckConstraint("gpus > 0", name="gpus"),
        CheckConstraint("(kind = 'drain') = (gpus IS NULL) AND (kind = 'drain') = (ends_at IS NULL)", name="drain_takes_all"),
        CheckConstraint("(kind = 'reservation') = (project_id IS NOT NULL)", name="reserved_for"),
        CheckConstraint("length(trim(why)) > 0", name="why"),
        Index("ix_pool_window_planned", "pool_id", "begins_at", postgresql_where="status = 'planned'"),
    )

    id: Mapped[Id]
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pool.id"))
    kind: Mapped[WindowKind]
    gpus: Mapped[int | None]
    """GPUs or slices that are taken; none for a drain, which takes all."""
    begins_at: Mapped[Utc]
    ends_at: Mapped[datetime | None]
    """None for a drain, which lasts until somebody opens the pool."""
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    """For whom they are reserved."""
    why: Mapped[str]
    """A few words that whoever waits because of it reads."""
    status: Mapped[WindowStatus] = mapped_column(default=WindowStatus.PLANNED)
    status_at: Mapped[Utc]
    planned_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    planned_at: Mapped[Utc]

    pool: Mapped[Pool] = relationship(lazy="joined")
    project: Mapped[Project | None] = relationship(lazy="joined")
    planned_by: Mapped[Person | None] = relationship()

    def advance(self, to: WindowStatus, at: datetime) -> None:
        if to not in WINDOW_NEXT[self.status]:
            raise IllegalTransition("This window", self.status, to)
        self.status, self.status_at = to, at
