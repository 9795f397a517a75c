"""The line: kinds in buckets, buckets in the order of their turns.

A bucket's place in line is put right lazily. If it goes sooner now, it waits in `Lane.to_enter` and gets its new place before the
next look; if it goes later, it comes first too soon, is seen not to stand there, and goes where it belongs.
"""

import heapq
from bisect import insort
from collections import deque
from dataclasses import dataclass, field

from compute.scheduling.events import Choice, Kind
from compute.scheduling.lanes import Lane, Size
from compute.scheduling.learning.estimates import Lineage
from compute.scheduling.model import Instant, Name
from compute.scheduling.order import NOWHERE
from compute.scheduling.parking import CROWDED, Book, Shelf
from compute.scheduling.quotas.groups import Member
from compute.scheduling.quotas.quota import Use
from compute.scheduling.rules.offers import Purse
from core.units import TICKS_PER_GPU_SECOND


@dataclass(slots=True)
class Project:
    """Who takes turns: what it uses, what it used, and where its jobs wait."""

    name: Name
    weight: int
    fared: float = 1.0  # how its jobs fared of late, with the power it has in a score
    rate: int = 0  # in use, in reference ticks per second
    gpus: float = 0  # the same in reference GPUs
    past: float = 0.0  # decayed GPU-seconds at `settled_at`
    settled_at: Instant = 0
    version: int = 0  # raised whenever all of it goes later
    buckets: "dict[tuple[Name, int, int], Bucket]" = field(default_factory=dict)  # by lane, GPUs and rank

    @property
    def waits(self) -> bool:
        """Whether any of its jobs does."""
        return any(place.batch.jobs for bucket in self.buckets.values() for *_, place in bucket.kinds)

    def settle(self, now: Instant, half_life: int) -> None:
        """Let past use decay until now; the GPUs in use add to it."""
        seconds = now - self.settled_at
        if seconds:
            kept = 0.5 ** (seconds / half_life)
            limit = self.gpus * half_life * _PER_LN2
            self.past = limit + (self.past - limit) * kept
            self.settled_at = now

    def used_not(self, rate: int, seconds: int, half_life: int) -> None:
        """It did not use so much in the last seconds after all."""
        self.past -= rate / TICKS_PER_GPU_SECOND * half_life * _PER_LN2 * (1 - 0.5 ** (seconds / half_life))

    def uses(self, rate: int) -> None:
        """It uses so much more from now on, or less if below zero."""
        self.rate += rate
        self.gpus = self.rate / TICKS_PER_GPU_SECOND


@dataclass(slots=True, eq=False)
class Bucket:
    """The waiting kinds of one project, lane, size and rank."""

    project: Project
    gpus: int
    below: int  # the rank, with its sign turned: the lowest goes first
    lane: Lane
    of_size: Size  # all that waits in the lane for so many GPUs
    kinds: "list[tuple[float, Instant, Name, int, Place]]" = field(default_factory=list)
    size: int = 0  # how many batches of kinds it has, or had until a moment ago
    # Its place in line: the lowest goes first.
    group: int = 0  # the rank, and whether it would borrow of a quota group
    score: float = 0.0
    since: Instant = 0
    job: Name = ""
    best_in_line: "Place | None" = None  # the kind that it stands there with
    best_known: "Place | None" = None  # its best kind, if none of its kinds changed since it was looked for
    at: int = NOWHERE  # in line
    version: int = 0  # the project's, which its place knows of
    is_to_enter: bool = False  # waits in `lane.to_enter`

    def goes_sooner(self) -> None:
        """Its score may be lower than its place says: it is put right before the next look."""
        self.lane.changed = True
        self.enter_anew()

    def goes_later(self) -> None:
        """Its score may be higher than its place says: it is put right once it comes first."""
        self.lane.changed = True
        self.surface()

    def enter_anew(self) -> None:
        """Before the next look."""
        if not self.is_to_enter:
            self.is_to_enter = True
            self.lane.to_enter.append(self)

    def surface(self) -> None:
        """One of its kinds changed: it is looked at again when it comes first."""
        self.version, self.best_known = -1, None

    @property
    def stands(self) -> bool:
        """Whether its place says what its score is now."""
        return self.version == self.project.version

    def goes_before(self, other: "Bucket") -> bool:
        """Whether its turn comes first. Written out: comparing tuples would make two of them for each look."""
        if self.group != other.group:
            return self.group < other.group
        if self.score != other.score:
            return self.score < other.score
        return (self.since, self.job) < (other.since, other.job)

    def place(self, place: "Place") -> None:
        """Put a kind among the others by its expected work; its former entry counts no more."""
        place.entry += 1
        self.best_known = None
        if len(self.kinds) > CROWDED * self.size + CROWDED:
            self.kinds = [entry for entry in self.kinds if entry[3] == entry[4].entry]
            heapq.heapify(self.kinds)
        heapq.heappush(self.kinds, place.rank())

    def best(self) -> "Place | None":
        """The kind with the least expected work."""
        if self.best_known is None:
            self.best_known = self._look_for_best()
        return self.best_known

    def _look_for_best(self) -> "Place | None":
        """Kinds whose place moved back are put there as they surface."""
        while self.kinds:
            work, _, job, entry, place = self.kinds[0]
            if entry != place.entry or not place.batch.jobs:
                heapq.heappop(self.kinds)
            elif work != place.batch.work or job is not place.batch.oldest:
                heapq.heapreplace(self.kinds, place.rank())
            else:
                return place
        return None

    def best_within(self, seconds: int) -> "Place | None":
        """The kind with the least expected work among those that declare to be over in so many seconds."""
        places = (entry[4] for entry in self.kinds if entry[3] == entry[4].entry)
        able = (each for each in places if each.batch.jobs and each.batch.kind.wall_seconds <= seconds)
        return min(able, key=lambda each: each.rank()[:3], default=None)


