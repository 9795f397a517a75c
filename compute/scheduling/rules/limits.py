"""How much one project and one person may have running at a time."""

from collections import deque
from typing import Any

from compute.scheduling.events import Choice, Kind
from compute.scheduling.model import Instant, Limit, Name, Reason
from compute.scheduling.parking import Book, Obstacle, Shelf


class LimitBook(Book):
    """What one project, or one person, runs, and what it may run."""

    def __init__(self, reason: Reason, woken: deque[Any]) -> None:
        self._reason = reason
        self._limit = Limit()
        self._jobs, self._gpus = 0, 0
        self._promised: list[tuple[Instant, int]] = []  # when jobs that were promised a start will run, and their GPUs
        self._for_jobs, self._for_gpus = Shelf(woken), Shelf(woken)

    def set(self, limit: Limit) -> None:
        """Another limit from now on."""
        self._limit = limit
        self._say()

    def refuses(self, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> Obstacle | None:
        """It must fit beside what runs.

        A promised job counts as soon as this one would still run when its turn comes, so that a job let through the gaps can't
        hold up the promise by filling the limit.
        """
        limit = self._limit
        if limit.jobs is None and limit.gpus is None:
            return None
        needed = choice.gpus or kind.gpus
        jobs = gpus = 0  # promised
        for at, more in self._promised:
            if at < ends_by:
                jobs, gpus = jobs + 1, gpus + more
        if limit.jobs is not None and self._jobs + jobs >= limit.jobs:
            return self._obstacle("jobs", limit.jobs, self._jobs, jobs, 1, self._for_jobs)
        if limit.gpus is not None and self._gpus + gpus + needed > limit.gpus:
            return self._obstacle("gpus", limit.gpus, self._gpus, gpus, needed, self._for_gpus)
        return None

    def _obstacle(self, on: str, limit: int, in_use: int, promised: int, needed: int, shelf: Shelf) -> Obstacle:
        facts = {"limit": limit, "limit_on": on, "in_use": in_use + promised}
        return Obstacle(self._reason, ((shelf, needed),), is_promised=in_use + needed <= limit, facts=facts)

    def started(self, job: Name, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> None:
        """One more runs."""
        self._jobs += 1
        self._gpus += choice.gpus or kind.gpus

    def ended(self, job: Name, kind: Kind, choice: Choice, ran_seconds: int) -> None:
        """One less does."""
        self._jobs -= 1
        self._gpus -= choice.gpus or kind.gpus
        self._say()

    def keep(self, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> None:
        """The job will run from then on."""
        self._promised.append((starts_at, kind.takes(choice)))

    def keep_nothing(self) -> None:
        """Promises are made anew."""
        self._promised.clear()

    def _say(self) -> None:
        """How much room there is, to those who wait for it."""
        if self._limit.jobs is not None:
            self._for_jobs.rises_to(self._limit.jobs - self._jobs)
        else:
            self._for_jobs.empty()
        if self._limit.gpus is not None:
            self._for_gpus.rises_to(self._limit.gpus - self._gpus)
        else:
            self._for_gpus.empty()
