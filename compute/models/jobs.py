"""What runs: jobs, their attempts, what each attempt drew from which offer, and the usage it left."""

import enum
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, Integer, Uuid, or_
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column, object_session, relationship
from sqlalchemy.types import Text

from compute.executors.base import Stop
from compute.models.grants import ComputeGrant
from compute.models.offers import ComputeOffer, Flavor, Pool
from compute.models.priorities import PriorityClass
from core.db import Base, Id, JsonObject, ShortText, Utc
from core.errors import IllegalTransition
from core.identity.models import Person, Project


class JobKind(enum.StrEnum):
    """What a job is for; benchmarks yield to CI."""

    CI = "ci"
    BENCHMARK = "benchmark"


class SourceKind(enum.StrEnum):
    """Where a job's code comes from."""

    COMMAND = "command"  # the command alone, in an empty folder
    REPOSITORY = "repository"  # a Git repository at one exact commit
    IMAGE = "image"  # a container image


class Origin(enum.StrEnum):
    """Where a job comes from, as the platform knows it: not what its submitter says of it."""

    PLATFORM = "platform"  # the platform itself
    MAINTAINER = "maintainer"  # a maintainer of the project submitted it, signed in; a program with their token does not count
    REPOSITORY = "repository"  # a program of the project's own repository as it is there, whoever submitted it
    ELSEWHERE = "elsewhere"  # anything else


class JobStatus(enum.StrEnum):
    """The life of a job."""

    SUBMITTED = "submitted"  # taken in; the policy is being checked
    QUEUED = "queued"  # waits, for a reason it can name
    HELD = "held"  # chosen: its wall time is held on the grant and on offers
    STARTING = "starting"  # handed to an executor
    RUNNING = "running"  # its process runs
    SUCCEEDED = "succeeded"  # ended with exit code 0
    FAILED = "failed"  # ended with another exit code
    TIMED_OUT = "timed_out"  # stopped at its wall time
    CANCELLED = "cancelled"  # stopped by a person, or because its grant ended
    EVICTED = "evicted"  # stopped by the platform or the donor: credited back, tried again once
    LOST = "lost"  # the executor lost it: credited back, tried again once


ENDINGS = frozenset(
    {
        JobStatus.SUCCEEDED,
        JobStatus.FAILED,
        JobStatus.TIMED_OUT,
        JobStatus.CANCELLED,
        JobStatus.EVICTED,
        JobStatus.LOST,
    }
)
JOB_NEXT: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.SUBMITTED: frozenset({JobStatus.QUEUED}),
    JobStatus.QUEUED: frozenset({JobStatus.HELD, JobStatus.CANCELLED}),
    JobStatus.HELD: frozenset({JobStatus.STARTING, JobStatus.CANCELLED, JobStatus.EVICTED, JobStatus.LOST}),
    # An executor that is looked at rarely can show the end before it ever showed the beginning.
    JobStatus.STARTING: ENDINGS | {JobStatus.RUNNING},
    JobStatus.RUNNING: ENDINGS,
    JobStatus.EVICTED: frozenset({JobStatus.QUEUED}),
    JobStatus.LOST: frozenset({JobStatus.QUEUED}),
    JobStatus.SUCCEEDED: frozenset(),
    JobStatus.FAILED: frozenset(),
    JobStatus.TIMED_OUT: frozenset(),
    JobStatus.CANCELLED: frozenset(),
}
assert JOB_NEXT.keys() == set(JobStatus)


class FailureCause(enum.StrEnum):
    """Who is to blame when a job did not succeed."""

    TEST = "test"  # the job's own command said no
    LIMIT = "limit"  # the job passed a limit it declared
    PERSON = "person"  # somebody cancelled it
    INFRASTRUCTURE = "infrastructure"  # the platform or the hardware: costs the project nothing


