"""Who gets how large a share: the weights of projects."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, Utc
from core.identity.models import Person, Project

WEIGHT_MAX = 1000


class ProjectWeight(Base):
    """How much a project counts when turns are shared: twice the weight, twice the share. A project without a row weighs 1."""

    __tablename__ = "project_weight"
    __table_args__ = (CheckConstraint(f"weight BETWEEN 1 AND {WEIGHT_MAX}", name="range"),)

    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), primary_key=True)
    weight: Mapped[int]
    reason: Mapped[str]
    """Why, in a sentence that everybody may read."""
    set_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    set_at: Mapped[Utc]

    project: Mapped[Project] = relationship(lazy="joined")
    set_by: Mapped[Person | None] = relationship()
