"""Attempts that hold devices, and those of one job.

Whoever locks many in one transaction does so in the order of their jobs' ids, each after its job or without it. In any other
order two could wait for each other, and the database would end one of them.
"""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, cast, exists, func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session, selectinload

from compute import policies
from compute.models import AttemptDraw, AttemptStatus, ComputeOffer, Job, JobAttempt, Pool, PoolHost
from core.errors import NotFound

OPEN = JobAttempt.settled_at.is_(None)

IN_SERVICE = ~exists(PoolHost.id).where(
    PoolHost.pool_id == JobAttempt.pool_id, PoolHost.name == JobAttempt.host, PoolHost.in_service.is_(False)
)
"""Not on a host that takes nothing new: such a host's devices are none of its pool's."""


def locked(session: Session, attempt_id: UUID, *, with_pool: bool = False) -> JobAttempt:
    """An attempt and its job, locked until the end of the transaction: the job first, as every writer does.

    `with_pool`: before both its pool, shared. Whoever starts jobs there, plans a window or closes it has it alone.

    Raises:
        NotFound: there is no such attempt.
    """
    known = session.execute(select(JobAttempt.job_id, JobAttempt.pool_id).where(JobAttempt.id == attempt_id)).first()
    if known is None:
        raise NotFound(f"There is no attempt {attempt_id}.")
    if with_pool:
        session.execute(select(Pool.id).where(Pool.id == known.pool_id).with_for_update(read=True, of=Pool))
    session.execute(select(Job).where(Job.id == known.job_id).with_for_update(of=Job).execution_options(populate_existing=True))
    return session.scalars(
        select(JobAttempt)
        .where(JobAttempt.id == attempt_id)
        .options(selectinload(JobAttempt.draws))
        .with_for_update(of=JobAttempt)
        .execution_options(populate_existing=True)
    ).one()


def open_of_job(session: Session, job: Job) -> JobAttempt | None:
    """The attempt that runs or is about to, if any."""
    return session.scalars(select(JobAttempt).where(JobAttempt.job_id == job.id, OPEN)).first()


def open_on_offer(session: Session, offer: ComputeOffer) -> Sequence[JobAttempt]:
    """Attempts that hold time on an offer, locked until the end of the transaction, in the order of their jobs."""
    return session.scalars(
        select(JobAttempt)
        .join(AttemptDraw)
        .where(AttemptDraw.offer_id == offer.id, OPEN)
        .order_by(JobAttempt.job_id)
        .with_for_update(of=JobAttempt)
        .execution_options(populate_existing=True)
    ).all()


def lock_open_in_pool(session: Session, pool: Pool) -> None:
    """Lock those that have devices of a pool until the end of the transaction, in the order of their jobs."""
    mine = select(JobAttempt.id).where(JobAttempt.pool_id == pool.id, OPEN)
    session.execute(mine.order_by(JobAttempt.job_id).with_for_update(of=JobAttempt)).all()


def tries(session: Session, job_ids: Sequence[UUID]) -> dict[UUID, int]:
    """How often each of these jobs was tried, if ever."""
    if not job_ids:
        return {}
    rows = session.execute(
        select(JobAttempt.job_id, func.max(JobAttempt.number))
        .where(JobAttempt.job_id == any_(cast(list(job_ids), ARRAY(Uuid()))))
        .group_by(JobAttempt.job_id)
    )
    return {row[0]: row[1] for row in rows}


def settled(session: Session, job_ids: Collection[UUID]) -> Sequence[JobAttempt]:
    """The newest settled attempt of each of these jobs."""
    if not job_ids:
        return []
    return session.scalars(
        select(JobAttempt)
        .where(JobAttempt.job_id == any_(cast(list(job_ids), ARRAY(Uuid()))), JobAttempt.settled_at.is_not(None))
        .ext(distinct_on(JobAttempt.job_id))
        .order_by(JobAttempt.job_id, JobAttempt.number.desc())
    ).all()


def launched(session: Session) -> Sequence[JobAttempt]:
    """Attempts an executor knows or should know."""
    return session.scalars(
        select(JobAttempt).where(JobAttempt.status.in_([AttemptStatus.STARTING, AttemptStatus.RUNNING])).order_by(JobAttempt.id)
    ).all()


def devices_in_use(session: Session, pool: Pool) -> int:
    """Devices of a pool that open attempts have or are about to get, on hosts that take new work."""
    mine = (JobAttempt.pool_id == pool.id, OPEN, IN_SERVICE)
    return int(session.scalar(select(func.coalesce(func.sum(JobAttempt.gpus), 0)).where(*mine)) or 0)


def ends_by(attempt: JobAttempt, now: datetime) -> datetime:
    """When an attempt gives its devices back at the latest; one that has not begun to run counts from now."""
    return (attempt.started_at or now) + timedelta(seconds=attempt.wall_seconds) + policies.OVERHEAD


def handed_over_by(attempt: JobAttempt, now: datetime) -> datetime:
    """The same for one that begins as soon as it is handed over, which happens now if it did not happen yet."""
    if attempt.started_at is not None:
        return ends_by(attempt, now)
    return policies.handed_over_by(attempt.held_at, attempt.wall_seconds, now)


def past_their_window(session: Session, now: datetime) -> Sequence[JobAttempt]:
    """Open attempts whose grant's or offers' window is over and that nobody asked to stop yet, in the order of their jobs."""
    return session.scalars(
        select(JobAttempt).where(OPEN, JobAttempt.ends_before <= now, JobAttempt.stop.is_(None)).order_by(JobAttempt.job_id)
    ).all()
