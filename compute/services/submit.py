"""Taking a job in. Nothing is held yet: that happens when it starts."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path

from sqlalchemy.orm import Session

from compute.models import Job, JobStatus, Origin
from compute.queries import hosts
from compute.queries.named import flavors_named
from compute.services import priorities, run_limits
from compute.services.new_jobs import NewJob, check_shape
from compute.services.quotes import quote, require_budget
from compute.services.takers import pools_for, require_offer, trusting
from compute.services.trust import origin_of
from core import audit
from core.db import new_id
from core.errors import InvalidInput, NotAllowed
from core.identity import access
from core.identity.models import Person, Project, Role

WAITING_FOR_SCHEDULER = "waiting_for_scheduler"


def submit(
    session: Session,
    project: Project,
    new: NewJob,
    *,
    submitter: Person | None,
    now: datetime,
    in_person: bool = False,
    as_maintainer: bool = False,
    local_roots: Sequence[Path] = (),
) -> Job:
    """Queue a job. Nothing is held yet: that happens when it starts.

    `in_person`: the submitter is here, at a page. A program with their token, or our command, may run anybody's pull request.
    `as_maintainer`: it may use the priorities that are for maintainers, if the submitter is one.

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
    check_shape(new, local_roots)
    least = min(hosts.taken_with(session, flavor, new.gpus, exclusive=new.exclusive)[0] for flavor in flavors)
    run_limits.require_within(session, project, submitter, least)
    origin = Origin.PLATFORM if submitter is None else _origin(session, project, submitter if in_person else None, new, now)
    able = {flavor: trusting(pools_for(session, new, flavor), origin, new.ref, flavor) for flavor in flavors}
    for flavor in flavors:
        require_offer(session, new, project, flavor, able[flavor])
    offered = quote(
        session,
        project,
        flavors,
        gpus=new.gpus,
        exclusive=new.exclusive,
        wall_seconds=new.wall_seconds,
        grant_id=new.grant_id,
        able=able,
        now=now,
    )
    require_budget(offered, new)
    ticks = offered.reference_ticks
    priority = priorities.choose(
        session,
        project,
        submitter,
        slug=new.priority,
        reason=new.priority_reason,
        ticks=ticks,
        as_maintainer=as_maintainer,
        now=now,
    )

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
        exclusive=new.exclusive,
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
