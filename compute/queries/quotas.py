"""Quota groups, what projects own there, and who was asked to give back what."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, selectinload

from compute.models import Job, JobAttempt, JobStatus, Pool, QuotaGroup, QuotaShare, ReclaimNotice
from core.identity.models import Project

STANDING = ReclaimNotice.spared_at.is_(None)
"""Notices that were not taken back."""

LIVING = QuotaGroup.ended_at.is_(None)
"""Groups that were not ended."""


def of_pool(session: Session, pool: Pool, *, lock: bool = False) -> QuotaGroup | None:
    """The group of a pool, if it has one."""
    wanted = select(QuotaGroup).where(QuotaGroup.pool_id == pool.id, LIVING)
    if lock:
        wanted = wanted.with_for_update(of=QuotaGroup).execution_options(populate_existing=True)
    return session.scalars(wanted).first()


def shares(session: Session, group: QuotaGroup) -> Sequence[QuotaShare]:
    """What its members own, by their names."""
    return session.scalars(
        select(QuotaShare).join(QuotaShare.project).where(QuotaShare.group_id == group.id).order_by(Project.name, Project.id)
    ).all()


def groups(session: Session) -> Sequence[QuotaGroup]:
    """All groups that hold, with their shares, by name."""
    wanted = select(QuotaGroup).options(selectinload(QuotaGroup.shares)).where(LIVING)
    return session.scalars(wanted.order_by(QuotaGroup.name)).all()


def ended(session: Session) -> Sequence[QuotaGroup]:
    """Those that were ended, with what projects owned at the end, the latest first."""
    wanted = select(QuotaGroup).options(selectinload(QuotaGroup.shares)).where(~LIVING)
    return session.scalars(wanted.order_by(QuotaGroup.ended_at.desc(), QuotaGroup.id)).all()


def uses(session: Session) -> dict[tuple[UUID, UUID], int]:
    """The devices that each project has in each pool now."""
    rows = session.execute(
        select(JobAttempt.pool_id, Job.project_id, func.sum(JobAttempt.gpus))
        .join(Job, Job.id == JobAttempt.job_id)
        .where(JobAttempt.settled_at.is_(None))
        .group_by(JobAttempt.pool_id, Job.project_id)
    )
    return {(pool_id, project_id): int(gpus) for pool_id, project_id, gpus in rows}


def notices(session: Session) -> Sequence[ReclaimNotice]:
    """Those that matter to the scheduler: their attempt still runs, or the job that they are for still waits."""
    return session.scalars(
        select(ReclaimNotice)
        .join(JobAttempt, JobAttempt.id == ReclaimNotice.attempt_id)
        .join(Job, Job.id == ReclaimNotice.for_job_id)
        .where(STANDING, or_(JobAttempt.settled_at.is_(None), Job.status == JobStatus.QUEUED))
        .order_by(ReclaimNotice.asked_at, ReclaimNotice.id)
    ).all()


def asked_in(session: Session, pool: Pool) -> Sequence[ReclaimNotice]:
    """What jobs that run in a pool were asked and were not told to stop for, in the order in which everybody locks many jobs."""
    return session.scalars(
        select(ReclaimNotice)
        .join(JobAttempt, JobAttempt.id == ReclaimNotice.attempt_id)
        .where(STANDING, ReclaimNotice.stopped_at.is_(None), JobAttempt.settled_at.is_(None), JobAttempt.pool_id == pool.id)
        .order_by(JobAttempt.job_id)
    ).all()


def notice_of(session: Session, attempt: JobAttempt) -> ReclaimNotice | None:
    """What an attempt was asked, if that was not taken back."""
    return session.scalars(select(ReclaimNotice).where(ReclaimNotice.attempt_id == attempt.id, STANDING)).first()


def due(session: Session, now: datetime) -> Sequence[ReclaimNotice]:
    """Those whose grace is over and whose attempt was not told to stop yet, in the order in which everybody locks many jobs."""
    return session.scalars(
        select(ReclaimNotice)
        .join(JobAttempt, JobAttempt.id == ReclaimNotice.attempt_id)
        .where(STANDING, ReclaimNotice.stopped_at.is_(None), ReclaimNotice.leaves_at <= now, JobAttempt.settled_at.is_(None))
        .order_by(JobAttempt.job_id)
    ).all()