class Job(Base):
    """What a project wants run. Its attempts say what happened."""

    __tablename__ = "job"
    __table_args__ = (
        CheckConstraint("gpus > 0 AND wall_seconds > 0 AND memory_bytes > 0", name="sizes"),
        CheckConstraint("(source = 'repository') = (commit_sha IS NOT NULL AND repository IS NOT NULL)", name="repository"),
        CheckConstraint("(source = 'image') = (image IS NOT NULL)", name="image"),
        CheckConstraint("commit_sha ~ '^[0-9a-f]{40}$'", name="exact_commit"),
        # Figures of different accelerators can't be compared.
        CheckConstraint("kind <> 'benchmark' OR alternative_ids = '{}'", name="benchmark_on_one_flavor"),
        CheckConstraint("flavor_id <> ALL (alternative_ids)", name="alternatives"),
        # No queued job without a current reason.
        CheckConstraint(
            "status <> 'queued' "
            "OR (waiting_code IS NOT NULL AND coalesce(waiting_reason, '') <> '' AND waiting_since IS NOT NULL)",
            name="reason_while_queued",
        ),
        CheckConstraint(
            "num_nulls(expected_as_of, expected_soonest_at, expected_likely_at, expected_late_at) = 0 "
            "AND expected_soonest_at <= expected_likely_at AND expected_likely_at <= expected_late_at "
            "OR num_nonnulls(expected_as_of, expected_soonest_at, expected_likely_at, expected_late_at, expected_latest_at) = 0",
            name="expected_start",
        ),
        Index("ix_job_project_submitted", "project_id", "submitted_at"),
        Index("ix_job_open", "status", postgresql_where="status IN ('queued', 'held', 'starting', 'running')"),
        Index("ix_job_submitted", "submitted_at"),
    )

    id: Mapped[Id]
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("compute_grant.id"), index=True)
    submitted_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    name: Mapped[ShortText]
    kind: Mapped[JobKind]
    source: Mapped[SourceKind]
    command: Mapped[str]
    """Shell text."""
    image: Mapped[str | None]
    repository: Mapped[str | None]
    commit_sha: Mapped[str | None]
    ref: Mapped[str | None]
    """The branch or tag the submitter names (`refs/heads/main`); offers and pools may ask for trusted ones."""
    origin: Mapped[Origin] = mapped_column(default=Origin.ELSEWHERE, server_default=Origin.ELSEWHERE)
    environment: Mapped[JsonObject] = mapped_column(default=dict)
    artefact_globs: Mapped[list[str]] = mapped_column(ARRAY(Text()), default=list)
    flavor_id: Mapped[UUID] = mapped_column(ForeignKey("flavor.id"))
    """The flavor it prefers; an attempt's own is that of its pool."""
    alternative_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), default=list, server_default="{}")
    """Other flavors it accepts, the one it likes best first. Flavors are never deleted."""
    gpus: Mapped[int]
    """Schedulable devices: GPUs, or slices where the flavor is cut. All of one flavor on one host, or it does not start."""
    exclusive: Mapped[bool] = mapped_column(default=False, server_default="false")
    """Nothing else of its pool may be on its host: it takes, and pays for, all devices of it, and sees those it asked for."""
    wall_seconds: Mapped[int]
    memory_bytes: Mapped[int]
    priority_id: Mapped[UUID | None] = mapped_column(ForeignKey("priority_class.id"))
    """Its priority class; none: ordinary."""
    priority_reason: Mapped[str | None]
    """Why this job has it, in words for those whom it passes."""
    priority_ticks: Mapped[int | None]
    """Reference ticks that count towards its project's month while it has not ended; none if an officer gave the class."""
    status: Mapped[JobStatus] = mapped_column(default=JobStatus.SUBMITTED)
    status_at: Mapped[Utc]
    waiting_code: Mapped[str | None]
    waiting_reason: Mapped[str | None]
    """One sentence: what it waits for now."""
    waiting_since: Mapped[datetime | None]
    """Since when this kind of reason has held; new numbers in the sentence don't reset it."""
    waiting_remedy: Mapped[str | None]
    """What would have to happen for this reason to hold no more, as a clause."""
    expected_as_of: Mapped[datetime | None]
    """When its expected start was computed; none while nobody can know, or nobody has looked yet."""
    expected_soonest_at: Mapped[datetime | None]
    expected_likely_at: Mapped[datetime | None]
    expected_late_at: Mapped[datetime | None]
    """The range and the middle of the futures that were planned from learnt run times."""
    expected_latest_at: Mapped[datetime | None]
    """If all run for as long as declared; none if those ahead may use up what it needs."""
    expected_ranges: Mapped[int | None]
    expected_held: Mapped[int | None]
    """Of so many of the last ranges of this sort, so many held."""
    submitted_at: Mapped[Utc]
    finished_at: Mapped[datetime | None]
    retries_left: Mapped[int] = mapped_column(Integer(), default=1)
    """How often a failure of the infrastructure may still be tried again."""
    is_demo: Mapped[bool] = mapped_column(default=False)

    project: Mapped[Project] = relationship(lazy="joined")
    grant: Mapped[ComputeGrant] = relationship(lazy="joined")
    flavor: Mapped[Flavor] = relationship(lazy="joined")
    priority: Mapped[PriorityClass | None] = relationship(lazy="joined")
    submitted_by: Mapped[Person | None] = relationship()
    attempts: Mapped[list["JobAttempt"]] = relationship(back_populates="job", order_by="JobAttempt.number")

    @property
    def finished(self) -> bool:
        return self.finished_at is not None

    @property
    def accepts(self) -> list[Flavor]:
        """The flavors it may start on, the one it likes best first."""
        if not self.alternative_ids:
            return [self.flavor]
        session = object_session(self)
        assert session is not None
        return [self.flavor, *(session.get_one(Flavor, flavor_id) for flavor_id in self.alternative_ids)]

    @classmethod
    def may_start_on(cls, flavor: Flavor) -> ColumnElement[bool]:
        """In a query: whether a job accepts this flavor."""
        return or_(cls.flavor_id == flavor.id, cls.alternative_ids.contains([flavor.id]))

    def advance(self, to: JobStatus, at: datetime) -> None:
        if to not in JOB_NEXT[self.status]:
            raise IllegalTransition("This job", self.status, to)
        self.status, self.status_at = to, at

    def wait_no_more(self) -> None:
        """It left the line: reason and expected start go with it."""
        self.waiting_code = self.waiting_reason = self.waiting_since = self.waiting_remedy = None
        self.expected_as_of = self.expected_soonest_at = self.expected_likely_at = None
        self.expected_late_at = self.expected_latest_at = self.expected_ranges = self.expected_held = None


