"""How much one project, and one person in all projects together, may have running at a time."""

from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, Id, Utc
from core.identity.models import Person, Project

RUN_LIMIT_MAX = 1_000_000


class RunLimit(Base):
    """The most that may run at once: of a project, of a person, or, where neither is named, of everybody without a row.

    Neither jobs nor GPUs: as much as there is. For a person that is an exception from what holds for everybody.
    """

    __tablename__ = "run_limit"
    __table_args__ = (
        CheckConstraint("num_nonnulls(project_id, person_id) <= 1", name="whose"),
        CheckConstraint(f"jobs BETWEEN 1 AND {RUN_LIMIT_MAX} AND gpus BETWEEN 1 AND {RUN_LIMIT_MAX}", name="sizes"),
        CheckConstraint("length(trim(reason)) > 0", name="reason"),
        Index("uq_run_limit_project", "project_id", unique=True, postgresql_where="project_id IS NOT NULL"),
        Index("uq_run_limit_person", "person_id", unique=True, postgresql_where="person_id IS NOT NULL"),
        Index(
            "uq_run_limit_everybody",
            text("(project_id IS NULL)"),
            unique=True,
            postgresql_where="project_id IS NULL AND person_id IS NULL",
        ),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    jobs: Mapped[int | None]
    gpus: Mapped[int | None]
    """GPUs or slices, of all kinds together."""
    reason: Mapped[str]
    """Why, in a sentence that everybody may read whom it holds up."""
    set_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    set_at: Mapped[Utc]

    project: Mapped[Project | None] = relationship(lazy="joined")
    person: Mapped[Person | None] = relationship(lazy="joined", foreign_keys=[person_id])
    set_by: Mapped[Person | None] = relationship(foreign_keys=[set_by_id])

    @property
    def whose(self) -> str:
        """For whom it is, in words."""
        if self.project is not None:
            return self.project.name
        return self.person.name if self.person is not None else "Everybody"
