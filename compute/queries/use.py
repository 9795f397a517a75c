"""How the hardware was used and how fairly: pools by day, projects beside their fair share, waits by week and by reason."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from compute.models import Flavor, Job, JobWait, Pool, PoolStatus
from compute.policies.sharing import Got, Span, fair_shares
from compute.queries import history, overview, shares
from compute.queries.history import Ran
from compute.scheduling import Reason
from compute.scheduling.model import Name
from compute.simulation.outcome import percentile
from core.identity.models import Project

RUNS_MAX = 20_000
"""The latest so many runs are looked at; more would make people wait for the page."""

FOR_GPUS = frozenset({Reason.RESERVED_NEXT, Reason.WAITING_FOR_CAPACITY, Reason.WAITING_FOR_FAIR_TURN})
"""Waits in which the job could have used GPUs at once; in the others its own grant, offer or limit stood in the way."""


@dataclass(frozen=True, slots=True)
class PoolDays:
    """A pool's busy part of each day, 0 to 1; none before it was there."""

    pool: Pool
    shares: Sequence[float | None]
    used_gpu_seconds: float
    there_gpu_seconds: float

    @property
    def share(self) -> float:
        return self.used_gpu_seconds / self.there_gpu_seconds if self.there_gpu_seconds else 0.0


@dataclass(frozen=True, slots=True)
class Week:
    """The jobs submitted in one week, by how long they waited, in seconds."""

    monday: date
    jobs: int
    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class ReasonLine:
    """One reason for waiting: how long all jobs together waited for it, and how many did."""

    reason: str
    seconds: float
    jobs: int


@dataclass(frozen=True, slots=True)
class Fairness:
    """One flavor over some days."""

    flavor: Flavor
    devices: int
    runs: int
    got: Sequence[Got]
    weights: dict[Name, int]
    """Of today, by slug; the other projects weigh 1."""
    names: dict[str, str]
    weeks: Sequence[Week]
    reasons: Sequence[ReasonLine]


def days_until(now: datetime, days: int) -> list[date]:
    """So many days, today the last."""
    return [now.date() - timedelta(days=ago) for ago in range(days - 1, -1, -1)]


def pools_by_day(session: Session, days: Sequence[date], *, now: datetime) -> list[PoolDays]:
    """Every pool that is not closed, by name. How many devices it had on a past day is not kept: those of today count."""
    taken = _taken(session, days, now=now)
    lines = []
    for pool in session.scalars(select(Pool).where(Pool.status != PoolStatus.CLOSED).order_by(Pool.name)):
        there = [pool.devices * _seconds_there(pool, day, now) for day in days]
        used = [taken.get((str(pool.id), day), 0.0) for day in days]
        busy = [min(1.0, part / whole) if whole else None for part, whole in zip(used, there, strict=True)]
        lines.append(PoolDays(pool, busy, sum(used), sum(there)))
    return lines


def fairness(session: Session, flavor: Flavor, *, days: int, now: datetime) -> Fairness:
    """Who got what of one flavor, how long jobs waited for it, and for what."""
    since = now - timedelta(days=days)
    rows = history.ran(session, since=since, until=now, flavor=flavor.slug, newest=RUNS_MAX)
    devices = sum(pool.devices for pool in overview.pools(session) if pool.flavor_id == flavor.id)
    for_gpus = _waited_for_gpus(session, flavor, since)
    weights: dict[Name, int] = {row.project.slug: row.weight for row in shares.all_weights(session)}
    got = fair_shares([_span(row, for_gpus) for row in rows], gpus=devices, weights=weights)
    slugs = {row.project for row in rows}
    names = {row.slug: row.name for row in session.execute(select(Project.slug, Project.name).where(Project.slug.in_(slugs)))}
    return Fairness(flavor, devices, len(rows), got, weights, names, _weeks(rows), _reasons(session, flavor, since, now))


