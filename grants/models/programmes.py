"""A programme is a scheme with rules and a budget; a round is one call of it. All its rules are data."""

import enum
from datetime import date
from decimal import Decimal
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Numeric, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, CurrencyCode, Id, ShortText, Utc
from core.errors import IllegalTransition
from core.identity.models import Organisation
from core.money import Money


class ProgrammeKind(enum.StrEnum):
    """How a programme chooses whom to fund."""

    FELLOWSHIP = "fellowship"  # a person or small team, a stipend for some months
    OPEN_CALL = "open_call"  # applications against rules, reviewed and decided by a committee
    VOTING_FUND = "voting_fund"  # nominated and voted by staff
    DISTRIBUTION = "distribution"  # shared out by a computed rule
    CONSORTIUM = "consortium"  # several donors, streams with yearly budgets
    COMPUTE = "compute"  # GPU hours instead of money


OPERATED_KINDS = frozenset({ProgrammeKind.FELLOWSHIP, ProgrammeKind.OPEN_CALL})
"""The kinds whose whole way from application to grant can be run here."""


class ProgrammeStatus(enum.StrEnum):
    """The life of a programme."""

    DRAFT = "draft"  # being set up; only its officers see it
    RUNNING = "running"  # public; rounds can open
    CLOSED = "closed"  # no new rounds; grants run on


PROGRAMME_NEXT: dict[ProgrammeStatus, frozenset[ProgrammeStatus]] = {
    ProgrammeStatus.DRAFT: frozenset({ProgrammeStatus.RUNNING}),
    ProgrammeStatus.RUNNING: frozenset({ProgrammeStatus.CLOSED}),
    ProgrammeStatus.CLOSED: frozenset({ProgrammeStatus.RUNNING}),
}
assert PROGRAMME_NEXT.keys() == set(ProgrammeStatus)


class Programme(Base):
    """A scheme of one organisation in one currency. Its row is the lock that every award takes."""

    __tablename__ = "programme"
    __table_args__ = (
        CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug"),
        CheckConstraint("annual_cap_minor > 0", name="annual_cap_positive"),
        CheckConstraint("award_cap_minor > 0", name="award_cap_positive"),
        CheckConstraint("places_per_year > 0", name="places_positive"),
        CheckConstraint("request_min_minor > 0 AND request_step_minor > 0 AND request_max_minor > 0", name="request_positive"),
        CheckConstraint("request_max_minor >= request_min_minor", name="request_range"),
        CheckConstraint("year_first_month BETWEEN 1 AND 12", name="year_first_month"),
        CheckConstraint("reviews_min >= 2", name="reviews_at_least_two"),
        CheckConstraint("quorum >= 1", name="quorum_positive"),
        CheckConstraint("overlap_depth BETWEEN 0 AND 5", name="overlap_depth"),
        CheckConstraint("offer_days > 0", name="offer_days_positive"),
    )

    id: Mapped[Id]
    slug: Mapped[ShortText] = mapped_column(unique=True)
    name: Mapped[ShortText]
    kind: Mapped[ProgrammeKind]
    status: Mapped[ProgrammeStatus] = mapped_column(default=ProgrammeStatus.DRAFT)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"), index=True)
    """The funder whose officers, reviewers and finance run the programme."""
    summary: Mapped[str]
    terms: Mapped[str] = mapped_column(default="")
    """What a recipient agrees to; shown with every offer."""
    currency: Mapped[CurrencyCode]
    annual_cap_minor: Mapped[int | None]
    """The most that may be committed in one programme year, over all rounds. None: only the money there is."""
    award_cap_minor: Mapped[int | None]
    """The most one grant may be."""
    places_per_year: Mapped[int | None]
    """How many grants may be made in one programme year, over all rounds."""
    year_first_month: Mapped[int] = mapped_column(default=1)
    """The month a programme year begins with; 1 is the calendar year."""
    request_min_minor: Mapped[int | None]
    request_step_minor: Mapped[int | None]
    request_max_minor: Mapped[int | None]
    """The request rule: the minimum itself, or a multiple of the step, up to the maximum."""
    reviews_min: Mapped[int] = mapped_column(default=2)
    quorum: Mapped[int] = mapped_column(default=2)
    """Members who must be present at a decision, recused members not counted."""
    overlap_depth: Mapped[int] = mapped_column(default=2)
    """How many "used by" and dependency links are followed when looking for conflicts of interest."""
    offer_days: Mapped[int] = mapped_column(default=60)
    """How long an offer stands."""
    source_url: Mapped[str | None]
    """Where the rules are published, if outside."""
    is_demo: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[Utc]

    organisation: Mapped[Organisation] = relationship(lazy="joined")
    rounds: Mapped[list["Round"]] = relationship(back_populates="programme", order_by="Round.number")
    questions: Mapped[list["ApplicationQuestion"]] = relationship(order_by="ApplicationQuestion.position")
    checks: Mapped[list["ScreeningCheck"]] = relationship(order_by="ScreeningCheck.position")
    criteria: Mapped[list["Criterion"]] = relationship(order_by="Criterion.position")
    paperwork: Mapped[list["PaperworkTemplate"]] = relationship(order_by="PaperworkTemplate.position")

    @property
    def annual_cap(self) -> Money | None:
        return self._money(self.annual_cap_minor)

    @property
    def award_cap(self) -> Money | None:
        return self._money(self.award_cap_minor)

    @property
    def request_min(self) -> Money | None:
        return self._money(self.request_min_minor)

    @property
    def request_step(self) -> Money | None:
        return self._money(self.request_step_minor)

    @property
    def request_max(self) -> Money | None:
        return self._money(self.request_max_minor)

    @property
    def account(self) -> str:
        """The programme's money in the ledger."""
        return f"liabilities:programme:{self.slug}:{self.currency.lower()}"

    def advance(self, to: ProgrammeStatus) -> None:
        if to not in PROGRAMME_NEXT[self.status]:
            raise IllegalTransition("This programme", self.status, to)
        self.status = to

    def _money(self, minor: int | None) -> Money | None:
        return None if minor is None else Money(minor, self.currency)


