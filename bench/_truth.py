"""Whether what waiting jobs are told is true: what was named is done, exactly, and the scheduler is asked again.

Each reason has a change of the world that does what the remedy says. Done in full, the job waits for that reason no more; one
unit short of it (a GPU, a tick, a second), it still does. So a check can fail in both directions. Jobs ahead in line are left
out where the remedy says that they have their turn first.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid5

from compute.scheduling import (
    Decision,
    Grant,
    Instant,
    Job,
    Limit,
    Offer,
    Plan,
    PoolState,
    Reason,
    Snapshot,
    plan,
)


@dataclass(frozen=True)
class Verdict:
    """What came of one check."""

    decision: Decision
    helped: bool  # with what was named the job waits for this no more
    needed: bool  # one unit short of it, it still does

    @property
    def true(self) -> bool:
        return self.helped and self.needed


def check(world: Snapshot, decided: Plan, decision: Decision) -> Verdict:
    """Check what one waiting job was told. Nothing starts in this world: whoever may, has."""
    assert not decided.starts
    told = _Told(world, decided, decision, next(job for job in world.queued if job.id == decision.job_id))
    remedy = _REMEDIES[decision.reason]
    return Verdict(decision, not _still_waits(remedy(told, 0), decision), _still_waits(remedy(told, 1), decision))


def _still_waits(world: Snapshot, decision: Decision) -> bool:
    """Whether the job waits for the same reason. Whoever waits for GPUs waits until it starts, whatever that is called."""
    found = next((each for each in plan(world).waiting if each.job_id == decision.job_id), None)
    if found is None:
        return False
    if decision.reason in _FOR_GPUS:
        return found.reason in _FOR_GPUS
    return (found.reason, found.limit_on) == (decision.reason, decision.limit_on)


_FOR_GPUS = {Reason.RESERVED_NEXT, Reason.WAITING_FOR_CAPACITY, Reason.WAITING_FOR_FAIR_TURN}


@dataclass(frozen=True)
class _Told:
    """A decision in its world."""

    world: Snapshot
    decided: Plan
    decision: Decision
    job: Job

    def with_job(self, **changes: Any) -> Snapshot:
        """The world with this job changed."""
        changed = replace(self.job, **changes)
        return replace(self.world, queued=tuple(changed if job.id == changed.id else job for job in self.world.queued))

    def without(self, who: Callable[[Decision], bool]) -> Snapshot:
        """The world without some of the others who wait."""
        gone = {each.job_id for each in self.decided.waiting if each.job_id != self.job.id and who(each)}
        return replace(self.world, queued=tuple(job for job in self.world.queued if job.id not in gone))

    def is_ahead(self, other: Decision) -> bool:
        return other.place < self.decision.place

    def with_pool(self, world: Snapshot, pool_id: UUID, **changes: Any) -> Snapshot:
        return replace(world, pools=tuple(replace(pool, **changes) if pool.id == pool_id else pool for pool in world.pools))

    def capacity(self, pool_id: UUID, gpus: int) -> Mapping[str, int]:
        """The GPUs of a pool, with so many of this job's flavor."""
        (pool,) = (pool for pool in self.world.pools if pool.id == pool_id)
        return {**pool.capacity, self.job.flavor: gpus}


def _capacity(told: _Told, short: int) -> Snapshot:
    """So many GPUs more, and those ahead had their turn."""
    decision, pool_id = told.decision, told.decision.pool_id
    assert decision.gpus_free is not None
    assert pool_id is not None
    (pool,) = (pool for pool in told.world.pools if pool.id == pool_id)
    more = decision.gpus_needed - decision.gpus_free - short
    return told.with_pool(
        told.without(told.is_ahead), pool_id, capacity=told.capacity(pool_id, pool.capacity[told.job.flavor] + more)
    )


def _fair_turn(told: _Told, short: int) -> Snapshot:
    """Those ahead had their turn; or all of them but the next in line, who needs the GPUs."""
    return told.without(lambda each: told.is_ahead(each) and not (short and each.reason is Reason.RESERVED_NEXT))


def _reserved(told: _Told, short: int) -> Snapshot:
    """Time passes in its pool. What runs ends as declared, and nobody else comes. It says “at the latest”: short of it is now."""
    decision = told.decision
    assert decision.expected_start_at is not None
    assert decision.pool_id is not None
    there = replace(told.job, pools=frozenset({decision.pool_id}))
    return _later(replace(told.world, queued=(there,)), told.world.now if short else decision.expected_start_at)


def _budget(told: _Told, short: int) -> Snapshot:
    """A grant that has as much as it needs."""
    assert told.decision.ticks_needed is not None
    return _with_grant(told, told.decision.ticks_needed - short, told.world.now + told.job.wall_seconds)


