"""Whose turn it is: weighted fair order with memory between projects, short declared jobs first inside one.

A project's standing is its use divided by its weight, where use is past use, decayed by half-life, plus what it uses now,
each GPU in use weighing as much as `current_use_seconds` of past use. The lowest standing goes first. The slow part is the
memory that stops a project from living off quiet weeks of the others; the fast part reacts within a pass: each start raises
the starter's standing at once, which fills the pool max-min fairly (Ghodsi et al., Dominant Resource Fairness, NSDI 2011, for
one resource).
"""

import heapq
import math
from collections.abc import Iterable, Iterator
from uuid import UUID

from compute.scheduling.model import Instant, Job, Project, Rules, Running


def decayed(records: Iterable[tuple[int, Instant]], *, now: Instant, half_life_seconds: int) -> int:
    """Past use that still counts, in ticks: each record of (ticks, when used) halves every `half_life_seconds`.

    `fsum` is exact, so that the order of the records changes nothing.
    """
    return round(math.fsum(ticks * 2.0 ** (-max(0, now - at) / half_life_seconds) for ticks, at in records))


class Line:
    """The waiting jobs in the order of their turns. Iterate; tell it of each start, which changes the order of the rest."""

    def __init__(
        self, *, now: Instant, projects: Iterable[Project], running: Iterable[Running], queued: Iterable[Job], rules: Rules
    ) -> None:
        self._current_use_seconds = rules.current_use_seconds
        self._weights = {project.id: project.weight for project in projects}
        self._use = {project.id: project.used_ticks for project in projects}
        for job in running:
            self._add_current(job.project_id, job.rate)

        by_project: dict[UUID, list[Job]] = {}
        for waiting in queued:
            by_project.setdefault(waiting.project_id, []).append(waiting)
        self._jobs = {
            project_id: iter(sorted(jobs, key=lambda job: _turn_inside_project(job, now, rules)))
            for project_id, jobs in by_project.items()
        }
        self._heap: list[tuple[float, Instant, UUID, Job]] = []
        for project_id in self._jobs:
            self._push_next(project_id)

    def __iter__(self) -> Iterator[Job]:
        while self._heap:
            job = heapq.heappop(self._heap)[-1]
            yield job
            self._push_next(job.project_id)  # after the caller's `started`, so with the standing as it is now

    def started(self, job: Job) -> None:
        """The job just taken from the line starts: its project's standing rises."""
        self._add_current(job.project_id, job.rate)

    def _add_current(self, project_id: UUID, rate: int) -> None:
        # A project without row has no more jobs in line, only running ones; its standing is never asked for.
        if project_id in self._use:
            self._use[project_id] += rate * self._current_use_seconds

    def _push_next(self, project_id: UUID) -> None:
        job = next(self._jobs[project_id], None)
        if job is not None:
            # int / int is correctly rounded: the same figures give the same standing on every machine and in every order.
            standing = self._use[project_id] / self._weights[project_id]
            heapq.heappush(self._heap, (standing, job.submitted_at, job.id, job))


def _turn_inside_project(job: Job, now: Instant, rules: Rules) -> tuple[int, int, UUID]:
    if now - job.submitted_at >= rules.patience_seconds:
        return (0, job.submitted_at, job.id)
    return (job.wall_seconds, job.submitted_at, job.id)
