"""What was decided and what came of it: decision, grant, instalments, paperwork, reports."""

import enum
from datetime import date, datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, ForeignKeyConstraint, Index, Numeric, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, CurrencyCode, Id, MinorUnits, ShortText, Utc
from core.errors import IllegalTransition
from core.files import StoredFile
from core.identity.models import Person, Project
from core.money import Money
from grants.models.applications import Application
from grants.models.programmes import FiscalHost, Programme, Round
from payouts.models import Payout, Recipient


class Decision(Base):
    """The committee's word on one application, with its minute. Never changed."""

    __tablename__ = "decision"
    __table_args__ = (
        ForeignKeyConstraint(["application_id", "programme_id"], ["application.id", "application.programme_id"]),
        CheckConstraint("length(trim(minute)) > 0", name="with_minute"),
        CheckConstraint("awarded = (amount_minor IS NOT NULL)", name="award_with_amount"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
    )

    id: Mapped[Id]
    application_id: Mapped[UUID] = mapped_column(unique=True)
    programme_id: Mapped[UUID]
    awarded: Mapped[bool]
    amount_minor: Mapped[int | None]
    currency: Mapped[CurrencyCode]
    override_reason: Mapped[str | None]
    """Why the amount may be outside the programme's request rule."""
    minute: Mapped[str]
    quorum: Mapped[int]
    """The programme's quorum on that day."""
    decided_on: Mapped[date]
    recorded_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    recorded_at: Mapped[Utc]

    application: Mapped[Application] = relationship(foreign_keys="[Decision.application_id, Decision.programme_id]")
    recorded_by: Mapped[Person] = relationship()
    votes: Mapped[list["DecisionVote"]] = relationship(back_populates="decision", lazy="selectin")


class Vote(enum.StrEnum):
    """What a member who was present did."""

    FOR = "for"
    AGAINST = "against"
    ABSTAINED = "abstained"
    RECUSED = "recused"  # present in the room or not: no part of quorum or count


class DecisionVote(Base):
    """One member's part in a decision."""

    __tablename__ = "decision_vote"
    __table_args__ = (UniqueConstraint("decision_id", "person_id"),)

    id: Mapped[Id]
    decision_id: Mapped[UUID] = mapped_column(ForeignKey("decision.id"))
    person_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    vote: Mapped[Vote]

    decision: Mapped[Decision] = relationship(back_populates="votes")
    person: Mapped[Person] = relationship(lazy="joined")


class GrantStatus(enum.StrEnum):
    """The life of a grant."""

    OFFERED = "offered"  # decided; the amount is held; the recipient has not answered
    ACCEPTED = "accepted"  # the recipient chose how to be paid; the money is committed
    PAPERWORK = "paperwork"  # documents are collected; nothing is paid yet
    ACTIVE = "active"  # instalments run
    SUSPENDED = "suspended"  # nothing is released until it is resumed
    COMPLETED = "completed"  # everything paid and the time over
    TERMINATED = "terminated"  # declined, lapsed or ended early; what was unpaid went back to the programme


GRANT_NEXT: dict[GrantStatus, frozenset[GrantStatus]] = {
    GrantStatus.OFFERED: frozenset({GrantStatus.ACCEPTED, GrantStatus.TERMINATED}),
    GrantStatus.ACCEPTED: frozenset({GrantStatus.PAPERWORK, GrantStatus.ACTIVE, GrantStatus.TERMINATED}),
    GrantStatus.PAPERWORK: frozenset({GrantStatus.ACTIVE, GrantStatus.TERMINATED}),
    GrantStatus.ACTIVE: frozenset({GrantStatus.SUSPENDED, GrantStatus.COMPLETED, GrantStatus.TERMINATED}),
    GrantStatus.SUSPENDED: frozenset({GrantStatus.ACTIVE, GrantStatus.TERMINATED}),
    GrantStatus.COMPLETED: frozenset({GrantStatus.ACTIVE}),  # a payment came back after the end: there is something to pay again
    GrantStatus.TERMINATED: frozenset(),
}
assert GRANT_NEXT.keys() == set(GrantStatus)


class Payee(enum.StrEnum):
    """Who receives the money of a grant."""

    DIRECT = "direct"
    FISCAL_HOST = "fiscal_host"


class Schedule(enum.StrEnum):
    """How a grant is cut into instalments."""

    UPFRONT = "upfront"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    MILESTONES = "milestones"  # named, each with its own sum


class Grant(Base):
    """What a programme awarded to a project."""

    __tablename__ = "grant"
    __table_args__ = (
        ForeignKeyConstraint(["round_id", "programme_id"], ["round.id", "round.programme_id"]),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("returned_minor BETWEEN 0 AND amount_minor", name="returned_within_amount"),
        CheckConstraint("(decision_id IS NULL) = (application_id IS NULL)", name="decision_with_application"),
        # Without a decision of ours there must be a published source: a grant made elsewhere and recorded here.
        CheckConstraint("decision_id IS NOT NULL OR source_url IS NOT NULL", name="decision_or_source"),
        CheckConstraint("(payee = 'fiscal_host') = (fiscal_host_id IS NOT NULL)", name="host_if_hosted"),
        CheckConstraint("host_fee_percent >= 0 AND host_fee_percent < 100", name="host_fee_percent"),
        CheckConstraint("ends_on >= starts_on", name="dates_in_order"),
        CheckConstraint(
            "status NOT IN ('accepted', 'paperwork', 'active', 'suspended', 'completed') OR accepted_at IS NOT NULL",
            name="accepted_with_time",
        ),
        CheckConstraint("status <> 'terminated' OR length(trim(ended_reason)) > 0", name="terminated_with_reason"),
        Index("ix_grant_register", "awarded_on", "id"),
        Index("ix_grant_programme_year", "programme_id", "year"),
    )

    id: Mapped[Id]
    programme_id: Mapped[UUID] = mapped_column(ForeignKey("programme.id"))
    round_id: Mapped[UUID | None] = mapped_column(index=True)
    application_id: Mapped[UUID | None] = mapped_column(ForeignKey("application.id"), unique=True)
    decision_id: Mapped[UUID | None] = mapped_column(ForeignKey("decision.id"), unique=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"), index=True)
    status: Mapped[GrantStatus] = mapped_column(default=GrantStatus.OFFERED)
    recipient_name: Mapped[ShortText]
    """Who is named in the public register."""
    amount_minor: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    returned_minor: Mapped[int] = mapped_column(default=0)
    """What went back to the programme when the grant was ended; it counts against no cap any more."""
    amount_undisclosed: Mapped[bool] = mapped_column(default=False)
    """The public register shows no amount, and its totals say "at least"."""
    awarded_on: Mapped[date]
    year: Mapped[int]
    """The programme year it counts for."""
    override_reason: Mapped[str | None]
    purpose: Mapped[str] = mapped_column(default="")
    """The stated use of the money."""

    payee: Mapped[Payee | None]
    fiscal_host_id: Mapped[UUID | None] = mapped_column(ForeignKey("fiscal_host.id"))
    host_fee_percent: Mapped[Decimal | None] = mapped_column(Numeric(9, 6))
    """The host's fee as it was at acceptance."""
    recipient_id: Mapped[UUID | None] = mapped_column(ForeignKey("recipient.id"))
    """The payouts recipient that is paid."""

    schedule: Mapped[Schedule]
    report_gate: Mapped[bool] = mapped_column(default=False)
    """Instalments after the first wait for an accepted report. A property of the award, not of the platform."""
    starts_on: Mapped[date | None]
    ends_on: Mapped[date | None]

    offered_at: Mapped[Utc]
    offer_expires_on: Mapped[date | None]
    accepted_at: Mapped[datetime | None]
    accepted_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    active_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str | None]
    source_url: Mapped[str | None]
    source_title: Mapped[str | None]
    is_demo: Mapped[bool] = mapped_column(default=False)

    programme: Mapped[Programme] = relationship(lazy="joined", foreign_keys="Grant.programme_id", overlaps="round")
    round: Mapped[Round | None] = relationship(foreign_keys="[Grant.round_id, Grant.programme_id]", overlaps="programme")
    project: Mapped[Project] = relationship(lazy="joined")
    application: Mapped[Application | None] = relationship()
    decision: Mapped[Decision | None] = relationship()
    fiscal_host: Mapped[FiscalHost | None] = relationship(lazy="joined")
    recipient: Mapped[Recipient | None] = relationship()
    instalments: Mapped[list["Instalment"]] = relationship(back_populates="grant", order_by="Instalment.number")
    paperwork: Mapped[list["PaperworkItem"]] = relationship(back_populates="grant", order_by="PaperworkItem.position")
    reports: Mapped[list["Report"]] = relationship(back_populates="grant", order_by="Report.submitted_at")

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @property
    def returned(self) -> Money:
        return Money(self.returned_minor, self.currency)

    @property
    def account(self) -> str:
        """The money committed to this grant, in the ledger."""
        return f"liabilities:grant:{self.id}:{self.currency.lower()}"

    def advance(self, to: GrantStatus) -> None:
        if to not in GRANT_NEXT[self.status]:
            raise IllegalTransition("This grant", self.status, to)
        self.status = to


class InstalmentStatus(enum.StrEnum):
    """The way of one scheduled part of a grant to its recipient."""

    PLANNED = "planned"  # its day has not come
    DUE = "due"  # its day has come; a gate may still be closed
    RELEASED = "released"  # nothing stands against paying it
    APPROVED = "approved"  # an officer approved the payment
    IN_PAYOUT = "in_payout"  # payouts has it
    PAID = "paid"  # the recipient has the money
    RETURNED = "returned"  # the money came back; to be opened again
    CANCELLED = "cancelled"  # the grant ended first; its money went back to the programme


INSTALMENT_NEXT: dict[InstalmentStatus, frozenset[InstalmentStatus]] = {
    InstalmentStatus.PLANNED: frozenset({InstalmentStatus.DUE, InstalmentStatus.CANCELLED}),
    InstalmentStatus.DUE: frozenset({InstalmentStatus.RELEASED, InstalmentStatus.CANCELLED}),
    InstalmentStatus.RELEASED: frozenset({InstalmentStatus.APPROVED, InstalmentStatus.CANCELLED}),
    InstalmentStatus.APPROVED: frozenset({InstalmentStatus.IN_PAYOUT, InstalmentStatus.RELEASED, InstalmentStatus.CANCELLED}),
    InstalmentStatus.IN_PAYOUT: frozenset({InstalmentStatus.PAID, InstalmentStatus.RELEASED}),
    InstalmentStatus.PAID: frozenset({InstalmentStatus.RETURNED}),
    InstalmentStatus.RETURNED: frozenset({InstalmentStatus.RELEASED, InstalmentStatus.CANCELLED}),
    InstalmentStatus.CANCELLED: frozenset(),
}
assert INSTALMENT_NEXT.keys() == set(InstalmentStatus)


class Instalment(Base):
    """One scheduled part of a grant. The parts of a grant sum to its amount (a deferred trigger holds that)."""

    __tablename__ = "instalment"
    __table_args__ = (
        UniqueConstraint("grant_id", "number"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("status <> 'in_payout' OR payout_id IS NOT NULL", name="in_payout_with_payout"),
        Index("ix_instalment_due", "due_on", postgresql_where="status = 'planned'"),
    )

    id: Mapped[Id]
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grant.id"))
    number: Mapped[int]
    name: Mapped[ShortText]
    amount_minor: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    due_on: Mapped[date | None]
    """None for a milestone that is due when it is reached."""
    gated: Mapped[bool] = mapped_column(default=False)
    """Waits for an accepted report."""
    status: Mapped[InstalmentStatus] = mapped_column(default=InstalmentStatus.PLANNED)
    payout_id: Mapped[UUID | None] = mapped_column(ForeignKey("payout.id"), index=True)
    """The payout asked for last; one that came back is asked for again as the obligation's next round."""
    approved_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    approved_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]

    grant: Mapped[Grant] = relationship(back_populates="instalments")
    payout: Mapped[Payout | None] = relationship()

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @property
    def obligation(self) -> str:
        """The reason under which payouts is asked for it."""
        return f"grant-instalment:{self.id}"

    def advance(self, to: InstalmentStatus) -> None:
        if to not in INSTALMENT_NEXT[self.status]:
            raise IllegalTransition(f"Instalment {self.number}", self.status, to)
        self.status = to


class PaperworkStatus(enum.StrEnum):
    """Where a document stands."""

    OPEN = "open"  # waited for
    RECEIVED = "received"  # here, not yet checked
    DONE = "done"  # checked
    WAIVED = "waived"  # not needed after all, with a reason


PAPERWORK_NEXT: dict[PaperworkStatus, frozenset[PaperworkStatus]] = {
    PaperworkStatus.OPEN: frozenset({PaperworkStatus.RECEIVED, PaperworkStatus.DONE, PaperworkStatus.WAIVED}),
    PaperworkStatus.RECEIVED: frozenset({PaperworkStatus.DONE, PaperworkStatus.OPEN, PaperworkStatus.WAIVED}),
    PaperworkStatus.DONE: frozenset(),
    PaperworkStatus.WAIVED: frozenset(),
}
assert PAPERWORK_NEXT.keys() == set(PaperworkStatus)


class PaperworkItem(Base):
    """A document one grant waits for before its first payment."""

    __tablename__ = "paperwork_item"
    __table_args__ = (CheckConstraint("status <> 'waived' OR length(trim(note)) > 0", name="waived_with_note"),)

    id: Mapped[Id]
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grant.id"), index=True)
    position: Mapped[int]
    name: Mapped[ShortText]
    guidance: Mapped[str] = mapped_column(default="")
    days_expected: Mapped[int]
    status: Mapped[PaperworkStatus] = mapped_column(default=PaperworkStatus.OPEN)
    file_id: Mapped[UUID | None] = mapped_column(ForeignKey("stored_file.id"))
    note: Mapped[str] = mapped_column(default="")
    opened_at: Mapped[Utc]
    closed_at: Mapped[datetime | None]

    grant: Mapped[Grant] = relationship(back_populates="paperwork")
    file: Mapped[StoredFile | None] = relationship(lazy="joined")

    def advance(self, to: PaperworkStatus) -> None:
        if to not in PAPERWORK_NEXT[self.status]:
            raise IllegalTransition(f"“{self.name}”", self.status, to)
        self.status = to


class ReportStatus(enum.StrEnum):
    """Where a report stands."""

    SUBMITTED = "submitted"  # before the officer
    ACCEPTED = "accepted"  # opens the gate of its instalment
    SENT_BACK = "sent_back"  # needs more; a new one is written


REPORT_NEXT: dict[ReportStatus, frozenset[ReportStatus]] = {
    ReportStatus.SUBMITTED: frozenset({ReportStatus.ACCEPTED, ReportStatus.SENT_BACK}),
    ReportStatus.ACCEPTED: frozenset(),
    ReportStatus.SENT_BACK: frozenset(),
}
assert REPORT_NEXT.keys() == set(ReportStatus)


class Report(Base):
    """What a recipient tells about the work: for one instalment, or (with none) at the end."""

    __tablename__ = "report"
    __table_args__ = (
        CheckConstraint("length(trim(body)) > 0", name="with_body"),
        Index(
            "uq_report_instalment_current",
            "instalment_id",
            unique=True,
            postgresql_where="status IN ('submitted', 'accepted') AND instalment_id IS NOT NULL",
        ),
    )

    id: Mapped[Id]
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("grant.id"), index=True)
    instalment_id: Mapped[UUID | None] = mapped_column(ForeignKey("instalment.id"))
    status: Mapped[ReportStatus] = mapped_column(default=ReportStatus.SUBMITTED)
    body: Mapped[str]
    note: Mapped[str] = mapped_column(default="")
    """What the officer answered."""
    submitted_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    submitted_at: Mapped[Utc]
    closed_at: Mapped[datetime | None]

    grant: Mapped[Grant] = relationship(back_populates="reports")
    instalment: Mapped[Instalment | None] = relationship()
    attachments: Mapped[list["ReportAttachment"]] = relationship(lazy="selectin")

    def advance(self, to: ReportStatus) -> None:
        if to not in REPORT_NEXT[self.status]:
            raise IllegalTransition("This report", self.status, to)
        self.status = to


class ReportAttachment(Base):
    """A file that came with a report."""

    __tablename__ = "report_attachment"
    __table_args__ = (UniqueConstraint("report_id", "file_id"),)

    id: Mapped[Id]
    report_id: Mapped[UUID] = mapped_column(ForeignKey("report.id"))
    file_id: Mapped[UUID] = mapped_column(ForeignKey("stored_file.id"))

    file: Mapped[StoredFile] = relationship(lazy="joined")
