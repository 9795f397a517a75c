"""What a database is to a scheduler: what waits, runs and is left. A story happens to it, drawn from a seed."""

import random
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from uuid import UUID

from scheduling_build import HOUR, NOON, uid

from compute.scheduling import (
    Ending,
    Grant,
    Job,
    Knobs,
    Limit,
    Memory,
    Offer,
    Pool,
    PoolState,
    Project,
    Ran,
    Running,
    Snapshot,
    Start,
    Whole,
)
from compute.scheduling.events import (
    Cancelled,
    Ended,
    EndsBy,
    Event,
    GrantSet,
    Kind,
    LaneSet,
    NotStarted,
    OfferSet,
    ProjectSet,
    Submitted,
)
from compute.scheduling.hosts.book import alone_takes
from compute.scheduling.hosts.placement import Host
from compute.scheduling.plan import events
from core.units import TICKS_PER_GPU_SECOND

KNOBS = Knobs(refresh_seconds=1, renewals_max=10**6, looks_max=10**6, wakes_max=10**6, overhead_seconds=60)
"""Everything is looked at at each moment, so that nothing depends on when somebody looked before."""

PROJECTS = [uid(name) for name in ("vllm", "deepspeed", "ray")]
PEOPLE = [uid(name) for name in ("ada", "bob")]
GRANTS = [uid(name) for name in ("g1", "g2")]
OFFERS = [uid(name) for name in ("o1", "o2", "o3")]
POOLS = ["berlin", "paris"]


@dataclass
class _Running:
    job: Job
    start: Start
    held_at: int
    lasts: int
    ends_by: int


