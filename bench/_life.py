"""A made-up platform with every rule on, played through the scheduler: who waits, for what, and what became of it.

Two pools, one of which closes for maintenance; grants that begin, run out, are topped up and end; offers with windows; limits of
projects and people. Jobs come in waves, from single GPUs to gangs, and end somewhere between five minutes and all of their
declared time.
"""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from compute.scheduling import (
    Draw,
    Estimates,
    Grant,
    Instant,
    Job,
    Limit,
    Offer,
    Plan,
    Pool,
    PoolState,
    Project,
    Running,
    Snapshot,
    Start,
    plan,
)
from compute.scheduling.learning.estimates import Lineage

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600
BEGINS = 20_000 * DAY
STEP = 5 * MINUTE
"""Arrivals and ends count at full steps, so that a moment has several of them."""

TICKS = 840  # in a GPU-second
DECLARED = tuple(minutes * MINUTE for minutes in (10, 20, 30, 60, 120, 240, 480))
SIZES = (*[1] * 16, *[2] * 10, *[4] * 8, *[8] * 6, 16)
JOBS_A_DAY = 1100
"""About as many as the platform can take."""

PATIENCE = 24 * HOUR
"""Whoever has waited so long withdraws the job."""

UNLIMITED = Limit()


@dataclass(frozen=True)
class Coming:
    """A job before it is submitted, and how long it will really have its GPUs."""

    job: Job
    run_seconds: int


