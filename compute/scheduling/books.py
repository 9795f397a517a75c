"""The books of the incremental scheduler: who waits in which order, and what runs until when.

A bucket's entry in line is put right lazily. If its score fell, it goes to `fallen` and gets a new entry before the next look;
if it rose, the old entry surfaces too soon, is seen not to stand any more, and goes where it belongs.
"""

import heapq
import math
from bisect import bisect_left, insort
from collections import deque
from dataclasses import dataclass, field

from compute.scheduling.estimates import Lineage, Name
from compute.scheduling.events import Kind, Promise
from compute.scheduling.model import Instant

CROWDED = 4
"""Entries that count no more are swept out once there are so many for each that may count."""


@dataclass(slots=True)
class Project:
    """Who takes turns: what it uses, what it used, and where its jobs wait."""

    name: Name
    weight: int
    fared: float = 1.0  # how its jobs fared of late, with the power it has in a score
    gpus: int = 0  # in use
    past: float = 0.0  # decayed GPU-seconds at `settled_at`
    settled_at: Instant = 0
    rises: int = 0  # how often all its scores rose
    buckets: dict[tuple[Name, int], "Bucket"] = field(default_factory=dict)

    def settle(self, now: Instant, half_life: int) -> None:
        """Let past use decay until now; the GPUs in use add to it."""
        seconds = now - self.settled_at
        if seconds:
            kept = 0.5 ** (seconds / half_life)
            limit = self.gpus * half_life * _PER_LN2
            self.past = limit + (self.past - limit) * kept
            self.settled_at = now


@dataclass(slots=True, eq=False)
class Bucket:
    """The waiting kinds of one project, lane and size."""

    project: Project
    gpus: int
    lane: "Lane"
    kinds: "list[tuple[float, Instant, int, int, Waiting]]" = field(default_factory=list)
    size: int = 0  # how many kinds it has ever had
    entry: int = 0  # the number of the one entry in line that counts
    seen: int = 0  # the project's rises that its entry knows of
    has_fallen: bool = False  # waits in `lane.fallen`

    def fell(self) -> None:
        """Its score may be lower than its entry says: it is put in its place before the next look."""
        self.lane.changed = True
        self.enter_anew()

    def rose(self) -> None:
        """Its score may be higher than its entry says: it is put in its place once the entry surfaces."""
        self.lane.changed = True
        self.seen = -1

    def enter_anew(self) -> None:
        """Before the next look."""
        if not self.has_fallen:
            self.has_fallen = True
            self.lane.fallen.append(self)

    def stands(self, entry: int) -> bool:
        """Whether this is its entry, and says what its score is now."""
        return entry == self.entry and self.seen == self.project.rises

    def place(self, waiting: "Waiting") -> None:
        """Put a kind among the others by its expectation; its former entry counts no more."""
        waiting.entry += 1
        if len(self.kinds) > CROWDED * self.size + CROWDED:
            self.kinds = [entry for entry in self.kinds if entry[3] == entry[4].entry]
            heapq.heapify(self.kinds)
        heapq.heappush(self.kinds, waiting.place)

    def best(self) -> "Waiting | None":
        """The kind with the shortest expectation; those whose place moved back are put there as they surface."""
        while self.kinds:
            expected, _, sequence, entry, waiting = self.kinds[0]
            if entry != waiting.entry or not waiting.jobs:
                heapq.heappop(self.kinds)
            elif expected != waiting.expected or sequence != waiting.jobs[0][1]:
                heapq.heapreplace(self.kinds, waiting.place)
            else:
                return waiting
        return None

    def best_within(self, seconds: int) -> "Waiting | None":
        """The kind with the shortest expectation among those that declare to be over in so many seconds."""
        waiting = (entry[4] for entry in self.kinds if entry[3] == entry[4].entry)
        able = (each for each in waiting if each.jobs and each.kind.wall_seconds <= seconds)
        return min(able, key=lambda each: each.place[:3], default=None)


@dataclass(slots=True, eq=False)
class Waiting:
    """A kind and its waiting jobs, oldest first."""

    kind: Kind
    bucket: Bucket
    lineage: Lineage
    jobs: deque[tuple[Instant, int, Name]] = field(default_factory=deque)
    expected: float = 0.0  # seconds
    work: float = 0.0  # expected GPU-seconds, with the power they have in a score
    listed: bool = False  # among the renewals
    timed: bool = False  # among the declared times of its size
    entry: int = 0  # the number of the one entry in the bucket's heap that counts

    @property
    def place(self) -> "tuple[float, Instant, int, int, Waiting]":
        """Its entry in the bucket's heap."""
        at, sequence, _ = self.jobs[0]
        return self.expected, at, sequence, self.entry, self


@dataclass(frozen=True, slots=True)
class Running:
    """A job that has its GPUs."""

    waiting: Waiting
    started_at: Instant
    ends_by: Instant


@dataclass(slots=True)
class Size:
    """What waits in a lane for one number of GPUs."""

    line: "list[InLine]" = field(default_factory=list)  # a heap
    declared: list[tuple[int, int, Waiting]] = field(default_factory=list)  # a heap: declared time, a number, the kind

    def waits(self, waiting: Waiting) -> None:
        """A kind has jobs again."""
        if not waiting.timed:
            waiting.timed = True
            heapq.heappush(self.declared, (waiting.kind.wall_seconds, waiting.jobs[0][1], waiting))

    def shortest(self) -> float:
        """The shortest declared time, in seconds."""
        while self.declared and not self.declared[0][2].jobs:
            heapq.heappop(self.declared)[2].timed = False
        return self.declared[0][0] if self.declared else math.inf


class Lane:
    """One flavor in one pool."""

    def __init__(self, gpus: int) -> None:
        self.free = gpus
        self.moments: list[Instant] = []  # at which something that runs has its declared end, sorted
        self.releases: dict[Instant, int] = {}  # the GPUs that are free again then
        self.sizes: dict[int, Size] = {}
        self.fallen: list[Bucket] = []  # to be put in their places before the next look
        self.changed = False  # since it was last looked at
        self.promise: Promise | None = None

    def taken(self, ends_by: Instant, gpus: int) -> None:
        """GPUs are in use until then at the latest."""
        self.free -= gpus
        if ends_by not in self.releases:
            insort(self.moments, ends_by)
        self.releases[ends_by] = self.releases.get(ends_by, 0) + gpus

    def released(self, ends_by: Instant, gpus: int) -> None:
        """GPUs that were to be in use until then are free."""
        self.free += gpus
        self.changed = True
        self.releases[ends_by] -= gpus
        if not self.releases[ends_by]:
            del self.releases[ends_by]
            del self.moments[bisect_left(self.moments, ends_by)]

    def may_pass(self, gpus: int, size: Size, now: Instant) -> bool:
        """Whether some waiting kind of this size could start now without delaying whom the lane is promised to."""
        assert self.promise is not None
        return gpus <= self.free and (gpus <= self.promise.spare or size.shortest() <= self.promise.at - now)


InLine = tuple[float, Instant, int, int, Bucket, Waiting]
"""Score, then submission and its number, then the entry's own number; the bucket and the kind it goes with."""

_PER_LN2 = 1.4426950408889634
