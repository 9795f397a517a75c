"""What some waiting jobs were told of their start, and what came of it."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from core.db import Base, Id, Utc


class ToldStart(Base):
    """A range that was told to a job picked at random: what ranges are measured by, and learn from."""

    __tablename__ = "told_start"
    __table_args__ = (
        CheckConstraint("soonest_at <= likely_at AND likely_at <= late_at", name="order"),
        CheckConstraint("num_nonnulls(over_at, held) IN (0, 2)", name="over"),
        Index("ix_told_start_horizon", "horizon", "over_at"),
        Index("ix_told_start_open", "job_id", postgresql_where="over_at IS NULL"),
    )

    id: Mapped[Id]
    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"))
    horizon: Mapped[int]
    """Which sort of wait it was: scheduling/forecasts/ranges.py."""
    told_at: Mapped[Utc]
    soonest_at: Mapped[Utc]
    likely_at: Mapped[Utc]
    late_at: Mapped[Utc]
    over_at: Mapped[datetime | None]
    """When it was known what came of it: the start, or the end of the range."""
    held: Mapped[bool | None]
    """Whether the job started within the range."""


class RangeCorrection(Base):
    """What was learnt for one sort of wait: natural logarithms of factors, so doubles."""

    __tablename__ = "range_correction"

    horizon: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    soonest: Mapped[float]
    likely: Mapped[float]
    late: Mapped[float]
