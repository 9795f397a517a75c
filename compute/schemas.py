"""Jobs as JSON: what /api/v1 takes and gives, and what the command line prints."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy.orm import Session

from compute.activity_schemas import ActivityOut
from compute.models import AttemptStatus, FailureCause, Job, JobAttempt, JobKind, JobStatus, Origin, SourceKind
from compute.queries import activity, expected
from compute.scheduling import Expected
from compute.services.new_jobs import MEMORY_BYTES_DEFAULT, NewJob
from compute.services.reclaim import asked_to_leave
from compute.services.results import JobLog
from core.units import TICKS_PER_GPU_HOUR

WALL_SECONDS_MAX = 31 * 24 * 3600
GPUS_MAX = 4096
FLAVORS_MAX = 8
MIB = 2**20

Plain = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\x00]*$")]


class JobIn(BaseModel):
    """A job to submit."""

    model_config = ConfigDict(extra="forbid")

    project: Plain = Field(description="The project's slug.", examples=["vllm"])
    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00]*$")] = ""
    kind: JobKind = JobKind.CI
    command: Annotated[str, StringConstraints(min_length=1, max_length=8000, pattern=r"^[^\x00]*$")] = Field(
        description="Shell text, run in the checkout or in an empty folder.", examples=["make test"]
    )
    repository: Plain | None = Field(default=None, description="https address of a Git repository.")
    commit: Plain | None = Field(default=None, description="The exact commit, 40 hexadecimal digits.")
    ref: Plain | None = Field(default=None, description="The branch or tag it is on, such as refs/heads/main.")
    image: Plain | None = Field(default=None, description="A container image, for pools that run images.")
    flavor: Plain = Field(description="Kind of accelerator, the preferred one if it accepts others.", examples=["h100"])
    alternatives: list[Plain] = Field(
        default_factory=list,
        max_length=FLAVORS_MAX - 1,
        description="Other kinds it may start on, the best liked first; not for benchmarks. Charged is the one it starts on.",
    )
    gpus: int = Field(default=1, ge=1, le=GPUS_MAX, description="GPUs, or slices where the flavor is cut; all on one host.")
    exclusive: bool = Field(default=False, description="Alone on its host: it takes, and pays for, all GPUs of it.")
    wall_seconds: int = Field(ge=1, le=WALL_SECONDS_MAX, description="How long it may run at most; this much is held.")
    memory_mib: int = Field(default=MEMORY_BYTES_DEFAULT // MIB, ge=16, le=4_194_304)
    environment: dict[str, str] = Field(default_factory=dict, max_length=32, description="Public variables; no secrets.")
    artefacts: list[str] = Field(default_factory=list, max_length=16, description="Files to keep, such as reports/*.xml.")
    priority: Plain = Field(default="", description="A priority class; none: ordinary.", examples=["urgent"])
    priority_reason: Plain = Field(default="", description="Why, for everybody whom it passes.")
    grant: UUID | None = Field(default=None, description="The compute grant that pays; none: the one that ends first.")

    @property
    def source(self) -> SourceKind:
        """A repository or an image makes the source; else it is the command alone."""
        if self.repository or self.commit:
            return SourceKind.REPOSITORY
        return SourceKind.IMAGE if self.image else SourceKind.COMMAND

    def to_new_job(self, *, job_id: UUID | None = None) -> NewJob:
        """As the service takes it."""
        return NewJob(
            name=self.name,
            kind=self.kind,
            source=self.source,
            command=self.command,
            flavor=self.flavor,
            alternatives=tuple(self.alternatives),
            gpus=self.gpus,
            exclusive=self.exclusive,
            wall_seconds=self.wall_seconds,
            repository=self.repository or None,
            commit=self.commit or None,
            ref=self.ref or None,
            image=self.image or None,
            environment=self.environment,
            artefacts=tuple(self.artefacts),
            memory_bytes=self.memory_mib * MIB,
            priority=self.priority,
            priority_reason=self.priority_reason,
            grant_id=self.grant,
            job_id=job_id,
        )


class CancelIn(BaseModel):
    """Why a job is cancelled."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, StringConstraints(strip_whitespace=True, max_length=500, pattern=r"^[^\x00]*$")] = ""


