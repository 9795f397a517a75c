"""A schedule as one HTML file that needs nothing beside it: figures, plots as SVG, a table of the projects."""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from jinja2 import Environment, FileSystemLoader

from compute.simulation.engine import Schedule
from compute.simulation.outcome import figures
from core.config import ROOT
from core.units import format_seconds

WIDTH, HEIGHT = 720, 180
POINTS = 360
"""How many points a curve gets at most: two pixels each."""


@dataclass(frozen=True, slots=True)
class Plot:
    """One curve with what its axes mean."""

    title: str
    points: str  # of an SVG polyline
    top: str
    left: str
    right: str


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
    return templates.get_template("compute/simulation.html").render(
        title=title,
        policy=policy,
        gpus=schedule.gpus,
        figures=figures(schedule),
        seconds=lambda value: format_seconds(round(value)),
        plots=_plots(schedule),
        projects=_projects(schedule, weights),
        width=WIDTH,
        height=HEIGHT,
    )


def _plots(schedule: Schedule) -> list[Plot]:
    jobs = schedule.jobs
    begins = jobs[0].ask.submitted_at
    ends = max(schedule.end(index) for index in range(len(jobs)))
    used, waiting = [], []
    for index, job in enumerate(jobs):
        start = schedule.starts[index]
        used += [(start, job.ask.gpus), (schedule.end(index), -job.ask.gpus)]
        waiting += [(job.ask.submitted_at, 1), (start, -1)]
    span = f"{format_seconds(ends - begins)} later"
    waits = sorted(start - job.ask.submitted_at for start, job in zip(schedule.starts, jobs, strict=True))
    return [
        _over_time("GPUs in use", used, begins, ends, top=schedule.gpus, right=span),
        _over_time("Jobs waiting", waiting, begins, ends, top=None, right=span),
        _shares("Share of jobs that waited no longer than", waits),
    ]


def _over_time(title: str, steps: Iterable[tuple[int, int]], begins: int, ends: int, *, top: int | None, right: str) -> Plot:
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
    scale = top or max(*highest, 1)
    points = _polyline([(number / (POINTS - 1), count / scale) for number, count in enumerate(highest)])
    return Plot(title, points, f"{scale:,}", "first submission", right)


def _shares(title: str, waits: Sequence[int]) -> Plot:
    """The part of all jobs that waited at most so long."""
    longest = max(waits[-1], 1)
    moments = [number / (POINTS - 1) for number in range(POINTS)]
    points = _polyline([(part, bisect_right(waits, part * longest) / len(waits)) for part in moments])
    return Plot(title, points, "100 %", "0 s", format_seconds(longest))


def _polyline(points: Iterable[tuple[float, float]]) -> str:
    return " ".join(f"{x * WIDTH:.1f},{HEIGHT - min(1.0, y) * HEIGHT:.1f}" for x, y in points)


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
