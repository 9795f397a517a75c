"""Expected ranges that learn from how earlier ones came out, as life goes on: how often they held."""

import random
from dataclasses import dataclass, field
from uuid import UUID

from bench._life import Life
from compute.scheduling import Correction, Expected, Instant, Plan, came_out, corrected, forecast, held, horizon

EVERY = 4
"""At every so many moments one waiting job, picked at random, is told."""


@dataclass
class Ranges:
    """What was told, what came of it, and what was learnt from it."""

    chance: random.Random
    corrections: dict[int, Correction] = field(default_factory=dict)
    open: list[tuple[UUID, Expected, Expected]] = field(default_factory=list)  # as planned, and as told
    over: list[tuple[Expected, Expected, Instant | None]] = field(default_factory=list)  # and when it started, if in time
    moments: int = 0

    def look(self, playing: Life, answer: Plan) -> None:
        """At each moment."""
        for each in list(self.open):
            job_id, planned, told = each
            at = playing.start_after(job_id, told.as_of)
            if at is None and playing.now <= told.late_at and job_id in playing.queued:
                continue
            self.open.remove(each)
            if at is not None or playing.now > told.late_at:  # else it was withdrawn
                in_time = at if at is not None and at <= told.late_at else None
                self._learn(planned, told, in_time)
        self.moments += 1
        if answer.waiting and self.moments % EVERY == 0:
            self._tell(playing, answer)

    def _tell(self, playing: Life, answer: Plan) -> None:
        found = forecast(playing.snapshot(), answer, playing.likely_seconds(), jobs_max=10_000)
        if found:
            job_id = self.chance.choice(sorted(found))
            planned = found[job_id]
            self.open.append((job_id, planned, corrected(planned, self.corrections.get(horizon(planned), Correction()))))

    def _learn(self, planned: Expected, told: Expected, in_time: Instant | None) -> None:
        self.over.append((planned, told, in_time))
        sort = horizon(planned)
        self.corrections[sort] = came_out(self.corrections.get(sort, Correction()), told, in_time)

    def rows(self) -> list[tuple[str, int, int]]:
        """Label, how many, of how many."""
        late = sum(at is None for _, _, at in self.over)
        soon = sum(at is not None and at < told.soonest_at for _, told, at in self.over)
        return [
            ("learning: started within the range", sum(held(told, at) for _, told, at in self.over), len(self.over)),
            ("learning: started before the range", soon, len(self.over)),
            ("learning: started after the range", late, len(self.over)),
        ]
