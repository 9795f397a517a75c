"""Questions to our own history: what would the waits have been with more GPUs, shorter jobs, another weight, a limit?"""

import enum
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column, relationship

from compute.models.offers import Flavor
from core.db import Base, Id, Utc
from core.errors import IllegalTransition
from core.identity.models import Person, Project


class WhatIfStatus(enum.StrEnum):
    """The life of a question."""

    WAITING = "waiting"  # for a worker
    RUNNING = "running"  # a worker replays the history
    ANSWERED = "answered"  # the comparison is kept
    FAILED = "failed"  # no answer, with a sentence that says why


WHAT_IF_NEXT: dict[WhatIfStatus, frozenset[WhatIfStatus]] = {
    # A worker that died leaves the question running; the next one begins it again.
    WhatIfStatus.WAITING: frozenset({WhatIfStatus.RUNNING}),
    WhatIfStatus.RUNNING: frozenset({WhatIfStatus.RUNNING, WhatIfStatus.ANSWERED, WhatIfStatus.FAILED}),
    WhatIfStatus.ANSWERED: frozenset(),
    WhatIfStatus.FAILED: frozenset(),
}
assert WHAT_IF_NEXT.keys() == set(WhatIfStatus)


class WhatIf(Base):
    """One change, replayed beside the history as it was."""

    __tablename__ = "what_if"
    __table_args__ = (
        CheckConstraint("gpus_before > 0 AND gpus_after > 0 AND days > 0", name="sizes"),
        CheckConstraint("wall_seconds_max > 0", name="limit"),
        CheckConstraint("(project_id IS NULL) = (weight_after IS NULL)", name="whose_weight"),
        CheckConstraint("weight_after > 0", name="weight"),
        CheckConstraint("limit_jobs > 0 AND limit_gpus > 0", name="run_limit"),
        CheckConstraint("limit_project_id IS NULL OR num_nonnulls(limit_jobs, limit_gpus) > 0", name="whose_limit"),
        CheckConstraint(
            "gpus_before <> gpus_after OR num_nonnulls(wall_seconds_max, weight_after, limit_jobs, limit_gpus) > 0",
            name="some_change",
        ),
        CheckConstraint("(status = 'answered') = (answer IS NOT NULL)", name="answer"),
        CheckConstraint("(status = 'failed') = (failure IS NOT NULL)", name="failure"),
        Index("ix_what_if_asked_at", "asked_at"),
    )

    id: Mapped[Id]
    asked_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    asked_at: Mapped[Utc]
    """The history replayed ends here."""
    days: Mapped[int]
    flavor_id: Mapped[UUID] = mapped_column(ForeignKey("flavor.id"))
    gpus_before: Mapped[int]
    """Devices of the open pools when it was asked."""
    gpus_after: Mapped[int]
    wall_seconds_max: Mapped[int | None]
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    """Whose weight changes, if one does."""
    weight_after: Mapped[int | None]
    limit_project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    """Who may have no more running at a time than this; nobody named and one of the two set: each project."""
    limit_jobs: Mapped[int | None]
    limit_gpus: Mapped[int | None]
    status: Mapped[WhatIfStatus] = mapped_column(default=WhatIfStatus.WAITING)
    status_at: Mapped[Utc]
    failure: Mapped[str | None]
    answer: Mapped[dict[str, object] | None] = mapped_column(JSONB(none_as_null=True))
    """compute.simulation.what_if.Answer as JSON."""

    asked_by: Mapped[Person] = relationship()
    flavor: Mapped[Flavor] = relationship(lazy="joined")
    project: Mapped[Project | None] = relationship(lazy="joined", foreign_keys=[project_id])
    limit_project: Mapped[Project | None] = relationship(lazy="joined", foreign_keys=[limit_project_id])

    @property
    def open(self) -> bool:
        """Whether an answer may still come."""
        return self.status in {WhatIfStatus.WAITING, WhatIfStatus.RUNNING}

    def advance(self, to: WhatIfStatus, at: datetime) -> None:
        if to not in WHAT_IF_NEXT[self.status]:
            raise IllegalTransition("This what-if", self.status, to)
        self.status, self.status_at = to, at
