"""A core that is kept between turns: each turn costs as much as what changed.

The caller reads a snapshot at each turn, and keeps what `remember` says. Whatever becomes of the core, a new one is built from
these two and goes on like the one that is gone (memory.py says what that means).
"""

from collections.abc import Container, Iterable, Mapping
from uuid import UUID

from compute.scheduling.core import Core
from compute.scheduling.events import Cancelled, Ended, Started
from compute.scheduling.keeping.feed import difference, everything, unseen
from compute.scheduling.keeping.memory import Memory
from compute.scheduling.model import Asks, Decision, Ending, Name, Snapshot, Start
from compute.scheduling.plan import answer, asked

NOTHING = Memory()
NONE: Mapping[UUID, Ending] = {}


class KeptCore:
    """A core, and what it was told. A `Surprise` makes it useless: build another."""

    def __init__(self, snapshot: Snapshot, memory: Memory = NOTHING, endings: Mapping[UUID, Ending] = NONE) -> None:
        """Told everything. `endings`: those of the remembered jobs that are over since, if they ran."""
        self._core = Core({}, {}, snapshot.knobs)
        self._told, events = everything(snapshot)
        self._snapshot = snapshot
        there = {*self._told.waiting, *self._told.running}
        over = [_over(job, endings.get(job)) for job in memory.unfinished() if job not in there]
        self.new = set(self._told.waiting)
        """Who came to wait at the last turn, and waits."""
        self.starts = self._starts(self._core.resume(snapshot.now, events, memory, over))
        """Who starts because of the last turn."""

    def unseen(self, snapshot: Snapshot) -> set[UUID]:
        """The jobs that it knows and that are neither waiting nor running now: `turn` wants to know which of them ran."""
        return unseen(self._told, snapshot)

    def turn(self, snapshot: Snapshot, endings: Mapping[UUID, Ending]) -> tuple[Start, ...]:
        """Told what changed since the last turn. Who starts because of it.

        Raises:
            Surprise: see feed.py.
        """
        before = set(self._told.waiting)
        events = difference(self._told, snapshot, endings, self._core.says)
        self.new = {job for job in self._told.waiting if job not in before}
        self._snapshot = snapshot
        self.starts = self._starts(self._core.apply(snapshot.now, events))
        return self.starts

    def decisions(self, of: Container[Name] | None = None) -> tuple[Decision, ...]:
        """Why the waiting jobs (these of them) wait, in the order of the line."""
        return answer(self._snapshot, (), self._core.decisions(of)).waiting

    def line(self) -> list[Name]:
        """The waiting jobs in the order of their turns."""
        return self._core.line()

    def remember(self) -> Memory:
        """What a core that is built anew must know, as far as it changed since it was last asked: by project."""
        return self._core.remember()

    @property
    def asks(self) -> Asks:
        """Whom it asked to leave at the last turn, and who may stay."""
        return asked(self._core.asks())

    @property
    def projects(self) -> Container[UUID]:
        """Those whose past use it knows."""
        return self._told.projects

    def _starts(self, started: Iterable[Started]) -> tuple[Start, ...]:
        starts = answer(self._snapshot, started, ()).starts
        for start in starts:
            self._told.started(start)
            self.new.discard(start.job_id)
        return starts


def _over(job: Name, ending: Ending | None) -> Ended | Cancelled:
    return Cancelled(job) if ending is None else Ended(job, ending.ran_seconds)
