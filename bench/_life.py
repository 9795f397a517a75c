"""A made-up platform with every rule on, played through the scheduler: who waits, for what, and what became of it.

Grants begin, run out, are topped up and end; offers have windows; projects and people have limits; GPUs are lent, and asked back.
Jobs come in waves, from single GPUs to gangs, and end somewhere between five minutes and all of their declared time.
"""

import heapq
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

from bench._made_up import (
    BEGINS,
    DAY,
    HOUR,
    JOBS_A_DAY,
    KNOBS,
    STEP,
    TICKS,
    Coming,
    MadeUp,
    known_from,
    made_up,
    pools,
    quotas,
)
from compute.scheduling import (
    Asks,
    Draw,
    Estimates,
    Grant,
    Instant,
    Job,
    Leaving,
    Limit,
    Offer,
    Plan,
    Project,
    Running,
    Snapshot,
    Start,
    Window,
    plan,
)
from compute.scheduling.learning.estimates import Lineage

PATIENCE = 24 * HOUR
"""Whoever has waited so long withdraws the job."""


@dataclass
class Life:
    """The platform at a moment. `step` goes on to the next at which anything happens."""

    coming: list[Coming]  # the next one last
    chance: random.Random
    grants: dict[UUID, Grant]
    offers: dict[UUID, Offer]
    projects: dict[UUID, Project]
    people: dict[UUID, Limit]
    windows: list[Window]
    now: Instant = BEGINS
    goes_on: bool = True  # whether grants are topped up
    queued: dict[UUID, Job] = field(default_factory=dict)
    running: dict[UUID, Running] = field(default_factory=dict)
    leaving: dict[tuple[UUID, Instant], Leaving] = field(default_factory=dict)  # by whom, and when it was asked
    ends: list[tuple[Instant, UUID]] = field(default_factory=list)
    ends_at: dict[UUID, Instant] = field(default_factory=dict)
    run_seconds: dict[UUID, int] = field(default_factory=dict)
    starts: dict[UUID, tuple[Instant, ...]] = field(default_factory=dict)  # whoever was evicted starts again
    jobs: dict[UUID, Job] = field(default_factory=dict)
    draws: dict[UUID, tuple[Draw, ...]] = field(default_factory=dict)
    estimates: Estimates = field(default_factory=Estimates)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            now=self.now,
            pools=pools(self.now),
            projects=tuple(self.projects.values()),
            queued=tuple(self.queued.values()),
            running=tuple(self.running.values()),
            offers=tuple(self.offers.values()),
            grants=tuple(self.grants.values()),
            submitter_limits=self.people,
            windows=tuple(each for each in self.windows if known_from(each) <= self.now < each.ends_at),
            quotas=quotas(),
            leaving=tuple(self.leaving.values()),
            knobs=KNOBS,
        )

    def step(self) -> Plan | None:
        """Let happen what happens next, start whoever may, and tell what the rest waits for. None: it is all over."""
        moments = [self.ends[0][0]] if self.ends else []
        if self.coming:
            moments.append(self.coming[-1].job.submitted_at)
        if not moments and not self.queued:
            return None
        # Time alone opens things for those who wait, and a pool that was closed.
        opening: list[Grant | Offer] = [*self.grants.values(), *self.offers.values()]
        moments += [each.opens_at for each in opening]
        moments += [at for each in self.windows for at in (known_from(each), each.begins_at, each.ends_at)]
        moments += [each.at for each in self.leaving.values()]
        at = min([*(moment for moment in moments if moment > self.now), self.now + HOUR])
        self._pass_until(-(-at // STEP) * STEP)
        return self.decide()

    def decide(self) -> Plan:
        """Start whoever may, and ask whoever is to leave, until nobody may any more."""
        while True:
            answer = plan(self.snapshot())
            for start in answer.starts:
                self._start(start)
            self._ask(answer.asks)
            if not answer.starts and not answer.asks.leave:
                return answer

    def start_after(self, job_id: UUID, moment: Instant) -> Instant | None:
        """When a job that waited at a moment started; None: it never did, or does not yet."""
        return next((at for at in self.starts.get(job_id, ()) if at > moment), None)

    def alone(self) -> "Life":
        """The same moment in a world where nothing new ever comes: no job, and nothing more for grants."""
        return replace(
            self,
            coming=[],
            goes_on=False,
            windows=[each for each in self.windows if known_from(each) <= self.now],
            queued=dict(self.queued),
            running=dict(self.running),
            leaving=dict(self.leaving),
            ends=list(self.ends),
            ends_at=dict(self.ends_at),
            starts=dict(self.starts),
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
        self.projects = {
            key: replace(each, used_ticks=round((each.used_ticks or 0) * past)) for key, each in self.projects.items()
        }
        self.now = now
        for _ in range(days if self.goes_on else 0):
            for key, grant in self.grants.items():
                more = self.chance.choice([0, 20, 100]) * HOUR * TICKS
                self.grants[key] = replace(grant, available_ticks=grant.available_ticks + more)
        while self.ends and self.ends[0][0] <= now:
            at, job_id = heapq.heappop(self.ends)
            if self.ends_at.get(job_id) == at:
                self._end(job_id)
        self.queued = {key: job for key, job in self.queued.items() if now - job.submitted_at < PATIENCE}
        while self.coming and self.coming[-1].job.submitted_at <= now:
            found = self.coming.pop()
            self.queued[found.job.id] = self.jobs[found.job.id] = found.job
            self.run_seconds[found.job.id] = found.run_seconds
        for asked, left in list(self.leaving.items()):
            if left.at <= now and self._still_runs(left):
                if left.needed_for in self.queued:
                    self._evict(left.job_id)
                else:
                    del self.leaving[asked]
        self._forget_asked()

    def _start(self, start: Start) -> None:
        job = self.queued.pop(start.job_id)
        wish = job.on(start.flavor)
        self.running[job.id] = Running(
            job_id=job.id,
            project_id=job.project_id,
            submitter_id=job.submitter_id,
            pool_id=start.pool_id,
            flavor=start.flavor,
            gpus=job.gpus,
            rate=wish.rate,
            ends_by=start.ends_by,
            started_at=self.now,
            wall_seconds=job.wall_seconds,
            reservation_id=start.reservation_id,
            priority=job.priority,
        )
        self.starts[job.id] = (*self.starts.get(job.id, ()), self.now)
        self.estimates.started(self._lineage(job), self.now)
        self.ends_at[job.id] = self.now + self.run_seconds[job.id]
        heapq.heappush(self.ends, (self.ends_at[job.id], job.id))
        self.draws[job.id] = start.draws
        self._hold(start.draws, wish.grant_id, wish.cost_ticks)

    def _end(self, job_id: UUID) -> None:
        """What it held and did not use goes back."""
        running, wish = self._gone(job_id)
        self.estimates.ended(self._lineage(wish), running.started_at or 0, self.now)
        ran = min(self.run_seconds[job_id], wish.wall_seconds)
        self._give_back(wish, wish.wall_seconds - ran)
        project = self.projects[wish.project_id]
        self.projects[project.id] = replace(project, used_ticks=(project.used_ticks or 0) + wish.rate * ran)

    def _evict(self, job_id: UUID) -> None:
        """It is credited back, all of it, and waits again at its old place."""
        running, wish = self._gone(job_id)
        self.estimates.stopped(self._lineage(wish), running.started_at or 0, self.now)
        self._give_back(wish, wish.wall_seconds)
        self.queued[job_id] = self.jobs[job_id]

    def _gone(self, job_id: UUID) -> tuple[Running, Job]:
        del self.ends_at[job_id]
        running = self.running.pop(job_id)
        return running, self.jobs[job_id].on(running.flavor)

    def _ask(self, asks: Asks) -> None:
        self.leaving = {
            key: left for key, left in self.leaving.items() if left.job_id not in asks.stay or not self._still_runs(left)
        }
        for leave in asks.leave:
            run = self.running[leave.job_id]
            self.leaving[leave.job_id, self.now] = Leaving(
                leave.job_id, run.pool_id, run.flavor, leave.at, leave.needed_for, self.now, leave.lost_gpu_seconds
            )
        self._forget_asked()

    def _forget_asked(self) -> None:
        """Who was asked matters as long as it runs, or the one who needs the GPUs waits."""
        self.leaving = {
            key: left for key, left in self.leaving.items() if self._still_runs(left) or left.needed_for in self.queued
        }

    def _still_runs(self, left: Leaving) -> bool:
        """Whether it runs as it was asked; not if it left and was started again since."""
        run = self.running.get(left.job_id)
        return run is not None and (run.started_at or 0) <= left.asked_at

    def _give_back(self, wish: Job, seconds: int) -> None:
        """What a job held for so many seconds of its declared time."""
        left = wish.offer_ticks * seconds // wish.wall_seconds
        back = [Draw(draw.offer_id, -(left * draw.ticks // wish.offer_ticks)) for draw in self.draws.pop(wish.id)]
        self._hold(back, wish.grant_id, -(wish.cost_ticks * seconds // wish.wall_seconds))

    def _hold(self, draws: Sequence[Draw], grant_id: UUID | None, cost_ticks: int) -> None:
        for draw in draws:
            offer = self.offers[draw.offer_id]
            self.offers[offer.id] = replace(offer, available_ticks=offer.available_ticks - draw.ticks)
        if grant_id is not None:
            grant = self.grants[grant_id]
            self.grants[grant_id] = replace(grant, available_ticks=grant.available_ticks - cost_ticks)

    def _lineage(self, job: Job) -> Lineage:
        return self.estimates.lineage(job.project_id, job.submitter_id, job.wall_seconds, job.gpus)


def life(jobs: int, seed: int, *, jobs_a_day: int = JOBS_A_DAY) -> Life:
    """So many jobs on a platform that is nearly full."""
    chance = random.Random(seed)
    made: MadeUp = made_up(jobs, chance, jobs_a_day=jobs_a_day)
    return Life(made.coming, chance, made.grants, made.offers, made.projects, made.people, made.windows)