@dataclass
class Life:
    """The platform at a moment. `step` goes on to the next at which anything happens."""

    coming: list[Coming]  # the next one last
    chance: random.Random
    now: Instant = BEGINS
    goes_on: bool = True  # whether grants are topped up
    queued: dict[UUID, Job] = field(default_factory=dict)
    running: dict[UUID, Running] = field(default_factory=dict)
    ends: list[tuple[Instant, UUID]] = field(default_factory=list)
    run_seconds: dict[UUID, int] = field(default_factory=dict)
    started: dict[UUID, Instant] = field(default_factory=dict)
    jobs: dict[UUID, Job] = field(default_factory=dict)
    draws: dict[UUID, tuple[Draw, ...]] = field(default_factory=dict)
    grants: dict[UUID, Grant] = field(default_factory=dict)
    offers: dict[UUID, Offer] = field(default_factory=dict)
    projects: dict[UUID, Project] = field(default_factory=dict)
    people: dict[UUID, Limit] = field(default_factory=dict)
    estimates: Estimates = field(default_factory=Estimates)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            now=self.now,
            pools=_pools(self.now),
            projects=tuple(self.projects.values()),
            queued=tuple(self.queued.values()),
            running=tuple(self.running.values()),
            offers=tuple(self.offers.values()),
            grants=tuple(self.grants.values()),
            submitter_limits=self.people,
        )

    def step(self) -> Plan | None:
        """Let happen what happens next, start whoever may, and tell what the rest waits for. None: it is all over."""
        moments = [self.ends[0][0]] if self.ends else []
        if self.coming:
            moments.append(self.coming[-1].job.submitted_at)
        if not moments and not self.queued:
            return None
        # Time alone opens things for those who wait, and a pool that was closed.
        windows: list[Grant | Offer] = [*self.grants.values(), *self.offers.values()]
        moments += [each.opens_at for each in windows if each.opens_at > self.now]
        at = min([*moments, self.now + HOUR])
        self._pass_until(-(-at // STEP) * STEP)
        return self.decide()

    def decide(self) -> Plan:
        """Start whoever may, until nobody may any more."""
        while True:
            answer = plan(self.snapshot())
            if not answer.starts:
                return answer
            for start in answer.starts:
                self._start(start)

    def alone(self) -> "Life":
        """The same moment in a world where nothing new ever comes: no job, and nothing more for grants."""
        return replace(
            self,
            coming=[],
            goes_on=False,
            queued=dict(self.queued),
            running=dict(self.running),
            ends=list(self.ends),
            started=dict(self.started),
            draws=dict(self.draws),
            grants=dict(self.grants),
            offers=dict(self.offers),
            estimates=Estimates(),
        )

    def likely_seconds(self) -> dict[UUID, int]:
        """What was learnt of those who wait and run: what the forecast is told."""
        likely = {}
        for job in (*self.queued.values(), *(self.jobs[job_id] for job_id in self.running)):
            seconds = self.estimates.expected(self._lineage(job), job.wall_seconds, self.now)
            likely[job.id] = round(seconds)
        return likely

    def _pass_until(self, now: Instant) -> None:
        days = now // DAY - self.now // DAY
        past = 0.5 ** ((now - self.now) / (7 * DAY))
        self.projects = {key: replace(each, used_ticks=round(each.used_ticks * past)) for key, each in self.projects.items()}
        self.now = now
        for _ in range(days if self.goes_on else 0):
            for key, grant in self.grants.items():
                more = self.chance.choice([0, 20, 100]) * HOUR * TICKS
                self.grants[key] = replace(grant, available_ticks=grant.available_ticks + more)
        while self.ends and self.ends[0][0] <= now:
            self._end(heapq.heappop(self.ends)[1])
        self.queued = {key: job for key, job in self.queued.items() if now - job.submitted_at < PATIENCE}
        while self.coming and self.coming[-1].job.submitted_at <= now:
            found = self.coming.pop()
            self.queued[found.job.id] = self.jobs[found.job.id] = found.job
            self.run_seconds[found.job.id] = found.run_seconds

    def _start(self, start: Start) -> None:
        job = self.queued.pop(start.job_id)
        self.running[job.id] = Running(
            job_id=job.id,
            project_id=job.project_id,
            submitter_id=job.submitter_id,
            pool_id=start.pool_id,
            flavor=job.flavor,
            gpus=job.gpus,
            rate=job.rate,
            ends_by=start.ends_by,
        )
        self.started[job.id] = self.now
        self.estimates.started(self._lineage(job), self.now)
        heapq.heappush(self.ends, (self.now + self.run_seconds[job.id], job.id))
        self.draws[job.id] = start.draws
        self._hold(job, start.draws, 1)

    def _end(self, job_id: UUID) -> None:
        """What it held and did not use goes back."""
        job = self.jobs[job_id]
        del self.running[job_id]
        self.estimates.ended(self._lineage(job), self.started[job_id], self.now)
        ran = min(self.run_seconds[job_id], job.wall_seconds)
        left = job.offer_ticks * (job.wall_seconds - ran) // job.wall_seconds
        self._hold(job, [Draw(draw.offer_id, left * draw.ticks // job.offer_ticks) for draw in self.draws.pop(job_id)], -1)
        project = self.projects[job.project_id]
        self.projects[project.id] = replace(project, used_ticks=(project.used_ticks or 0) + job.rate * ran)

    def _hold(self, job: Job, draws: Sequence[Draw], sign: int) -> None:
        for draw in draws:
            offer = self.offers[draw.offer_id]
            self.offers[offer.id] = replace(offer, available_ticks=offer.available_ticks - sign * draw.ticks)
        if job.grant_id is not None:
            grant, ticks = self.grants[job.grant_id], job.cost_ticks
            if sign < 0:
                ticks = ticks * (job.wall_seconds - min(self.run_seconds[job.id], job.wall_seconds)) // job.wall_seconds
            self.grants[grant.id] = replace(grant, available_ticks=grant.available_ticks - sign * ticks)

    def _lineage(self, job: Job) -> Lineage:
        return self.estimates.lineage(job.project_id, job.submitter_id, job.wall_seconds, job.gpus)


BERLIN, PARIS, ROME = (UUID(int=number) for number in (1, 2, 3))


def _pools(now: Instant) -> tuple[Pool, ...]:
    """Paris closes for four hours every other day, and says so before; Rome is out of reach on some evenings."""
    into = now % (2 * DAY)
    closed = into < 4 * HOUR
    return (
        Pool(BERLIN, "berlin", {"h100": 48}),
        Pool(
            PARIS,
            "paris",
            {"h100": 16, "l4": 16},
            PoolState.DRAINING if closed else PoolState.OPEN,
            None if closed else now - into + 2 * DAY,
        ),
        Pool(ROME, "rome", {"l4": 8}, PoolState.OUT_OF_REACH if now % DAY > 20 * HOUR else PoolState.OPEN),
    )


def life(jobs: int, seed: int, *, jobs_a_day: int = JOBS_A_DAY) -> Life:
    """So many jobs on a platform that is nearly full."""
    chance = random.Random(seed)
    made = Life([], chance)
    days = jobs / jobs_a_day
    projects = [UUID(int=100 + number) for number in range(16)]
    people = [UUID(int=200 + number) for number in range(24)]
    for number, key in enumerate(projects):
        limit = Limit(jobs=chance.choice([2, 4, None]), gpus=chance.choice([8, 12, None])) if number % 4 == 0 else UNLIMITED
        made.projects[key] = Project(key, chance.choice([1, 1, 2, 3]), 0, limit)
        opens = BEGINS + (_whole_steps(days * chance.random() * DAY / 3) if number % 5 == 1 else 0)
        closes = BEGINS + round(days * (0.6 + chance.random()) * DAY) if number % 5 == 2 else BEGINS + 999 * DAY
        grant = Grant(UUID(int=300 + number), chance.choice([30, 300, 3000]) * HOUR * TICKS, opens, closes)
        made.grants[grant.id] = grant
    for number, key in enumerate(people):
        if number % 4 == 0:
            made.people[key] = Limit(jobs=chance.choice([1, 3]), gpus=chance.choice([None, 8]))
    lanes = [(BERLIN, "h100"), (BERLIN, "h100"), (PARIS, "h100"), (PARIS, "l4"), (ROME, "l4")]
    for number in range(15):
        pool_id, flavor = lanes[number % len(lanes)]
        first = number < len(lanes)
        opens = BEGINS if first else BEGINS + _whole_steps(chance.random() * days * DAY)
        closes = BEGINS + 999 * DAY if number == 0 else opens + round((0.2 + chance.random()) * days * DAY)
        hours = 10**6 if number == 0 else chance.choice([50, 500, 5000])
        offer = Offer(UUID(int=400 + number), pool_id, flavor, hours * HOUR * TICKS, opens, closes)
        made.offers[offer.id] = offer
    made.coming = sorted(
        (_coming(number, chance, made, projects, people, days) for number in range(jobs)),
        key=lambda each: (each.job.submitted_at, each.job.id),
        reverse=True,
    )
    return made


def _whole_steps(seconds: float) -> int:
    return round(seconds / STEP) * STEP


def _coming(number: int, chance: random.Random, made: Life, projects: list[UUID], people: list[UUID], days: float) -> Coming:
    at = BEGINS + round(chance.random() * days * DAY)
    if chance.random() < 0.5:  # half of them come in the busy hours of a day
        at = at // DAY * DAY + 9 * HOUR + round(chance.random() * 6 * HOUR)
    gpus, wall = chance.choice(SIZES), chance.choice(DECLARED)
    if chance.random() < 0.003:
        gpus = 64  # more than any pool has
    place = min(len(projects) - 1, int(chance.expovariate(0.3)))
    ticks = gpus * wall * TICKS
    metered = chance.random() < 0.5
    flavor = "l4" if gpus <= 8 and chance.random() < 0.15 else "h100"
    job = Job(
        id=UUID(int=chance.getrandbits(128)),
        project_id=projects[place],
        submitter_id=people[(place * 3 + chance.randint(0, 2)) % len(people)] if chance.random() < 0.8 else None,
        submitted_at=at,
        flavor=flavor,
        gpus=gpus,
        wall_seconds=wall,
        cost_ticks=ticks,
        grant_id=UUID(int=300 + place) if metered else None,
        offer_ticks=ticks,
        offers=frozenset(chance.sample(sorted(made.offers), 11)) if metered else None,
        pools=None if chance.random() < 0.8 else frozenset({chance.choice([BERLIN, PARIS])}),
    )
    return Coming(job, max(STEP, _whole_steps(wall * chance.random() ** 3)))
