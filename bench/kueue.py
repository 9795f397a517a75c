"""Kueue's own performance test, replayed through our scheduler: how long it takes beside the least it can take.

python -m bench.kueue [--repeats N] [--real-time]

Kueue's generator creates workloads of three classes in each queue, one every so many milliseconds; each runs for a fixed time. A
cohort is a quota group here: queues borrow and get their own back, and a higher class may ask lower ones of its queue to leave.
The bound is the larger of two: all work on all quotas without a gap, and the last workload of a class plus its run time.

A millisecond of the test is a second to the scheduler, since what it learns and forgets is set for jobs of minutes.

Time is simulated, and deciding is not free in it. Each decision is timed on this machine: what it starts begins when it was made,
and what happens meanwhile waits for the next one. Nothing is written anywhere; the rows with "42 writes/s" let one start after
another take effect, 1/42 s apart, which is what the API writes of Kueue take on its machines. With --real-time only the work is
simulated: the baseline runs by the clock on the wall, for 66 s.

Kueue's figures are the means that it publishes, measured by it on other hardware; it starts no containers in this test either.
Its time to admission is that of the last admission of a workload, and so is ours. Its usage counts a workload until its end was
noticed and written, ours counts the work alone.
"""

import argparse
import heapq
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from bench._figure import Figure
from bench._report import Line, Runs, report
from compute.scheduling.quotas.preemption import Terms
from compute.scheduling.quotas.quota import Share
from compute.simulation.engine import Ask, Decision, Leave, Schedule, TraceJob, simulate
from compute.simulation.ours import Ours

MS = 1000
"""The trace's unit of time is a microsecond."""

NOMINAL, BORROWS = 20, 100
"""Quota of a queue, and what it may borrow."""

DECLARED = 10_000 * MS
"""Kueue's workloads declare no time. Ours must; this says nothing about any of them."""

NO_LIMIT = 1 << 60
"""Kueue sets none to the work that is lost."""

KUEUE_ADMISSIONS = 42
"""A second."""


@dataclass(frozen=True)
class Class:
    """One kind of workload; times in milliseconds."""

    name: str
    count: int
    every: int
    runs: int
    rank: int
    request: int


@dataclass(frozen=True)
class Configuration:
    """One of Kueue's, with the means it publishes for it, in seconds."""

    name: str
    cohorts: int
    queues: int
    classes: tuple[Class, ...]
    wall: float
    admission: Mapping[str, float]
    usage: str  # per cent of all quotas, while it lasts
    reach: float | None = None  # wall ÷ bound at most

    @property
    def quota(self) -> int:
        return self.cohorts * self.queues * NOMINAL

    @property
    def groups(self) -> dict[str, dict[str, Share]]:
        return {
            f"cohort{c}": {f"cohort{c}-cq{q}": Share(NOMINAL, borrows=BORROWS) for q in range(self.queues)}
            for c in range(self.cohorts)
        }

    def jobs(self) -> list[TraceJob]:
        """All workloads, by creation."""
        created = heapq.merge(
            *(
                [(number * each.every, queue, each) for number in range(each.count)]
                for each in self.classes
                for shares in self.groups.values()
                for queue in shares
            ),
            key=lambda entry: entry[0],
        )
        return [
            TraceJob(str(index), Ask(index, queue, each.name, at * MS, each.request, DECLARED, each.rank), each.runs * MS)
            for index, (at, queue, each) in enumerate(created)
        ]

    @property
    def bound(self) -> float:
        """Seconds that no scheduler can do without."""
        work = sum(each.count * each.runs * each.request for each in self.classes) / NOMINAL
        arrivals = max((each.count - 1) * each.every + each.runs for each in self.classes)
        return max(work, arrivals) / 1000


CONFIGURATIONS = (
    Configuration(
        "baseline",
        5,
        6,
        (
            Class("large", 50, 1200, 1000, 200, 20),
            Class("medium", 100, 500, 500, 100, 5),
            Class("small", 350, 100, 200, 50, 1),
        ),
        wall=351.1,
        admission={"large": 16.5, "medium": 76.8, "small": 215.5},
        usage="55.9",
        reach=1.05,
    ),
    Configuration(
        "large-scale",
        10,
        100,
        (
            Class("large", 4, 700, 700, 200, 20),
            Class("medium", 11, 300, 350, 100, 5),
            Class("small", 35, 60, 150, 50, 1),
        ),
        wall=1179.0,
        admission={"large": 106.0, "medium": 256.0, "small": 700.0},
        usage="not given",
    ),
)