class JobWait(Base):
    """How long a job waited for one reason, over all the times it did: at most a row for each reason.

    The database writes it whenever a job's reason changes or its wait ends, whoever changes the job: a trigger on `job`. As it
    copies the job's own id, no foreign key looks it up again: this is on the way of every start.
    """

    __tablename__ = "job_wait"
    __table_args__ = (CheckConstraint("waited_ms >= 0", name="waited"),)

    job_id: Mapped[UUID] = mapped_column(primary_key=True)
    reason: Mapped[ShortText] = mapped_column(primary_key=True)
    """compute.scheduling.Reason, or what a job waits for before the scheduler saw it."""
    waited_ms: Mapped[int]


class AttemptStatus(enum.StrEnum):
    """The life of an attempt. Its endings are those of the job."""

    HELD = "held"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    EVICTED = "evicted"
    LOST = "lost"


class JobAttempt(Base):
    """One try at running a job: one hold, at most one process group, one settlement.

    The ending and the settlement are written in one transaction, so `settled_at` is set exactly when it has ended.
    """

    __tablename__ = "job_attempt"
    __table_args__ = (
        Index("uq_job_attempt_number", "job_id", "number", unique=True),
        # However many schedulers run at once: one open attempt per job.
        Index("uq_job_attempt_open", "job_id", unique=True, postgresql_where="settled_at IS NULL"),
        Index("ix_job_attempt_pool_open", "pool_id", postgresql_where="settled_at IS NULL"),
        CheckConstraint("(status IN ('held', 'starting', 'running')) = (settled_at IS NULL)", name="settled_when_ended"),
        CheckConstraint("held_ticks > 0 AND held_reference_ticks > 0", name="held"),
        CheckConstraint("ended_at >= started_at", name="times"),
    )

    id: Mapped[Id]
    job_id: Mapped[UUID] = mapped_column(ForeignKey("job.id"))
    number: Mapped[int] = mapped_column(Integer())
    pool_id: Mapped[UUID] = mapped_column(ForeignKey("pool.id"))
    host: Mapped[ShortText | None]
    """The host of the pool that it was placed on; none where the pool is one host without a name."""
    gpus: Mapped[int]
    """Devices that it takes: those its job asked for, or all of its host."""
    wall_seconds: Mapped[int]
    reservation_id: Mapped[UUID | None] = mapped_column(ForeignKey("pool_window.id"))
    """The reservation whose GPUs it has, if it runs in one."""
    rate_numerator: Mapped[int]
    rate_denominator: Mapped[int]
    """The exchange rate of the moment it was held: later rates don't touch it."""
    held_ticks: Mapped[int]
    held_reference_ticks: Mapped[int]
    grant_hold_id: Mapped[UUID]
    """The ledger's transfer that holds the grant's share."""
    status: Mapped[AttemptStatus] = mapped_column(default=AttemptStatus.HELD)
    held_at: Mapped[Utc]
    ends_before: Mapped[Utc]
    """The earliest end among its grant's and offers' windows: past it the attempt is drained."""
    launched_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    settled_at: Mapped[datetime | None]
    collected_at: Mapped[datetime | None]
    """When its output and artefacts were taken over from the executor into the object store."""
    exit_code: Mapped[int | None]
    cause: Mapped[FailureCause | None]
    reason: Mapped[str | None]
    """Why it ended as it did, in a sentence."""
    output_bytes: Mapped[int] = mapped_column(default=0)
    stop: Mapped[Stop | None]
    """Set once its end was asked for: by a person (its use is charged) or by the platform (credited back)."""
    stop_reason: Mapped[str | None]
    chosen_because: Mapped[str | None]
    """Why it did not start on a flavor that its job likes better, as a clause; none if there is no better."""
    test_summary: Mapped[dict[str, object] | None] = mapped_column(JSONB())
    """Counts and failures read from JUnit XML artefacts."""

    job: Mapped[Job] = relationship(back_populates="attempts", lazy="joined")
    pool: Mapped[Pool] = relationship(lazy="joined")
    draws: Mapped[list["AttemptDraw"]] = relationship(back_populates="attempt", order_by="AttemptDraw.position")
    usage: Mapped["UsageRecord | None"] = relationship(back_populates="attempt")
    artefacts: Mapped[list["Artefact"]] = relationship(back_populates="attempt", order_by="Artefact.name")

    @property
    def flavor(self) -> Flavor:
        """What it runs on: one of those that its job accepts."""
        return self.pool.flavor

    @property
    def rate(self) -> Fraction:
        return Fraction(self.rate_numerator, self.rate_denominator)

    @property
    def hold_key(self) -> str:
        """The idempotency key of its hold; its settlement is tied to it."""
        return f"compute.hold:{self.id}"


