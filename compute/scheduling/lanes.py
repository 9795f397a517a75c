"""The GPUs of one flavor in one pool over time: what runs until when, what is kept for whom, and what windows take away.

The promise is EASY backfill (Lifka, The ANL/IBM SP Scheduling System, JSSPP 1995): the first job in line that does not fit is
promised the earliest moment at which, by the declared times of what runs, enough GPUs will be free. Later jobs may use what
is free now only if they are over by then, or use GPUs the promised job will not need.

A window takes GPUs away for a while: maintenance, or a reservation (which is a lane of its own for those who may use it). Its
room is what will be free beside it when it begins, by declared times; whoever would still run then must fit into the room.
"""

import heapq
import math
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from compute.scheduling.events import NEVER, LaneSet, Promise, WindowSet
from compute.scheduling.hosts.book import Held, HostBook
from compute.scheduling.model import Instant, Name, PoolState, Reason
from compute.scheduling.order import Order
from compute.scheduling.parking import Moments, Obstacle, Shelf

if TYPE_CHECKING:
    from compute.scheduling.line import Bucket, Place


@dataclass(slots=True)
class Size:
    """What waits in a lane for one number of GPUs."""

    line: Order = field(default_factory=Order)
    declared: "list[tuple[int, int, Place]]" = field(default_factory=list)  # a heap: declared time, a number, the kind here

    def waits(self, place: "Place") -> None:
        """A kind is in line again."""
        if not place.timed:
            place.timed = True
            heapq.heappush(self.declared, (place.batch.kind.wall_seconds, place.number, place))

    def shortest(self) -> float:
        """The shortest declared time, in seconds."""
        while self.declared and not self.declared[0][2].in_line:
            heapq.heappop(self.declared)[2].timed = False
        return self.declared[0][0] if self.declared else math.inf


@dataclass(slots=True, eq=False)
class _Window:
    begins_at: Instant
    ends_at: Instant
    gpus: int
    why: str
    shelf: Shelf
    room: int = 0  # GPUs that are free beside it when it begins, by declared times
    kept: int = 0  # of these, for who was promised a start
    is_open: bool = False

    def refuses(self, gpus: int) -> Obstacle:
        left = self.room - self.kept
        short = gpus - left if gpus - left <= self.gpus else None
        return Obstacle(
            Reason.WAITING_FOR_WINDOW,
            ((self.shelf, gpus),),
            is_promised=gpus <= self.room,
            facts={"closes_at": self.begins_at, "gpus_free": left, "gpus_short": short, "window": self.why},
        )


