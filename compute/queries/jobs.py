"""Jobs: one, a project's, the queue."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, cast, select
from sqlalchemy.orm import Session, selectinload

from compute.models import AttemptDraw, ComputeGrant, GrantStatus, Job, JobAttempt, JobStatus
from core.errors import NotFound


def get(session: Session, job_id: UUID) -> Job:
    """A job with its attempts, draws, usage and artefacts.

    Raises:
        NotFound: there is none of this id.
    """
    job = session.scalars(
        select(Job)
        .where(Job.id == job_id)
        .options(
            selectinload(Job.attempts).selectinload(JobAttempt.draws).joinedload(AttemptDraw.offer),
            selectinload(Job.attempts).joinedload(JobAttempt.usage),
            selectinload(Job.attempts).selectinload(JobAttempt.artefacts),
        )
    ).first()
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    return job


def locked(session: Session, job_id: UUID) -> Job:
    """A job as it is now, locked until the end of the transaction.

    Raises:
        NotFound: there is none of this id.
    """
    job = session.scalars(
        select(Job).where(Job.id == job_id).with_for_update(of=Job).execution_options(populate_existing=True)
    ).first()
    if job is None:
        raise NotFound(f"There is no job {job_id}.")
    return job


def these(session: Session, job_ids: Sequence[UUID]) -> Sequence[Job]:
    """Jobs by their ids, as they are now."""
    # An array: the line may be longer than a statement may have parameters.
    found = select(Job).where(Job.id == any_(cast(list(job_ids), ARRAY(Uuid())))).order_by(Job.id)
    return session.scalars(found, execution_options={"populate_existing": True}).all() if job_ids else []


def waiting_reasons(session: Session, job_ids: Sequence[UUID]) -> dict[UUID, tuple[str | None, str | None, str | None]]:
    """What those of these jobs that wait are known to wait for: code, sentence and remedy, by job."""
    if not job_ids:
        return {}
    rows = session.execute(
        select(Job.id, Job.waiting_code, Job.waiting_reason, Job.waiting_remedy).where(
            Job.status == JobStatus.QUEUED, Job.id == any_(cast(list(job_ids), ARRAY(Uuid())))
        )
    )
    return {row.id: (row.waiting_code, row.waiting_reason, row.waiting_remedy) for row in rows}


def newest(
    session: Session, *, project_ids: Sequence[UUID] | None = None, before: UUID | None = None, limit: int = 50
) -> Sequence[Job]:
    """Jobs by their time-sorted ids, newest first; `before` is the last id of the page before."""
    query = select(Job).order_by(Job.id.desc()).limit(limit)
    if project_ids is not None:
        query = query.where(Job.project_id.in_(project_ids))
    if before is not None:
        query = query.where(Job.id < before)
    return session.scalars(query).all()


def drawable_grants(session: Session, project_id: UUID, *, until: datetime) -> Sequence[ComputeGrant]:
    """A project's grants that are open now and stay open until a moment, soonest end first."""
    return session.scalars(
        select(ComputeGrant)
        .where(
            ComputeGrant.project_id == project_id,
            ComputeGrant.status.in_([GrantStatus.ACTIVE, GrantStatus.LOW]),
            ComputeGrant.expires_at >= until,
        )
        .order_by(ComputeGrant.expires_at, ComputeGrant.id)
    ).all()
