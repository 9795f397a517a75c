"""The GPUs of one flavor in one pool over time, and the promise made to the next in line.

The promise is EASY backfill (Lifka, The ANL/IBM SP Scheduling System, JSSPP 1995): the first job in line that does not fit is
promised the earliest moment at which, by the declared times of what runs, enough GPUs will be free. Later jobs may use what
is free now only if they are over by then, or use GPUs the promised job will not need.
"""

from collections.abc import Iterable
from uuid import UUID

from compute.scheduling.model import Instant, Job, Pool, Running


class Lane:
    """One flavor in one pool during one pass."""

    def __init__(self, pool: Pool, flavor: str, running: Iterable[Running], *, now: Instant) -> None:
        self.pool = pool
        self.flavor = flavor
        self.capacity = pool.capacity.get(flavor, 0)
        # A job past its declared time is being stopped: its GPUs come back any moment, not in the past.
        self._releases = [(max(job.ends_by, now + 1), job.gpus) for job in running]
        # Below zero when a pool shrank under its running jobs.
        self.free = self.capacity - sum(gpus for _, gpus in self._releases)
        self.promised_to: UUID | None = None
        self.promised_at: Instant | None = None
        self._spare = 0  # GPUs that are free at `promised_at` and not needed by the promised job

    def fits(self, job: Job, ends_by: Instant) -> bool:
        """Whether all its GPUs are free now and using them until `ends_by` delays nobody who was promised a start."""
        if job.gpus > self.free:
            return False
        return self.promised_at is None or ends_by <= self.promised_at or job.gpus <= self._spare

    def take(self, job: Job, ends_by: Instant) -> None:
        """Start a job that fits."""
        self.free -= job.gpus
        self._releases.append((ends_by, job.gpus))
        if self.promised_at is not None and ends_by > self.promised_at:
            self._spare -= job.gpus

    def earliest(self, job: Job) -> Instant | None:
        """When enough GPUs will be free for a job that does not fit now, if running jobs keep their declared times.

        None: never, the pool is too small.
        """
        if job.gpus > self.capacity:
            return None
        free = self.free
        for ends_by, gpus in sorted(self._releases):
            free += gpus
            if free >= job.gpus:
                return ends_by
        raise AssertionError("an empty lane has all its capacity")

    def promise(self, job: Job, at: Instant) -> None:
        """Keep GPUs for this job from `at` on (as `earliest` said); one promise at a time."""
        assert self.promised_to is None, "a lane makes one promise"
        self.promised_to, self.promised_at = job.id, at
        self._spare = self.free + sum(gpus for ends_by, gpus in self._releases if ends_by <= at) - job.gpus
