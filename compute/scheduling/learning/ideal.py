"""How projects fare against an ideal in which GPUs could be shared like water, followed while it happens.

In the ideal, the projects that have work share all GPUs by weighted max-min, no project getting more than its jobs can use;
inside a project the older job comes first. Its clock goes in steps. A job comes in with its expected run time, which is put
right when the job really ends. Once it is over in both worlds, its finish-time unfairness is known (rho: Mahajan et al.,
Themis, NSDI 2020): the time it took, by the time the ideal takes, or by its own run time where that is longer. A project's
figure is the mean over its latest jobs. Above one it fares worse than under ideal sharing, and its turn comes sooner.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from compute.scheduling.keeping.memory import IdealJob, IdealShare
from compute.scheduling.model import Instant, Name

STEP_SECONDS = 900

MEMORY_JOBS = 1000
"""The latest job counts for this part of the mean."""

SERVED_AT_ONCE = 4
"""So many projects are served at one moment without anybody asking about them."""


@dataclass(slots=True)
class _Job:
    submitted_at: Instant
    project: Name
    gpus: int
    left: float  # GPU-seconds
    expected_seconds: float
    run_seconds: int | None = None  # known once it really ended ...
    ended_at: Instant = 0  # ... then
    ideally_at: float | None = None  # when it was over in the ideal


class Ideal:
    """The ideal world beside the real one.

    When a step is over, its shares are fixed at once, and each project is served when somebody next asks about it, or in its
    turn, a few at each moment, so that no moment carries a whole step.
    """

    def __init__(self, gpus: int, weights: Mapping[Name, int]) -> None:
        self.gpus = gpus
        self._weights = weights
        self._jobs: dict[Name, _Job] = {}
        self._open: dict[Name, list[Name]] = {}  # by project, oldest first
        self._of: dict[Name, dict[Name, _Job]] = {}  # all of a project, in the order in which they came
        self._demand: dict[Name, float] = {}  # by project: what its open jobs could use
        self._shares: dict[Name, float] = {}  # in the last step, of projects that were not served yet
        self._fared: dict[Name, float] = {}
        self._now: Instant | None = None
        self.touched: set[Name] = set()  # projects that something happened to since somebody asked

    def fared(self, project: Name) -> float:
        """The mean unfairness of its latest jobs; one before anything is known."""
        self._serve(project)
        return self._fared.get(project, 1.0)

    def submitted(self, job: Name, project: Name, gpus: int, expected_seconds: float, at: Instant) -> None:
        """A job comes in with what it will probably take; one that was remembered is there already."""
        if job in self._jobs:
            if self._jobs[job].run_seconds is None:
                return
            self.cancelled(job)  # it ended, and is tried again
        if self._now is None:
            self._now = at
        self._serve(project)
        self._enter(job, _Job(at, project, gpus, gpus * expected_seconds, expected_seconds))
        entered = self._jobs[job]
        self._demand[project] = self._demand.get(project, 0.0) + _wanted(entered)
        self._open.setdefault(project, []).append(job)

    def cancelled(self, job: Name) -> None:
        """It never ran: as if it had never been there."""
        self._serve(self._jobs[job].project)
        gone = self._leave(job)
        if gone.ideally_at is None:
            self._open[gone.project].remove(job)
            self._demand[gone.project] -= _wanted(gone)

    def ended(self, job: Name, run_seconds: int, at: Instant) -> None:
        """What it really took."""
        done = self._jobs[job]
        self._serve(done.project)
        self.touched.add(done.project)
        done.run_seconds, done.ended_at = run_seconds, at
        surprise = run_seconds - done.expected_seconds
        if done.ideally_at is None:
            before = _wanted(done)
            done.left = max(_NEXT_TO_NOTHING, done.left + done.gpus * surprise)
            self._demand[done.project] += _wanted(done) - before
        else:
            done.ideally_at += max(0.0, surprise)
            self._judge(job)

    def advance(self, now: Instant) -> None:
        """Let the ideal world go on until now, in whole steps."""
        if self._now is None:
            return
        while self._now + STEP_SECONDS <= now:
            for project in list(self._shares):
                self._serve(project)
            if not any(self._open.values()):
                self._now += (now - self._now) // STEP_SECONDS * STEP_SECONDS
                return
            # Never less than the oldest job wants, whatever the many small sums lost: else a last job could wait for ever.
            wanted = {
                project: max(self._demand[project], _wanted(self._jobs[jobs[0]])) for project, jobs in self._open.items() if jobs
            }
            self._shares = shares(wanted, self.gpus, self._weights)
            self._now += STEP_SECONDS
        for project in list(islice(self._shares, SERVED_AT_ONCE)):
            self._serve(project)

    # What a restart must not forget -------------------------------------------------------------------------------------

    @property
    def now(self) -> Instant | None:
        """Where its clock stands."""
        return self._now

    def remember(self, project: Name) -> IdealShare:
        """How a project stands in it."""
        self._serve(project)
        jobs = tuple(
            IdealJob(job, e.submitted_at, e.gpus, e.left, e.expected_seconds, e.run_seconds, e.ended_at, e.ideally_at)
            for job, e in self._of.get(project, {}).items()
        )
        return IdealShare(self._fared.get(project, 1.0), self._demand.get(project, 0.0), jobs)

    def recall(self, now: Instant | None, of: Mapping[Name, IdealShare]) -> None:
        """Go on from there."""
        self._now = now
        for project, share in of.items():
            self._fared[project], self._demand[project] = share.fared, share.demand
            for e in share.jobs:
                job = _Job(e.entered_at, project, e.gpus, e.left, e.expected_seconds, e.run_seconds, e.ended_at, e.ideally_at)
                self._enter(e.job, job)
            self._open[project] = [e.job for e in share.jobs if e.ideally_at is None]

    def _enter(self, name: Name, job: _Job) -> None:
        self._jobs[name] = self._of.setdefault(job.project, {})[name] = job
        self.touched.add(job.project)

    def _leave(self, name: Name) -> _Job:
        job = self._jobs.pop(name)
        del self._of[job.project][name]
        self.touched.add(job.project)
        return job

    # The ideal itself ---------------------------------------------------------------------------------------------------

    def _judge(self, job: Name) -> None:
        done = self._leave(job)
        assert done.run_seconds is not None
        assert done.ideally_at is not None
        ideal = max(done.ideally_at - done.submitted_at, done.run_seconds, 1)
        before = self._fared.get(done.project, 1.0)
        self._fared[done.project] = before + ((done.ended_at - done.submitted_at) / ideal - before) / MEMORY_JOBS

    def _serve(self, project: Name) -> None:
        """Give a project its share of the last step, if it did not get it yet."""
        share = self._shares.pop(project, None)
        if share is None:
            return
        assert self._now is not None
        self.touched.add(project)
        jobs, kept, seen, over = self._open[project], [], 0, []
        for job in jobs:
            seen += 1
            state = self._jobs[job]
            before = _wanted(state)
            rate = min(before, share)
            share -= rate
            state.left -= rate * STEP_SECONDS
            if state.left <= _NEXT_TO_NOTHING:
                self._demand[project] -= before
                over.append(job)
            else:
                self._demand[project] += _wanted(state) - before
                kept.append(job)
            if share <= _NEXT_TO_NOTHING:
                break
        jobs[:seen] = kept
        if not jobs:
            self._demand[project] = 0.0
        for job in over:
            self._jobs[job].ideally_at = float(self._now)
            if self._jobs[job].run_seconds is not None:
                self._judge(job)


def _wanted(job: _Job) -> float:
    """GPUs it could use during the next step."""
    return min(job.gpus, job.left / STEP_SECONDS)


def shares(wanted: Mapping[Name, float], gpus: float, weights: Mapping[Name, int]) -> dict[Name, float]:
    """Weighted max-min: who wants less than its share gets what it wants, and the others share the rest."""
    given = {}
    weight = sum(weights.get(project, 1) for project in wanted)
    order: list[tuple[float, Any]] = sorted((want / weights.get(project, 1), project) for project, want in wanted.items())
    for _, project in order:
        own = weights.get(project, 1)
        given[project] = min(wanted[project], gpus * own / weight)
        gpus -= given[project]
        weight -= own
    return given


_NEXT_TO_NOTHING = 1e-6
