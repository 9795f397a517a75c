"""Who looks at an application, what stands between them and it, and what they say."""

import enum
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, Id, Utc
from core.errors import IllegalTransition
from core.identity.models import Organisation, Person, Project
from grants.models.applications import Application
from grants.models.programmes import Criterion


class ReviewStatus(enum.StrEnum):
    """The way of one reviewer's review of one application."""

    ASSIGNED = "assigned"  # conflicts not yet declared; the review form is closed
    DECLARED = "declared"  # declared; may read the application and score it
    SUBMITTED = "submitted"  # scored; sees the others' reviews now
    RECUSED = "recused"  # stepped back; a score given before counts no more
    REMOVED = "removed"  # taken off by an officer before submitting


REVIEW_NEXT: dict[ReviewStatus, frozenset[ReviewStatus]] = {
    ReviewStatus.ASSIGNED: frozenset({ReviewStatus.DECLARED, ReviewStatus.RECUSED, ReviewStatus.REMOVED}),
    ReviewStatus.DECLARED: frozenset({ReviewStatus.SUBMITTED, ReviewStatus.RECUSED, ReviewStatus.REMOVED}),
    ReviewStatus.SUBMITTED: frozenset({ReviewStatus.RECUSED}),
    ReviewStatus.RECUSED: frozenset(),
    ReviewStatus.REMOVED: frozenset({ReviewStatus.ASSIGNED}),
}
assert REVIEW_NEXT.keys() == set(ReviewStatus)


class Recommendation(enum.StrEnum):
    """What a reviewer would do."""

    FUND = "fund"
    FUND_LESS = "fund_less"  # worth funding, with a smaller amount
    DECLINE = "decline"


class Review(Base):
    """One reviewer's part in one application."""

    __tablename__ = "review"
    __table_args__ = (
        UniqueConstraint("application_id", "reviewer_id"),
        CheckConstraint("status <> 'submitted' OR (submitted_at IS NOT NULL AND recommendation IS NOT NULL)", name="submitted"),
    )

    id: Mapped[Id]
    application_id: Mapped[UUID] = mapped_column(ForeignKey("application.id"))
    reviewer_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    status: Mapped[ReviewStatus] = mapped_column(default=ReviewStatus.ASSIGNED)
    recommendation: Mapped[Recommendation | None]
    comment: Mapped[str] = mapped_column(default="")
    assigned_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    assigned_at: Mapped[Utc]
    submitted_at: Mapped[datetime | None]

    application: Mapped[Application] = relationship(lazy="joined")
    reviewer: Mapped[Person] = relationship(lazy="joined", foreign_keys=[reviewer_id])
    scores: Mapped[list["ReviewScore"]] = relationship(back_populates="review", lazy="selectin")

    def advance(self, to: ReviewStatus) -> None:
        if to not in REVIEW_NEXT[self.status]:
            raise IllegalTransition("This review", self.status, to)
        self.status = to


class ReviewScore(Base):
    """Points for one criterion. `points_max` is the criterion's, by key, so the database bounds every score."""

    __tablename__ = "review_score"
    __table_args__ = (
        ForeignKeyConstraint(["criterion_id", "points_max"], ["criterion.id", "criterion.points_max"]),
        UniqueConstraint("review_id", "criterion_id"),
        CheckConstraint("points BETWEEN 0 AND points_max", name="points_in_bounds"),
    )

    id: Mapped[Id]
    review_id: Mapped[UUID] = mapped_column(ForeignKey("review.id"))
    criterion_id: Mapped[UUID]
    points: Mapped[int]
    points_max: Mapped[int]

    review: Mapped[Review] = relationship(back_populates="scores")
    criterion: Mapped[Criterion] = relationship(lazy="joined")


class ConflictOutcome(enum.StrEnum):
    """What a committee member says about a possible conflict."""

    NONE = "none"  # nothing to declare
    DISCLOSE = "disclose"  # an interest, told, that does not keep the member from judging
    RECUSE = "recuse"  # an interest that does


