"""What a waiting job was told, in the world that it was told in, and worlds in which one thing is otherwise."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

from compute.scheduling import Decision, Instant, Job, Plan, Reason, Snapshot, plan


@dataclass(frozen=True)
class Told:
    """A decision in its world."""

    world: Snapshot
    decided: Plan
    decision: Decision
    job: Job

    @property
    def wish(self) -> Job:
        """The job on the flavor that it was told about."""
        return self.job.on(self.decision.flavor)

    @property
    def ends_by(self) -> Instant:
        """If it started now."""
        return self.world.now + self.job.wall_seconds + self.world.knobs.overhead_seconds

    def with_job(self, **changes: Any) -> Snapshot:
        """The world with this job changed."""
        changed = replace(self.job, **changes)
        return replace(self.world, queued=tuple(changed if job.id == changed.id else job for job in self.world.queued))

    def without(self, who: Callable[[Decision], bool]) -> Snapshot:
        """The world without some of the others who wait. Who was promised a start elsewhere is not promised it here instead."""
        others = {each.job_id: each for each in self.decided.waiting if each.job_id != self.job.id}
        gone = {each.job_id for each in others.values() if who(each)}
        return replace(
            self.world, queued=tuple(_as_promised(job, others.get(job.id)) for job in self.world.queued if job.id not in gone)
        )

    def is_ahead(self, other: Decision) -> bool:
        """Whether its turn comes first. Who would borrow of a quota group comes after others, whatever its place in line."""
        return other.place < self.decision.place or self.decision.would_borrow

    def grown(self, world: Snapshot, pool_id: UUID, more: int) -> Snapshot:
        """A pool with so many GPUs more of the flavor."""
        (pool,) = (pool for pool in world.pools if pool.id == pool_id)
        return with_pool(
            world, pool_id, capacity={**pool.capacity, self.wish.flavor: pool.capacity.get(self.wish.flavor, 0) + more}
        )

    def shorter(self, short: int) -> Snapshot:
        """The job declares to be over by the moment that was named, or so many seconds later."""
        over_by, job = self.decision.over_by, self.job
        assert over_by is not None
        wall = over_by - self.world.now + short
        cost, ticks = job.cost_ticks * wall // job.wall_seconds, job.offer_ticks * wall // job.wall_seconds
        others = tuple(
            replace(
                each,
                cost_ticks=each.cost_ticks * wall // job.wall_seconds,
                offer_ticks=each.offer_ticks * wall // job.wall_seconds,
            )
            for each in job.alternatives
        )
        return self.with_job(wall_seconds=wall, cost_ticks=cost, offer_ticks=ticks, alternatives=others)

    def less(self, done: Snapshot) -> Snapshot:
        """Less than was named was done. It shows something only where everybody else is promised what they were before."""
        return done if self._promised(plan(done)) == self._promised(self.decided) else self.world

    def _promised(self, decided: Plan) -> set[tuple[UUID, UUID | None, Instant | None]]:
        """Who else is promised a start, where, and when."""
        return {
            (each.job_id, each.pool_id, each.expected_start_at)
            for each in decided.waiting
            if each.reason is Reason.RESERVED_NEXT and each.job_id != self.job.id
        }


def _as_promised(job: Job, decision: Decision | None) -> Job:
    if decision is None or decision.reason is not Reason.RESERVED_NEXT:
        return job
    return replace(job.on(decision.flavor), pools=frozenset({decision.pool_id}))


def with_pool(world: Snapshot, pool_id: UUID, **changes: Any) -> Snapshot:
    """The world with one pool changed."""
    return replace(world, pools=tuple(replace(pool, **changes) if pool.id == pool_id else pool for pool in world.pools))
