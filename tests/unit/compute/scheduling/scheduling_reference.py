"""A second scheduler that is slow and obviously right: nothing is kept, everything is counted again for every job.

It knows no "spare" GPUs and no lazily kept order. A promise is a block of GPUs in the future, and a job may start if at every
second of its run the blocks and the running jobs leave it room.
"""

from dataclasses import dataclass
from fractions import Fraction
from uuid import UUID

from compute.scheduling import Job, Offer, Pool, PoolState, Reason, Snapshot


@dataclass(frozen=True)
class Block:
    """GPUs used in a pool from one moment to another."""

    job_id: UUID
    project_id: UUID
    submitter_id: UUID | None
    pool_id: UUID
    flavor: str
    gpus: int
    begins: int
    ends: int


class Reference:
    def __init__(self, given: Snapshot) -> None:
        self.given = given
        self.now = given.now
        self.running = [
            Block(r.job_id, r.project_id, r.submitter_id, r.pool_id, r.flavor, r.gpus, self.now, max(r.ends_by, self.now + 1))
            for r in given.running
        ]
        self.started: list[tuple[Job, Block, dict[UUID, int]]] = []
        self.promised: list[tuple[Job, Block, dict[UUID, int]]] = []
        self.waiting: list[tuple[UUID, Reason, UUID | None, int | None]] = []

    def run(self) -> "Reference":
        left = list(self.given.queued)
        while left:
            job = min((self.first_of_project(project, left) for project in {j.project_id for j in left}), key=self.turn)
            left.remove(job)
            self.decide(job)
        return self

    def first_of_project(self, project: UUID, left: list[Job]) -> Job:
        patient = self.given.rules.patience_seconds
        mine = [job for job in left if job.project_id == project]
        waited_long = [job for job in mine if self.now - job.submitted_at >= patient]
        if waited_long:
            return min(waited_long, key=lambda job: (job.submitted_at, job.id))
        return min(mine, key=lambda job: (job.wall_seconds, job.submitted_at, job.id))

    def turn(self, job: Job) -> tuple[Fraction, int, UUID]:
        (project,) = (each for each in self.given.projects if each.id == job.project_id)
        rates = [r.rate for r in self.given.running if r.project_id == project.id]
        rates += [other.rate for other, _, _ in self.started if other.project_id == project.id]
        use = project.used_ticks + sum(rate * self.given.rules.current_use_seconds for rate in rates)
        return (Fraction(use, project.weight), job.submitted_at, job.id)

    def decide(self, job: Job) -> None:  # noqa: PLR0911 - the rules in a row, as they are written down
        needs = job.wall_seconds + self.given.rules.overhead_seconds
        pools = [pool for pool in self.pools(job) if pool.capacity[job.flavor] >= job.gpus]
        pools = [pool for pool in pools if self.open(pool, self.now + needs)]
        if not pools:
            return self.wait(job, Reason.WAITING_FOR_POOL)
        if job.grant_id is not None:
            (grant,) = (each for each in self.given.grants if each.id == job.grant_id)
            if grant.opens_at > self.now or grant.closes_at < self.now + needs:
                return self.wait(job, Reason.WAITING_FOR_GRANT)
            if self.left_of_grant(job.grant_id) < job.cost_ticks:
                return self.wait(job, Reason.WAITING_FOR_BUDGET)
        pools = [pool for pool in pools if self.draws(job, pool, self.now, needs) is not None]
        if not pools:
            return self.wait(job, Reason.WAITING_FOR_OFFER)
        if self.over_limit(job, job.project_id, "project_id", self.now + needs):
            return self.wait(job, Reason.PROJECT_LIMIT)
        if self.over_limit(job, job.submitter_id, "submitter_id", self.now + needs):
            return self.wait(job, Reason.SUBMITTER_LIMIT)
        pools.sort(key=lambda pool: self.soonest(job, pool, needs))
        for pool in pools:
            passes = any(block.pool_id == pool.id and block.flavor == job.flavor for _, block, _ in self.promised)
            if self.room(job, pool, self.now, needs) and (self.given.rules.backfill or not passes):
                self.started.append((job, self.block(job, pool, self.now, needs), self.draws(job, pool, self.now, needs) or {}))
                return None
        return self.promise_or_wait(job, pools, needs)

    def promise_or_wait(self, job: Job, pools: list[Pool], needs: int) -> None:
        possible = []
        for place, pool in enumerate(pools):
            if any(block.pool_id == pool.id and block.flavor == job.flavor for _, block, _ in self.promised):
                continue
            ends = sorted({block.ends for block in self.blocks_in(pool, job.flavor)})
            at = next(end for end in ends if self.free(pool, job.flavor, end) >= job.gpus)
            draws = self.draws(job, pool, at, needs)
            in_grant = all(at + needs <= grant.closes_at for grant in self.given.grants if grant.id == job.grant_id)
            within = not self.over_limit(job, job.project_id, "project_id", at + needs) and not self.over_limit(
                job, job.submitter_id, "submitter_id", at + needs
            )
            if draws is not None and in_grant and within and self.open(pool, at + needs):
                possible.append((at, place, pool, draws))
        if possible:
            at, _, pool, draws = min(possible, key=lambda found: found[:2])
            self.promised.append((job, self.block(job, pool, at, needs), draws))
            return self.wait(job, Reason.RESERVED_NEXT, pool, at)
        most = max(pools, key=lambda pool: self.free(pool, job.flavor, self.now))
        enough = self.free(most, job.flavor, self.now) >= job.gpus
        return self.wait(job, Reason.WAITING_FOR_FAIR_TURN if enough else Reason.WAITING_FOR_CAPACITY, most)

    def wait(self, job: Job, reason: Reason, pool: Pool | None = None, at: int | None = None) -> None:
        self.waiting.append((job.id, reason, pool.id if pool else None, at))

    # Counting ---------------------------------------------------------------------------------------------------------

    def pools(self, job: Job) -> list[Pool]:
        found = [pool for pool in self.given.pools if pool.state is PoolState.OPEN and job.flavor in pool.capacity]
        return sorted(
            (pool for pool in found if job.pools is None or pool.id in job.pools), key=lambda pool: (pool.name, pool.id)
        )

    def open(self, pool: Pool, ends: int) -> bool:
        return pool.open_until is None or ends <= pool.open_until

    def block(self, job: Job, pool: Pool, begins: int, needs: int) -> Block:
        return Block(job.id, job.project_id, job.submitter_id, pool.id, job.flavor, job.gpus, begins, begins + needs)

    def blocks_in(self, pool: Pool, flavor: str) -> list[Block]:
        blocks = [*self.running, *(block for _, block, _ in self.started)]
        return [block for block in blocks if block.pool_id == pool.id and block.flavor == flavor]

    def free(self, pool: Pool, flavor: str, at: int) -> int:
        return pool.capacity[flavor] - sum(b.gpus for b in self.blocks_in(pool, flavor) if b.begins <= at < b.ends)

    def room(self, job: Job, pool: Pool, begins: int, needs: int) -> bool:
        """Whether running jobs and promised blocks leave enough GPUs at every moment of the run."""
        promised = [b for _, b, _ in self.promised if b.pool_id == pool.id and b.flavor == job.flavor]
        blocks = [*self.blocks_in(pool, job.flavor), *promised]
        moments = {begins, *(m for b in blocks for m in (b.begins, b.ends) if begins <= m < begins + needs)}
        return all(
            sum(b.gpus for b in blocks if b.begins <= moment < b.ends) + job.gpus <= pool.capacity[job.flavor]
            for moment in moments
        )

    def left_of_grant(self, grant_id: UUID) -> int:
        (grant,) = (each for each in self.given.grants if each.id == grant_id)
        return grant.available_ticks - sum(
            other.cost_ticks for other, _, _ in [*self.started, *self.promised] if other.grant_id == grant_id
        )

    def left_of_offer(self, offer: Offer) -> int:
        return offer.available_ticks - sum(draws.get(offer.id, 0) for _, _, draws in [*self.started, *self.promised])

    def usable(self, job: Job, pool: Pool, begins: int, needs: int) -> list[Offer]:
        found = [
            offer
            for offer in self.given.offers
            if offer.pool_id == pool.id
            and offer.flavor == job.flavor
            and offer.id in (job.offers or ())
            and offer.opens_at <= begins
            and begins + needs <= offer.closes_at
            and self.left_of_offer(offer) > 0
        ]
        return sorted(found, key=lambda offer: (offer.closes_at, offer.id))

    def draws(self, job: Job, pool: Pool, begins: int, needs: int) -> dict[UUID, int] | None:
        if job.offers is None:
            return {}
        need, draws = job.offer_ticks, {}
        for offer in self.usable(job, pool, begins, needs):
            draws[offer.id] = min(need, self.left_of_offer(offer))
            need -= draws[offer.id]
            if need == 0:
                return draws
        return None

    def soonest(self, job: Job, pool: Pool, needs: int) -> tuple[int, str, UUID]:
        usable = self.usable(job, pool, self.now, needs) if job.offers is not None else []
        return (usable[0].closes_at if usable else 0, pool.name, pool.id)

    def over_limit(self, job: Job, key: UUID | None, field: str, ends: int) -> bool:
        if field == "project_id":
            (limit,) = (each.limit for each in self.given.projects if each.id == key)
        elif key is None or key not in self.given.submitter_limits:
            return False
        else:
            limit = self.given.submitter_limits[key]
        blocks = [*self.running, *(block for _, block, _ in self.started)]
        blocks += [block for _, block, _ in self.promised if block.begins < ends]
        mine = [block for block in blocks if getattr(block, field) == key]
        too_many = limit.jobs is not None and len(mine) + 1 > limit.jobs
        return too_many or (limit.gpus is not None and sum(block.gpus for block in mine) + job.gpus > limit.gpus)