class ExpectedOut(BaseModel):
    """When a waiting job is expected to start."""

    as_of: datetime = Field(description="What it was computed from.")
    soonest_at: datetime = Field(description="One start in ten is to come before this.")
    likely_at: datetime = Field(description="Every other start is to come before this.")
    late_at: datetime = Field(description="One start in ten is to come after this.")
    ranges: int = Field(description="Of so many of the last ranges of this sort of wait, 200 at most, ...")
    held: int = Field(description="... so many held: the job started within.")
    latest_at: datetime | None = Field(
        description="If all run as long as declared and the line stays as it is; none if others may use up what it needs."
    )
    in_words: str
    in_short: str = Field(description="The likely start and the range, without what they assume.")

    @classmethod
    def of(cls, found: Expected) -> Self:
        return cls(
            as_of=datetime.fromtimestamp(found.as_of, UTC),
            soonest_at=datetime.fromtimestamp(found.soonest_at, UTC),
            likely_at=datetime.fromtimestamp(found.likely_at, UTC),
            late_at=datetime.fromtimestamp(found.late_at, UTC),
            latest_at=datetime.fromtimestamp(found.latest_at, UTC) if found.latest_at is not None else None,
            ranges=found.ranges,
            held=found.held,
            in_words=found.detail,
            in_short=found.in_short,
        )


class WaitingOut(BaseModel):
    """Why a job waits, and what has to happen."""

    code: str
    reason: str
    since: datetime
    remedy: str | None = Field(description="What would have to happen for this reason to hold no more.")
    expected: ExpectedOut | None = Field(description="None while nobody can know: it waits for somebody to act.")


class DrawOut(BaseModel):
    """A share of an attempt's time on one offer, in GPU-hours of the flavor."""

    offer: UUID
    donor: str
    held_gpu_hours: Decimal
    used_gpu_hours: Decimal
    lost_gpu_hours: Decimal


class AttemptOut(BaseModel):
    """One try at running a job."""

    id: UUID
    number: int
    pool: str
    host: str | None = Field(description="The pool's host that it was placed on; none if the pool is one host without a name.")
    gpus: int = Field(description="Those it takes: what its job asks for, or all of its host.")
    flavor: str = Field(description="What it got: one of those that its job accepts.")
    chosen_because: str | None = Field(description="Why none that the job likes better; none if there is no better.")
    status: AttemptStatus
    cause: FailureCause | None
    reason: str | None
    exit_code: int | None
    held_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    settled_at: datetime | None
    seconds: int | None = Field(description="Whole seconds charged or lost; none before the end.")
    rate: str = Field(description="Reference GPU-hours per GPU-hour, an exact fraction.")
    held_reference_gpu_hours: Decimal
    used_reference_gpu_hours: Decimal | None
    draws: list[DrawOut]
    output_bytes: int
    tests: dict[str, Any] | None
    artefacts: list["ArtefactOut"]

    @classmethod
    def of(cls, attempt: JobAttempt) -> Self:
        usage = attempt.usage
        return cls(
            id=attempt.id,
            number=attempt.number,
            pool=attempt.pool.slug,
            host=attempt.host,
            gpus=attempt.gpus,
            flavor=attempt.flavor.slug,
            chosen_because=attempt.chosen_because,
            status=attempt.status,
            cause=attempt.cause,
            reason=attempt.reason,
            exit_code=attempt.exit_code,
            held_at=attempt.held_at,
            started_at=attempt.started_at,
            ended_at=attempt.ended_at,
            settled_at=attempt.settled_at,
            seconds=usage.seconds if usage else None,
            rate=str(attempt.rate),
            held_reference_gpu_hours=hours(attempt.held_reference_ticks),
            used_reference_gpu_hours=hours(usage.reference_ticks) if usage else None,
            draws=[
                DrawOut(
                    offer=draw.offer_id,
                    donor=draw.offer.donor.slug,
                    held_gpu_hours=hours(draw.held_ticks),
                    used_gpu_hours=hours(draw.used_ticks),
                    lost_gpu_hours=hours(draw.lost_ticks),
                )
                for draw in attempt.draws
            ],
            output_bytes=attempt.output_bytes,
            tests=attempt.test_summary,
            artefacts=[
                ArtefactOut(id=kept.id, name=kept.name, size_bytes=kept.size_bytes, sha256=kept.sha256)
                for kept in attempt.artefacts
            ],
        )


class ArtefactOut(BaseModel):
    """A file a job left."""

    id: UUID
    name: str
    size_bytes: int
    sha256: str


class PriorityOut(BaseModel):
    """A job's priority class."""

    slug: str
    name: str
    rank: int = Field(description="Higher goes first; 0 is ordinary.")
    reason: str | None = Field(description="Why this job has it.")

    @classmethod
    def of(cls, job: Job) -> Self | None:
        row = job.priority
        return None if row is None else cls(slug=row.slug, name=row.name, rank=row.rank, reason=job.priority_reason)


