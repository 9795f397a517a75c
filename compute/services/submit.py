"""Taking a job in: is it well formed, may it run anywhere, can its grant ever pay for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from compute import policies
from compute.models import (
    ComputeGrant,
    ComputeOffer,
    Flavor,
    Job,
    JobKind,
    JobStatus,
    OfferStatus,
    Origin,
    Pool,
    PoolStatus,
    SourceKind,
)
from compute.policies import OfferPolicy, Request, trust
from compute.queries import budget, jobs
from compute.services import priorities, run_limits
from compute.services.trust import origin_of
from core import audit
from core.db import new_id
from core.errors import DomainError, InvalidInput, NotAllowed, NotFound
from core.identity import access
from core.identity.models import Person, Project, Role
from core.units import format_seconds

WALL_SECONDS_MIN = 1
MEMORY_BYTES_DEFAULT = 4 * 2**30
WAITING_FOR_SCHEDULER = "waiting_for_scheduler"


class NoPoolForJob(DomainError):
    """No pool could ever run this job."""

    code = "no_pool_for_job"


class NoOfferForJob(DomainError):
    """No donor's offer permits this job."""

    code = "no_offer_for_job"


class NoGrant(DomainError):
    """The project has no compute grant that is open for as long as the job may take."""

    code = "no_compute_grant"


class BudgetTooSmall(DomainError):
    """The grant could never pay for the job's declared time, whatever else comes back."""

    code = "budget_too_small"


@dataclass(frozen=True, slots=True)
class NewJob:
    """What a submitter fills in."""

    name: str
    kind: JobKind
    source: SourceKind
    command: str
    flavor: str
    """The one it prefers."""
    gpus: int
    wall_seconds: int
    alternatives: Sequence[str] = ()
    """Other flavors it accepts, the one it likes best first."""
    repository: str | None = None
    commit: str | None = None
    ref: str | None = None
    image: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    artefacts: Sequence[str] = ()
    memory_bytes: int = MEMORY_BYTES_DEFAULT
    priority: str = ""
    """The slug of a priority class; empty: ordinary."""
    priority_reason: str = ""
    grant_id: UUID | None = None
    """None: the grant that ends first among those that can pay."""
    job_id: UUID | None = None
    """The client may make the id; submitting it twice submits once."""
    is_demo: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """What a job may cost at most on one flavor."""

    flavor: Flavor
    flavor_ticks: int
    rate: Fraction
    reference_ticks: int


@dataclass(frozen=True, slots=True)
class Quote:
    """What a job may cost at most, and what that leaves, in reference ticks. It is charged for the flavor it starts on."""

    costs: Sequence[Cost]
    """One for each flavor it accepts, the one it prefers first."""
    grant: ComputeGrant
    budget: budget.Budget

    @property
    def dearest(self) -> Cost:
        return max(self.costs, key=lambda cost: cost.reference_ticks)

    @property
    def reference_ticks(self) -> int:
        return self.dearest.reference_ticks

    @property
    def shortfall(self) -> int:
        """How much the grant lacks even if every job in flight came back; 0 if it can pay."""
        return max(0, self.reference_ticks - self.budget.unsettled)

    @property
    def left_after(self) -> int:
        return self.budget.left - self.reference_ticks


