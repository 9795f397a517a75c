"""The scheduler's core between turns: kept in the process that schedules, built anew whenever that is safer.

The database is the only truth. A turn reads what is so, tells the core what changed, and writes what the core remembers. The
core is built anew from these two

- at the first turn of a process, and at the first after one that another process took, or that failed;
- when something is so that it can't be told (`Surprise`);
- after a day, so that what it learnt of run times is again what the tables say of the last weeks.
"""

from collections.abc import Collection, Container
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from compute import scheduling
from compute.models import FailureCause
from compute.queries import attempts, snapshot
from compute.scheduling.model import Name
from compute.services import memory

KEPT_FOR = timedelta(days=1)
REASONS_EVERY = timedelta(seconds=10)
"""So often a round through the line begins that writes anew why each job waits; whoever asks is told that of the moment."""
REASONS_A_TURN = 1000
"""Of a round at most, so that no turn waits for the words of a long line."""

log = structlog.get_logger()


class Keeper:
    """One for each process that schedules. Turns come one at a time."""

    def __init__(self) -> None:
        self._core: scheduling.KeptCore | None = None
        self._read = snapshot.Read()
        self._turn = 0  # the last that was taken
        self._built_at: datetime | None = None
        self._told_at: datetime | None = None  # when the last round of reasons began
        self._to_tell: list[Name] = []  # who is still to be told in it, first in line first

    def decide(self, session: Session, connected: Container[str] | None, *, now: datetime) -> tuple[scheduling.Start, ...]:
        """Who starts now."""
        turn = memory.number(session)
        if self._core is not None and self._built_at is not None:
            if turn != self._turn:
                log.info("compute.core_left_behind", turn=turn, known=self._turn)
            elif now - self._built_at < KEPT_FOR:
                starts = self._go_on(self._core, session, connected, now=now)
                if starts is not None:
                    return starts
        self._turn = turn
        return self._build(session, connected, now=now)

    def note(self, session: Session, *, now: datetime) -> tuple[scheduling.Decision, ...]:
        """Keep what the core remembers of this turn; the reasons that are to be written now.

        To be called in a transaction of its own after the starts were carried out; if it fails, forget the core.
        """
        assert self._core is not None
        if not memory.keep(session, self._core.remember(), turn=self._turn + 1):
            log.warning("compute.turn_raced", turn=self._turn + 1)
            self.forget()
            return ()
        self._turn += 1
        if self._told_at is None:
            self._told_at = now
            return self._core.decisions()
        if not self._to_tell and now - self._told_at >= REASONS_EVERY:
            self._told_at, self._to_tell = now, self._core.line()
        told = {*self._to_tell[:REASONS_A_TURN], *self._core.new}
        self._to_tell = self._to_tell[REASONS_A_TURN:]
        return self._core.decisions(told) if told else ()

    def reasons(self) -> tuple[scheduling.Decision, ...]:
        """Why everybody else waits, in the order of the line."""
        return self._core.decisions() if self._core is not None else ()

    @property
    def asks(self) -> scheduling.Asks:
        """Whom the last turn asked to leave, and who may stay."""
        return self._core.asks if self._core is not None else scheduling.Asks()

    def forget(self) -> None:
        """The core may know something that is not so."""
        self._core = None

    def _build(self, session: Session, connected: Container[str] | None, *, now: datetime) -> tuple[scheduling.Start, ...]:
        remembered = memory.load(session)
        self._read, self._told_at, self._to_tell = snapshot.Read(), None, []
        state = snapshot.take(session, connected=connected, read=self._read, now=now)
        there = {job.id for job in state.queued} | {run.job_id for run in state.running}
        over = _endings(session, [job for job in remembered.unfinished() if job not in there])
        self._core, self._built_at = scheduling.KeptCore(state, remembered, over), now
        return self._core.starts

    def _go_on(
        self, core: scheduling.KeptCore, session: Session, connected: Container[str] | None, *, now: datetime
    ) -> tuple[scheduling.Start, ...] | None:
        state = snapshot.take_changes(session, self._read, connected=connected, familiar=core.projects, now=now)
        try:
            return core.turn(state, _endings(session, core.unseen(state)))
        except scheduling.Surprise as surprise:
            log.info("compute.core_built_anew", reason=str(surprise))
            return None


def _endings(session: Session, jobs: Collection[UUID]) -> dict[UUID, scheduling.Ending]:
    """How those of the jobs ended that ran. What ended late or was found out late counts no longer than it could have run."""
    return {
        each.job_id: scheduling.Ending(
            min(
                snapshot.instant(each.settled_at) - snapshot.instant(each.held_at),
                each.wall_seconds + snapshot.KNOBS.overhead_seconds,
            ),
            each.cause is not FailureCause.INFRASTRUCTURE,
            each.number,
        )
        for each in attempts.settled(session, jobs)
        if each.settled_at is not None
    }
