"""A schedule as one HTML file that needs nothing beside it: figures, plots as SVG, a table of the projects."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from jinja2 import Environment, FileSystemLoader

from compute.simulation.engine import Schedule
from compute.simulation.outcome import figures, percentile
from core import plots
from core.config import ROOT
from core.units import format_seconds

POINTS = 360
"""How many points a curve gets at most: less than two pixels each."""

STRETCHES = 12
"""Into so many rows the table of the same figures sums them up."""

PERCENTS = (10, 25, 50, 75, 90, 95, 99, 100)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A twelfth of the trace: the most there was at any moment of it."""

    begins: str
    gpus: int
    waiting: int


@dataclass(frozen=True, slots=True)
class ProjectLine:
    """What one project saw."""

    name: str
    weight: int
    jobs: int
    gpu_hours: float
    mean_wait: str
    max_wait: str


def render(schedule: Schedule, *, title: str, policy: str, weights: dict[str, int]) -> str:
    """The whole page."""
    templates = Environment(loader=FileSystemLoader(ROOT / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True)
    used, waiting = _levels(schedule)
    waits = sorted(start - job.ask.submitted_at for start, job in zip(schedule.starts, schedule.jobs, strict=True))
    span = _span(schedule)
    return templates.get_template("compute/simulation.html").render(
        title=title,
        policy=policy,
        gpus=schedule.gpus,
        figures=figures(schedule),
        seconds=lambda value: format_seconds(round(value)),
        over_time=[
            _over_time("GPUs in use", used, span, top=schedule.gpus),
            _over_time("Jobs waiting", waiting, span, top=plots.count_top(max(waiting))),
        ],
        stretches=_stretches(used, waiting, span),
        share=_shares(waits),
        percentiles=[(percent, percentile(waits, percent)) for percent in PERCENTS],
        projects=_projects(schedule, weights),
    )


def _span(schedule: Schedule) -> tuple[int, int]:
    """From the first submission to the last end."""
    return schedule.jobs[0].ask.submitted_at, max(schedule.end(index) for index in range(len(schedule.jobs)))


def _levels(schedule: Schedule) -> tuple[list[int], list[int]]:
    """GPUs in use and jobs waiting: the most of each stretch of time that gets a point."""
    used, waiting = [], []
    for index, job in enumerate(schedule.jobs):
        start = schedule.starts[index]
        used += [(start, job.ask.gpus), (schedule.end(index), -job.ask.gpus)]
        waiting += [(job.ask.submitted_at, 1), (start, -1)]
    span = _span(schedule)
    return _highest(used, *span), _highest(waiting, *span)


def _highest(steps: Iterable[tuple[int, int]], begins: int, ends: int) -> list[int]:
    """A count that goes up and down; each point is the highest count within its stretch of time."""
    ordered = sorted(steps)
    counts = list(accumulate(change for _, change in ordered))
    highest = [0] * POINTS
    stretch = max(1.0, (ends - begins) / POINTS)
    level = place = 0
    for number in range(POINTS):
        highest[number] = level
        while place < len(ordered) and ordered[place][0] < begins + (number + 1) * stretch:
            level = counts[place]
            # Of the changes at one moment only the last is a state that lasted.
            if place + 1 == len(ordered) or ordered[place + 1][0] > ordered[place][0]:
                highest[number] = max(highest[number], level)
            place += 1
    return highest


def _over_time(title: str, counts: Sequence[int], span: tuple[int, int], *, top: int) -> plots.Plot:
    ends = [(0, "first submission"), (POINTS - 1, f"{format_seconds(span[1] - span[0])} later")]
    return plots.plot(title, {title: list(enumerate(counts))}, across=ends, top=top, up=lambda count: f"{count:,.0f}")


def _stretches(used: Sequence[int], waiting: Sequence[int], span: tuple[int, int]) -> list[Stretch]:
    each = POINTS // STRETCHES
    return [
        Stretch(
            format_seconds((span[1] - span[0]) * place // POINTS),
            max(used[place : place + each]),
            max(waiting[place : place + each]),
        )
        for place in range(0, POINTS, each)
    ]


def _shares(waits: Sequence[int]) -> plots.Plot:
    """The part of all jobs that waited at most so long."""
    longest = max(waits[-1], 1)
    moments = [longest * number / (POINTS - 1) for number in range(POINTS)]
    return plots.plot(
        "Share of jobs that waited no longer",
        {"share": [(moment, 100 * bisect_right(waits, moment) / len(waits)) for moment in moments]},
        across=[(0, "0 s"), (longest, format_seconds(longest))],
        top=100,
        up=lambda share: f"{share:.0f} %",
    )


def _projects(schedule: Schedule, weights: dict[str, int]) -> list[ProjectLine]:
    waits: dict[str, list[int]] = {}
    work: dict[str, int] = {}
    for start, job in zip(schedule.starts, schedule.jobs, strict=True):
        project = job.ask.project
        waits.setdefault(project, []).append(start - job.ask.submitted_at)
        work[project] = work.get(project, 0) + job.ask.gpus * job.run_seconds
    return [
        ProjectLine(
            name=project or "(none)",
            weight=weights.get(project, 1),
            jobs=len(waits[project]),
            gpu_hours=work[project] / 3600,
            mean_wait=format_seconds(round(sum(waits[project]) / len(waits[project]))),
            max_wait=format_seconds(max(waits[project])),
        )
        for project in sorted(waits, key=lambda project: (-work[project], project))
    ]
