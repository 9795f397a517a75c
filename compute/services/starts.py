"""Carrying out the scheduler's starts: wall time held, attempts made and launches asked for, many in one transaction.

The scheduler saw the state of a moment ago. Whatever changed since (a job was cancelled, another scheduler was faster, a window
closed) is seen again here under locks; such a start is left out, and the next turn decides anew. The pools' locks keep two
schedulers from filling the same devices; the ledger keeps them from spending the same hours.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from compute import policies, scheduling
from compute.models import AttemptDraw, ComputeGrant, ComputeOffer, Job, JobAttempt, JobStatus, OfferStatus, Pool, PoolStatus
from compute.policies import OfferPolicy, Request
from compute.policies.windows import PoolTime, Run
from compute.queries import budget, hosts, run_limits, snapshot, windows
from compute.queries.run_limits import Limits
from compute.services import books
from compute.services.attempts import LaunchAttempt, ledger_refs
from core import audit, tasks
from core.db import new_id

BATCH = 200
"""Starts carried out in one transaction: enough to share its cost, few enough that its locks are short."""


def hold(session: Session, start: scheduling.Start, *, now: datetime) -> JobAttempt | None:
    """Carry out one start. None: what the scheduler saw is not so any more.

    Raises:
        InsufficientFunds: another pool's job took the grant's last hours since.
    """
    return next(iter(hold_many(session, [start], now=now)), None)


def hold_many(session: Session, starts: Sequence[scheduling.Start], *, now: datetime) -> list[JobAttempt]:
    """Carry out many starts in the caller's transaction; the attempts of those that still can start, in their order.

    Raises:
        InsufficientFunds: together they would take more than a grant has left. Nothing is written then.
    """
    seen = _look(session, starts, now=now)
    made = [attempt for start in starts if (attempt := _admit(seen, start, now=now)) is not None]
    if not made:
        return []
    holds = books.hold_many(session, [attempt.as_reserved for attempt in made], at=now)
    for each in made:
        each.attempt.grant_hold_id, *offer_holds = holds[each.attempt.id]
        session.add(each.attempt)
        for position, ((offer, part), hold_id) in enumerate(zip(each.draws, offer_holds, strict=True)):
            session.add(
                AttemptDraw(
                    id=new_id(),
                    attempt_id=each.attempt.id,
                    offer_id=offer.id,
                    position=position,
                    held_ticks=part,
                    hold_id=hold_id,
                )
            )
        each.job.advance(JobStatus.HELD, now)
        each.job.wait_no_more()
        audit.record(session, "job.held", each.job, actor=None, at=now, attempt=each.attempt.number, pool=each.pool.slug)
    tasks.enqueue_many(session, [(LaunchAttempt(each.attempt.id), None) for each in made], now=now)
    session.flush()
    return [each.attempt for each in made]


@dataclass(slots=True)
class _Seen:
    """What the starts depend on, as it is now and stays until the end of the transaction."""

    pools: Mapping[UUID, Pool]
    free: dict[tuple[UUID, str], int]  # devices by pool and host, of hosts that take new work
    sizes: Mapping[tuple[UUID, str], int]  # all devices of these hosts
    times: Mapping[UUID, PoolTime]  # the same over time, with windows, by pool
    jobs: Mapping[UUID, Job]
    limits: Limits
    tries: Counter[UUID]  # attempts so far, by job
    rates: Mapping[UUID, Fraction]  # by flavor
    grants: Mapping[UUID, ComputeGrant]
    offers: Mapping[UUID, list[tuple[ComputeOffer, OfferPolicy]]]  # by pool
    left: dict[UUID, int]  # ticks by offer
    taken: set[UUID] = field(default_factory=set)  # jobs


def _look(session: Session, starts: Iterable[scheduling.Start], *, now: datetime) -> _Seen:
    """Lock pools, then jobs, then read offers and grants under a lock that others may share; each in the order of the ids."""
    fresh = {"populate_existing": True}
    pool_ids, job_ids = {start.pool_id for start in starts}, {start.job_id for start in starts}
    pools = session.scalars(
        select(Pool).where(Pool.id.in_(pool_ids)).order_by(Pool.id).with_for_update(of=Pool), execution_options=fresh
    ).all()
    found = session.scalars(
        select(Job).where(Job.id.in_(job_ids)).order_by(Job.id).with_for_update(of=Job), execution_options=fresh
    ).all()
    offers = session.scalars(
        select(ComputeOffer)
        .where(ComputeOffer.pool_id.in_(pool_ids), ComputeOffer.status == OfferStatus.ACTIVE)
        .order_by(ComputeOffer.id)
        .with_for_update(read=True, of=ComputeOffer),
        execution_options=fresh,
    ).all()
    grants = session.scalars(
        select(ComputeGrant)
        .where(ComputeGrant.id.in_({job.grant_id for job in found}))
        .order_by(ComputeGrant.id)
        .with_for_update(read=True, of=ComputeGrant),
        execution_options=fresh,
    ).all()
    by_pool: dict[UUID, list[tuple[ComputeOffer, OfferPolicy]]] = {pool.id: [] for pool in pools}
    for offer in offers:
        assert offer.pool_id is not None
        by_pool[offer.pool_id].append((offer, OfferPolicy.from_json(offer.policy)))
    named = hosts.of_pools(session, pool_ids)
    return _Seen(
        pools={pool.id: pool for pool in pools},
        free=hosts.free(session, pools),
        sizes={(pool.id, host): size for pool in pools for host, size in hosts.sizes(pool, named.get(pool.id, [])).items()},
        times=windows.pool_times(session, pools, runs_where_planned=True, now=now),
        jobs={job.id: job for job in found},
        limits=run_limits.to_start(session, found),
        tries=Counter(session.scalars(select(JobAttempt.job_id).where(JobAttempt.job_id.in_(job_ids)))),
        rates={flavor.id: budget.rate_at(session, flavor, now) for flavor in {pool.flavor for pool in pools}},
        grants={grant.id: grant for grant in grants},
        offers=by_pool,
        left={offer_id: each.left for offer_id, each in budget.of_offers(session, offers).items()},
    )


@dataclass(frozen=True, slots=True)
class _Admitted:
    """A start that can still be carried out."""

    attempt: JobAttempt
    job: Job
    pool: Pool
    grant: ComputeGrant
    draws: Sequence[tuple[ComputeOffer, int]]

    @property
    def as_reserved(self) -> books.Reserved:
        return books.Reserved(self.attempt, self.grant, self.draws, ledger_refs(self.attempt, self.job))


def _admit(seen: _Seen, start: scheduling.Start, *, now: datetime) -> _Admitted | None:
    """What the start takes, taken from what is left for the starts after it; None if it can't have it (any more)."""
    pool, job = seen.pools.get(start.pool_id), seen.jobs.get(start.job_id)
    if pool is None or pool.status is not PoolStatus.OPEN or job is None or job.status is not JobStatus.QUEUED:
        return None
    may_here = pool.flavor in job.accepts and snapshot.trusts(pool, job)
    if job.id in seen.taken or not may_here or not _has_room(seen, start, job):
        return None
    rate, grant, ends_by = seen.rates[pool.flavor_id], seen.grants[job.grant_id], snapshot.ends_by(job, now)
    # What windows leave, of which one may have been planned a moment ago.
    room = seen.times[pool.id].room_for(job.project_id, start.reservation_id, now, ends_by)
    if not seen.limits.lets_start(job, start.gpus) or start.gpus > room:
        return None
    ticks = policies.device_ticks(start.gpus, pool.flavor.slices_per_gpu, job.wall_seconds)
    drawn = _draw(seen, job, pool, ticks, now=now, ends_by=ends_by)
    if drawn is None or not grant.drawable or grant.expires_at < ends_by:
        return None
    attempt = JobAttempt(
        id=new_id(),
        job_id=job.id,
        number=seen.tries[job.id] + 1,
        pool_id=pool.id,
        host=start.host or None,
        gpus=start.gpus,
        wall_seconds=job.wall_seconds,
        reservation_id=start.reservation_id,
        rate_numerator=rate.numerator,
        rate_denominator=rate.denominator,
        held_ticks=ticks,
        held_reference_ticks=policies.in_reference(ticks, rate),
        held_at=now,
        ends_before=min([grant.expires_at, *(offer.closes_at for offer, _ in drawn)]),
        chosen_because=start.chosen_because,
    )
    seen.taken.add(job.id)
    seen.free[pool.id, start.host] -= start.gpus
    seen.limits.started(job, start.gpus)
    seen.times[pool.id].runs.append(Run(start.gpus, ends_by, start.reservation_id))
    for offer, part in drawn:
        seen.left[offer.id] -= part
    return _Admitted(attempt, job, pool, grant, drawn)


def _has_room(seen: _Seen, start: scheduling.Start, job: Job) -> bool:
    """Whether the host takes new work and has the devices. Who wants it alone takes all of it, and finds it empty."""
    host = (start.pool_id, start.host)
    takes = seen.sizes.get(host) if job.exclusive else job.gpus
    return host in seen.free and start.gpus == takes and start.gpus <= seen.free[host]


def _draw(
    seen: _Seen, job: Job, pool: Pool, ticks: int, *, now: datetime, ends_by: datetime
) -> list[tuple[ComputeOffer, int]] | None:
    """The offers to draw on, soonest end first, with what is left of them now; None if they have too little."""
    asked = Request(project_id=job.project_id, host_id=job.project.parent_id, kind=job.kind, ref=job.ref)
    offers = {offer.id: offer for offer, policy in seen.offers[pool.id] if policy.permits(asked)}
    drawn = scheduling.draw(
        [snapshot.as_offer(offer, seen.left[offer.id]) for offer in offers.values()],
        ticks,
        starts_at=snapshot.instant(now),
        ends_by=snapshot.instant(ends_by),
    )
    return None if drawn is None else [(offers[part.offer_id], part.ticks) for part in drawn]
