"""The core that keeps its books agrees, start by start, with a scheduler that counts everything anew."""

from dataclasses import dataclass, field, replace

from hypothesis import given, settings
from hypothesis import strategies as st

from compute.scheduling.core import Core, Knobs
from compute.scheduling.estimates import FIRST_GUESS, TRUST
from compute.scheduling.events import Cancelled, Ended, Event, Kind, Promise, Submitted
from compute.scheduling.ideal import Ideal

LANES = {"a": 4, "b": 6}
WEIGHTS = {"p": 3}
KNOBS = Knobs(looks_max=10**6, refresh_seconds=50, past_weight=1e-3)


@dataclass
class SlowJob:
    name: int
    kind: Kind
    at: int
    number: int
    started_at: int | None = None
    ended_at: int | None = None


@dataclass
class Reference:
    """Every figure is counted from the list of all jobs, at the moments at which the core is meant to look."""

    jobs: dict[int, SlowJob] = field(default_factory=dict)
    expected: dict[Kind, float] = field(default_factory=dict)
    renewals: list[tuple[int, Kind]] = field(default_factory=list)
    past: dict[str, tuple[float, int]] = field(default_factory=dict)
    fared: dict[str, float] = field(default_factory=dict)
    ideal: Ideal = field(default_factory=lambda: Ideal(sum(LANES.values()), WEIGHTS))
    promises: dict[str, Promise | None] = field(default_factory=dict)

    def apply(self, now: int, events: list[Event]) -> list[tuple[int, int]]:
        self.ideal.advance(now)
        for event in events:
            match event:
                case Submitted(job, kind):
                    alone = not self.waiting(kind)
                    self.jobs[job] = SlowJob(job, kind, now, len(self.jobs))
                    if alone:
                        self.expect(kind, now)
                        if all(listed != kind for _, listed in self.renewals):
                            self.renewals.append((now + KNOBS.refresh_seconds, kind))
                    self.ideal.submitted(job, kind.project, kind.gpus, self.expected[kind], now)
                case Cancelled(job):
                    del self.jobs[job]
                    self.ideal.cancelled(job)
                case Ended(job):
                    done = self.jobs[job]
                    self.settle(done.kind.project, now)
                    done.ended_at = now
                    self.ideal.ended(job, now - done.started_at, now)
                    self.judge(done.kind.project)
                    if self.waiting(done.kind):
                        self.expect(done.kind, now)
        self.renew(now)
        return [start for lane in LANES for start in self.fill(lane, now)]

    def fill(self, lane: str, now: int) -> list[tuple[int, int]]:
        started, promise = [], None
        while True:
            free = LANES[lane] - sum(job.kind.gpus for job in self.running() if job.kind.lane == lane)
            able = [
                kind
                for kind in {job.kind for job in self.waiting()}
                if kind.lane == lane
                and (promise is None or kind.gpus <= free)
                and (promise is None or now + kind.wall_seconds <= promise.at or kind.gpus <= promise.spare)
            ]
            if not able or free <= 0:
                break
            kind = min((self.best_of(kind, able) for kind in able), key=lambda kind: (self.score(kind), *self.front(kind)))
            job = self.waiting(kind)[0]
            if kind.gpus > free:
                promise = self.promise(job, free, now)
                continue
            self.settle(kind.project, now)
            job.started_at = now
            self.judge(kind.project)
            if promise is not None and now + kind.wall_seconds > promise.at:
                promise = replace(promise, spare=promise.spare - kind.gpus)
            started.append((job.name, now + kind.wall_seconds))
        self.promises[lane] = promise
        return started

    def best_of(self, kind: Kind, able: list[Kind]) -> Kind:
        """The one of its project and size that is expected to be the shortest."""
        same = [other for other in able if (other.project, other.gpus) == (kind.project, kind.gpus)]
        return min(same, key=lambda other: (self.expected[other], *self.front(other)))

    def promise(self, job: SlowJob, free: int, now: int) -> Promise:
        others = [other for other in self.running() if other.kind.lane == job.kind.lane]
        ends = {max(other.started_at + other.kind.wall_seconds, now + 1) for other in others}
        for at in sorted(ends):
            freed = sum(o.kind.gpus for o in others if max(o.started_at + o.kind.wall_seconds, now + 1) <= at)
            if free + freed >= job.kind.gpus:
                return Promise(job.name, at, free + freed - job.kind.gpus)
        raise AssertionError("an empty lane has all its GPUs")

    def score(self, kind: Kind) -> float:
        gpus = sum(job.kind.gpus for job in self.running() if job.kind.project == kind.project)
        use = gpus + KNOBS.own_weight * kind.gpus + KNOBS.past_weight * self.past.get(kind.project, (0.0, 0))[0]
        area = (self.expected[kind] * kind.gpus) ** KNOBS.short_first
        return use / WEIGHTS.get(kind.project, 1) * area / self.fared.get(kind.project, 1.0)

    def front(self, kind: Kind) -> tuple[int, int]:
        first = self.waiting(kind)[0]
        return first.at, first.number

    def waiting(self, kind: Kind | None = None) -> list[SlowJob]:
        return [job for job in self.jobs.values() if job.started_at is None and kind in {None, job.kind}]

    def running(self) -> list[SlowJob]:
        return [job for job in self.jobs.values() if job.started_at is not None and job.ended_at is None]

    def settle(self, project: str, now: int) -> None:
        past, at = self.past.get(project, (0.0, 0))
        gpus = sum(job.kind.gpus for job in self.running() if job.kind.project == project)
        limit = gpus * KNOBS.half_life_seconds * 1.4426950408889634
        self.past[project] = (limit + (past - limit) * 0.5 ** ((now - at) / KNOBS.half_life_seconds), now)

    def judge(self, project: str) -> None:
        self.fared[project] = self.ideal.fared(project) ** KNOBS.put_right

    def renew(self, now: int) -> None:
        for _ in range(KNOBS.renewals_max):
            if not self.renewals or self.renewals[0][0] > now:
                return
            _, kind = self.renewals.pop(0)
            if self.waiting(kind):
                self.renewals.append((now + KNOBS.refresh_seconds, kind))
                self.expect(kind, now)
                if now - self.past.get(kind.project, (0.0, 0))[1] >= KNOBS.refresh_seconds:
                    self.settle(kind.project, now)
                    self.judge(kind.project)

    def expect(self, kind: Kind, now: int) -> None:
        mean = kind.wall_seconds * FIRST_GUESS
        own = (kind.project, kind.submitter, kind.wall_seconds, kind.gpus)
        for depth in range(5):
            alike = [
                job
                for job in self.jobs.values()
                if (job.kind.project, job.kind.submitter, job.kind.wall_seconds, job.kind.gpus)[:depth] == own[:depth]
                and job.started_at is not None
            ]
            ran = sum((now if job.ended_at is None else job.ended_at) - job.started_at for job in alike)
            mean = (TRUST * mean + ran) / (TRUST + sum(job.ended_at is not None for job in alike))
        self.expected[kind] = min(max(mean, 1.0), float(kind.wall_seconds))


