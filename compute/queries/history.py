"""Our own past as a trace: every attempt that took devices, as a simulator reads it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from compute.models import Flavor, Job, JobAttempt, Pool, UsageRecord
from core.identity.models import Project


@dataclass(frozen=True, slots=True)
class Ran:
    """One attempt. Times are whole seconds of Unix time; a device is a GPU, or a slice where the flavor is cut."""

    id: str  # the job's; from the second attempt on with the attempt's number behind a dot
    project: str  # slug
    submitter_id: UUID | None  # none: the platform itself, as for the demo
    flavor: str
    submitted_at: int  # when the job came into the line; for a later attempt, when the one before ended
    started_at: int  # when it got its devices
    gpus: int
    run_seconds: int
    wall_seconds: int  # declared

    @property
    def waited_seconds(self) -> int:
        return self.started_at - self.submitted_at


def ran(session: Session, *, since: datetime, until: datetime, flavor: str | None = None, newest: int | None = None) -> list[Ran]:
    """Attempts of jobs submitted in [since, until) that ended and used their devices, by when they came into the line.

    A job that the infrastructure failed and that went again took devices twice, so it is there twice. Jobs that never got
    any, and those that still wait or run, are not there. With `newest`, only so many of the latest.
    """
    came = func.coalesce(
        func.lag(JobAttempt.settled_at).over(partition_by=JobAttempt.job_id, order_by=JobAttempt.number), Job.submitted_at
    )
    attempts = (
        select(
            JobAttempt.id,
            JobAttempt.job_id,
            JobAttempt.number,
            Project.slug,
            Job.submitted_by_id,
            Flavor.slug.label("flavor"),
            came.label("came_at"),
            JobAttempt.held_at,
            JobAttempt.gpus,
            JobAttempt.wall_seconds,
        )
        .join(Job, Job.id == JobAttempt.job_id)
        .join(Project, Project.id == Job.project_id)
        .join(Pool, Pool.id == JobAttempt.pool_id)
        .join(Flavor, Flavor.id == Pool.flavor_id)
        .where(Job.submitted_at >= since, Job.submitted_at < until)
        .subquery()
    )
    query = (
        select(attempts, UsageRecord.seconds)
        .join(UsageRecord, UsageRecord.attempt_id == attempts.c.id)
        .where(UsageRecord.seconds > 0)
        .order_by(attempts.c.came_at.desc(), attempts.c.id.desc())
        .limit(newest)
    )
    if flavor is not None:
        query = query.where(attempts.c.flavor == flavor)
    return [
        Ran(
            id=f"{row.job_id}.{row.number}" if row.number > 1 else str(row.job_id),
            project=row.slug,
            submitter_id=row.submitted_by_id,
            flavor=row.flavor,
            submitted_at=int(row.came_at.timestamp()),
            started_at=int(row.held_at.timestamp()),
            gpus=row.gpus,
            run_seconds=row.seconds,
            wall_seconds=row.wall_seconds,
        )
        for row in reversed(session.execute(query).all())
    ]


def any_ran(session: Session, *, since: datetime, until: datetime, flavor: str) -> bool:
    """Whether `ran` has anything to tell."""
    return bool(ran(session, since=since, until=until, flavor=flavor, newest=1))


def numbered(rows: Sequence[Ran]) -> dict[UUID, str]:
    """A number for each submitter, in the order in which they come: who is who stays here."""
    seen = dict.fromkeys(row.submitter_id for row in rows if row.submitter_id is not None)
    return {person_id: f"u{number}" for number, person_id in enumerate(seen, 1)}
