"""When each waiting job is expected to start, and how sure that is.

The line as it was decided is planned ahead (ahead.py) several times, under different assumptions of how long jobs run:

- By declared times: the latest start. It holds while the line stays as it is: nobody new comes before the job, and nobody in line
  is passed at their cost. Amounts count as declared too. Where those ahead may use up what it needs, or a quota group may keep
  GPUs from it that are free, it has no latest start.
- By learnt times (estimates.py), once for each of `DRAWS` futures. A run time is taken as exponential around its expectation, as
  the estimates do, and never longer than declared. The middle start of these is the likely one, the first and the last its range.

Who submits meanwhile, how fair turns move and what becomes of pools and grants is not in it. The futures are drawn like a Latin
square (McKay, Beckman and Conover, Technometrics 1979): each job meets each part of the distribution once, in an order that its
id alone decides. So the same state has the same forecast, and a job that comes or goes changes no other's draws.
"""

from collections.abc import Callable, Iterator, Mapping
from uuid import UUID

from compute.scheduling.forecasts.ahead import Counted, Together
from compute.scheduling.forecasts.budgets import Grants, Offers
from compute.scheduling.model import Expected, Instant, Job, Limit, Offer, Plan, PoolState, Reason, Snapshot

DRAWS = 7
"""So many futures: a prime, so that every step through the parts visits each once."""

_PARTS = (78, 254, 464, 729, 1082, 1619, 2774)
"""The middles of seven equal parts of the exponential distribution, in thousandths of its mean, scaled to have that mean."""

_IN_LINE = {
    Reason.RESERVED_NEXT,
    Reason.WAITING_FOR_CAPACITY,
    Reason.WAITING_FOR_FAIR_TURN,
    Reason.WAITING_FOR_WINDOW,
    Reason.PROJECT_LIMIT,
    Reason.SUBMITTER_LIMIT,
}
"""Time alone ends these waits. Others end at a known opening, or when somebody acts."""