class InMilliseconds(Ours):
    """Our scheduler on a clock of its own."""

    def submitted(self, ask: Ask, now: int) -> None:
        told = replace(ask, submitted_at=ask.submitted_at // MS, wall_seconds=ask.wall_seconds // MS)
        super().submitted(told, now // MS)

    def ended(self, index: int, now: int) -> None:
        super().ended(index, now // MS)

    def evicted(self, index: int, now: int) -> None:
        super().evicted(index, now // MS)

    def decide(self, now: int) -> Iterator[Decision]:
        for decision in super().decide(now // MS):
            yield replace(decision, at=decision.at * MS) if isinstance(decision, Leave) else decision


class Deciding:
    """A stopwatch that lets decisions take the time they really take here."""

    def reach(self, moment: int) -> int:
        return moment

    def begin(self) -> None:
        self._begun = time.perf_counter_ns()

    def lap(self, decision: Decision | None) -> int:
        return (time.perf_counter_ns() - self._begun) // 1000


class Writing(Deciding):
    """The same, and each start is written before the next, which takes Kueue's time."""

    def begin(self) -> None:
        super().begin()
        self._written = 0

    def lap(self, decision: Decision | None) -> int:
        self._written += isinstance(decision, int)
        return super().lap(decision) + self._written * 1_000_000 // KUEUE_ADMISSIONS


class OnTheWall(Deciding):
    """The same with nothing simulated: it waits until the moment has come."""

    def __init__(self) -> None:
        self._zero = time.perf_counter_ns()

    def reach(self, moment: int) -> int:
        time.sleep(max(0, moment - self._now()) / 1e6)
        return self._now()

    def _now(self) -> int:
        return (time.perf_counter_ns() - self._zero) // 1000


@dataclass(frozen=True)
class Setting:
    """One row: how long who is asked may stay, and who says what time it is."""

    name: str
    grace_seconds: int
    stopwatch: Callable[[], Deciding] = Deciding


@dataclass(frozen=True)
class Outcome:
    """Seconds; usage and lost work are parts of all quotas' time."""

    wall: float
    admission: Mapping[str, float]
    usage: float
    evictions: int
    lost: float


SETTINGS = (
    Setting("1 s grace", 1),
    Setting("no grace, as in Kueue", 0),
    Setting("1 s grace, 42 writes/s", 1, Writing),
)


def main() -> None:
    """Print a table for each configuration."""
    parser = argparse.ArgumentParser(prog="python -m bench.kueue", description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="runs of each setting (default 5)")
    parser.add_argument("--real-time", action="store_true", help="the baseline alone, once, by the clock on the wall")
    arguments, _ = parser.parse_known_args()
    if arguments.real_time:
        lines = _lines(CONFIGURATIONS[0], Setting("1 s grace", 1, OnTheWall), 1)
        report("Kueue's baseline by the clock on the wall", lines)
        return
    for chosen in CONFIGURATIONS:
        lines = []
        for setting in SETTINGS if chosen.reach is not None else SETTINGS[:1]:
            lines += _lines(chosen, setting, arguments.repeats)
        report(f"Kueue's {chosen.name}: {len(chosen.jobs()):,} workloads, bound {chosen.bound:.1f} s", lines)


def rows(repeats: int) -> Iterator[Figure]:
    """The baseline, for the table of figures."""
    chosen, setting = CONFIGURATIONS[0], SETTINGS[0]
    jobs = chosen.jobs()
    assert chosen.reach is not None
    yield Figure(
        "Kueue's baseline generator, wall",
        "s",
        Runs(setting.name, [replay(chosen, jobs, setting).wall for _ in range(repeats)]),
        chosen.reach,
        [Runs("Kueue, as it publishes", [chosen.wall])],
        Runs("work or arrivals", [chosen.bound]),
        reach_is_ratio=True,
    )


def _lines(chosen: Configuration, setting: Setting, repeats: int) -> list[Line]:
    """What one setting came to, beside what Kueue publishes."""
    jobs = chosen.jobs()
    reach = chosen.reach if setting is SETTINGS[0] else None
    seen = [replay(chosen, jobs, setting) for _ in range(repeats)]

    def line(name: str, unit: str, figure: Callable[[Outcome], float], peer: float | None, reach: float | None = None) -> Line:
        ours = Runs(f"{setting.name}: {name}", [figure(each) for each in seen])
        return Line(ours, unit, Runs("Kueue", [peer]) if peer is not None else None, reach)

    lines = [
        line("wall", "s", lambda each: each.wall, chosen.wall),
        line("wall ÷ bound", "", lambda each: each.wall / chosen.bound, chosen.wall / chosen.bound, reach),
    ]
    for name, peer in chosen.admission.items():
        lines.append(line(f"to admission, {name}", "s", partial(_admission, name), peer))
    lines.append(line(f"usage (Kueue: {chosen.usage})", "%", lambda each: 100 * each.usage, None))
    if any(each.evictions for each in seen):
        lines.append(line("work lost", "%", lambda each: 100 * each.lost, None))
    return lines


def _admission(name: str, seen: Outcome) -> float:
    return seen.admission[name]


def replay(chosen: Configuration, jobs: Sequence[TraceJob], setting: Setting) -> Outcome:
    """One run."""
    policy = InMilliseconds(chosen.quota, {}, groups=chosen.groups, terms=Terms(setting.grace_seconds * 1000, NO_LIMIT))
    return _outcome(chosen, simulate(jobs, chosen.quota, policy, stopwatch=setting.stopwatch()))


def _outcome(chosen: Configuration, schedule: Schedule) -> Outcome:
    wall = max(schedule.end(index) for index in range(len(schedule.jobs)))
    work = sum(job.ask.gpus * job.run_seconds for job in schedule.jobs)
    waits: dict[str, list[int]] = {}
    for start, job in zip(schedule.starts, schedule.jobs, strict=True):
        waits.setdefault(job.ask.submitter, []).append(start - job.ask.submitted_at)
    return Outcome(
        wall=wall / 1e6,
        admission={name: statistics.fmean(each) / 1e6 for name, each in waits.items()},
        usage=work / (wall * chosen.quota),
        evictions=schedule.evictions,
        lost=schedule.lost_gpu_seconds / (wall * chosen.quota),
    )


if __name__ == "__main__":
    main()
