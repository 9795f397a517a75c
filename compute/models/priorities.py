"""Priority classes: named reasons to go first, or last, whatever is fair."""

import enum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Integer
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, Id, ShortText, Utc
from core.identity.models import Person

RANK_MAX = 100


class PriorityUse(enum.StrEnum):
    """Who may submit jobs with a class. A programme officer may give any class to a job that waits."""

    EVERYBODY = "everybody"  # whoever may submit for a project
    MAINTAINERS = "maintainers"  # of the project
    OFFICERS = "officers"  # nobody submits with it: programme officers give it


class PriorityClass(Base):
    """A reason with a rank. Jobs of a higher rank go first; an ordinary job has no class and rank 0."""

    __tablename__ = "priority_class"
    __table_args__ = (
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND slug <> 'ordinary'", name="slug"),
        CheckConstraint(f"rank BETWEEN -{RANK_MAX} AND {RANK_MAX} AND rank <> 0", name="rank"),
        CheckConstraint("month_ticks > 0", name="month"),
        # What goes first for everybody's asking needs an end, or everything goes first.
        CheckConstraint("rank < 0 OR use = 'officers' OR month_ticks IS NOT NULL", name="first_is_scarce"),
    )

    id: Mapped[Id]
    slug: Mapped[ShortText] = mapped_column(unique=True)
    name: Mapped[ShortText]
    rank: Mapped[int] = mapped_column(Integer())
    use: Mapped[PriorityUse]
    needs_reason: Mapped[bool]
    """Whether each job has to say why."""
    month_ticks: Mapped[int | None]
    """Reference ticks that the jobs a project submits in a calendar month (UTC) may use with it; none: as many as it likes."""
    is_open: Mapped[bool] = mapped_column(default=True, server_default="true")
    """Whether jobs may get it; those that have it keep it."""
    set_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    set_at: Mapped[Utc]

    set_by: Mapped[Person | None] = relationship()
