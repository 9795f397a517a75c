"""Windows of pools: those to come, one, and what they leave room for."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, joinedload

from compute.models import Job, JobAttempt, Pool, PoolWindow, WindowStatus
from compute.policies.windows import PoolTime, Run, Taken
from compute.queries import attempts
from core.errors import NotFound

PAST_MAX = 20

_COUNTS = or_(attempts.IN_SERVICE, JobAttempt.reservation_id.is_not(None))
"""Against what a pool has: that is what its hosts in service have. What runs in a reservation counts there in any case."""


def planned(session: Session, pools: Iterable[Pool], *, now: datetime) -> Sequence[PoolWindow]:
    """What is to come or going on in these pools, first things first."""
    return session.scalars(
        select(PoolWindow)
        .where(
            PoolWindow.pool_id.in_([pool.id for pool in pools]),
            PoolWindow.status == WindowStatus.PLANNED,
            or_(PoolWindow.ends_at.is_(None), PoolWindow.ends_at > now),
        )
        .order_by(PoolWindow.begins_at, PoolWindow.id)
    ).all()


def past(session: Session, pool: Pool) -> Sequence[PoolWindow]:
    """The last few that are over or were called off, latest first."""
    return session.scalars(
        select(PoolWindow)
        .where(PoolWindow.pool_id == pool.id, PoolWindow.status != WindowStatus.PLANNED)
        .order_by(PoolWindow.status_at.desc(), PoolWindow.id)
        .limit(PAST_MAX)
    ).all()


def drains(rows: Iterable[PoolWindow]) -> Mapping[UUID, datetime]:
    """From when on pools start nothing more, by pool."""
    found: dict[UUID, datetime] = {}
    for row in rows:
        if row.ends_at is None:
            found[row.pool_id] = min(row.begins_at, found.get(row.pool_id, row.begins_at))
    return found


def get(session: Session, window_id: UUID, *, lock: bool = False) -> PoolWindow:
    """One window; with `lock` as it is now, and nobody else changes it until the end of the transaction.

    Raises:
        NotFound: there is none of this id.
    """
    query = select(PoolWindow).where(PoolWindow.id == window_id)
    if lock:
        query = query.with_for_update(of=PoolWindow).execution_options(populate_existing=True)
    row = session.scalars(query).first()
    if row is None:
        raise NotFound(f"There is no window {window_id}.")
    return row


def pool_times(
    session: Session, pools: Sequence[Pool], *, runs_where_planned: bool = False, now: datetime
) -> dict[UUID, PoolTime]:
    """The GPUs of pools over time, by pool. With `runs_where_planned`, what runs is read only where there is a window."""
    times, rows = _as_planned(session, pools, now=now)
    wanted = {row.pool_id for row in rows} if runs_where_planned else times.keys()
    query = select(JobAttempt).where(attempts.OPEN, _COUNTS, JobAttempt.pool_id.in_(wanted))
    for attempt in session.scalars(query) if wanted else ():
        times[attempt.pool_id].runs.append(Run(attempt.gpus, attempts.ends_by(attempt, now), attempt.reservation_id))
    return times


def time_beside(session: Session, attempt: JobAttempt, *, now: datetime) -> PoolTime:
    """The GPUs of an attempt's pool over time without its own. What runs is read only where there is a window."""
    times, rows = _as_planned(session, [attempt.pool], now=now)
    time = times[attempt.pool_id]
    others = (JobAttempt.pool_id == attempt.pool_id, JobAttempt.id != attempt.id)
    query = select(JobAttempt).where(attempts.OPEN, _COUNTS, *others)
    for other in session.scalars(query) if rows else ():
        time.runs.append(Run(other.gpus, attempts.handed_over_by(other, now), other.reservation_id))
    return time


def _as_planned(session: Session, pools: Sequence[Pool], *, now: datetime) -> tuple[dict[UUID, PoolTime], Sequence[PoolWindow]]:
    """The pools with their windows, and the windows; nothing runs in them yet."""
    times = {pool.id: PoolTime(pool.devices) for pool in pools}
    rows = planned(session, pools, now=now)
    for pool_id, moment in drains(rows).items():
        times[pool_id].drains_at = moment
    for row in rows:
        if row.gpus is not None and row.ends_at is not None:
            times[row.pool_id].windows = [
                *times[row.pool_id].windows,
                Taken(row.id, row.gpus, row.begins_at, row.ends_at, row.project_id),
            ]
    return times, rows


def in_the_way(session: Session, window: PoolWindow, *, now: datetime) -> Sequence[JobAttempt]:
    """What runs now and may still run when the window begins: it was started before the window was planned."""
    running = session.scalars(
        select(JobAttempt)
        .where(attempts.OPEN, JobAttempt.pool_id == window.pool_id, JobAttempt.reservation_id.is_distinct_from(window.id))
        .options(joinedload(JobAttempt.job).joinedload(Job.project))
        .order_by(JobAttempt.id)
    ).all()
    return [attempt for attempt in running if attempts.ends_by(attempt, now) > window.begins_at]