@dataclass(slots=True, eq=False)
class Batch:
    """A batch of a kind and its waiting jobs, oldest first."""

    kind: Kind
    project: Project
    lineage: Lineage
    gpus: int  # that a job of it takes, in the lane where that is most
    jobs: deque[tuple[Instant, Name]] = field(default_factory=deque)
    since: Instant = 0  # when its oldest job was submitted, ...
    oldest: Name = None  # ... and which that is; kept beside the jobs, where it costs nothing to look
    expected: float = 0.0  # seconds
    work: float = 0.0  # expected GPU-seconds, with the power they have in a score; less after a long wait
    listed: bool = False  # among the renewals
    places: "tuple[Place, ...]" = ()

    def waits(self, since: Instant, job: Name) -> bool:
        """One more of its jobs waits, since then; whether it came before others that did."""
        entry = (since, job)
        is_last = not self.jobs or entry > self.jobs[-1]
        if is_last:
            self.jobs.append(entry)
        else:
            insort(self.jobs, entry)
        self._look_at_oldest()
        return not is_last

    def starts(self) -> Name:
        """Its oldest job waits no more; which that was."""
        _, job = self.jobs.popleft()
        self._look_at_oldest()
        return job

    def goes(self, job: Name) -> bool:
        """One of its jobs waits no more; whether that was its oldest."""
        number = next(number for number, entry in enumerate(self.jobs) if entry[1] == job)
        del self.jobs[number]
        self._look_at_oldest()
        return number == 0

    def _look_at_oldest(self) -> None:
        if self.jobs:
            self.since, self.oldest = self.jobs[0]

    def oldest_changed(self) -> None:
        """Ties are broken by the oldest job."""
        for place in self.places:
            if not place.is_out:
                place.bucket.place(place)
                place.bucket.goes_sooner()


@dataclass(slots=True, eq=False)
class Place:
    """A kind in one of the lanes it may run in."""

    batch: Batch
    choice: Choice
    gpus: int  # that a job of it takes here
    bucket: Bucket
    books: tuple[Book, ...]  # that may refuse it, in the order of their reasons
    member: Member  # its project in the lane's quota group
    purse: Purse | None  # the one of them that gives offers
    rate: int  # reference ticks per second while one of its jobs runs
    number: int  # of its own, for ties
    is_out: bool = False  # of the line: parked, or set aside for this moment
    shelves: tuple[Shelf, ...] = ()  # on which it is parked
    timed: bool = False  # among the declared times of its size
    entry: int = 0  # the number of the one entry in the bucket's heap that counts

    @property
    def in_line(self) -> bool:
        """Whether it has jobs and nothing refuses it."""
        return not self.is_out and bool(self.batch.jobs)

    def rank(self) -> "tuple[float, Instant, Name, int, Place]":
        """Its entry in the bucket's heap."""
        batch = self.batch
        return batch.work, batch.since, batch.oldest, self.entry, self

    def leave(self) -> None:
        """Go out of line; the bucket goes on with its next best kind."""
        self.is_out = True
        self.entry += 1
        self.bucket.surface()

    def come_back(self) -> None:
        """Go back in line."""
        self.is_out = False
        if self.batch.jobs:
            self.bucket.place(self)
            self.bucket.of_size.waits(self)
            self.bucket.enter_anew()


class Running:
    """A job that has its GPUs."""

    __slots__ = ("ends_by", "place", "started_at")

    def __init__(self, place: Place, started_at: Instant, ends_by: Instant) -> None:
        self.place, self.started_at, self.ends_by = place, started_at, ends_by

    def use(self, job: Name) -> Use:
        """What it is to a quota group."""
        place = self.place
        return place.member.use(job, place.batch.kind, place.choice, self.started_at, self.ends_by)


_PER_LN2 = 1.4426950408889634