class RoundStatus(enum.StrEnum):
    """The life of one call."""

    PLANNED = "planned"  # announced; opens by its date
    OPEN = "open"  # takes applications
    CLOSED = "closed"  # takes none; what was submitted is reviewed
    DECIDED = "decided"  # every application has its decision
    CANCELLED = "cancelled"  # never held


ROUND_NEXT: dict[RoundStatus, frozenset[RoundStatus]] = {
    RoundStatus.PLANNED: frozenset({RoundStatus.OPEN, RoundStatus.CANCELLED}),
    RoundStatus.OPEN: frozenset({RoundStatus.CLOSED}),
    RoundStatus.CLOSED: frozenset({RoundStatus.OPEN, RoundStatus.DECIDED}),
    RoundStatus.DECIDED: frozenset(),
    RoundStatus.CANCELLED: frozenset(),
}
assert ROUND_NEXT.keys() == set(RoundStatus)


class Round(Base):
    """One call of a programme, with its dates (whole days, UTC). Without a closing date it takes applications all year."""

    __tablename__ = "round"
    __table_args__ = (
        UniqueConstraint("programme_id", "number"),
        UniqueConstraint("id", "programme_id"),
        CheckConstraint("number > 0", name="number_positive"),
        CheckConstraint("closes_on >= opens_on", name="closes_after_opening"),
        CheckConstraint("decides_on >= coalesce(closes_on, opens_on)", name="decides_after_closing"),
        CheckConstraint("grants_max > 0", name="grants_max_positive"),
    )

    id: Mapped[Id]
    programme_id: Mapped[UUID] = mapped_column(ForeignKey("programme.id"), index=True)
    number: Mapped[int]
    name: Mapped[ShortText]
    theme: Mapped[str] = mapped_column(default="")
    status: Mapped[RoundStatus] = mapped_column(default=RoundStatus.PLANNED)
    opens_on: Mapped[date]
    closes_on: Mapped[date | None]
    """The last day on which applications are taken; none for a rolling round."""
    decides_on: Mapped[date | None]
    grants_max: Mapped[int | None]
    """How many grants this round may make; none for no limit of its own."""
    created_at: Mapped[Utc]

    programme: Mapped[Programme] = relationship(back_populates="rounds", lazy="joined")

    @property
    def rolling(self) -> bool:
        return self.closes_on is None

    def takes_applications(self, on: date) -> bool:
        """Open, and its last day not yet over: the clock that closes it may lag."""
        return self.status is RoundStatus.OPEN and self.opens_on <= on and (self.closes_on is None or on <= self.closes_on)

    def advance(self, to: RoundStatus) -> None:
        if to not in ROUND_NEXT[self.status]:
            raise IllegalTransition(f"Round “{self.name}”", self.status, to)
        self.status = to


