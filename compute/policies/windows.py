"""How much room the windows of a pool leave: asked when one is planned, and again under lock when a job starts."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Taken:
    """GPUs of a pool that are taken from one moment to another; with a project: reserved for it."""

    id: UUID
    gpus: int
    begins_at: datetime
    ends_at: datetime
    project_id: UUID | None = None

    def covers(self, moment: datetime) -> bool:
        return self.begins_at <= moment < self.ends_at


@dataclass(frozen=True, slots=True)
class Run:
    """A job that has GPUs of the pool."""

    gpus: int
    ends_by: datetime
    reservation_id: UUID | None = None  # the reservation it runs in


@dataclass(slots=True)
class PoolTime:
    """A pool's GPUs over time, as far as it is known now."""

    devices: int
    windows: Sequence[Taken] = ()
    drains_at: datetime | None = None
    runs: list[Run] = field(default_factory=list)

    def room(self, starts_at: datetime, ends_by: datetime) -> int:
        """The largest job that may run for so long outside all reservations; below 1: none may."""
        if self.drains_at is not None and ends_by > self.drains_at:
            return 0
        begin = (window.begins_at for window in self.windows if starts_at < window.begins_at < ends_by)
        return min(self._free(moment) for moment in (starts_at, *begin))

    def reserved_room(self, reservation_id: UUID, project_id: UUID, starts_at: datetime, ends_by: datetime) -> int:
        """The same inside one of its project's reservations."""
        found = next((window for window in self.windows if window.id == reservation_id), None)
        if found is None or found.project_id != project_id or not found.covers(starts_at) or ends_by > found.ends_at:
            return 0
        if self.drains_at is not None and ends_by > self.drains_at:
            return 0
        return found.gpus - self.used_in(reservation_id)

    def room_for(self, project_id: UUID, reservation_id: UUID | None, starts_at: datetime, ends_by: datetime) -> int:
        """Whichever of the two: inside this reservation, or outside all if there is none."""
        if reservation_id is None:
            return self.room(starts_at, ends_by)
        return self.reserved_room(reservation_id, project_id, starts_at, ends_by)

    def used_in(self, reservation_id: UUID) -> int:
        """GPUs that run in a reservation now."""
        return sum(run.gpus for run in self.runs if run.reservation_id == reservation_id)

    def running_at(self, moment: datetime) -> int:
        """GPUs that jobs outside reservations may still have then, by declared times."""
        reserved = {window.id for window in self.windows}
        return sum(run.gpus for run in self.runs if run.ends_by > moment and run.reservation_id not in reserved)

    def most_taken(self, begins_at: datetime, ends_at: datetime) -> tuple[int, datetime]:
        """The most GPUs that windows take at one moment between two, and when."""
        moments = [begins_at, *(window.begins_at for window in self.windows if begins_at < window.begins_at < ends_at)]
        return max(((self._taken(moment), moment) for moment in moments), key=lambda found: found[0])

    def _free(self, moment: datetime) -> int:
        return self.devices - self.running_at(moment) - self._taken(moment)

    def _taken(self, moment: datetime) -> int:
        return sum(window.gpus for window in self.windows if window.covers(moment))


def without(windows: Iterable[Taken], id_: UUID | None) -> list[Taken]:
    """All but one: while a window is changed it is not in its own way."""
    return [window for window in windows if window.id != id_]