class ConflictDeclaration(Base):
    """What one member declared: for one application, or for one programme and year. Never changed, only added to."""

    __tablename__ = "conflict_declaration"
    __table_args__ = (
        CheckConstraint("(application_id IS NULL) = (year IS NOT NULL)", name="application_or_year"),
        CheckConstraint("year IS NULL OR outcome <> 'recuse'", name="recusal_names_an_application"),
        CheckConstraint("outcome = 'none' OR length(trim(reason)) > 0", name="interest_with_reason"),
        Index("ix_conflict_declaration_person", "person_id", "programme_id", "year"),
    )

    id: Mapped[Id]
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    programme_id: Mapped[UUID] = mapped_column(ForeignKey("programme.id"))
    application_id: Mapped[UUID | None] = mapped_column(ForeignKey("application.id"), index=True)
    year: Mapped[int | None]
    """The programme year of a yearly declaration."""
    outcome: Mapped[ConflictOutcome]
    reason: Mapped[str] = mapped_column(default="")
    """Published with the decision, without the member's name."""
    declared_at: Mapped[Utc]

    person: Mapped[Person] = relationship(lazy="joined")


class InterestKind(enum.StrEnum):
    """How somebody is tied to an organisation or project. Contributing code is not a conflict by itself."""

    HOLDING = "holding"
    EMPLOYMENT = "employment"
    BOARD = "board"
    FAMILY = "family"


class Interest(Base):
    """The register of interests: who holds what, in whom, from when to when."""

    __tablename__ = "interest"
    __table_args__ = (
        CheckConstraint("num_nonnulls(holder_person_id, holder_organisation_id) = 1", name="one_holder"),
        CheckConstraint("num_nonnulls(organisation_id, project_id) = 1", name="one_subject"),
        CheckConstraint("until_on > from_on", name="dates_in_order"),
    )

    id: Mapped[Id]
    holder_person_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"), index=True)
    holder_organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    kind: Mapped[InterestKind]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisation.id"))
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"))
    detail: Mapped[str] = mapped_column(default="")
    source_url: Mapped[str | None]
    from_on: Mapped[date]
    until_on: Mapped[date | None]
    recorded_at: Mapped[Utc]

    holder_person: Mapped[Person | None] = relationship(foreign_keys=[holder_person_id])
    holder_organisation: Mapped[Organisation | None] = relationship(foreign_keys=[holder_organisation_id])
    organisation: Mapped[Organisation | None] = relationship(foreign_keys=[organisation_id])
    project: Mapped[Project | None] = relationship()


class LinkKind(enum.StrEnum):
    """How a project hangs together with others."""

    USED_BY = "used_by"  # an organisation builds on the project
    DEPENDS_ON = "depends_on"  # the project builds on another project
    OWNED_BY = "owned_by"  # an organisation owns or steers the project


class ProjectLink(Base):
    """A dated tie of a project to an organisation or to another project, with where it is known from."""

    __tablename__ = "project_link"
    __table_args__ = (
        CheckConstraint(
            "(kind = 'depends_on') = (other_project_id IS NOT NULL) AND num_nonnulls(organisation_id, other_project_id) = 1",
            name="subject_fits_kind",
        ),
        CheckConstraint("other_project_id <> project_id", name="not_itself"),
        CheckConstraint("until_on > from_on", name="dates_in_order"),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), index=True)
    kind: Mapped[LinkKind]
    organisation_id: Mapped[UUID | None] = mapped_column(ForeignKey("organisation.id"), index=True)
    other_project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"), index=True)
    source_url: Mapped[str | None]
    from_on: Mapped[date]
    until_on: Mapped[date | None]
    recorded_at: Mapped[Utc]

    project: Mapped[Project] = relationship(foreign_keys=[project_id])
    organisation: Mapped[Organisation | None] = relationship()
    other_project: Mapped[Project | None] = relationship(foreign_keys=[other_project_id])


class ConflictFlag(Base):
    """An overlap found by matching the register with a project's links. It informs the committee and the public; it blocks
    nothing. A flag stays, with the facts of its day, when the register changes later."""

    __tablename__ = "conflict_flag"
    __table_args__ = (
        UniqueConstraint("application_id", "interest_id"),
        UniqueConstraint("grant_id", "interest_id"),
        CheckConstraint("num_nonnulls(application_id, grant_id) = 1", name="application_or_grant"),
    )

    id: Mapped[Id]
    application_id: Mapped[UUID | None] = mapped_column(ForeignKey("application.id"))
    grant_id: Mapped[UUID | None] = mapped_column(ForeignKey("grant.id"))
    """A grant made elsewhere has no application; its overlaps are those of the day it was awarded."""
    interest_id: Mapped[UUID] = mapped_column(ForeignKey("interest.id"))
    sentence: Mapped[str]
    """The whole overlap in words, such as "Sequoia Capital holds a stake in Replicate, which uses vLLM."."""
    raised_at: Mapped[Utc]

    interest: Mapped[Interest] = relationship(lazy="joined")
