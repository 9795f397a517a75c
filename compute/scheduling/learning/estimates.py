"""How long a job will probably run, learnt from jobs that ended and from those that still run.

Declared times are typed with a wide margin, so they order a queue badly. The expectation of a job is the mean run time of its
batch, pulled towards the mean of its kind, of its declared time, of its submitter, of its project and of everybody, one after
the other: each level's own jobs count beside a handful (`TRUST`) of jobs of the level above.

A batch is what somebody submitted in one go, or while busy with one thing: jobs of one kind, none of them more than an hour after
the one before (Zakay and Feitelson, On Identifying User Session Boundaries in Parallel Workload Logs, JSSPP 2012). Sweeps and
build matrices are batches, and their jobs run alike far more than those of last week do.

What still runs adds the time it has run so far without adding a job (the mean of an exponential under censoring), so that what
turned long is noticed before its first job ends.

Expectations decide whose turn it is. Promises and budgets trust declared times alone.
"""

from dataclasses import dataclass

from compute.scheduling.model import Instant, Name

TRUST = 4
"""So many jobs of the level above weigh as much as a level's own."""

BATCH_GAP = 3600
"""A job of a kind begins a new batch if the one before it came longer ago than so many seconds."""

FIRST_GUESS = 0.25
"""With nobody's past at hand, this part of the declared time."""


@dataclass(slots=True)
class History:
    """What is known of the jobs of one level."""

    seconds: int = 0  # of jobs that ended
    ended: int = 0
    running: int = 0
    starts: int = 0  # the sum of the moments at which the running ones started


Lineage = tuple[History, ...]
"""The levels of a job: everybody, project, submitter, declared time, kind, and its batch where that is known."""


class Estimates:
    """The past of everybody."""

    def __init__(self) -> None:
        self._levels: dict[tuple[Name, ...], History] = {}
        self._batches: dict[tuple[Name, ...], tuple[Instant, History]] = {}  # by kind: the latest, and when its last job came

    def batch(self, project: Name, submitter: Name, wall_seconds: int, gpus: int, at: Instant) -> History:
        """The batch of a job of this kind that was submitted then; ask once for each job, in the order of their submission."""
        key = (project, submitter, wall_seconds, gpus)
        last, batch = self._batches.get(key, (at, None))
        if batch is None or abs(at - last) > BATCH_GAP:
            batch = History()
        self._batches[key] = (at, batch)
        return batch

    def lineage(self, project: Name, submitter: Name, wall_seconds: int, gpus: int) -> Lineage:
        """The levels that a kind learns from; ask once for each kind."""
        key: tuple[Name, ...] = (project, submitter, wall_seconds, gpus)
        return tuple(self._levels.setdefault(key[:depth], History()) for depth in range(len(key) + 1))

    @staticmethod
    def expected(lineage: Lineage, wall_seconds: int, now: Instant) -> float:
        """Seconds that a job of this kind will probably run, never more than declared."""
        mean = wall_seconds * FIRST_GUESS
        for level in lineage:
            seconds = level.seconds + level.running * now - level.starts
            mean = (TRUST * mean + seconds) / (TRUST + level.ended)
        return min(max(mean, 1.0), float(wall_seconds))

    @staticmethod
    def remember(lineage: Lineage, *, seconds: int, jobs: int) -> None:
        """So many jobs of the kind ended in the past, after so many seconds in all."""
        for level in lineage:
            level.seconds += seconds
            level.ended += jobs

    @staticmethod
    def started(lineage: Lineage, at: Instant) -> None:
        """A job of the kind runs from now on."""
        for level in lineage:
            level.running += 1
            level.starts += at

    @staticmethod
    def stopped(lineage: Lineage, started_at: Instant, at: Instant) -> None:
        """It was stopped, and would have run for longer than it did."""
        for level in lineage:
            level.running -= 1
            level.starts -= started_at
            level.seconds += at - started_at

    @staticmethod
    def never_started(lineage: Lineage, at: Instant) -> None:
        """A job that was said to run since then does not."""
        for level in lineage:
            level.running -= 1
            level.starts -= at

    @staticmethod
    def ended(lineage: Lineage, started_at: Instant, at: Instant) -> None:
        """It ran so long."""
        for level in lineage:
            level.running -= 1
            level.starts -= started_at
            level.seconds += at - started_at
            level.ended += 1