def forecast(snapshot: Snapshot, decided: Plan, likely_seconds: Mapping[UUID, int], *, jobs_max: int) -> dict[UUID, Expected]:
    """What to expect for the first so many waiting jobs of the line. Who is not in the answer waits for somebody to act.

    `likely_seconds`: how long each waiting job will probably run, and each running one from now on.
    """
    declared = _starts(snapshot, decided, lambda _, seconds: seconds, jobs_max, amounts=True)
    futures = [_starts(snapshot, decided, _drawn(likely_seconds, draw), jobs_max, amounts=False) for draw in range(DRAWS)]
    found = {}
    for job_id in futures[0]:
        latest = declared.get(job_id)
        starts = sorted(future[job_id] for future in futures if job_id in future)
        if len(starts) == DRAWS:
            soonest, likely, late = (
                starts[place] if latest is None else min(starts[place], latest) for place in (0, DRAWS // 2, -1)
            )
            found[job_id] = Expected(snapshot.now, soonest, likely, late, latest)
    return found


_Seconds = Callable[[UUID, int], int]
"""How long a job has its GPUs: its id and its declared seconds in."""


def _drawn(likely_seconds: Mapping[UUID, int], draw: int) -> _Seconds:
    def seconds(job_id: UUID, declared: int) -> int:
        first, step = job_id.int % DRAWS, 1 + job_id.int // DRAWS % (DRAWS - 1)
        part = _PARTS[(first + draw * step) % DRAWS]
        return min(declared, max(1, likely_seconds[job_id] * part // 1000))

    return seconds


def _starts(snapshot: Snapshot, decided: Plan, seconds: _Seconds, jobs_max: int, *, amounts: bool) -> dict[UUID, Instant]:
    """When each job of the line starts if jobs run for so long, in the order of the line."""
    jobs = {job.id: job for job in snapshot.queued}
    future = _Future(snapshot, seconds, amounts=amounts)
    lent = {(quota.pool_id, quota.flavor) for quota in snapshot.quotas}
    for start in decided.starts:
        lane = (start.pool_id, start.flavor, start.reservation_id)
        future.start(jobs[start.job_id].on(start.flavor).inside(start.pool_id), lane, snapshot.now, start.host)
    starts = {}
    for decision in decided.waiting[:jobs_max]:
        if decision.reason in _IN_LINE or decision.opens_at is not None:
            found = future.reserve(jobs[decision.job_id], max(snapshot.now, decision.opens_at or 0))
            is_promised = decision.reason is Reason.RESERVED_NEXT
            if found is not None and (is_promised or not amounts or found[1][:2] not in lent):
                starts[decision.job_id] = found[0]
    return starts


_LaneName = tuple[UUID, str, UUID | None]
"""A flavor in a pool, or a reservation there."""


class _Future:
    """One course of events: what is free when, and what is left of grants and offers."""

    def __init__(self, snapshot: Snapshot, seconds: _Seconds, *, amounts: bool) -> None:
        self._now = snapshot.now
        self._overhead = snapshot.knobs.overhead_seconds
        self._seconds = seconds
        self._grants, self._offers = Grants(snapshot.grants), Offers(snapshot.offers)
        self._amounts = amounts
        self._windows: dict[tuple[UUID, str], list[Offer]] = {}
        for offer in snapshot.offers:
            self._windows.setdefault((offer.pool_id, offer.flavor), []).append(offer)
        pools = sorted((pool for pool in snapshot.pools if pool.state is PoolState.OPEN), key=lambda pool: (pool.name, pool.id))
        self._open_until = {pool.id: pool.open_until for pool in pools}
        self._reserved = {window.id: window for window in snapshot.windows if window.project_id is not None}
        use: dict[object, list[tuple[Instant, int]]] = {}  # of lanes, projects and submitters: until when, how many GPUs
        for run in snapshot.running:
            until = snapshot.now + seconds(run.job_id, max(1, run.ends_by - snapshot.now))
            reservation_id = run.reservation_id if run.reservation_id in self._reserved else None
            for key in ((run.pool_id, run.flavor, reservation_id), (run.pool_id, run.host), run.project_id, run.submitter_id):
                use.setdefault(key, []).append((until, run.gpus))
        capacities: dict[_LaneName, int] = {
            (window.pool_id, window.flavor, window.id): window.gpus
            for window in self._reserved.values()
            if window.pool_id in self._open_until
        }
        capacities |= {(pool.id, flavor, None): gpus for pool in pools for flavor, gpus in pool.capacity.items()}
        self._lanes = {lane: self._counted(gpus, use.get(lane, [])) for lane, gpus in capacities.items()}
        self._hosts = {
            pool.id: Together(
                self._now, {host.name: (host.gpus, use.get((pool.id, host.name), [])) for host in pool.hosts if host.is_open}
            )
            for pool in pools
            if pool.hosts
        }
        for window in snapshot.windows:
            if (lane := self._lanes.get((window.pool_id, window.flavor, None))) is not None:
                begins = max(window.begins_at, self._now)
                lane.take(begins, window.ends_at - begins, window.gpus)
        limits = {project.id: project.limit for project in snapshot.projects} | dict(snapshot.submitter_limits)
        self._limits = {key: list(self._of_limit(limit, use.get(key, []))) for key, limit in limits.items()}

    def start(self, job: Job, lane: _LaneName, at: Instant, host: str = "") -> None:
        """The job runs from then on; on this host, if that is known."""
        seconds = self._seconds(job.id, job.wall_seconds + self._overhead)
        for resource, amount in self._needs(job, lane):
            if isinstance(resource, Together) and host:
                resource.take_on(host, at, seconds, amount)
            else:
                resource.take(at, seconds, amount)
        if self._amounts:
            draws = self._offers.draw(job, lane[0], starts_at=at, ends_by=self._ends_by(job, at))
            self._grants.take(job)
            self._offers.take(draws or ())

    def reserve(self, job: Job, not_before: Instant) -> tuple[Instant, _LaneName] | None:
        """The earliest start that delays none reserved before, and in which lane: the one it likes best of those that have it."""
        best: tuple[Instant, _LaneName, Job] | None = None
        for wish in job.wishes:
            for lane in self._lanes:
                if lane[1] == wish.flavor and (job.pools is None or lane[0] in job.pools) and self._is_for(job, lane):
                    there = wish.inside(lane[0])
                    at = self._earliest(there, lane, not_before)
                    if at is not None and (best is None or at < best[0]):
                        best = at, lane, there
        if best is None:
            return None
        at, lane, wish = best
        self.start(wish, lane, at)
        return at, lane

    def _earliest(self, job: Job, lane: _LaneName, not_before: Instant) -> Instant | None:
        seconds = self._seconds(job.id, job.wall_seconds + self._overhead)
        needs = list(self._needs(job, lane))
        reserved = self._reserved.get(lane[2]) if lane[2] is not None else None
        at, agreed = not_before if reserved is None else max(not_before, reserved.begins_at), 0
        while agreed < len(needs):  # each in turn, until none moves the start any more
            for resource, amount in needs:
                found = resource.earliest(amount, seconds, at)
                if found is None:
                    return None
                agreed = agreed + 1 if found == at else 1
                at = found
        return at if self._carries(job, lane, at) else None

    def _carries(self, job: Job, lane: _LaneName, at: Instant) -> bool:
        """Whether windows are open for the whole declared time, and amounts last, if they count."""
        ends_by, open_until = self._ends_by(job, at), self._open_until[lane[0]]
        if open_until is not None and ends_by > open_until:
            return False
        if lane[2] is not None and ends_by > self._reserved[lane[2]].ends_at:
            return False
        short = self._grants.shortfall(job, starts_at=at, ends_by=ends_by)
        if short is not None and (self._amounts or short.is_window):
            return False
        if self._amounts:
            return self._offers.draw(job, lane[0], starts_at=at, ends_by=ends_by) is not None
        return job.offers is None or any(
            offer.id in job.offers and offer.opens_at <= at and ends_by <= offer.closes_at
            for offer in self._windows.get(lane[:2], ())
        )

    def _is_for(self, job: Job, lane: _LaneName) -> bool:
        return lane[2] is None or self._reserved[lane[2]].project_id == job.project_id

    def _needs(self, job: Job, lane: _LaneName) -> Iterator[tuple[Counted | Together, int]]:
        yield self._lanes[lane], job.gpus
        hosts = self._hosts.get(lane[0])
        if hosts is not None:
            yield (hosts if job.wholes is None else hosts.of_size(job.gpus)), job.gpus
        for key in (job.project_id, job.submitter_id):
            for resource, of_jobs in self._limits.get(key, ()) if key is not None else ():
                yield resource, 1 if of_jobs else job.gpus

    def _ends_by(self, job: Job, starts_at: Instant) -> Instant:
        return starts_at + job.wall_seconds + self._overhead

    def _of_limit(self, limit: Limit, use: list[tuple[Instant, int]]) -> Iterator[tuple[Counted, bool]]:
        if limit.jobs is not None:
            yield self._counted(limit.jobs, [(until, 1) for until, _ in use]), True
        if limit.gpus is not None:
            yield self._counted(limit.gpus, use), False

    def _counted(self, amount: int, use: list[tuple[Instant, int]]) -> Counted:
        return Counted(self._now, amount - sum(gpus for _, gpus in use), use)
