"""The state of everything, as plain data for the scheduler."""

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from uuid import UUID

from sqlalchemy import Float, cast, func, literal, select
from sqlalchemy.orm import Session, joinedload

from compute import policies, scheduling
from compute.models import (
    ComputeGrant,
    ComputeOffer,
    FailureCause,
    Flavor,
    Job,
    JobAttempt,
    JobStatus,
    OfferStatus,
    Pool,
    PoolHost,
    PoolStatus,
    PoolWindow,
    QuotaGroup,
    ReclaimNotice,
    UsageRecord,
)
from compute.policies import OfferPolicy, Request, trust
from compute.queries import attempts, budget, hosts, jobs, priorities, quotas, run_limits, shares, windows
from compute.scheduling.hosts.placement import Host

USE_HALF_LIFE = timedelta(days=7)
"""A project's past use counts half after a week."""

LEARNT_FROM = timedelta(days=28)
"""Jobs that ended in this time say how long jobs run."""

COMING = (OfferStatus.ACCEPTED, OfferStatus.ACTIVE)
"""Offers that can be drawn, now or when their window opens."""

KNOBS = scheduling.Knobs(overhead_seconds=int(policies.OVERHEAD.total_seconds()), looks_max=10_000)
"""Everybody is looked at on each turn: there is time between turns."""


@dataclass
class Read:
    """Jobs as they were read before, for whoever reads again and again. Only those whose row changed since are read anew."""

    rules: object = None  # offers, pools and rates with which they were read
    jobs: dict[UUID, tuple[int, scheduling.Job]] = field(default_factory=dict)  # with what their row was then


WRITTEN = {
    *("waiting_code", "waiting_reason", "waiting_since", "waiting_remedy"),
    *("expected_as_of", "expected_soonest_at", "expected_likely_at", "expected_late_at", "expected_latest_at"),
    *("expected_ranges", "expected_held"),
}
"""Columns of a job that the scheduler itself writes."""


def take(
    session: Session, *, connected: Container[str] | None = None, read: Read | None = None, now: datetime
) -> scheduling.Snapshot:
    """Everything a plan depends on, read in one transaction.

    `connected` names the executors in reach: nothing starts in the pools of others. None: all are. `read` is filled.
    """
    return replace(take_changes(session, read or Read(), connected=connected, now=now), past=_past(session, now=now))


def take_changes(
    session: Session,
    read: Read,
    *,
    connected: Container[str] | None = None,
    familiar: Container[UUID] = (),
    now: datetime,
) -> scheduling.Snapshot:
    """The same for whoever took one before: without the past of jobs that ended, and of the use of `familiar` projects."""
    running = session.scalars(
        select(JobAttempt).where(attempts.OPEN).options(joinedload(JobAttempt.job)).order_by(JobAttempt.id)
    ).all()
    pools = session.scalars(select(Pool).where(Pool.status != PoolStatus.CLOSED).order_by(Pool.id)).all()
    named = hosts.of_pools(session, [pool.id for pool in pools])
    offers = session.scalars(
        select(ComputeOffer).where(ComputeOffer.status.in_(COMING), ComputeOffer.pool_id.is_not(None)).order_by(ComputeOffer.id)
    ).all()
    # Of a job that failed to launch between these two reads, the first says that it runs, the second that it waits again. It is
    # told once, as running: a core that is told both counts its GPUs twice and never gets the first ones back.
    runs = {attempt.job_id for attempt in running}
    queued = tuple(job for job in _queued(session, read, pools, named, offers, now=now) if job.id not in runs)
    grants = session.scalars(select(ComputeGrant).where(ComputeGrant.id.in_({job.grant_id for job in queued}))).all()
    planned = windows.planned(session, pools, now=now)
    submitters = {job.submitter_id for job in queued if job.submitter_id is not None}
    limits = run_limits.holding(session, {job.project_id for job in queued}, submitters)
    drains = windows.drains(planned)
    return scheduling.Snapshot(
        now=instant(now),
        pools=tuple(
            _pool(pool, named.get(pool.id, []), running, _state(pool, connected), _seconds(drains.get(pool.id))) for pool in pools
        ),
        projects=_projects(session, {job.project_id for job in queued}, limits, familiar, now=now),
        queued=queued,
        running=tuple(_running(attempt, now) for attempt in running),
        offers=_offers(session, offers),
        grants=_grants(session, grants),
        submitter_limits={each: limit for each in sorted(submitters) if (limit := limits.of_person(each)) != scheduling.Limit()},
        quotas=tuple(_quota(group) for group in quotas.groups(session) if group.pool_id in {pool.id for pool in pools}),
        leaving=tuple(_leaving(notice) for notice in quotas.notices(session)),
        windows=tuple(_window(row) for row in planned if row.gpus is not None),
        knobs=KNOBS,
    )