KINDS = st.builds(
    Kind,
    project=st.sampled_from("pqr"),
    submitter=st.sampled_from("uv"),
    lane=st.sampled_from("ab"),
    gpus=st.integers(1, 4),
    wall_seconds=st.sampled_from([10, 60, 400, 4000]),
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_both_start_the_same_jobs_at_the_same_moments(data: st.DataObject) -> None:
    core, slow = Core(LANES, WEIGHTS, KNOBS), Reference()
    now, submitted = 1000, 0
    for _ in range(data.draw(st.integers(5, 40), "moments")):
        events: list[Event] = []
        running = {job.name: job for job in slow.running()}
        due = [name for name, job in running.items() if job.started_at + job.kind.wall_seconds <= now]
        early = data.draw(st.lists(st.sampled_from(sorted(running)), unique=True, max_size=2)) if running else []
        events += [Ended(name) for name in sorted({*due, *early}) if running[name].started_at < now]
        waiting = [job.name for job in slow.waiting()]
        if waiting and data.draw(st.integers(0, 5)) == 0:
            events.append(Cancelled(data.draw(st.sampled_from(waiting))))
        for kind in data.draw(st.lists(KINDS, max_size=4)):
            events.append(Submitted(submitted, kind))
            submitted += 1
        fast = [(start.job, start.ends_by) for start in core.apply(now, events)]
        assert fast == slow.apply(now, events)
        assert {lane: core.promise(lane) for lane in LANES} == slow.promises
        for lane, gpus in LANES.items():
            assert sum(job.kind.gpus for job in slow.running() if job.kind.lane == lane) <= gpus
        now += data.draw(st.sampled_from([1, 7, 60, 300, 2000]))


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_ideal_is_the_same_whoever_asks_when(data: st.DataObject) -> None:
    """Projects are served late unless somebody asks about them; asking changes no figure."""
    asked, left_alone = Ideal(6, WEIGHTS), Ideal(6, WEIGHTS)
    both, now, running, submitted = (asked, left_alone), 0, {}, 0
    for _ in range(data.draw(st.integers(5, 40), "moments")):
        for ideal in both:
            ideal.advance(now)
        for job in data.draw(st.lists(st.sampled_from(sorted(running)), unique=True, max_size=2)) if running else []:
            for ideal in both:
                ideal.ended(job, now - running[job], now)
            del running[job]
        for project in data.draw(st.lists(st.sampled_from("pqrstuvw"), max_size=4)):
            gpus, expected = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([30.0, 900.0, 5000.0]))
            for ideal in both:
                ideal.submitted(submitted, project, gpus, expected, now)
            running[submitted], submitted = now, submitted + 1
        for project in "pqrstuvw":
            asked.fared(project)
        now += data.draw(st.sampled_from([1, 300, 900, 4000]))
    assert [asked.fared(project) for project in "pqrstuvw"] == [left_alone.fared(project) for project in "pqrstuvw"]
