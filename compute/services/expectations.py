"""When each waiting job is expected to start, kept beside its reason for whoever looks."""

from collections.abc import Callable, Container
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from compute import scheduling
from compute.models import Job, JobStatus
from compute.queries import expected, snapshot
from compute.services import told_starts

Sessions = Callable[[], AbstractContextManager[Session]]
"""Makes a session that commits at the end of its block."""


def look_ahead(sessions: Sessions, connected: Container[str], *, now: datetime) -> int:
    """Plan the waiting line ahead and keep what it says of each job; tell how many have an expected start.

    Read in one transaction, written in another: the plan takes a while, and nobody should wait for it.
    """
    with sessions() as session:
        told_starts.learn(session, now=now)
    with sessions() as session:
        state = snapshot.take(session, connected=connected, now=now)
        planned = expected.planned(session, state, scheduling.plan(state), now=now)
        found = expected.told(session, planned)
    with sessions() as session:
        told_starts.note(session, found, {job_id: scheduling.horizon(each) for job_id, each in planned.items()}, now=now)
    with sessions() as session:
        # A job that somebody is working on is left as it is; it is looked at again in a moment.
        waiting = session.execute(
            select(Job.id, Job.expected_as_of)
            .where(Job.status == JobStatus.QUEUED)
            .order_by(Job.id)
            .with_for_update(of=Job, skip_locked=True)
        ).all()
        rows = [_row(job_id, found.get(job_id)) for job_id, as_of in waiting if job_id in found or as_of is not None]
        if rows:
            session.execute(_KEEP, {name: list(column) for name, column in zip(_COLUMNS, zip(*rows, strict=True), strict=True)})
    return len(found)


def _row(job_id: UUID, start: scheduling.Expected | None) -> tuple[UUID | datetime | int | None, ...]:
    if start is None:
        return job_id, None, None, None, None, None, None, None
    moments = (start.as_of, start.soonest_at, start.likely_at, start.late_at, start.latest_at)
    return job_id, *(None if at is None else datetime.fromtimestamp(at, UTC) for at in moments), start.ranges, start.held


_COLUMNS = ("ids", "as_of", "soonest", "likely", "late", "latest", "ranges", "held")

# One statement for ten thousand jobs.
_KEEP = text("""
    UPDATE job SET expected_as_of = f.as_of, expected_soonest_at = f.soonest, expected_likely_at = f.likely,
                   expected_late_at = f.late, expected_latest_at = f.latest,
                   expected_ranges = f.ranges, expected_held = f.held
    FROM unnest(
        CAST(:ids AS uuid[]), CAST(:as_of AS timestamptz[]), CAST(:soonest AS timestamptz[]), CAST(:likely AS timestamptz[]),
        CAST(:late AS timestamptz[]), CAST(:latest AS timestamptz[]),
        CAST(:ranges AS bigint[]), CAST(:held AS bigint[])
    ) AS f (id, as_of, soonest, likely, late, latest, ranges, held)
    WHERE job.id = f.id
""")