def _pool(
    pool: Pool, rows: Sequence[PoolHost], running: Iterable[JobAttempt], state: scheduling.PoolState, open_until: int | None
) -> scheduling.Pool:
    """With its hosts, if they have names. Out of service, a host is as large as what still runs there, and takes nothing new."""
    used: dict[str, int] = {}
    for attempt in running if rows else ():
        if attempt.pool_id == pool.id:
            host = attempt.host or hosts.THE_ONE
            used[host] = used.get(host, 0) + attempt.gpus
    there = hosts.sizes(pool, rows) if rows else {}
    found = tuple(
        Host(name, max(there.get(name, 0), used.get(name, 0)), is_open=name in there) for name in sorted({*there, *used})
    )
    gpus = sum(host.gpus for host in found) if rows else pool.devices
    return scheduling.Pool(pool.id, pool.name, {pool.flavor.slug: gpus}, state, open_until, found)


def _state(pool: Pool, connected: Container[str] | None) -> scheduling.PoolState:
    if pool.status is PoolStatus.OPEN and connected is not None and pool.executor not in connected:
        return scheduling.PoolState.OUT_OF_REACH
    return scheduling.PoolState(pool.status)


def _window(row: PoolWindow) -> scheduling.Window:
    assert row.gpus is not None
    assert row.ends_at is not None
    return scheduling.Window(
        row.id,
        row.pool_id,
        row.pool.flavor.slug,
        row.gpus,
        int(row.begins_at.timestamp()),
        int(row.ends_at.timestamp()),
        row.why,
        row.project_id,
    )


def _quota(group: QuotaGroup) -> scheduling.Quota:
    shares = {share.project_id: scheduling.Share(share.nominal, share.lends, share.borrows) for share in group.shares}
    terms = scheduling.Terms(group.grace_seconds, group.lost_gpu_seconds_max)
    return scheduling.Quota(group.name, group.pool_id, group.pool.flavor.slug, shares, terms)


def _leaving(notice: ReclaimNotice) -> scheduling.Leaving:
    return scheduling.Leaving(
        job_id=notice.attempt.job_id,
        pool_id=notice.attempt.pool_id,
        flavor=notice.attempt.pool.flavor.slug,
        at=instant(notice.leaves_at),
        needed_for=notice.for_job_id,
        asked_at=instant(notice.asked_at),
        lost_gpu_seconds=notice.lost_gpu_seconds,
    )


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def decayed_use(session: Session, project_ids: Iterable[UUID], *, now: datetime) -> dict[UUID, int]:
    """Past use per project in reference ticks, halved every `USE_HALF_LIFE`; the sum is made by the database."""
    age = func.greatest(0, func.extract("epoch", literal(now) - UsageRecord.at))
    weight = func.power(literal(0.5, Float), cast(age, Float) / USE_HALF_LIFE.total_seconds())
    rows = session.execute(
        select(UsageRecord.project_id, func.sum(UsageRecord.reference_ticks * weight))
        # After ten half-lives a thousandth is left; older rows only cost time.
        .where(UsageRecord.project_id.in_(list(project_ids)), UsageRecord.at > now - 10 * USE_HALF_LIFE)
        .group_by(UsageRecord.project_id)
    )
    return {project_id: round(use) for project_id, use in rows}


def _projects(
    session: Session, project_ids: set[UUID], limits: run_limits.Limits, familiar: Container[UUID], *, now: datetime
) -> tuple[scheduling.Project, ...]:
    new = {project_id: 0 for project_id in project_ids if project_id not in familiar}
    used, weights = new | decayed_use(session, new, now=now), shares.weights(session, project_ids)
    return tuple(
        scheduling.Project(project_id, weights.get(project_id, 1), used.get(project_id), limits.of_project(project_id))
        for project_id in sorted(project_ids)
    )


