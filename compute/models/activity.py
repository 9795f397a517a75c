"""What running attempts were seen doing."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer
from sqlalchemy.orm import Mapped, mapped_column, relationship

from compute.models.jobs import JobAttempt
from core.db import Base, Id, Utc


class AttemptActivity(Base):
    """The newest look at an attempt, and since when every look found its devices idle. One row per attempt that was ever seen."""

    __tablename__ = "attempt_activity"
    __table_args__ = (
        CheckConstraint("gpu_percent BETWEEN 0 AND 100", name="percent"),
        CheckConstraint("(idle_since IS NULL) = (idle_looks = 0)", name="stretch"),
        CheckConstraint("noticed_at IS NULL OR idle_since IS NOT NULL", name="noticed_while_idle"),
    )

    id: Mapped[Id]
    attempt_id: Mapped[UUID] = mapped_column(ForeignKey("job_attempt.id"), unique=True)
    looked_at: Mapped[Utc]
    has_gpus: Mapped[bool]
    gpu_percent: Mapped[int | None] = mapped_column(Integer())
    """Of the busiest of its GPUs; none: not measured."""
    cpu_milliseconds: Mapped[int | None]
    """Processor time of its processes since they began; none: not measured."""
    cpu_millicores: Mapped[int | None]
    """Thousandths of a core in use between the two newest looks."""
    idle_since: Mapped[datetime | None]
    idle_looks: Mapped[int] = mapped_column(default=0)
    noticed_at: Mapped[datetime | None]
    """When this stretch became idle holding, and was told."""

    attempt: Mapped[JobAttempt] = relationship()