class ApplicationQuestion(Base):
    """A question a programme asks besides the common ones."""

    __tablename__ = "application_question"
    __table_args__ = (
        UniqueConstraint("programme_id", "key"),
        CheckConstraint("key ~ '^[a-z][a-z0-9_]*$'", name="key"),
        CheckConstraint("characters_max BETWEEN 1 AND 20000", name="characters_max"),
    )

    id: Mapped[Id]
    programme_id: Mapped[UUID] = mapped_column(ForeignKey("programme.id"))
    position: Mapped[int]
    key: Mapped[ShortText]
    """The name under which the answer is kept in `Application.answers`."""
    label: Mapped[ShortText]
    guidance: Mapped[str] = mapped_column(default="")
    characters_max: Mapped[int] = mapped_column(default=2000)
    required: Mapped[bool] = mapped_column(default=True)


class ScreeningCheck(Base):
    """A knock-out question: whoever fails one is not reviewed, and is told which and why."""

    __tablename__ = "screening_check"

    id: Mapped[Id]
    programme_id: Mapped[UUID] = mapped_column(ForeignKey("programme.id"), index=True)
    position: Mapped[int]
    label: Mapped[ShortText]
    guidance: Mapped[str] = mapped_column(default="")


class Criterion(Base):
    """One line of a programme's rubric. `weight` is relative to the other lines; points run from 0 to `points_max`."""

    __tablename__ = "criterion"
    __table_args__ = (
        # Scores copy points_max through this key, so that the database bounds them and a scored rubric can't be rescaled.
        UniqueConstraint("id", "points_max"),
        CheckConstraint("weight > 0", name="weight_positive"),
        CheckConstraint("points_max BETWEEN 1 AND 100", name="points_max"),
    )

    id: Mapped[Id]
    programme_id: Mapped[UUID] = mapped_column(ForeignKey("programme.id"), index=True)
    position: Mapped[int]
    name: Mapped[ShortText]
    guidance: Mapped[str] = mapped_column(default="")
    weight: Mapped[int]
    points_max: Mapped[int] = mapped_column(default=5)


class PaperworkTemplate(Base):
    """A document every recipient of a programme owes before the first payment."""

    __tablename__ = "paperwork_template"
    __table_args__ = (CheckConstraint("days_expected > 0", name="days_expected_positive"),)

    id: Mapped[Id]
    programme_id: Mapped[UUID] = mapped_column(ForeignKey("programme.id"), index=True)
    position: Mapped[int]
    name: Mapped[ShortText]
    guidance: Mapped[str] = mapped_column(default="")
    days_expected: Mapped[int] = mapped_column(default=28)
    """After how many days the open item is called late."""


class FiscalHost(Base):
    """An organisation that receives money for projects and keeps a fee. The fee is dated: a change is a new row."""

    __tablename__ = "fiscal_host"
    __table_args__ = (
        CheckConstraint("fee_percent >= 0 AND fee_percent < 100", name="fee_percent"),
        CheckConstraint("platform_share_percent BETWEEN 0 AND 100", name="platform_share_percent"),
        CheckConstraint("until_on > from_on", name="dates_in_order"),
    )

    id: Mapped[Id]
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"), index=True)
    fee_percent: Mapped[Decimal] = mapped_column(Numeric(9, 6))
    platform_share_percent: Mapped[Decimal] = mapped_column(Numeric(9, 6), default=Decimal(0))
    """The part of its fee that the host passes on to the platform it runs on."""
    from_on: Mapped[date]
    until_on: Mapped[date | None]
    source_url: Mapped[str | None]
    created_at: Mapped[Utc]

    organisation: Mapped[Organisation] = relationship(lazy="joined")