class JobOut(BaseModel):
    """A job in short."""

    id: UUID
    project: str
    grant: UUID
    name: str
    kind: JobKind
    source: SourceKind
    command: str
    repository: str | None
    commit: str | None
    ref: str | None
    origin: Origin = Field(description="Where it comes from, as the platform knows it; some pools take reviewed code only.")
    image: str | None
    flavor: str
    alternatives: list[str]
    gpus: int
    exclusive: bool = Field(description="Nothing else of its pool may be on its host.")
    wall_seconds: int
    memory_mib: int
    priority: PriorityOut | None = Field(description="None: ordinary.")
    environment: dict[str, str]
    artefact_patterns: list[str]
    status: JobStatus
    finished: bool
    waiting: WaitingOut | None
    submitted_at: datetime
    finished_at: datetime | None

    @classmethod
    def fields_of(cls, job: Job) -> dict[str, Any]:
        waiting = None
        if job.waiting_code is not None and job.waiting_reason is not None and job.waiting_since is not None:
            waiting = WaitingOut(
                code=job.waiting_code,
                reason=job.waiting_reason,
                since=job.waiting_since,
                remedy=job.waiting_remedy,
                expected=ExpectedOut.of(found) if (found := expected.of_job(job)) else None,
            )
        return {
            "id": job.id,
            "project": job.project.slug,
            "grant": job.grant_id,
            "name": job.name,
            "kind": job.kind,
            "source": job.source,
            "command": job.command,
            "repository": job.repository,
            "commit": job.commit_sha,
            "ref": job.ref,
            "origin": job.origin,
            "image": job.image,
            "flavor": job.flavor.slug,
            "alternatives": [flavor.slug for flavor in job.accepts[1:]],
            "gpus": job.gpus,
            "exclusive": job.exclusive,
            "wall_seconds": job.wall_seconds,
            "memory_mib": job.memory_bytes // MIB,
            "priority": PriorityOut.of(job),
            "environment": job.environment,
            "artefact_patterns": job.artefact_globs,
            "status": job.status,
            "finished": job.finished,
            "waiting": waiting,
            "submitted_at": job.submitted_at,
            "finished_at": job.finished_at,
        }

    @classmethod
    def of(cls, job: Job) -> Self:
        return cls(**cls.fields_of(job))


class JobDetail(JobOut):
    """A job with its attempts: what happened, who is to blame, what it cost."""

    cause: FailureCause | None
    exit_code: int | None
    used_reference_gpu_hours: Decimal
    activity: ActivityOut | None = Field(description="What it was seen doing; none while it does not run.")
    asked_to_leave: str | None = Field(description="Until when it must be gone, and who owns its GPUs; none if it may stay.")
    attempts: list[AttemptOut]

    @classmethod
    def shown(cls, session: Session, job: Job) -> Self:
        last = job.attempts[-1] if job.attempts else None
        used = sum(attempt.usage.reference_ticks for attempt in job.attempts if attempt.usage)
        return cls(
            **cls.fields_of(job),
            cause=last.cause if last else None,
            exit_code=last.exit_code if last else None,
            used_reference_gpu_hours=hours(used),
            activity=ActivityOut.of(found) if (found := activity.of_attempt(session, last)) else None,
            asked_to_leave=asked_to_leave(session, last),
            attempts=[AttemptOut.of(attempt) for attempt in job.attempts],
        )


class JobPage(BaseModel):
    """Newest jobs first."""

    jobs: list[JobOut]
    next_cursor: str | None


class LogOut(BaseModel):
    """A part of the output of a job's newest attempt, or of the one asked for."""

    attempt: int | None
    text: str
    offset: int
    next_offset: int = Field(description="Ask from here for what comes next.")
    total_bytes: int
    complete: bool = Field(description="Whether nothing follows and nothing will.")

    @classmethod
    def of(cls, log: JobLog) -> Self:
        return cls(
            attempt=log.attempt.number if log.attempt else None,
            text=log.window.text,
            offset=log.window.offset,
            next_offset=log.window.next_offset,
            total_bytes=log.window.total_bytes,
            complete=log.complete,
        )


def hours(ticks: int) -> Decimal:
    """GPU-hours as a decimal of six places, for programs; exact ticks are in the ledger's export."""
    return (Decimal(ticks) / TICKS_PER_GPU_HOUR).quantize(Decimal("0.000001"))
