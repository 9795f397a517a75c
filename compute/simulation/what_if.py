"""Our own history replayed twice by our own scheduler, once as it was and once with a change, and how the waits compare.

The replay is about one flavor and keeps to what a trace knows: who asked for how many GPUs, when, and how long the job ran.
Budgets, offers and pools that came and went are not in it, and nobody in it behaves otherwise because the change was made.

Run as a module, with the seconds it may take, it reads a question as JSON and prints the answer: compute.simulation.apart does
so in a process of its own.
"""

import os
import resource
import signal
import statistics
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pydantic import TypeAdapter

from compute.scheduling.model import Limit
from compute.simulation.engine import Ask, TraceJob, simulate
from compute.simulation.ours import Ours
from compute.simulation.outcome import percentile

PERCENTS = (10, 25, 50, 75, 90, 95, 99, 100)
"""Of a hundred jobs, so many waited no longer."""

MEMORY_BYTES_MAX = 2 * 1024**3
"""Address space of a replay of its own; one of some thousand jobs takes a tenth."""

GENTLY = 10
"""Behind everything else the machine does (nice)."""


@dataclass(frozen=True, slots=True)
class PastJob:
    """One run of our history. Times are whole seconds of Unix time."""

    project: str
    submitter: str
    submitted_at: int
    gpus: int
    wall_seconds: int  # declared
    run_seconds: int
    waited_seconds: int  # in reality


@dataclass(frozen=True, slots=True)
class Rules:
    """What one replay runs under."""

    gpus: int
    wall_seconds_max: int | None  # nobody declares more, and what runs longer is stopped; none: as declared
    weights: Mapping[str, int]  # by project; who is not named weighs 1
    limits: Mapping[str, Limit] = field(default_factory=dict)  # how much may run at a time, by project

    def widest(self, project: str) -> int:
        """The most GPUs that a job of a project can get."""
        limit = self.limits.get(project, Limit())
        return self.gpus if limit.gpus is None else min(self.gpus, limit.gpus)


@dataclass(frozen=True, slots=True)
class Question:
    """The past, and the two sets of rules."""

    jobs: Sequence[PastJob]  # by submission
    before: Rules
    after: Rules


@dataclass(frozen=True, slots=True)
class Waits:
    """In seconds, over jobs."""

    mean: float
    median: float
    p95: float


@dataclass(frozen=True, slots=True)
class Side:
    """What one set of rules made of it, or reality."""

    waits: Waits
    percentiles: Sequence[float]  # for PERCENTS
    worst_project: str  # by mean wait
    worst_mean: float


@dataclass(frozen=True, slots=True)
class ProjectLine:
    """One project under both."""

    project: str
    jobs: int
    gpu_seconds: int  # as it ran in reality
    before: Waits
    after: Waits


@dataclass(frozen=True, slots=True)
class DayLine:
    """The jobs submitted on one day (UTC)."""

    day: str  # 2026-11-22
    jobs: int
    before: Waits
    after: Waits


@dataclass(frozen=True, slots=True)
class Answer:
    """Both replays, compared."""

    jobs: int
    too_wide: int  # need more GPUs than one side has, or lets their project have: left out of both
    shortened: int  # declared more than the new limit
    stopped: int  # ran longer than it, and would have been stopped
    reality: Side
    before: Side
    after: Side
    projects: Sequence[ProjectLine]  # by GPU time
    days: Sequence[DayLine]


def answer(question: Question) -> Answer | None:
    """Replay both sides; None if no job fits both."""
    sides = (question.before, question.after)
    jobs = [job for job in question.jobs if job.gpus <= min(side.widest(job.project) for side in sides)]
    if not jobs:
        return None
    before, after = _waits(jobs, question.before), _waits(jobs, question.after)
    most = question.after.wall_seconds_max or max(job.wall_seconds for job in jobs)
    return Answer(
        jobs=len(jobs),
        too_wide=len(question.jobs) - len(jobs),
        shortened=sum(job.wall_seconds > most for job in jobs),
        stopped=sum(job.run_seconds > most for job in jobs),
        reality=_side(jobs, [job.waited_seconds for job in jobs]),
        before=_side(jobs, before),
        after=_side(jobs, after),
        projects=[
            ProjectLine(
                project,
                len(places),
                sum(jobs[place].gpus * jobs[place].run_seconds for place in places),
                _of(before, places),
                _of(after, places),
            )
            for project, places in _by_use(jobs, _grouped(jobs, lambda job: job.project))
        ],
        days=[
            DayLine(day, len(places), _of(before, places), _of(after, places))
            for day, places in sorted(_grouped(jobs, _day).items())
        ],
    )


def _waits(jobs: Sequence[PastJob], rules: Rules) -> list[int]:
    most = rules.wall_seconds_max
    trace = [
        TraceJob(str(place), _ask(place, job, most), min(job.run_seconds, job.wall_seconds, most or job.run_seconds))
        for place, job in enumerate(jobs)
    ]
    schedule = simulate(trace, rules.gpus, Ours(rules.gpus, rules.weights, limits=rules.limits))
    return [start - job.submitted_at for start, job in zip(schedule.starts, jobs, strict=True)]


def _ask(place: int, job: PastJob, most: int | None) -> Ask:
    wall = min(job.wall_seconds, most or job.wall_seconds)
    return Ask(place, job.project, job.submitter, job.submitted_at, job.gpus, wall)


def _side(jobs: Sequence[PastJob], waits: Sequence[int]) -> Side:
    means = {
        project: statistics.fmean(waits[place] for place in places)
        for project, places in _grouped(jobs, lambda job: job.project).items()
    }
    worst = max(sorted(means), key=lambda project: means[project])
    ordered = sorted(waits)
    return Side(_measured(waits), [percentile(ordered, each) for each in PERCENTS], worst, means[worst])


def _of(waits: Sequence[int], places: Sequence[int]) -> Waits:
    return _measured([waits[place] for place in places])


def _measured(waits: Sequence[int]) -> Waits:
    return Waits(statistics.fmean(waits), statistics.median(waits), percentile(waits, 95))


def _grouped(jobs: Sequence[PastJob], key: Callable[[PastJob], str]) -> dict[str, list[int]]:
    groups: dict[str, list[int]] = {}
    for place, job in enumerate(jobs):
        groups.setdefault(key(job), []).append(place)
    return groups


def _by_use(jobs: Sequence[PastJob], groups: Mapping[str, list[int]]) -> Iterable[tuple[str, list[int]]]:
    used = {name: sum(jobs[place].gpus * jobs[place].run_seconds for place in places) for name, places in groups.items()}
    return sorted(groups.items(), key=lambda group: (-used[group[0]], group[0]))


def _day(job: PastJob) -> str:
    return f"{datetime.fromtimestamp(job.submitted_at, UTC):%Y-%m-%d}"


QUESTION = TypeAdapter(Question)
ANSWER = TypeAdapter(Answer | None)


if __name__ == "__main__":
    # Who asked ends us after these seconds. If they were killed we end by ourselves: nobody else would.
    signal.alarm(int(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    os.nice(GENTLY)
    sys.stdout.buffer.write(ANSWER.dump_json(answer(QUESTION.validate_json(sys.stdin.buffer.read()))))