_ROW = func.hash_record_extended(func.row(*(column for column in Job.__table__.columns if column.name not in WRITTEN)), 0)
"""Another number for another row, but for what the scheduler writes itself."""


def _queued(
    session: Session,
    read: Read,
    pools: Sequence[Pool],
    named: Mapping[UUID, list[PoolHost]],
    offers: Sequence[ComputeOffer],
    *,
    now: datetime,
) -> tuple[scheduling.Job, ...]:
    """What waits, in no particular order. A job whose row is as it was is the very object that it was."""
    rates = budget.rates_at(session, now)
    rules = (
        rates,
        [(offer.id, offer.policy) for offer in offers],
        [[getattr(pool, column.key) for column in Pool.__table__.columns] for pool in pools],
        [(row.pool_id, row.name, row.devices, row.in_service) for rows in named.values() for row in rows],
        [(row.id, row.rank, row.name) for row in priorities.classes(session)],
    )
    if rules != read.rules:
        read.rules = rules
        read.jobs.clear()
    rows = {row.id: row.row for row in session.execute(select(Job.id, _ROW.label("row")).where(Job.status == JobStatus.QUEUED))}
    for job_id in [job_id for job_id in read.jobs if job_id not in rows]:
        del read.jobs[job_id]
    new = [job_id for job_id, row in rows.items() if job_id not in read.jobs or read.jobs[job_id][0] != row]
    for job in _jobs(session, jobs.these(session, new), pools, named, offers, rates):
        read.jobs[job.id] = rows[job.id], job
    return tuple(job for _, job in read.jobs.values())


def _jobs(
    session: Session,
    queued: Sequence[Job],
    pools: Sequence[Pool],
    named: Mapping[UUID, list[PoolHost]],
    offers: Sequence[ComputeOffer],
    rates: Mapping[UUID, Fraction],
) -> Iterable[scheduling.Job]:
    rules = [(offer, OfferPolicy.from_json(offer.policy)) for offer in offers]
    tries = attempts.tries(session, [job.id for job in queued])
    for job in queued:
        asked = Request(project_id=job.project_id, host_id=job.project.parent_id, kind=job.kind, ref=job.ref)
        flavors = job.accepts
        first, *others = (_cost(job.gpus, job, flavor, rates) for flavor in flavors)
        able = [pool for pool in pools if fits(pool, job)]
        yield scheduling.Job(
            id=job.id,
            project_id=job.project_id,
            submitter_id=job.submitted_by_id,
            submitted_at=int(job.submitted_at.timestamp()),
            flavor=first.flavor,
            gpus=job.gpus,
            wall_seconds=job.wall_seconds,
            cost_ticks=first.cost_ticks,
            grant_id=job.grant_id,
            offer_ticks=first.offer_ticks,
            offers=frozenset(offer.id for offer, policy in rules if policy.permits(asked)),
            pools=frozenset(pool.id for pool in able if trusts(pool, job)),
            distrusted_in=tuple(pool.name for pool in able if pool.flavor in flavors and not trusts(pool, job)),
            alternatives=tuple(others),
            tries=tries.get(job.id, 0),
            priority=_priority(job),
            wholes=tuple(_wholes(job, able, named, rates)) if job.exclusive else None,
        )


def _wholes(
    job: Job, pools: Iterable[Pool], named: Mapping[UUID, list[PoolHost]], rates: Mapping[UUID, Fraction]
) -> Iterable[scheduling.Whole]:
    """What a job that wants its host alone takes in each pool which has one that is large enough."""
    for pool in (pool for pool in pools if pool.flavor in job.accepts):
        gpus = hosts.takes(pool, named.get(pool.id, []), job.gpus, exclusive=True)
        if gpus is not None:
            cost = _cost(gpus, job, pool.flavor, rates)
            yield scheduling.Whole(pool.id, cost.flavor, gpus, cost.cost_ticks, cost.offer_ticks)


def _cost(gpus: int, job: Job, flavor: Flavor, rates: Mapping[UUID, Fraction]) -> scheduling.Alternative:
    """What a job takes at most if it starts on this flavor and takes so many."""
    ticks = policies.device_ticks(gpus, flavor.slices_per_gpu, job.wall_seconds)
    return scheduling.Alternative(flavor.slug, policies.in_reference(ticks, rates[flavor.id]), ticks)


