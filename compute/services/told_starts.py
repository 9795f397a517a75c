"""Some of what waiting jobs are told of their start is kept, and what comes of it corrects what the next ones are told."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from heapq import nsmallest
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from compute import scheduling
from compute.models import RangeCorrection, ToldStart
from compute.queries import snapshot, told_starts
from core.db import new_id

EVERY = timedelta(minutes=5)
PICKED = 3
"""So many jobs are picked each time, at random: a range holds as often as it does for whoever looks at one at any time."""

KEPT_FOR = timedelta(days=90)


def note(session: Session, found: Mapping[UUID, scheduling.Expected], planned: Mapping[UUID, int], *, now: datetime) -> None:
    """Keep what a few of those were told who wait now. `planned`: which sort of wait each is."""
    newest = told_starts.newest(session)
    if not found or (newest is not None and now - newest < EVERY):
        return
    for job_id in nsmallest(PICKED, found, key=lambda job_id: sha256(job_id.bytes + now.isoformat().encode()).digest()):
        told = found[job_id]
        session.add(
            ToldStart(
                id=new_id(),
                job_id=job_id,
                horizon=planned[job_id],
                told_at=now,
                soonest_at=_moment(told.soonest_at),
                likely_at=_moment(told.likely_at),
                late_at=_moment(told.late_at),
            )
        )
    session.execute(delete(ToldStart).where(ToldStart.over_at < now - KEPT_FOR))


def learn(session: Session, *, now: datetime) -> int:
    """See what came of those that were kept, and correct the next ones by it; tell of how many something came."""
    over: list[tuple[datetime, UUID, ToldStart, datetime | None]] = []
    for told, waits, started_at in told_starts.awaited(session):
        if not waits and started_at is None:
            session.delete(told)  # it was withdrawn: nobody will ever know
        elif started_at is not None and started_at <= told.late_at:
            over.append((started_at, told.id, told, started_at))
        elif now > told.late_at:
            over.append((told.late_at, told.id, told, None))
    corrections = dict(told_starts.corrections(session))
    for over_at, _, told, started_at in sorted(over, key=lambda each: each[:2]):
        told.over_at = over_at
        expected, at = _as_told(told), None if started_at is None else snapshot.instant(started_at)
        told.held = scheduling.held(expected, at)
        before = corrections.get(told.horizon, scheduling.Correction())
        corrections[told.horizon] = scheduling.came_out(before, expected, at)
    known = {row.horizon: row for row in session.scalars(select(RangeCorrection))}
    for horizon, learnt in corrections.items():
        row = known.get(horizon)
        if row is None:
            row = RangeCorrection(horizon=horizon)
            session.add(row)
        row.soonest, row.likely, row.late = learnt.soonest, learnt.likely, learnt.late
    return len(over)


def _as_told(told: ToldStart) -> scheduling.Expected:
    as_of, soonest, likely, late = (int(at.timestamp()) for at in (told.told_at, told.soonest_at, told.likely_at, told.late_at))
    return scheduling.Expected(as_of, soonest, likely, late, None)


def _moment(at: int) -> datetime:
    return datetime.fromtimestamp(at, UTC)