def submit(
    session: Session,
    project: Project,
    new: NewJob,
    *,
    submitter: Person | None,
    now: datetime,
    in_person: bool = False,
    local_roots: Sequence[Path] = (),
) -> Job:
    """Queue a job. Nothing is held yet: that happens when it starts.

    `in_person`: the submitter is here, at a page. A program with their token, or our command, may run anybody's pull request.

    Raises:
        NotAllowed: the person may not submit for this project.
        InvalidInput: malformed, see compute.policies.submission.
        NoPoolForJob, NoOfferForJob, NoGrant: nothing here could run it.
        BudgetTooSmall: the declared time is more than its grant has left; the message names the shortfall.
    """
    if submitter is not None:
        require_submitter(session, submitter, project, on=now.date())
    if new.job_id is not None and (known := session.get(Job, new.job_id)) is not None:
        if known.project_id != project.id:
            raise InvalidInput("This id belongs to another job.", field="id")
        return known
    flavors = flavors_named(session, new.flavor, new.alternatives)
    _check_shape(new, local_roots)
    run_limits.require_within(session, project, submitter, new.gpus)
    origin = Origin.PLATFORM if submitter is None else _origin(session, project, submitter if in_person else None, new, now)
    for flavor in flavors:
        _require_offer(session, new, project, flavor, _trusting(_pools_for(session, new, flavor), origin, new.ref, flavor))
    offered = quote(session, project, flavors, gpus=new.gpus, wall_seconds=new.wall_seconds, grant_id=new.grant_id, now=now)
    _require_budget(offered, new)
    ticks = offered.reference_ticks
    priority = priorities.choose(session, project, submitter, slug=new.priority, reason=new.priority_reason, ticks=ticks, now=now)

    job = Job(
        id=new.job_id or new_id(),
        project_id=project.id,
        project=project,
        grant_id=offered.grant.id,
        grant=offered.grant,
        submitted_by_id=submitter.id if submitter else None,
        name=new.name.strip() or new.command.strip().splitlines()[0][:80],
        kind=new.kind,
        source=new.source,
        command=new.command,
        image=new.image,
        repository=new.repository,
        commit_sha=new.commit,
        ref=new.ref,
        origin=origin,
        environment=dict(new.environment),
        artefact_globs=list(new.artefacts),
        flavor_id=flavors[0].id,
        flavor=flavors[0],
        alternative_ids=[flavor.id for flavor in flavors[1:]],
        gpus=new.gpus,
        wall_seconds=new.wall_seconds,
        memory_bytes=new.memory_bytes,
        priority=priority,
        priority_reason=new.priority_reason.strip() or None if priority is not None else None,
        priority_ticks=ticks if priority is not None else None,
        status_at=now,
        submitted_at=now,
        is_demo=new.is_demo,
    )
    queue(job, WAITING_FOR_SCHEDULER, "waits for the scheduler's next look", now=now)
    session.add(job)
    session.flush()
    audit.record(session, "job.submitted", job, actor=submitter, at=now)
    return job


def may_submit(session: Session, person: Person, project: Project, *, on: date) -> bool:
    """Maintainers of a project and whom they named as submitters run and cancel its jobs."""
    return any(
        access.has_role(session, person, role, project_id=project.id, on=on) for role in (Role.COMPUTE_SUBMITTER, Role.MAINTAINER)
    )


def require_submitter(session: Session, person: Person, project: Project, *, on: date) -> None:
    """Refuse whoever may not run jobs for a project.

    Raises:
        NotAllowed: neither a maintainer of it nor named as a submitter.
    """
    if not may_submit(session, person, project, on=on):
        raise NotAllowed(
            f"{person.name} may not submit jobs for {project.name}. Its maintainers can give the role “compute submitter”."
        )


def queue(job: Job, code: str, reason: str, *, now: datetime) -> None:
    """Put a job in line with the reason it starts with."""
    if job.status is None:
        job.status = JobStatus.SUBMITTED
    job.advance(JobStatus.QUEUED, now)
    job.waiting_code, job.waiting_reason, job.waiting_since = code, reason, now