def _priority(job: Job) -> scheduling.Priority:
    return scheduling.Priority(job.priority.rank, job.priority.name) if job.priority else scheduling.Priority()


def ends_by(job: Job, now: datetime) -> datetime:
    """When a job that starts now is over at the latest."""
    return now + timedelta(seconds=job.wall_seconds) + policies.OVERHEAD


def fits(pool: Pool, job: Job) -> bool:
    """Whether a pool's executor and limits take this job."""
    return (
        str(job.source) in pool.runs and job.wall_seconds <= pool.wall_seconds_max and job.memory_bytes <= pool.memory_bytes_max
    )


def trusts(pool: Pool, job: Job) -> bool:
    """Whether a pool takes this job by where its code comes from."""
    return trust.admits(pool.trust, pool.reviewed_refs, job.origin, job.ref)


def _running(attempt: JobAttempt, now: datetime) -> scheduling.Running:
    return scheduling.Running(
        job_id=attempt.job_id,
        project_id=attempt.job.project_id,
        submitter_id=attempt.job.submitted_by_id,
        pool_id=attempt.pool_id,
        flavor=attempt.flavor.slug,
        gpus=attempt.gpus,
        rate=attempt.held_reference_ticks // attempt.wall_seconds,
        ends_by=instant(attempts.ends_by(attempt, now)),
        started_at=instant(attempt.held_at),
        priority=_priority(attempt.job),
        wall_seconds=attempt.wall_seconds,
        reservation_id=attempt.reservation_id,
        host=attempt.host or hosts.THE_ONE,
        asked_gpus=attempt.job.gpus,
    )


def _past(session: Session, *, now: datetime) -> tuple[scheduling.Ran, ...]:
    """What the past says of how long jobs run; failures of the infrastructure say nothing."""
    kept = func.extract("epoch", JobAttempt.settled_at - JobAttempt.held_at)
    rows = session.execute(
        select(Job.project_id, Job.submitted_by_id, JobAttempt.wall_seconds, Job.gpus, func.count(), func.sum(kept))
        .join(Job, Job.id == JobAttempt.job_id)
        .where(JobAttempt.settled_at > now - LEARNT_FROM, JobAttempt.cause.is_distinct_from(FailureCause.INFRASTRUCTURE))
        .group_by(Job.project_id, Job.submitted_by_id, JobAttempt.wall_seconds, Job.gpus)
    )
    # What ended late or was found out late counts no longer than it could have run.
    return tuple(
        scheduling.Ran(project, submitter, wall, gpus, jobs, min(round(seconds), jobs * (wall + KNOBS.overhead_seconds)))
        for project, submitter, wall, gpus, jobs, seconds in rows
    )


def _offers(session: Session, offers: Sequence[ComputeOffer]) -> tuple[scheduling.Offer, ...]:
    left = budget.of_offers(session, offers)
    return tuple(as_offer(offer, left[offer.id].left) for offer in offers)


def as_offer(offer: ComputeOffer, left: int) -> scheduling.Offer:
    """An offer with what is left of it. One that is accepted and not yet open has its whole gift before it."""
    assert offer.pool_id is not None
    return scheduling.Offer(
        id=offer.id,
        pool_id=offer.pool_id,
        flavor=offer.flavor.slug,
        available_ticks=offer.given_ticks if offer.status is OfferStatus.ACCEPTED else left,
        opens_at=instant(offer.opens_at),
        closes_at=int(offer.closes_at.timestamp()),
    )


def _grants(session: Session, grants: Iterable[ComputeGrant]) -> tuple[scheduling.Grant, ...]:
    rows = list(grants)
    left = budget.of_grants(session, rows)
    return tuple(
        scheduling.Grant(
            id=grant.id,
            available_ticks=left[grant.id].left,
            opens_at=instant(grant.starts_at),
            # A grant that is over takes nothing on, whatever its date once said.
            closes_at=int(grant.expires_at.timestamp())
            if grant.drawable
            else min(instant(grant.status_at), int(grant.expires_at.timestamp())),
        )
        for grant in rows
    )


def instant(moment: datetime) -> int:
    """The scheduler's whole seconds, rounded up so that nothing is taken to start earlier than it does."""
    return math.ceil(moment.timestamp())
