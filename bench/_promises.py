"""Whether starts that were promised "at the latest" came by then, as life went on."""

from collections import Counter
from dataclasses import dataclass, field
from uuid import UUID

from bench._life import Life
from compute.scheduling import Instant, Plan, Reason

PROMISING = (Reason.RESERVED_NEXT, Reason.WAITING_FOR_QUOTA)


@dataclass
class Promises:
    """What was promised and is not yet over: for each job the earliest latest start that it was told, and for which reason."""

    open: dict[tuple[UUID, Reason], Instant] = field(default_factory=dict)
    kept: Counter[Reason] = field(default_factory=Counter)
    broken: Counter[Reason] = field(default_factory=Counter)  # it waited on, past the moment, and for the same
    ended: Counter[Reason] = field(default_factory=Counter)  # it waits for something else, or was withdrawn

    def look(self, playing: Life, answer: Plan) -> None:
        """At each moment: what became of those promised, and who is promised now."""
        told = {
            (each.job_id, each.reason): each.expected_start_at
            for each in answer.waiting
            if each.reason in PROMISING and each.expected_start_at is not None
        }
        for (job_id, reason), at in list(self.open.items()):
            running = playing.running.get(job_id)
            if running is not None:  # since this moment: it waited at the one before
                (self.kept if playing.now <= at else self.broken)[reason] += 1
            elif (job_id, reason) not in told:
                self.ended[reason] += 1
            elif playing.now > at:
                self.broken[reason] += 1
            else:
                continue
            del self.open[job_id, reason]
        for key, at in told.items():
            self.open[key] = min(at, self.open.get(key, at))