def quote(
    session: Session,
    project: Project,
    flavors: Sequence[Flavor],
    *,
    gpus: int,
    wall_seconds: int,
    grant_id: UUID | None = None,
    now: datetime,
) -> Quote:
    """What this many devices for this long may cost on each of these flavors, and which grant would pay.

    Without `grant_id`: of the project's grants that stay open long enough, the one that ends first and can pay for whichever
    it starts on; if none can, the one with most left, so that the shortfall named is the smallest.

    Raises:
        NoGrant: the project has none, the one named is not its own, or it ends too soon.
    """
    costs = [_cost(flavor, budget.rate_at(session, flavor, now), gpus, wall_seconds) for flavor in flavors]
    needed = max(cost.reference_ticks for cost in costs)
    grants = jobs.drawable_grants(session, project.id, until=now + timedelta(seconds=wall_seconds) + policies.OVERHEAD)
    if grant_id is not None:
        grants = [grant for grant in grants if grant.id == grant_id]
    if not grants:
        raise NoGrant(
            f"{project.name} has no compute grant that stays open for the next {format_seconds(wall_seconds)}. "
            "Ask for one on the project's page, or declare a shorter wall time.",
            field="grant",
        )
    budgets = budget.of_grants(session, grants)
    payer = next(
        (grant for grant in grants if budgets[grant.id].unsettled >= needed),
        max(grants, key=lambda grant: budgets[grant.id].unsettled),
    )
    return Quote(costs, payer, budgets[payer.id])


def _cost(flavor: Flavor, rate: Fraction, gpus: int, wall_seconds: int) -> Cost:
    ticks = policies.device_ticks(gpus, flavor.slices_per_gpu, wall_seconds)
    return Cost(flavor, ticks, rate, policies.in_reference(ticks, rate))


def flavors_named(session: Session, preferred: str, alternatives: Sequence[str]) -> list[Flavor]:
    """The flavors a job accepts by their slugs, the one it prefers first.

    Raises:
        InvalidInput: there is none of this name, or one is named twice.
    """
    flavors = [flavor_named(session, slug) for slug in (preferred, *alternatives)]
    if len(set(flavors)) < len(flavors):
        raise InvalidInput("Name each kind of accelerator once.", field="alternatives")
    return flavors


def flavor_named(session: Session, slug: str) -> Flavor:
    """A flavor by its slug.

    Raises:
        InvalidInput: there is none; the message lists those there are.
    """
    flavor = session.scalars(select(Flavor).where(Flavor.slug == slug)).first()
    if flavor is None:
        known = ", ".join(session.scalars(select(Flavor.slug).order_by(Flavor.slug)))
        raise InvalidInput(f"There is no flavor “{slug[:40]}” here. There is: {known or 'none yet'}.", field="flavor")
    return flavor


def project_named(session: Session, slug: str) -> Project:
    """A project by its slug.

    Raises:
        NotFound: there is none.
    """
    project = session.scalars(select(Project).where(Project.slug == slug)).first()
    if project is None:
        raise NotFound(f"There is no project “{slug}”.")
    return project


def _check_shape(new: NewJob, local_roots: Sequence[Path]) -> None:
    policies.check_source(
        new.source,
        command=new.command,
        repository=new.repository,
        commit=new.commit,
        image=new.image,
        ref=new.ref,
        local_roots=local_roots,
    )
    if new.kind is JobKind.BENCHMARK and new.alternatives:
        raise InvalidInput(
            "A benchmark stays on one kind of accelerator, or its figures could not be compared: leave out the other kinds.",
            field="alternatives",
        )
    policies.check_environment(new.environment)
    policies.check_artefact_globs(new.artefacts)
    if new.gpus < 1:
        raise InvalidInput("Ask for at least one GPU or slice.", field="gpus")
    if new.wall_seconds < WALL_SECONDS_MIN:
        raise InvalidInput("Declare how long the job may run, at least one second.", field="wall_time")
    if new.memory_bytes < 1:
        raise InvalidInput("Declare how much memory the job may use.", field="memory")
    if len(new.name) > 200:
        raise InvalidInput("Keep the name under 200 characters.", field="name")


