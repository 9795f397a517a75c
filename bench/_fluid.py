"""The fairness ideal: what each job would take if GPUs could be cut and shared like water.

In each step of time the GPUs are shared between the projects that have work by weighted max-min (water filling), no project
getting more than its jobs can use; inside a project the older job comes first, and no job gets more than its own GPUs. A job
submitted within a step comes in at the next, and is over at the end of the step in which its work is done. So the ideal is at
most two steps late for a job that nobody hinders: choose steps that are short for the set.
"""

from collections.abc import Mapping, Sequence

from compute.simulation import Schedule, TraceJob
from compute.simulation.outcome import percentile

JOBS_MIN = 50
"""The worst project is looked for among those with more jobs than this."""


def ideal_completions(jobs: Sequence[TraceJob], gpus: int, weights: Mapping[str, int], *, step: int) -> list[float]:
    """For each job, seconds from submission to end in the ideal; never less than its run time."""
    lines: dict[str, _Line] = {}
    ends = [0] * len(jobs)
    now, arrived, open_jobs = jobs[0].ask.submitted_at, 0, 0
    while arrived < len(jobs) or open_jobs:
        if not open_jobs:
            now += max(0, jobs[arrived].ask.submitted_at - now) // step * step
        while arrived < len(jobs) and jobs[arrived].ask.submitted_at <= now:
            job = jobs[arrived]
            lines.setdefault(job.ask.project, _Line(step)).add(arrived, job.ask.gpus, job.ask.gpus * job.run_seconds)
            arrived, open_jobs = arrived + 1, open_jobs + 1
        shares = _shares({project: line.demand for project, line in lines.items() if line.open}, gpus, weights)
        now += step
        for project, share in shares.items():
            for index in lines[project].serve(share):
                ends[index] = now
                open_jobs -= 1
    return [float(max(end - job.ask.submitted_at, job.run_seconds)) for end, job in zip(ends, jobs, strict=True)]


class _Line:
    """A project's open jobs, oldest first."""

    def __init__(self, step: int) -> None:
        self._step = step
        self.open: list[tuple[int, int]] = []  # (job, GPUs)
        self._left: dict[int, float] = {}  # GPU-seconds still to be done
        self._demand = 0.0

    @property
    def demand(self) -> float:
        """GPUs it could use during the next step; never less than its oldest job, whatever the many small sums lost."""
        index, gpus = self.open[0]
        return max(self._demand, min(gpus, self._left[index] / self._step))

    def add(self, index: int, gpus: int, work: float) -> None:
        self.open.append((index, gpus))
        self._left[index] = work
        self._demand += min(gpus, work / self._step)

    def serve(self, share: float) -> list[int]:
        """Use so many GPUs for a step; the jobs that are done by its end."""
        done, kept, seen = [], [], 0
        for index, gpus in self.open:
            seen += 1
            left = self._left[index]
            wanted = min(gpus, left / self._step)
            rate = min(wanted, share)
            share -= rate
            left -= rate * self._step
            if left <= _NOTHING:
                self._demand -= wanted
                del self._left[index]
                done.append(index)
            else:
                self._demand += min(gpus, left / self._step) - wanted
                self._left[index] = left
                kept.append((index, gpus))
            if share <= _NOTHING:
                break
        self.open[:seen] = kept
        if not self.open:
            self._demand = 0.0
        return done


def _shares(demands: Mapping[str, float], gpus: float, weights: Mapping[str, int]) -> dict[str, float]:
    """Weighted max-min: who wants less than its share gets what it wants, and the others share the rest."""
    shares = {}
    weight = sum(weights.get(project, 1) for project in demands)
    for project in sorted(demands, key=lambda project: (demands[project] / weights.get(project, 1), project)):
        own = weights.get(project, 1)
        shares[project] = min(demands[project], gpus * own / weight)
        gpus -= shares[project]
        weight -= own
    return shares


_NOTHING = 1e-9


def rhos(schedule: Schedule, ideal: Sequence[float]) -> list[float]:
    """Finish-time unfairness of each job: what it took, by what it would have taken in the ideal."""
    return [
        (schedule.end(index) - job.ask.submitted_at) / ideal[index] if ideal[index] else 1.0
        for index, job in enumerate(schedule.jobs)
    ]


def worst_project(schedule: Schedule, rho: Sequence[float]) -> tuple[str, float]:
    """The project whose jobs fared worst on average, among those with more than 50 jobs."""
    by_project: dict[str, list[float]] = {}
    for job, value in zip(schedule.jobs, rho, strict=True):
        by_project.setdefault(job.ask.project, []).append(value)
    means = {project: sum(values) / len(values) for project, values in by_project.items() if len(values) > JOBS_MIN}
    project = max(means, key=lambda project: means[project])
    return project, means[project]


def p95(rho: Sequence[float]) -> float:
    """Finish-time unfairness that 95 of 100 jobs do not exceed."""
    return percentile(rho, 95)
