"""The event loop: time jumps from event to event, and the policy decides at each.

At one moment ends come first, then those who were asked to leave, then arrivals, then one decision. The policy is told what a
user typed and when a job ended; how long a job will run it never sees. A job that leaves has lost its work and waits again.

Deciding takes no time, unless a stopwatch is given: then what is decided takes effect when the stopwatch says that it was
decided, and what happens meanwhile waits for the next decision.
"""

import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

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
    rank: int = 0  # of its priority class: higher goes first


@dataclass(frozen=True, slots=True)
class TraceJob:
    """A job of a trace: what was asked for, and how long it runs."""

    id: str
    ask: Ask
    run_seconds: int  # never more than declared


@dataclass(frozen=True, slots=True)
class Leave:
    """A running job gives its GPUs back at `at`, unless it is over before, and waits again."""

    index: int
    at: int


@dataclass(frozen=True, slots=True)
class Stay:
    """A job that was asked to leave need not."""

    index: int


Decision = int | Leave | Stay
"""A job that starts now, by its index, or what is to become of one that runs."""


class Policy(Protocol):
    """Decides who starts. It is told of every submission and every end before it is asked."""

    def submitted(self, ask: Ask, now: int) -> None:
        """This job waits from now on."""

    def ended(self, index: int, now: int) -> None:
        """This job gave its GPUs back."""

    def decide(self, now: int) -> Iterable[Decision]:
        """What is to be now. A job counts as started as soon as it is named."""


@runtime_checkable
class Preemptive(Policy, Protocol):
    """A policy that asks running jobs to leave."""

    def evicted(self, index: int, now: int) -> None:
        """This job gave its GPUs back unfinished, and waits again."""


class Stopwatch(Protocol):
    """Says how long decisions take, in the trace's unit of time."""

    def reach(self, moment: int) -> int:
        """It is this moment, or later already."""

    def begin(self) -> None:
        """A decision is asked for."""

    def lap(self, decision: Decision | None) -> int:
        """How long since, when this was decided; None: when everything was."""


@dataclass(frozen=True, slots=True)
class Schedule:
    """What came of it: for each job of the trace, in its order, when it started for the last time."""

    jobs: Sequence[TraceJob]
    gpus: int
    starts: Sequence[int]
    evictions: int = 0
    lost_gpu_seconds: int = 0  # of work that was done and had to be done again

    def end(self, index: int) -> int:
        """When the job was over."""
        return self.starts[index] + self.jobs[index].run_seconds


def simulate(
    jobs: Sequence[TraceJob],
    gpus: int,
    policy: Policy,
    *,
    progress: Callable[[int, int], None] | None = None,
    stopwatch: Stopwatch | None = None,
) -> Schedule:
    """Replay jobs, sorted by submission, on so many GPUs. `progress` is told how many of how many jobs have ended."""
    return _Replay(jobs, gpus, policy, progress, stopwatch).run()


class _Replay:
    def __init__(
        self,
        jobs: Sequence[TraceJob],
        gpus: int,
        policy: Policy,
        progress: Callable[[int, int], None] | None,
        stopwatch: Stopwatch | None,
    ) -> None:
        self._jobs = jobs
        self._gpus = self._free = gpus
        self._policy = policy
        self._progress = progress
        self._stopwatch = stopwatch
        self._starts = [_WAITS] * len(jobs)
        self._ends: list[tuple[int, int, int]] = []  # (when, job, its start: an end of an earlier try counts no more)
        self._asked: list[tuple[int, int]] = []  # (by when, job) of those who were asked to leave
        self._leaves: dict[int, int] = {}  # by when, for each of them that still must
        self._running: set[int] = set()
        self._arrived = self._over = self._evictions = self._lost = 0

    def run(self) -> Schedule:
        busy_until = _LONG_AGO
        while (moment := self._next()) is not None:
            now = max(moment, busy_until)
            if self._stopwatch is not None:
                now = self._stopwatch.reach(now)
            self._end(now)
            self._evict(now)
            self._arrive(now)
            busy_until = self._decide(now)
        assert self._over == len(self._jobs), "every job starts"
        return Schedule(self._jobs, self._gpus, self._starts, self._evictions, self._lost)

    def _next(self) -> int | None:
        """When something happens next."""
        moments = [heap[0][0] for heap in (self._ends, self._asked) if heap]
        if self._arrived < len(self._jobs):
            moments.append(self._jobs[self._arrived].ask.submitted_at)
        return min(moments, default=None)

    def _end(self, now: int) -> None:
        while self._ends and self._ends[0][0] <= now:
            _, index, started_at = heapq.heappop(self._ends)
            if index not in self._running or self._starts[index] != started_at:
                continue
            self._give_back(index)
            self._policy.ended(index, now)
            self._over += 1
            if self._progress is not None and self._over % REPORT_EVERY == 0:
                self._progress(self._over, len(self._jobs))

    def _evict(self, now: int) -> None:
        while self._asked and self._asked[0][0] <= now:
            at, index = heapq.heappop(self._asked)
            if self._leaves.get(index) != at:
                continue
            assert isinstance(self._policy, Preemptive), "only who hears of it may ask jobs to leave"
            self._evictions += 1
            self._lost += self._jobs[index].ask.gpus * max(0, now - self._starts[index])
            self._give_back(index)
            self._starts[index] = _WAITS
            self._policy.evicted(index, now)

    def _arrive(self, now: int) -> None:
        while self._arrived < len(self._jobs) and self._jobs[self._arrived].ask.submitted_at <= now:
            self._policy.submitted(self._jobs[self._arrived].ask, now)
            self._arrived += 1

    def _decide(self, now: int) -> int:
        """Ask the policy, and say until when that took."""
        if self._stopwatch is not None:
            self._stopwatch.begin()
        for decision in self._policy.decide(now):
            at = now + (self._stopwatch.lap(decision) if self._stopwatch is not None else 0)
            match decision:
                case Leave():
                    self._leaves[decision.index] = max(at, decision.at)
                    heapq.heappush(self._asked, (max(at, decision.at), decision.index))
                case Stay():
                    self._leaves.pop(decision.index, None)
                case _:
                    self._start(decision, at)
        return now + (self._stopwatch.lap(None) if self._stopwatch is not None else 0)

    def _start(self, index: int, at: int) -> None:
        job = self._jobs[index]
        self._free -= job.ask.gpus
        assert self._starts[index] == _WAITS, "a job starts once"
        assert self._free >= 0, "no policy starts more than there is"
        self._running.add(index)
        self._starts[index] = at
        heapq.heappush(self._ends, (at + job.run_seconds, index, at))

    def _give_back(self, index: int) -> None:
        self._free += self._jobs[index].ask.gpus
        self._running.remove(index)
        self._leaves.pop(index, None)


_LONG_AGO = _WAITS = -(1 << 62)