def _pools_for(session: Session, new: NewJob, flavor: Flavor) -> list[Pool]:
    """The pools that could run the job once they are free."""
    pools = session.scalars(select(Pool).where(Pool.flavor_id == flavor.id, Pool.status != PoolStatus.CLOSED)).all()
    if not pools:
        raise NoPoolForJob(f"No pool has {flavor.name}.", field="flavor")
    running = [pool for pool in pools if str(new.source) in pool.runs]
    if not running:
        raise NoPoolForJob(f"No pool with {flavor.name} runs jobs from a source of kind “{new.source}”.", field="source")
    if new.gpus > (most := max(pool.devices for pool in running)):
        raise NoPoolForJob(f"The largest pool with {flavor.name} has {most}; this job asks for {new.gpus} at once.", field="gpus")
    wide = [pool for pool in running if pool.devices >= new.gpus]
    if new.wall_seconds > (longest := max(pool.wall_seconds_max for pool in wide)):
        raise NoPoolForJob(
            f"A job may run for {format_seconds(longest)} at most there; this one asks for {format_seconds(new.wall_seconds)}.",
            field="wall_time",
        )
    long = [pool for pool in wide if pool.wall_seconds_max >= new.wall_seconds]
    if new.memory_bytes > (largest := max(pool.memory_bytes_max for pool in long)):
        raise NoPoolForJob(f"A job may use {largest // 2**20:,} MiB of memory at most there.", field="memory")
    return [pool for pool in long if pool.memory_bytes_max >= new.memory_bytes]


def _origin(session: Session, project: Project, present: Person | None, new: NewJob, now: datetime) -> Origin:
    return origin_of(
        session,
        project,
        present,
        repository=new.repository,
        command=new.command,
        environment=new.environment,
        on=now.date(),
    )


def _trusting(pools: Sequence[Pool], origin: Origin, ref: str | None, flavor: Flavor) -> list[Pool]:
    """Those of the pools that take the job by where it comes from."""
    found = [pool for pool in pools if trust.admits(pool.trust, pool.reviewed_refs, origin, ref)]
    if not found:
        refs = sorted({ref for pool in pools for ref in pool.reviewed_refs})
        branches = (
            ", or run a program of the project's own repository (./ci/test.sh, without variables) "
            f"at a commit on {' or '.join(refs)}"
            if refs
            else ""
        )
        raise NoPoolForJob(
            f"Every pool with {flavor.name} takes reviewed code only. "
            f"Let a maintainer of the project submit it, signed in{branches}.",
            field="ref",
        )
    return found


def _require_offer(session: Session, new: NewJob, project: Project, flavor: Flavor, pools: Sequence[Pool]) -> None:
    """At least one offer that is or will be open must permit the job; how much it has left may still change."""
    offers = session.scalars(
        select(ComputeOffer).where(
            ComputeOffer.pool_id.in_([pool.id for pool in pools]),
            ComputeOffer.status.in_([OfferStatus.ACCEPTED, OfferStatus.ACTIVE]),
        )
    ).all()
    if not offers:
        raise NoOfferForJob(f"No donor offers {flavor.name} at the moment.", field="flavor")
    asked = Request(project_id=project.id, host_id=project.parent_id, kind=new.kind, ref=new.ref)
    if not any(OfferPolicy.from_json(offer.policy).permits(asked) for offer in offers):
        ref = f" from {new.ref}" if new.ref else " without a ref"
        raise NoOfferForJob(
            f"No offer of {flavor.name} is for {new.kind} jobs of {project.name}{ref}. "
            "The compute page lists what each donor's offer is for.",
            field="flavor",
        )


def _require_budget(offered: Quote, new: NewJob) -> None:
    if offered.shortfall:
        have = offered.budget
        raise BudgetTooSmall(
            f"This job may use {policies.say_gpu_time(offered.reference_ticks)} ({new.gpus} × {offered.dearest.flavor.slug} for "
            f"{format_seconds(new.wall_seconds)}, in reference GPU time). “{offered.grant.title}” has "
            f"{policies.say_gpu_time(have.unsettled)} of {policies.say_gpu_time(have.granted)} left: "
            f"{policies.say_gpu_time(offered.shortfall)} too few.",
            field="wall_time",
            needed_ticks=offered.reference_ticks,
            left_ticks=have.unsettled,
            shortfall_ticks=offered.shortfall,
        )
