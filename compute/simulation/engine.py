"""The event loop: time jumps from event to event, and the policy decides at each.

At one moment ends come first, then arrivals, then one decision. The policy is told what a user typed and when a job ended;
how long a job will run it never sees.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

REPORT_EVERY = 1000
"""Jobs between two reports of progress."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What a scheduler knows of a job when it is submitted."""

    index: int  # its place in the trace: the name the policy knows it by
    project: str
    submitter: str
    submitted_at: int  # seconds on the trace's clock
    gpus: int  # all at once or not at all
    wall_seconds: int  # declared; the job is stopped then


@dataclass(frozen=True, slots=True)
class TraceJob:
    """A job of a trace: what was asked for, and how long it runs."""

    id: str
    ask: Ask
    run_seconds: int  # never more than declared


class Policy(Protocol):
    """Decides who starts. It is told of every submission and every end before it is asked."""

    def submitted(self, ask: Ask, now: int) -> None:
        """This job waits from now on."""

    def ended(self, index: int, now: int) -> None:
        """This job gave its GPUs back."""

    def decide(self, now: int) -> Iterable[int]:
        """The jobs that start now. They count as started as soon as they are named."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What came of it: for each job of the trace, in its order, when it started."""

    jobs: Sequence[TraceJob]
    gpus: int
    starts: Sequence[int]

    def end(self, index: int) -> int:
        """When the job was over."""
        return self.starts[index] + self.jobs[index].run_seconds


def simulate(
    jobs: Sequence[TraceJob], gpus: int, policy: Policy, *, progress: Callable[[int, int], None] | None = None
) -> Schedule:
    """Replay jobs, sorted by submission, on so many GPUs. `progress` is told how many of how many jobs have ended."""
    starts = [-1] * len(jobs)
    ends: list[tuple[int, int]] = []
    free, arrived, over = gpus, 0, 0
    while arrived < len(jobs) or ends:
        now = min(jobs[arrived].ask.submitted_at if arrived < len(jobs) else ends[0][0], ends[0][0] if ends else _NEVER)
        while ends and ends[0][0] == now:
            _, index = heapq.heappop(ends)
            free += jobs[index].ask.gpus
            policy.ended(index, now)
            over += 1
            if progress is not None and over % REPORT_EVERY == 0:
                progress(over, len(jobs))
        while arrived < len(jobs) and jobs[arrived].ask.submitted_at == now:
            policy.submitted(jobs[arrived].ask, now)
            arrived += 1
        for index in policy.decide(now):
            job = jobs[index]
            free -= job.ask.gpus
            assert starts[index] < 0, "a job starts once"
            assert free >= 0, "no policy starts more than there is"
            starts[index] = now
            heapq.heappush(ends, (now + job.run_seconds, index))
    assert min(starts, default=0) >= 0 or not jobs or jobs[0].ask.submitted_at < 0, "every job starts"
    return Schedule(jobs, gpus, starts)


_NEVER = 1 << 62
