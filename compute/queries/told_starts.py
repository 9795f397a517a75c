"""What came of starts that were expected before."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from compute import scheduling
from compute.models import Job, JobAttempt, JobStatus, RangeCorrection, ToldStart

LATELY = 200
"""So many of the last ranges of a sort of wait are told of."""


def corrections(session: Session) -> Mapping[int, scheduling.Correction]:
    """What was learnt, by horizon."""
    return {
        row.horizon: scheduling.Correction(row.soonest, row.likely, row.late) for row in session.scalars(select(RangeCorrection))
    }


def records(session: Session) -> Mapping[int, tuple[int, int]]:
    """Of the last ranges of each horizon, how many there are and how many held."""
    newest = func.row_number().over(partition_by=ToldStart.horizon, order_by=ToldStart.over_at.desc())
    numbered = select(ToldStart.horizon, ToldStart.held, newest.label("number")).where(ToldStart.over_at.is_not(None)).subquery()
    rows = session.execute(
        select(numbered.c.horizon, func.count(), func.count().filter(numbered.c.held))
        .where(numbered.c.number <= LATELY)
        .group_by(numbered.c.horizon)
    )
    return {horizon: (ranges, held) for horizon, ranges, held in rows}


def newest(session: Session) -> datetime | None:
    """When somebody was told last."""
    return session.scalar(select(func.max(ToldStart.told_at)))


def awaited(session: Session) -> Sequence[tuple[ToldStart, bool, datetime | None]]:
    """Those of which nothing came yet: whether the job waits, and when it first got devices since it was told."""
    started = (
        select(func.min(JobAttempt.held_at))
        .where(JobAttempt.job_id == ToldStart.job_id, JobAttempt.held_at > ToldStart.told_at)
        .scalar_subquery()
    )
    rows = session.execute(
        select(ToldStart, Job.status, started)
        .join(Job, Job.id == ToldStart.job_id)
        .where(ToldStart.over_at.is_(None))
        .order_by(ToldStart.id)
    )
    return [(told, status is JobStatus.QUEUED, started_at) for told, status, started_at in rows]
