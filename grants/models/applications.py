"""What maintainers ask for: a draft that becomes an application, its attachments, and how it was screened."""

import enum
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column, relationship
from sqlalchemy.types import Text

from core.db import Base, CurrencyCode, Id, JsonObject, ShortText, Utc
from core.errors import IllegalTransition
from core.files import StoredFile
from core.identity.models import Person, Project
from core.money import Money
from grants.models.programmes import Programme, Round, ScreeningCheck


class ApplicationStatus(enum.StrEnum):
    """The way of an application."""

    DRAFT = "draft"  # only its applicant sees it
    SUBMITTED = "submitted"  # with the programme; nothing looked at yet
    SCREENED = "screened"  # knock-out checks answered
    IN_REVIEW = "in_review"  # reviewers are assigned
    SHORTLISTED = "shortlisted"  # reviewed and before the committee
    DECIDED = "decided"  # has its outcome
    WITHDRAWN = "withdrawn"  # taken back by the applicant


NEXT: dict[ApplicationStatus, frozenset[ApplicationStatus]] = {
    ApplicationStatus.DRAFT: frozenset({ApplicationStatus.SUBMITTED, ApplicationStatus.WITHDRAWN}),
    ApplicationStatus.SUBMITTED: frozenset({ApplicationStatus.SCREENED, ApplicationStatus.WITHDRAWN}),
    ApplicationStatus.SCREENED: frozenset({ApplicationStatus.IN_REVIEW, ApplicationStatus.DECIDED, ApplicationStatus.WITHDRAWN}),
    ApplicationStatus.IN_REVIEW: frozenset(
        {ApplicationStatus.SHORTLISTED, ApplicationStatus.DECIDED, ApplicationStatus.WITHDRAWN}
    ),
    ApplicationStatus.SHORTLISTED: frozenset({ApplicationStatus.DECIDED, ApplicationStatus.WITHDRAWN}),
    ApplicationStatus.DECIDED: frozenset(),
    ApplicationStatus.WITHDRAWN: frozenset(),
}
assert NEXT.keys() == set(ApplicationStatus)

UNDECIDED = frozenset(
    {
        ApplicationStatus.SUBMITTED,
        ApplicationStatus.SCREENED,
        ApplicationStatus.IN_REVIEW,
        ApplicationStatus.SHORTLISTED,
    }
)
"""With the programme, and no ending yet."""


class ApplicationOutcome(enum.StrEnum):
    """How a decided application ended."""

    AWARDED = "awarded"  # a grant was offered
    DECLINED = "declined"  # reviewed, and not funded
    SCREENED_OUT = "screened_out"  # failed a knock-out check; never reviewed


class PayeeWish(enum.StrEnum):
    """How the applicant would receive the money; settled with the offer."""

    PERSON = "person"  # one person, directly
    TEAM = "team"  # an organisation of the team's own, directly
    FISCAL_HOST = "fiscal_host"  # a fiscal host, which takes its fee