@dataclass
class Books:
    """The truth. Each moment of a story changes it, then a scheduler decides, then its starts are carried out."""

    chance: random.Random
    now: int = NOON
    pools: dict[str, Pool] = field(default_factory=dict)
    projects: dict[UUID, Project] = field(default_factory=dict)
    grants: dict[UUID, Grant] = field(default_factory=dict)
    offers: dict[UUID, Offer] = field(default_factory=dict)
    waiting: dict[UUID, Job] = field(default_factory=dict)
    running: dict[UUID, _Running] = field(default_factory=dict)
    past: list[Ran] = field(default_factory=list)
    ended: dict[UUID, Ending] = field(default_factory=dict)
    submitted: int = 0
    happened: list[Event] = field(default_factory=list)
    changed: set[UUID] = field(default_factory=set)
    on_hosts: bool = False  # berlin has named hosts, and some jobs want one alone

    def __post_init__(self) -> None:
        chance = self.chance
        self.pools = {name: Pool(uid(name), name, {"H100": 8, "L4": 2}) for name in POOLS}
        if self.on_hosts:
            self.pools["berlin"] = Pool(uid("berlin"), "berlin", {"H100": 8}, hosts=(Host("a", 4), Host("b", 2), Host("c", 2)))
        self.projects = {name: Project(name, chance.choice([1, 1, 2, 3]), chance.randint(0, 10**9)) for name in PROJECTS}
        self.grants = {name: Grant(name, chance.randint(1, 60) * _GPU_HOUR, NOON - HOUR, NOON + 99 * HOUR) for name in GRANTS}
        self.offers = {
            name: Offer(
                name,
                uid(chance.choice(POOLS)),
                "H100",
                chance.randint(1, 40) * _GPU_HOUR,
                NOON + chance.choice([-1, 1]) * HOUR,
                NOON + 50 * HOUR,
            )
            for name in OFFERS
        }

    # What happens -----------------------------------------------------------------------------------------------------

    def go_on(self, *, submit: bool = True) -> None:
        """Time passes, and people do things."""
        chance = self.chance
        self.now += chance.choice([1, 2, 2, 60, 600, 1800])
        for run in [run for run in self.running.values() if run.held_at + run.lasts <= self.now]:
            self._end(run)
        for run in self.running.values():
            # A job is launched some seconds after its devices were held; its time runs from then on.
            ends_by = run.start.ends_by + min(self.now - run.held_at, run.job.id.int % 5)
            if ends_by != run.ends_by:
                run.ends_by = ends_by
                self.happened.append(EndsBy(run.job.id, ends_by))
        if chance.random() < 0.1 and self.waiting:
            gone = chance.choice(sorted(self.waiting))
            del self.waiting[gone]
            self.happened.append(Cancelled(gone))
        for _ in range(chance.choice([0, 1, 1, 3]) if submit else 0):
            self._submit()
        if chance.random() < 0.2:
            self._change()

    def told(self) -> list[Event]:
        """What happened since it was last asked, told by whoever did it."""
        now = self.snapshot(everything=False)
        found = [event for event in events(replace(now, queued=())) if self._changed(event)]
        new = {event.job for event in self.happened if isinstance(event, Submitted)}
        found += [event for event in events(now) if isinstance(event, Submitted) and event.job in new]
        found += [event for event in self.happened if not isinstance(event, Submitted)]
        self.happened.clear()
        self.changed.clear()
        return found

    def _changed(self, event: Event) -> bool:
        match event:
            case LaneSet():
                return event.pool_id in self.changed
            case GrantSet():
                return event.grant in self.changed
            case OfferSet():
                return event.offer in self.changed
            case ProjectSet():
                return event.project in self.changed
        return False

    def _submit(self) -> None:
        chance = self.chance
        self.submitted += 1
        gpus, wall, metered = chance.choice([1, 1, 2, 4, 8]), chance.choice([600, 3600, 7200]), chance.random() < 0.6
        ticks = gpus * wall * TICKS_PER_GPU_SECOND
        job = Job(
            id=uid(f"job {self.submitted}"),
            project_id=chance.choice(PROJECTS),
            submitter_id=chance.choice([*PEOPLE, None]),
            submitted_at=self.now,
            flavor=chance.choice(["H100", "H100", "H100", "L4"]),
            gpus=gpus,
            wall_seconds=wall,
            cost_ticks=ticks,
            grant_id=chance.choice(GRANTS) if metered else None,
            offer_ticks=ticks,
            offers=frozenset(chance.sample(OFFERS, 2)) if metered and chance.random() < 0.5 else None,
        )
        if self.on_hosts and chance.random() < 0.3:
            job = replace(job, wholes=tuple(self._wholes(job)))
        self.waiting[job.id] = job
        self.happened.append(Submitted(job.id, _ANY))

    def _wholes(self, job: Job) -> Iterable[Whole]:
        for pool in self.pools.values():
            gpus = alone_takes([host.gpus for host in pool.hosts] or [8], job.gpus)
            if gpus is not None:
                yield Whole(pool.id, "H100", gpus, job.cost_ticks * gpus // job.gpus, job.offer_ticks * gpus // job.gpus)

    def _change(self) -> None:
        chance = self.chance
        match chance.choice(["pool", "project", "grant", "offer"]):
            case "pool":
                pool = self.pools[chance.choice(POOLS)]
                self.changed.add(pool.id)
                state = chance.choice([PoolState.OPEN, PoolState.OPEN, PoolState.DRAINING])
                capacity = pool.capacity if pool.hosts else {"H100": chance.choice([4, 8, 12]), "L4": 2}
                self.pools[pool.name] = replace(pool, capacity=capacity, state=state)
            case "project":
                name = chance.choice(PROJECTS)
                self.changed.add(name)
                limit = Limit(chance.choice([None, 1, 3]), chance.choice([None, 4, 9]))
                self.projects[name] = replace(self.projects[name], weight=chance.choice([1, 2, 5]), limit=limit)
            case "grant":
                name = chance.choice(GRANTS)
                self.changed.add(name)
                self._grant(name, chance.choice([-3, 10]) * _GPU_HOUR)
            case "offer":
                name = chance.choice(OFFERS)
                self.changed.add(name)
                self._offer(name, chance.choice([-3, 10]) * _GPU_HOUR)

    def _end(self, run: _Running) -> None:
        """What it did not use is given back, by the second that the database saw."""
        ran = min(self.now - run.held_at, run.lasts + self.chance.choice([0, 0, 1]))
        del self.running[run.job.id]
        job, teaches = run.job, self.chance.random() < 0.9
        cost = job.on(run.start.flavor).inside(run.start.pool_id).cost_ticks
        used = cost * min(ran, job.wall_seconds) // job.wall_seconds
        if job.grant_id is not None:
            self._grant(job.grant_id, cost - used)
        for draw in run.start.draws:
            part = min(used, draw.ticks)
            used -= part
            self._offer(draw.offer_id, draw.ticks - part)
        self.changed |= {job.grant_id} if job.grant_id is not None else set()
        self.changed |= {draw.offer_id for draw in run.start.draws}
        self.ended[job.id] = Ending(ran, teaches)
        self.happened.append(Ended(job.id, ran, teaches))
        if teaches:
            self.past.append(Ran(job.project_id, job.submitter_id, job.wall_seconds, job.gpus, 1, ran))

    def carry_out(self, starts: Iterable[Start], *, refuse: float) -> None:
        """Hold for them, but for some."""
        for start in starts:
            job = self.waiting[start.job_id]
            if self.chance.random() < refuse:
                self.happened.append(NotStarted(job.id, job.submitted_at))
                continue
            del self.waiting[job.id]
            lasts = self.chance.randint(1, job.wall_seconds)
            self.running[job.id] = _Running(job, start, self.now, lasts, start.ends_by)
            if job.grant_id is not None:
                self._grant(job.grant_id, -job.on(start.flavor).inside(start.pool_id).cost_ticks)
            for draw in start.draws:
                self._offer(draw.offer_id, -draw.ticks)

    def _grant(self, name: UUID, ticks: int) -> None:
        self.grants[name] = replace(self.grants[name], available_ticks=self.grants[name].available_ticks + ticks)

    def _offer(self, name: UUID, ticks: int) -> None:
        self.offers[name] = replace(self.offers[name], available_ticks=self.offers[name].available_ticks + ticks)

    # What is read -----------------------------------------------------------------------------------------------------

    def snapshot(self, *, everything: bool) -> Snapshot:
        """The state of this moment, in no particular order. The past is read only by who builds a core."""
        projects = [project if everything else replace(project, used_ticks=None) for project in self.projects.values()]
        queued = list(self.waiting.values())
        self.chance.shuffle(queued)
        return Snapshot(
            now=self.now,
            pools=tuple(self.pools.values()),
            projects=tuple(projects),
            queued=tuple(queued),
            running=tuple(self._as_running(run) for run in self.running.values()),
            offers=tuple(self.offers.values()),
            grants=tuple(self.grants.values()),
            past=tuple(self.past) if everything else (),
            knobs=KNOBS,
        )

    def _as_running(self, run: _Running) -> Running:
        job = run.job.on(run.start.flavor).inside(run.start.pool_id)
        return Running(
            job_id=job.id,
            project_id=job.project_id,
            submitter_id=job.submitter_id,
            pool_id=run.start.pool_id,
            flavor=job.flavor,
            gpus=job.gpus,
            rate=job.rate,
            ends_by=run.ends_by,
            started_at=run.held_at,
            wall_seconds=job.wall_seconds,
            host=run.start.host,
            asked_gpus=run.job.gpus,
        )

    def endings(self, jobs: Iterable[UUID]) -> dict[UUID, Ending]:
        """Those of the jobs that ran."""
        return {job: self.ended[job] for job in jobs if job in self.ended}


def merged(memory: Memory, later: Memory) -> Memory:
    """What is kept after both were written."""
    return Memory(later.ideal_at, later.gpus, {**memory.projects, **later.projects})


_GPU_HOUR = HOUR * TICKS_PER_GPU_SECOND
_ANY = Kind(None, None, (), 1, 1)
