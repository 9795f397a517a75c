"""What the scheduler remembers between its turns beside what all other tables say: see compute/scheduling/keeping/memory.py."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base


class SchedulerTurn(Base):
    """One row: how many turns were taken, so that whoever keeps a core sees that another took one meanwhile."""

    __tablename__ = "scheduler_turn"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
    ideal_at: Mapped[int | None]
    """Where the clock of the ideal stands, in Unix seconds."""
    gpus: Mapped[int]
    """That the ideal shares."""


class SchedulerMemory(Base):
    """How a project fared, and what it used as the scheduler counted it. Figures of turns, not of money: doubles."""

    __tablename__ = "scheduler_memory"

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), primary_key=True)
    weight: Mapped[int]
    past: Mapped[float]
    """Reference GPU-seconds, decayed to `settled_at`."""
    settled_at: Mapped[int]
    """Unix seconds."""
    rate: Mapped[int]
    """In use since then, in reference ticks per second."""
    factor: Mapped[float]
    fared: Mapped[float]
    demand: Mapped[float]
    jobs: Mapped[list[list[object]]] = mapped_column(JSONB())
    """Its jobs in the ideal world, as lists of the fields of `IdealJob`."""