def _grant(told: _Told, short: int) -> Snapshot:
    """The grant begins; or it lasts as long as the job may take."""
    if told.decision.opens_at is not None:
        return _later(replace(told.world, queued=(told.job,)), told.decision.opens_at - short)
    return _with_grant(told, told.job.cost_ticks, told.world.now + told.job.wall_seconds - short)


def _with_grant(told: _Told, ticks: int, closes_at: Instant) -> Snapshot:
    grant = Grant(uuid5(told.job.id, "grant"), ticks, told.world.now, closes_at)
    return replace(told.with_job(grant_id=grant.id), grants=(*told.world.grants, grant))


def _offer(told: _Told, short: int) -> Snapshot:
    """The offer opens; or there is one that has enough, and lasts as long as the job may take."""
    decision, now = told.decision, told.world.now
    assert decision.pool_id is not None
    if decision.opens_at is not None and decision.closes_at is None:
        opened = decision.opens_at - short
        return _later(replace(told.world, queued=(told.job,)), opened)
    ticks, closes_at = told.job.offer_ticks, now + told.job.wall_seconds
    if decision.closes_at is None:
        ticks -= short
    else:
        closes_at -= short
    made = Offer(uuid5(told.job.id, "offer"), decision.pool_id, told.job.flavor, ticks, now, closes_at)
    return replace(told.with_job(offers=frozenset({made.id})), offers=(*told.world.offers, made))


def _limit(told: _Told, short: int) -> Snapshot:
    """The limit is raised by what is missing, and nobody else waits for it; whoever was promised a start keeps it."""
    decision, job = told.decision, told.job
    assert decision.limit is not None
    assert decision.in_use is not None
    wanted = 1 if decision.limit_on == "jobs" else decision.gpus_needed
    raised = max(decision.limit, decision.in_use + wanted) - short
    others = {each.id for each in told.world.queued if each.project_id == job.project_id or each.submitter_id == job.submitter_id}
    world = told.without(lambda each: each.job_id in others and each.reason is not Reason.RESERVED_NEXT)
    if decision.reason is Reason.SUBMITTER_LIMIT:
        assert job.submitter_id is not None
        limit = _raised(world.submitter_limits[job.submitter_id], decision.limit_on, raised)
        return replace(world, submitter_limits={**world.submitter_limits, job.submitter_id: limit})
    return replace(
        world,
        projects=tuple(
            replace(each, limit=_raised(each.limit, decision.limit_on, raised)) if each.id == job.project_id else each
            for each in world.projects
        ),
    )


def _raised(limit: Limit, on: str, to: int) -> Limit:
    return replace(limit, jobs=to) if on == "jobs" else replace(limit, gpus=to)


def _pool(told: _Told, short: int) -> Snapshot:
    """A pool stays open as long as the job may take, is connected again, or grows to the job's size."""
    decision, world = told.decision, told.world
    if decision.closes_at is not None:
        assert decision.pool_id is not None
        return told.with_pool(world, decision.pool_id, open_until=world.now + told.job.wall_seconds - short)
    if decision.out_of_reach:
        (away,) = (pool for pool in world.pools if pool.name == decision.out_of_reach)
        return told.with_pool(world, away.id, state=PoolState.OUT_OF_REACH if short else PoolState.OPEN)
    (first, *_) = (pool for pool in world.pools if told.job.pools is None or pool.id in told.job.pools)
    grown = told.capacity(first.id, decision.gpus_needed - short)
    return told.with_pool(world, first.id, capacity=grown, state=PoolState.OPEN, open_until=None)


def _later(world: Snapshot, now: Instant) -> Snapshot:
    """The same world at a later moment: whatever declared to be over by then, is."""
    return replace(world, now=now, running=tuple(run for run in world.running if max(run.ends_by, world.now + 1) > now))


_REMEDIES: Mapping[Reason, Callable[[_Told, int], Snapshot]] = {
    Reason.WAITING_FOR_POOL: _pool,
    Reason.WAITING_FOR_GRANT: _grant,
    Reason.WAITING_FOR_BUDGET: _budget,
    Reason.WAITING_FOR_OFFER: _offer,
    Reason.PROJECT_LIMIT: _limit,
    Reason.SUBMITTER_LIMIT: _limit,
    Reason.RESERVED_NEXT: _reserved,
    Reason.WAITING_FOR_CAPACITY: _capacity,
    Reason.WAITING_FOR_FAIR_TURN: _fair_turn,
}
# The made-up platform has no maintenance, reservations and quota groups.
assert _REMEDIES.keys() == set(Reason) - {Reason.WAITING_FOR_WINDOW, Reason.WAITING_FOR_QUOTA}
