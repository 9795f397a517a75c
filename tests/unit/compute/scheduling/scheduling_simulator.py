"""The scheduler replaying a list of jobs: time jumps from event to event, and `plan` decides at each."""

import heapq
import itertools
from dataclasses import dataclass
from uuid import UUID

from compute.scheduling import Job, Pool, Project, Rules, Running, Snapshot, plan


@dataclass(frozen=True)
class Arrival:
    """A job and how long it really runs, which the scheduler never sees."""

    job: Job
    runs_seconds: int


def replay(
    arrivals: list[Arrival], pool: Pool, project: Project, rules: Rules, first_in_line: int | None = None
) -> dict[UUID, int]:
    """When each job started. At each moment ends come first, then arrivals, then one decision.

    `first_in_line` shows the scheduler only so many of the waiting jobs, oldest first.
    """
    coming = sorted(arrivals, key=lambda arrival: (arrival.job.submitted_at, arrival.job.id))
    seconds = {arrival.job.id: arrival.runs_seconds for arrival in arrivals}
    queue: dict[UUID, Job] = {}
    running: dict[UUID, Running] = {}
    ends: list[tuple[int, UUID]] = []
    started: dict[UUID, int] = {}
    place = 0
    while place < len(coming) or ends:
        now = min(coming[place].job.submitted_at if place < len(coming) else ends[0][0], ends[0][0] if ends else 10**18)
        while ends and ends[0][0] == now:
            del running[heapq.heappop(ends)[1]]
        while place < len(coming) and coming[place].job.submitted_at == now:
            queue[coming[place].job.id] = coming[place].job
            place += 1
        shown = tuple(itertools.islice(queue.values(), first_in_line))
        world = Snapshot(now, (pool,), (project,), shown, tuple(running.values()), rules=rules)
        for start in plan(world).starts:
            job = queue.pop(start.job_id)
            started[job.id] = now
            running[job.id] = Running(job.id, job.project_id, None, start.pool_id, job.flavor, job.gpus, job.rate, start.ends_by)
            heapq.heappush(ends, (now + seconds[job.id], job.id))
    return started