class Lane:
    """One flavor in one pool."""

    def __init__(self, facts: LaneSet, woken: deque[Any], moments: Moments) -> None:
        self._woken, self._moments = woken, moments
        self._shelf = Shelf(woken)
        self._windows: dict[Name, _Window] = {}
        self.facts = facts
        self.hosts: HostBook | None = None
        self.most = facts.gpus  # that one job can ever have
        self.on(_book(facts))
        self.free = facts.gpus  # now; below zero where it shrank under what runs
        self.moments: list[Instant] = []  # at which something that runs has its declared end, sorted
        self.releases: dict[Instant, int] = {}  # the GPUs that are free again then
        self.sizes: dict[int, Size] = {}
        self.to_enter: list[Bucket] = []  # to be put in their places before the next look
        self.changed = True  # since it was last looked at
        self.looks = 0  # how many could not pass the next in line, at this moment
        self.promise: Promise | None = None
        self.first: Bucket | None = None  # whose turn it is ...
        self.looked_at = False  # ... if nothing changed since

    def set(self, facts: LaneSet, now: Instant) -> None:
        """A new figure."""
        are_other = facts.hosts != self.facts.hosts
        assert not are_other or not self.releases, "hosts come and go while nothing runs"
        self.free += facts.gpus - self.facts.gpus
        self.facts, self.changed, self.looked_at = facts, True, False
        self.on(_book(facts) if are_other else self.hosts)
        self._shelf.empty()
        if facts.opens_at > now:
            self._moments.note(facts.opens_at, self._change)
        self._count_rooms()

    def on(self, hosts: HostBook | None) -> None:
        """Its GPUs are on these hosts."""
        self.hosts = hosts
        self.most = self.facts.gpus if hosts is None else min(self.facts.gpus, hosts.most)

    def is_open(self, now: Instant) -> bool:
        """Whether it takes new jobs."""
        return self.facts.state is PoolState.OPEN and self.facts.opens_at <= now

    def refuses(self, gpus: int, starts_at: Instant, ends_by: Instant) -> Obstacle | None:
        """It must be over when the lane closes, and leave every window its GPUs."""
        if ends_by > self.facts.open_until:
            facts = {"closes_at": self.facts.open_until, "gpus_free": self.facts.gpus}
            return Obstacle(Reason.WAITING_FOR_POOL, ((self._shelf, NEVER),), facts=facts)
        found: _Window | None = None  # the first that it would take GPUs from
        for window in self._windows.values() if self._windows else ():
            if starts_at < window.begins_at < ends_by and gpus > window.room - window.kept:
                found = window if found is None or window.begins_at < found.begins_at else found
        return found.refuses(gpus) if found is not None else None

    def fits(self, gpus: int, ends_by: Instant, alone: bool) -> bool:
        """Whether its GPUs are free, on one host if it is not larger than one, and not promised in another lane on its hosts."""
        if self.hosts is None or gpus > self.free:
            return gpus <= self.free
        return self.hosts.fits(gpus, ends_by if self.promise is None else 0, alone=alone)

    def lets_pass(self, gpus: int, ends_by: Instant, alone: bool) -> bool:
        """Whether a job that fits delays nobody who was promised a start."""
        promise = self.promise
        if promise is not None and ends_by > promise.at and gpus > promise.spare:
            return False
        return self.hosts is None or self.hosts.lets_pass(gpus, ends_by, alone=alone)

    def may_pass(self, gpus: int, size: Size, begins: Instant) -> bool:
        """Whether some waiting kind of this size could start without delaying whom the lane is promised to."""
        assert self.promise is not None
        return gpus <= self.free and (gpus <= self.promise.spare or size.shortest() <= self.promise.at - begins)

    def taken(self, job: Name, ends_by: Instant, gpus: int, alone: bool, held: Held | None = None) -> Held:
        """GPUs are in use until then at the latest: where, if hosts are known. `held`: where it is already."""
        self.free -= gpus
        if self.hosts is None:
            held = ()
        elif held is None:
            held = self.hosts.take(job, gpus, ends_by, alone=alone)
        else:
            self.hosts.put(job, held, ends_by)
        self.looked_at = False
        self._free_at(ends_by, gpus)
        if self.promise is not None and ends_by > self.promise.at:
            self.promise.spare -= gpus
        for window in self._windows.values() if self._windows else ():
            if ends_by > window.begins_at:
                window.room -= gpus
        return held

    def released(self, job: Name, ends_by: Instant, gpus: int) -> None:
        """GPUs that were to be in use until then are free."""
        self.free += gpus
        if self.hosts is not None:
            self.hosts.release(job)
        self.changed = True
        self._free_at(ends_by, -gpus)
        for window in self._windows.values() if self._windows else ():
            if ends_by > window.begins_at:
                window.room += gpus
                window.shelf.rises_to(window.room)

    def ends(self, job: Name, before: Instant, ends_by: Instant, gpus: int) -> None:
        """What runs ends then at the latest, and no more at the moment before."""
        self._free_at(before, -gpus)
        self._free_at(ends_by, gpus)
        if self.hosts is not None:
            self.hosts.ends(job, ends_by)
        self.changed = True
        self._count_rooms()

    def _free_at(self, moment: Instant, gpus: int) -> None:
        if moment not in self.releases:
            insort(self.moments, moment)
        self.releases[moment] = self.releases.get(moment, 0) + gpus
        if not self.releases[moment]:
            del self.releases[moment]
            del self.moments[bisect_left(self.moments, moment)]

    # Promises ---------------------------------------------------------------------------------------------------------

    def earliest(self, gpus: int, seconds: int, now: Instant, alone: bool) -> tuple[Instant, int] | None:
        """When enough GPUs will be free for so long, if running jobs keep their declared times, and how many more.

        None: never, the lane is too small, windows leave too little, or its hosts were promised to somebody else.
        """
        on_hosts = now if self.hosts is None else self.hosts.earliest(gpus, now, alone=alone)
        if on_hosts is None:
            return None
        free, at = self.free, now
        for moment, more in self._changes(now):
            if free >= gpus and moment > at:
                begin = max(at, on_hosts)  # another lane's job may be what gives the host back
                if moment > begin and self._leaves_windows(gpus, begin, begin + seconds):
                    return begin, free - gpus
            free, at = free + more, moment
        at = max(at, on_hosts)
        return (at, free - gpus) if free >= gpus and self._leaves_windows(gpus, at, at + seconds) else None

    def keep(self, promise: Promise, gpus: int, ends_by: Instant, alone: bool) -> None:
        """Promise GPUs to the next in line; beside the windows too."""
        self.promise, self.looked_at = promise, False
        if self.hosts is not None:
            self.hosts.keep(gpus, promise.at, alone=alone)
        for window in self._beginning(promise.at, ends_by) if self._windows else ():
            window.kept += gpus

    def forget(self) -> None:
        """Promises are made anew."""
        self.looked_at = self.looked_at and self.promise is None
        self.promise, self.changed, self.looks = None, False, 0
        if self.hosts is not None:
            self.hosts.forget()
        for window in self._windows.values() if self._windows else ():
            window.kept = 0

    def _changes(self, now: Instant) -> Iterator[tuple[Instant, int]]:
        """When GPUs come and go, by declared times."""
        windows = [(each.ends_at, each.gpus) for each in self._windows.values()]
        windows += [(each.begins_at, -each.gpus) for each in self._windows.values() if not each.is_open]
        windows.sort(reverse=True)  # the soonest last
        for end in self.moments:
            # A job past its declared time is being stopped: its GPUs come back any moment, not in the past.
            at = max(end, now + 1)
            while windows and windows[-1][0] < at:
                yield windows.pop()
            yield at, self.releases[end]
        yield from reversed(windows)

    def _leaves_windows(self, gpus: int, starts_at: Instant, ends_by: Instant) -> bool:
        return all(gpus <= window.room - window.kept for window in self._beginning(starts_at, ends_by))

    # Windows ----------------------------------------------------------------------------------------------------------

    def open_window(self, event: WindowSet, now: Instant) -> None:
        """A window is planned, or changed."""
        self.close_window(event.window)
        if event.ends_at <= now:
            return
        window = _Window(event.begins_at, event.ends_at, event.gpus, event.why, Shelf(self._woken))
        self._windows[event.window] = window
        self._count_rooms()
        if event.begins_at <= now:
            self._begin(event.window, window)
        else:
            self._moments.note(event.begins_at, lambda: self._begin(event.window, window))
        self._moments.note(event.ends_at, lambda: self._end(event.window, window))

    def close_window(self, name: Name) -> None:
        """A window is called off, if it was there."""
        window = self._windows.pop(name, None)
        if window is not None:
            if window.is_open:
                self.free += window.gpus
            window.shelf.empty()
            self.changed = True
            self._count_rooms()

    def _begin(self, name: Name, window: _Window) -> None:
        if self._windows.get(name) is window:
            window.is_open = self.changed = True
            self.free -= window.gpus
            window.shelf.empty()  # from now on it is free GPUs that they wait for

    def _end(self, name: Name, window: _Window) -> None:
        if self._windows.get(name) is window:
            self.close_window(name)

    def _count_rooms(self) -> None:
        for window in self._windows.values():
            running = sum(gpus for end, gpus in self.releases.items() if end > window.begins_at)
            others = sum(each.gpus for each in self._windows.values() if each.begins_at <= window.begins_at < each.ends_at)
            window.room = self.facts.gpus - running - others
            window.shelf.rises_to(window.room)

    def _beginning(self, starts_at: Instant, ends_by: Instant) -> Iterator[_Window]:
        """The windows that begin during a run."""
        return (each for each in self._windows.values() if starts_at < each.begins_at < ends_by)

    def _change(self) -> None:
        self.changed = True


def _book(facts: LaneSet) -> HostBook | None:
    return HostBook(facts.hosts, spans=facts.spans) if facts.hosts else None