class AttemptDraw(Base):
    """What an attempt holds on one offer and what was finally taken from it. Soonest expiry first."""

    __tablename__ = "attempt_draw"
    __table_args__ = (
        Index("uq_attempt_draw_position", "attempt_id", "position", unique=True),
        Index("uq_attempt_draw_offer", "attempt_id", "offer_id", unique=True),
        CheckConstraint("held_ticks > 0", name="held"),
        CheckConstraint("used_ticks >= 0 AND lost_ticks >= 0 AND used_ticks + lost_ticks <= held_ticks", name="within_hold"),
    )

    id: Mapped[Id]
    attempt_id: Mapped[UUID] = mapped_column(ForeignKey("job_attempt.id"))
    offer_id: Mapped[UUID] = mapped_column(ForeignKey("compute_offer.id"), index=True)
    position: Mapped[int] = mapped_column(Integer())
    held_ticks: Mapped[int]
    hold_id: Mapped[UUID]
    """The ledger's transfer that holds this share."""
    used_ticks: Mapped[int] = mapped_column(default=0)
    lost_ticks: Mapped[int] = mapped_column(default=0)
    """Burnt by a failure of the infrastructure: the offer bears it, the project does not."""

    attempt: Mapped[JobAttempt] = relationship(back_populates="draws")
    offer: Mapped[ComputeOffer] = relationship(lazy="joined")


class UsageRecord(Base):
    """What an attempt burnt and what it was charged: one per attempt, however often it is reported. Append-only."""

    __tablename__ = "usage_record"
    __table_args__ = (
        CheckConstraint("seconds >= 0 AND ticks >= 0 AND reference_ticks >= 0", name="sizes"),
        Index("ix_usage_record_project_at", "project_id", "at"),
        Index("ix_usage_record_at", "at"),
    )

    id: Mapped[Id]
    attempt_id: Mapped[UUID] = mapped_column(ForeignKey("job_attempt.id"), unique=True)
    project_id: Mapped[UUID] = mapped_column(ForeignKey("project.id"))
    grant_id: Mapped[UUID] = mapped_column(ForeignKey("compute_grant.id"))
    seconds: Mapped[int]
    """Whole seconds the devices were taken, rounded up, at most the wall time."""
    ticks: Mapped[int]
    """Devices × seconds in flavor ticks."""
    reference_ticks: Mapped[int]
    """What the grant paid: nothing after a failure of the infrastructure."""
    cause: Mapped[FailureCause | None]
    at: Mapped[Utc]

    attempt: Mapped[JobAttempt] = relationship(back_populates="usage")


class Artefact(Base):
    """A file a job left behind, kept in the object store."""

    __tablename__ = "job_artefact"
    __table_args__ = (Index("uq_job_artefact_name", "attempt_id", "name", unique=True),)

    id: Mapped[Id]
    attempt_id: Mapped[UUID] = mapped_column(ForeignKey("job_attempt.id"))
    name: Mapped[str]
    """Its path inside the job's folder."""
    size_bytes: Mapped[int]
    sha256: Mapped[str]
    object_key: Mapped[str]

    attempt: Mapped[JobAttempt] = relationship(back_populates="artefacts")
