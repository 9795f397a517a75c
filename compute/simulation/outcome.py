"""What a schedule was like for those who waited."""

import csv
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TextIO

from compute.simulation.engine import Schedule

SHORTEST_SECONDS = 10
"""Bounded slowdown takes no job for shorter than this (Feitelson et al., JSSPP 1997)."""


@dataclass(frozen=True, slots=True)
class Figures:
    """Means are over jobs; times are in seconds."""

    jobs: int
    mean_wait: float
    median_wait: float
    p95_wait: float
    max_wait: int
    mean_completion: float  # from submission to end
    mean_slowdown: float  # bounded: max(completion / max(run time, 10 s), 1)
    makespan: int  # from the first submission to the last end
    utilisation: float  # work / (GPUs × makespan)


def figures(schedule: Schedule) -> Figures:
    """The figures of one schedule with at least one job."""
    jobs = schedule.jobs
    waits = [start - job.ask.submitted_at for start, job in zip(schedule.starts, jobs, strict=True)]
    completions = [wait + job.run_seconds for wait, job in zip(waits, jobs, strict=True)]
    slowdowns = [
        max(completion / max(job.run_seconds, SHORTEST_SECONDS), 1.0) for completion, job in zip(completions, jobs, strict=True)
    ]
    makespan = max(schedule.end(index) for index in range(len(jobs))) - min(job.ask.submitted_at for job in jobs)
    work = sum(job.ask.gpus * job.run_seconds for job in jobs)
    return Figures(
        jobs=len(jobs),
        mean_wait=statistics.fmean(waits),
        median_wait=statistics.median(waits),
        p95_wait=percentile(waits, 95),
        max_wait=max(waits),
        mean_completion=statistics.fmean(completions),
        mean_slowdown=statistics.fmean(slowdowns),
        makespan=makespan,
        utilisation=work / (schedule.gpus * makespan) if makespan else 0.0,
    )


def percentile(values: Sequence[float], percent: int) -> float:
    """The value that `percent` of a hundred values do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]


def write_schedule(schedule: Schedule, out: TextIO) -> None:
    """One line for each job, in the order of their submission."""
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(["job_id", "project", "submit_time_s", "start_time_s", "end_time_s", "gpus"])
    for index, job in enumerate(schedule.jobs):
        ask = job.ask
        lines.writerow([job.id, ask.project, ask.submitted_at, schedule.starts[index], schedule.end(index), ask.gpus])