def used_flavors(session: Session) -> Sequence[Flavor]:
    """Kinds of accelerators that jobs asked for, by name."""
    asked = select(Job.flavor_id).union(select(func.unnest(Job.alternative_ids)))
    return session.scalars(select(Flavor).where(Flavor.id.in_(asked)).order_by(Flavor.name)).all()


def _taken(session: Session, days: Sequence[date], *, now: datetime) -> dict[tuple[str, date], float]:
    """GPU-seconds by pool and day (UTC); what still runs counts until now."""
    rows = session.execute(
        text("""
            SELECT pool_id::text, (day AT TIME ZONE 'UTC')::date,
                   sum(gpus * extract(epoch FROM least(over_at, day + interval '24 hours') - greatest(started_at, day)))
            FROM (SELECT pool_id, gpus, started_at, coalesce(ended_at, :now) AS over_at FROM job_attempt) AS attempt,
                 generate_series(date_trunc('day', started_at, 'UTC'), over_at, interval '24 hours') AS day
            WHERE over_at > :since AND over_at > day AND day >= :since
            GROUP BY 1, 2
        """),
        {"now": now, "since": _midnight(days[0])},
    )
    return {(pool_id, day): float(seconds) for pool_id, day, seconds in rows}


def _seconds_there(pool: Pool, day: date, now: datetime) -> float:
    begin, end = max(_midnight(day), pool.created_at), min(_midnight(day) + timedelta(days=1), now)
    return max(0.0, (end - begin).total_seconds())


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=UTC)


def _waited_for_gpus(session: Session, flavor: Flavor, since: datetime) -> dict[str, int]:
    """By job: for how long it waited for GPUs, if reasons were kept for it at all."""
    rows = session.execute(
        select(JobWait.job_id, func.coalesce(func.sum(JobWait.waited_ms).filter(JobWait.reason.in_(FOR_GPUS)), 0))
        .join(Job, Job.id == JobWait.job_id)
        .where(Job.may_start_on(flavor), Job.submitted_at >= since)
        .group_by(JobWait.job_id)
    )
    return {str(job_id): int(waited_ms) // 1000 for job_id, waited_ms in rows}


def _span(row: Ran, for_gpus: dict[str, int]) -> Span:
    """A wait for GPUs is taken to be the last part of a job's wait: what its grant or offer lacked came before."""
    waited = min(row.waited_seconds, for_gpus.get(row.id.partition(".")[0], row.waited_seconds))
    return Span(row.project, row.gpus, row.started_at - waited, row.started_at, row.started_at + row.run_seconds)


def _weeks(rows: Sequence[Ran]) -> list[Week]:
    waits: dict[date, list[int]] = {}
    for row in rows:
        day = datetime.fromtimestamp(row.submitted_at, UTC).date()
        waits.setdefault(day - timedelta(days=day.weekday()), []).append(row.waited_seconds)
    return [
        Week(monday, len(waits[monday]), statistics.median(waits[monday]), percentile(waits[monday], 95))
        for monday in sorted(waits)
    ]


def _reasons(session: Session, flavor: Flavor, since: datetime, now: datetime) -> list[ReasonLine]:
    """Ended waits, and those that still last, of jobs submitted since; the longest first, a second at least."""
    asked = (Job.may_start_on(flavor), Job.submitted_at >= since)
    ended = select(JobWait.job_id, JobWait.reason, JobWait.waited_ms).join(Job, Job.id == JobWait.job_id).where(*asked)
    lasting = select(Job.id, Job.waiting_code, func.greatest(0, func.extract("epoch", now - Job.waiting_since) * 1000)).where(
        *asked, Job.waiting_code.is_not(None)
    )
    waits = ended.union_all(lasting).subquery()
    _, reason, waited_ms = waits.c
    rows = session.execute(
        select(reason, func.sum(waited_ms), func.count(waits.c.job_id.distinct()))
        .group_by(reason)
        .order_by(func.sum(waited_ms).desc(), reason)
    )
    return [ReasonLine(code, float(total) / 1000, jobs) for code, total, jobs in rows if total >= 1000]
