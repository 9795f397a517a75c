"""One pass: who starts now, and what everybody else waits for.

The whole policy, in order:

1. Jobs are taken from the line one by one (fairness.py), the project with the least weighted use first.
2. A job that its pools, its grant, its offers or a limit can't carry for its whole declared time waits, and holds up nobody.
3. A job starts in the first pool where all its GPUs are free and nobody's promise suffers; pools whose offers expire soonest
   come first.
4. The first job of a pool and flavor that does not fit is promised the earliest possible start there. What it will need of
   its grant and offers is set aside for it as well, so that no later job can take it away.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from compute.scheduling.budgets import Grants, Offers, Shortfall
from compute.scheduling.capacity import Lane
from compute.scheduling.fairness import Line
from compute.scheduling.limits import Limits, Reached
from compute.scheduling.model import (
    Decision,
    Draw,
    Instant,
    Job,
    Plan,
    PoolState,
    Reason,
    Running,
    Snapshot,
    Start,
)


def plan(snapshot: Snapshot) -> Plan:
    """Decide about every queued job. The same snapshot gives the same plan, whatever the order of its parts."""
    return _Pass(snapshot).run()


@dataclass(frozen=True, slots=True)
class _Option:
    """A lane whose pool, grant and offers can carry the job for its whole declared time, from now."""

    lane: Lane
    draws: tuple[Draw, ...]


class _Pass:
    def __init__(self, snapshot: Snapshot) -> None:
        self._now = snapshot.now
        self._rules = snapshot.rules
        self._pools = sorted(snapshot.pools, key=lambda pool: (pool.name, pool.id))
        self._lanes = _lanes(snapshot)
        self._grants = Grants(snapshot.grants)
        self._offers = Offers(snapshot.offers)
        self._limits = Limits(snapshot.projects, snapshot.submitter_limits, snapshot.running)
        self._line = Line(
            now=snapshot.now,
            projects=snapshot.projects,
            running=snapshot.running,
            queued=snapshot.queued,
            rules=snapshot.rules,
        )
        self._waiting: list[Decision] = []

    def run(self) -> Plan:
        starts: list[Start] = []
        for job in self._line:
            outcome = self._consider(job)
            if isinstance(outcome, Start):
                self._line.started(job)
                starts.append(outcome)
            else:
                self._waiting.append(outcome)
        return Plan(tuple(starts), tuple(self._waiting))

    def _consider(self, job: Job) -> Start | Decision:
        ends_by = self._ends_by(job, self._now)
        lanes = [lane for lane in self._lanes_of(job) if job.gpus <= lane.capacity]
        in_time = [lane for lane in lanes if lane.pool.open_until is None or ends_by <= lane.pool.open_until]
        if not in_time:
            return self._wait_for_pool(job, lanes)

        short = self._grants.shortfall(job, starts_at=self._now, ends_by=ends_by)
        if short is not None:
            reason = Reason.WAITING_FOR_GRANT if short.is_window else Reason.WAITING_FOR_BUDGET
            return self._wait_for_shortfall(job, reason, short)

        options = self._options(job, in_time, ends_by)
        if not options:
            shortfalls = [
                (lane, self._offers.shortfall(job, lane.pool.id, starts_at=self._now, ends_by=ends_by)) for lane in in_time
            ]
            lane, short = max(shortfalls, key=lambda found: found[1].ticks_available)
            return self._wait_for_shortfall(job, Reason.WAITING_FOR_OFFER, short, lane)

        reached = self._limits.reached(job, ends_by=ends_by)
        if reached is not None:
            return self._wait_for_limit(job, reached)

        for option in options:
            if option.lane.fits(job, ends_by) and (self._rules.backfill or option.lane.promised_to is None):
                return self._start(job, option, ends_by)
        return self._wait_for_capacity(job, [option.lane for option in options])

    def _start(self, job: Job, option: _Option, ends_by: Instant) -> Start:
        lane = option.lane
        start = Start(
            job_id=job.id,
            pool_id=lane.pool.id,
            flavor=job.flavor,
            gpus=job.gpus,
            ends_by=ends_by,
            draws=option.draws,
            backfilled=lane.promised_to is not None,
        )
        lane.take(job, ends_by)
        self._grants.take(job)
        self._offers.take(option.draws)
        self._limits.start(job)
        return start

    # Why a job waits -------------------------------------------------------------------------------------------------------

    def _wait_for_pool(self, job: Job, too_short: list[Lane]) -> Decision:
        """No open pool is large enough, or those that are close before the job could end."""
        if too_short:
            lane = max(too_short, key=lambda lane: (lane.pool.open_until or 0, lane.pool.name, lane.pool.id))
            return self._wait(job, Reason.WAITING_FOR_POOL, lane=lane, gpus_free=lane.capacity, closes_at=lane.pool.open_until)
        most = max((lane.capacity for lane in self._lanes_of(job)), default=0)
        return self._wait(job, Reason.WAITING_FOR_POOL, gpus_free=most, out_of_reach=self._out_of_reach(job))

    def _out_of_reach(self, job: Job) -> str:
        for pool in self._pools:
            permitted = job.pools is None or pool.id in job.pools
            if pool.state is PoolState.OUT_OF_REACH and permitted and pool.capacity.get(job.flavor, 0) >= job.gpus:
                return pool.name
        return ""

    def _wait_for_shortfall(self, job: Job, reason: Reason, short: Shortfall, lane: Lane | None = None) -> Decision:
        return self._wait(
            job,
            reason,
            lane=lane,
            ticks_needed=short.ticks_needed,
            ticks_available=short.ticks_available,
            opens_at=short.opens_at,
            closes_at=short.closes_at,
        )

    def _wait_for_limit(self, job: Job, reached: Reached) -> Decision:
        return self._wait(job, reached.reason, limit=reached.limit, limit_on=reached.on, in_use=reached.in_use)

    def _wait_for_capacity(self, job: Job, lanes: list[Lane]) -> Decision:
        promise = min(self._possible_promises(job, lanes), key=lambda found: found[0], default=None)
        if promise is not None:
            at, lane, draws = promise
            lane.promise(job, at)
            self._grants.take(job)
            self._offers.take(draws)
            self._limits.promise(job, at)
            return self._wait(job, Reason.RESERVED_NEXT, lane=lane, gpus_free=lane.free, expected_start_at=at)
        lane = max(lanes, key=lambda lane: lane.free)  # the first of equals: the lanes are in order
        if lane.free >= job.gpus:
            kept_until = lane.promised_at
            return self._wait(job, Reason.WAITING_FOR_FAIR_TURN, lane=lane, gpus_free=lane.free, kept_until=kept_until)
        return self._wait(job, Reason.WAITING_FOR_CAPACITY, lane=lane, gpus_free=lane.free)

    def _possible_promises(self, job: Job, lanes: list[Lane]) -> Iterator[tuple[Instant, Lane, tuple[Draw, ...]]]:
        """The earliest start in each lane that has promised nothing yet, if pool, grant, offers and limits allow it then."""
        for lane in lanes:
            at = lane.earliest(job) if lane.promised_to is None else None
            if at is None:
                continue
            ends_by = self._ends_by(job, at)
            draws = self._offers.draw(job, lane.pool.id, starts_at=at, ends_by=ends_by)
            if (
                draws is not None
                and (lane.pool.open_until is None or ends_by <= lane.pool.open_until)
                and self._grants.shortfall(job, starts_at=at, ends_by=ends_by) is None
                and self._limits.reached(job, ends_by=ends_by) is None
            ):
                yield at, lane, draws

    def _wait(
        self, job: Job, reason: Reason, *, lane: Lane | None = None, gpus_free: int | None = None, **facts: Any
    ) -> Decision:
        return Decision(
            job_id=job.id,
            reason=reason,
            decided_at=self._now,
            place=len(self._waiting) + 1,
            flavor=job.flavor,
            gpus_needed=job.gpus,
            pool_id=lane.pool.id if lane else None,
            pool_name=lane.pool.name if lane else "",
            gpus_free=None if gpus_free is None else max(0, gpus_free),
            **facts,
        )

    # Where it could run ----------------------------------------------------------------------------------------------------

    def _ends_by(self, job: Job, starts_at: Instant) -> Instant:
        return starts_at + job.wall_seconds + self._rules.overhead_seconds

    def _lanes_of(self, job: Job) -> Iterator[Lane]:
        """The open lanes with this job's flavor in pools it may run in, by the pools' names."""
        for pool in self._pools:
            lane = self._lanes.get((pool.id, job.flavor))
            if lane is not None and (job.pools is None or pool.id in job.pools):
                yield lane

    def _options(self, job: Job, lanes: list[Lane], ends_by: Instant) -> list[_Option]:
        """The lanes whose offers can carry the job, those whose offers expire soonest first."""
        options = []
        for lane in lanes:
            draws = self._offers.draw(job, lane.pool.id, starts_at=self._now, ends_by=ends_by)
            if draws is not None:
                options.append(_Option(lane, draws))
        if job.offers is not None:
            options.sort(key=lambda option: self._offers.soonest_close(option.draws, job, option.lane.pool.id) or 0)
        return options


def _lanes(snapshot: Snapshot) -> dict[tuple[UUID, str], Lane]:
    """A lane for each flavor of each open pool. What runs elsewhere, in a draining pool, say, occupies no open lane."""
    running: dict[tuple[UUID, str], list[Running]] = {}
    for job in snapshot.running:
        running.setdefault((job.pool_id, job.flavor), []).append(job)
    return {
        (pool.id, flavor): Lane(pool, flavor, running.get((pool.id, flavor), ()), now=snapshot.now)
        for pool in snapshot.pools
        if pool.state is PoolState.OPEN
        for flavor in pool.capacity
    }