class Application(Base):
    """A request to one round. While it is a draft, everything but the round and the applicant may be missing."""

    __tablename__ = "application"
    __table_args__ = (
        ForeignKeyConstraint(["round_id", "programme_id"], ["round.id", "round.programme_id"]),
        UniqueConstraint("id", "programme_id"),
        CheckConstraint("requested_minor > 0", name="requested_positive"),
        CheckConstraint("months BETWEEN 1 AND 60", name="months"),
        CheckConstraint("(status = 'decided') = (outcome IS NOT NULL)", name="decided_with_outcome"),
        CheckConstraint("status IN ('draft', 'withdrawn') OR submitted_at IS NOT NULL", name="submitted_with_time"),
        CheckConstraint(
            "status IN ('draft', 'withdrawn') OR (project_id IS NOT NULL AND requested_minor IS NOT NULL)",
            name="complete_when_submitted",
        ),
        CheckConstraint("(exception_reason IS NULL) = (exception_by_id IS NULL)", name="exception_with_author"),
        # A project has one request at a time before a round; several people may prepare drafts.
        Index(
            "uq_application_undecided",
            "round_id",
            "project_id",
            unique=True,
            postgresql_where="status IN ('submitted', 'screened', 'in_review', 'shortlisted')",
        ),
        Index("ix_application_round_status", "round_id", "status"),
    )

    id: Mapped[Id]
    round_id: Mapped[UUID]
    programme_id: Mapped[UUID] = mapped_column(ForeignKey("programme.id"), index=True)
    applicant_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"), index=True)
    project_id: Mapped[UUID | None] = mapped_column(ForeignKey("project.id"), index=True)
    """None in a draft for a project the platform does not know yet; submitting registers it."""
    status: Mapped[ApplicationStatus] = mapped_column(default=ApplicationStatus.DRAFT)
    outcome: Mapped[ApplicationOutcome | None]

    project_name: Mapped[ShortText] = mapped_column(default="")
    project_url: Mapped[str] = mapped_column(default="")
    repository_url: Mapped[str] = mapped_column(default="")
    licences: Mapped[list[str]] = mapped_column(ARRAY(Text()), default=list)
    """SPDX identifiers."""
    summary: Mapped[str] = mapped_column(default="")
    """What the project does and who uses it."""
    use_of_funds: Mapped[str] = mapped_column(default="")
    plan: Mapped[str] = mapped_column(default="")
    """What will be done, and by when."""
    team: Mapped[str] = mapped_column(default="")
    """Who will do the work."""
    payee: Mapped[PayeeWish | None]
    payee_name: Mapped[ShortText] = mapped_column(default="")
    conflicts: Mapped[str] = mapped_column(default="")
    """What connects the applicants with the funder, its staff or its reviewers, in their own words."""
    months: Mapped[int | None]
    """How long the work takes."""
    requested_minor: Mapped[int | None]
    currency: Mapped[CurrencyCode]
    answers: Mapped[JsonObject] = mapped_column(default=dict)
    """Answers to the programme's own questions, by question key."""

    exception_reason: Mapped[str | None]
    """Why an officer lets this request be outside the request rule."""
    exception_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))

    created_at: Mapped[Utc]
    updated_at: Mapped[Utc]
    saved_from: Mapped[str] = mapped_column(default="")
    """Which opened form saved it last: a random word per form, so that one that saves itself never meets itself."""
    submitted_at: Mapped[datetime | None]
    decided_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    is_demo: Mapped[bool] = mapped_column(default=False)

    round: Mapped[Round] = relationship(
        lazy="joined", foreign_keys="[Application.round_id, Application.programme_id]", overlaps="programme"
    )
    programme: Mapped[Programme] = relationship(lazy="joined", foreign_keys="Application.programme_id", overlaps="round")
    applicant: Mapped[Person] = relationship(lazy="joined", foreign_keys=[applicant_id])
    project: Mapped[Project | None] = relationship(lazy="joined")
    attachments: Mapped[list["ApplicationAttachment"]] = relationship(order_by="ApplicationAttachment.added_at")
    screening: Mapped[list["ScreeningAnswer"]] = relationship(back_populates="application")

    @property
    def requested(self) -> Money | None:
        return None if self.requested_minor is None else Money(self.requested_minor, self.currency)

    @property
    def title(self) -> str:
        """How people call it: the project's name, or that there is none yet."""
        return self.project_name or "Untitled application"

    def advance(self, to: ApplicationStatus) -> None:
        if to not in NEXT[self.status]:
            raise IllegalTransition("This application", self.status, to)
        self.status = to


class ApplicationAttachment(Base):
    """A file that came with an application."""

    __tablename__ = "application_attachment"
    __table_args__ = (UniqueConstraint("application_id", "file_id"),)

    id: Mapped[Id]
    application_id: Mapped[UUID] = mapped_column(ForeignKey("application.id"))
    file_id: Mapped[UUID] = mapped_column(ForeignKey("stored_file.id"))
    added_at: Mapped[Utc]

    file: Mapped[StoredFile] = relationship(lazy="joined")


class ScreeningAnswer(Base):
    """How an application stands to one knock-out check. A failed check has a reason that the applicant reads."""

    __tablename__ = "screening_answer"
    __table_args__ = (
        UniqueConstraint("application_id", "check_id"),
        CheckConstraint("passed OR length(trim(reason)) > 0", name="failed_with_reason"),
    )

    id: Mapped[Id]
    application_id: Mapped[UUID] = mapped_column(ForeignKey("application.id"))
    check_id: Mapped[UUID] = mapped_column(ForeignKey("screening_check.id"))
    passed: Mapped[bool]
    reason: Mapped[str] = mapped_column(default="")
    answered_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    answered_at: Mapped[Utc]

    application: Mapped[Application] = relationship(back_populates="screening")
    check: Mapped[ScreeningCheck] = relationship(lazy="joined")
