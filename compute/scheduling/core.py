"""The scheduler that keeps its books between events: a moment's events in, its starts out; no clock, no I/O.

Jobs wait in kinds. A kind is everything the rules look at, so if its oldest job can't start, none can. Kinds of one project,
lane and size stand in a bucket, the shortest expected first, and each lane keeps a heap of buckets for each size by whose turn
it is. A moment touches only the buckets of projects that something happened to; ADR 11 says why.

The policy, in order:

1. The bucket with the lowest score goes first: its project's use for its weight, times how the project fared lately, times the
   job's expected GPU time.
2. A job starts if all its GPUs are free and nobody's promise suffers.
3. The first that does not fit is promised the earliest moment at which enough GPUs will be free by declared times (EASY).
"""

import heapq
from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from compute.scheduling.estimates import Estimates, Lineage, Name
from compute.scheduling.ideal import Ideal
from compute.scheduling.model import Instant


@dataclass(frozen=True, slots=True)
class Kind:
    """All that the rules look at."""

    project: Name
    submitter: Name
    lane: Name  # a flavor in a pool
    gpus: int  # all at once or not at all
    wall_seconds: int  # declared


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job waits from now on. Its name is its own for ever."""

    job: Name
    kind: Kind


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A waiting job is withdrawn."""

    job: Name


@dataclass(frozen=True, slots=True)
class Ended:
    """A running job gave its GPUs back, early or at its declared end."""

    job: Name


Event = Submitted | Cancelled | Ended


@dataclass(frozen=True, slots=True)
class Started:
    """This job starts now, with all its GPUs."""

    job: Name
    ends_by: Instant
    backfilled: bool  # it passed the next in line without delaying it


@dataclass(frozen=True, slots=True)
class Promise:
    """The next in line of a lane starts then at the latest, if running jobs keep their declared times."""

    job: Name
    at: Instant
    spare: int  # GPUs that stay free then


@dataclass(frozen=True, slots=True)
class Knobs:
    """The settings of the policy, the same wherever it runs."""

    half_life_seconds: int = 7 * 24 * 3600  # past use counts half after this
    past_weight: float = 5e-7  # a GPU-second of past use weighs as much as so many GPUs in use now
    own_weight: float = 0.25  # the job's own GPUs count as in use by this part
    short_first: float = 1.0  # the power of expected GPU time in a score
    put_right: float = 0.6  # the power of how a project fared
    refresh_seconds: int = 300  # an expectation that no event touched is renewed after this, ...
    renewals_max: int = 8  # ... so many at one moment
    looks_max: int = 50  # how often one moment may find that a job can't pass the next in line


CROWDED = 4
"""Entries that count no more are swept out once there are so many for each that may count."""


class Core:
    """All books, between moments. The same moments give the same starts."""

    def __init__(self, lanes: Mapping[Name, int], weights: Mapping[Name, int], knobs: Knobs = Knobs()) -> None:
        self._knobs = knobs
        self._weights = weights
        self._lanes = {name: _Lane(gpus) for name, gpus in lanes.items()}
        self._projects: dict[Name, _Project] = {}
        self._kinds: dict[Kind, _Waiting] = {}
        self._waiting: dict[Name, _Waiting] = {}
        self._running: dict[Name, _Running] = {}
        self._estimates = Estimates()
        self._ideal = Ideal(sum(lanes.values()), weights)
        self._sequence = 0
        self._renewals: deque[tuple[Instant, _Waiting]] = deque()  # kinds in line, by when they are looked at again

    def apply(self, now: Instant, events: Iterable[Event]) -> list[Started]:
        """What happened at one moment, and who starts because of it. Moments come in order."""
        self._ideal.advance(now)
        for event in events:
            match event:
                case Submitted():
                    self._submit(event.job, event.kind, now)
                case Ended():
                    self._end(event.job, now)
                case Cancelled():
                    self._cancel(event.job)
        self._renew(now)
        return [started for lane in self._lanes.values() for started in self._fill(lane, now)]

    def promise(self, lane: Name) -> Promise | None:
        """To whom a lane was promised at the last moment, if to anybody."""
        return self._lanes[lane].promise

    # Events -----------------------------------------------------------------------------------------------------------

    def _submit(self, job: Name, kind: Kind, now: Instant) -> None:
        assert job not in self._waiting, "a job is submitted once"
        waiting = self._kinds.get(kind)
        if waiting is None:
            waiting = self._kinds[kind] = self._first_of(kind)
        self._sequence += 1
        waiting.jobs.append((now, self._sequence, job))
        self._waiting[job] = waiting
        if len(waiting.jobs) == 1:
            self._expect(waiting, now)
            self._enter(waiting.bucket)
            if not waiting.listed:
                waiting.listed = True
                self._renewals.append((now + self._knobs.refresh_seconds, waiting))
        self._ideal.submitted(job, kind.project, kind.gpus, waiting.expected, now)

    def _first_of(self, kind: Kind) -> "_Waiting":
        project = self._projects.get(kind.project)
        if project is None:
            project = self._projects[kind.project] = _Project(kind.project, self._weights.get(kind.project, 1))
        bucket = project.buckets.get((kind.lane, kind.gpus))
        if bucket is None:
            heap = self._lanes[kind.lane].sizes.setdefault(kind.gpus, [])
            bucket = project.buckets[kind.lane, kind.gpus] = _Bucket(project, kind.gpus, heap)
        lineage = self._estimates.lineage(kind.project, kind.submitter, kind.wall_seconds, kind.gpus)
        bucket.size += 1
        return _Waiting(kind, bucket, lineage)

    def _cancel(self, job: Name) -> None:
        waiting = self._waiting.pop(job)
        place = next(place for place, entry in enumerate(waiting.jobs) if entry[2] == job)
        del waiting.jobs[place]
        if place == 0:
            self._place(waiting)
            self._enter(waiting.bucket)
        self._ideal.cancelled(job)

    def _end(self, job: Name, now: Instant) -> None:
        running = self._running.pop(job)
        waiting, kind = running.waiting, running.waiting.kind
        lane = self._lanes[kind.lane]
        lane.released(running.ends_by, kind.gpus)
        self._estimates.ended(waiting.lineage, running.started_at, now)
        self._ideal.ended(job, now - running.started_at, now)
        if waiting.jobs:
            self._expect(waiting, now)
        self._use(waiting.bucket.project, -kind.gpus, now)

    # Whose turn it is -------------------------------------------------------------------------------------------------

    def _use(self, project: "_Project", gpus: int, now: Instant) -> None:
        """A project uses more or fewer GPUs from now on: its buckets stand elsewhere in line."""
        project.settle(now, self._knobs.half_life_seconds)
        project.gpus += gpus
        project.fared = self._ideal.fared(project.name) ** self._knobs.put_right
        for bucket in project.buckets.values():
            self._enter(bucket)

    def _expect(self, waiting: "_Waiting", now: Instant) -> None:
        """Learn anew how long the kind's jobs will run, and put it in its place in the bucket."""
        waiting.expected = self._estimates.expected(waiting.lineage, waiting.kind.wall_seconds, now)
        self._place(waiting)

    @staticmethod
    def _place(waiting: "_Waiting") -> None:
        """A kind whose expectation or oldest job changed: its former entry counts no more."""
        waiting.entry += 1
        if waiting.jobs:
            waiting.bucket.place(waiting)

    def _enter(self, bucket: "_Bucket", *, within_seconds: int | None = None) -> None:
        """Put a bucket in its place in line, by its best kind (declared to be over in time); its former entry counts no more."""
        bucket.entry += 1
        best = bucket.best() if within_seconds is None else bucket.best_within(within_seconds)
        if best is None:
            return
        at, sequence, _ = best.jobs[0]
        if len(bucket.line) > CROWDED * len(self._projects) + CROWDED:
            bucket.line[:] = [entry for entry in bucket.line if entry[3] == entry[4].entry]
            heapq.heapify(bucket.line)
        heapq.heappush(bucket.line, (self._score(bucket, best), at, sequence, bucket.entry, bucket, best))

    def _score(self, bucket: "_Bucket", best: "_Waiting") -> float:
        knobs, project = self._knobs, bucket.project
        use = project.gpus + knobs.own_weight * bucket.gpus + knobs.past_weight * project.past
        work: float = (best.expected * bucket.gpus) ** knobs.short_first
        return use / project.weight * work / project.fared

    def _renew(self, now: Instant) -> None:
        """Look again at some of the kinds that nothing happened to for a while."""
        for _ in range(self._knobs.renewals_max):
            if not self._renewals or self._renewals[0][0] > now:
                return
            _, waiting = self._renewals.popleft()
            waiting.listed = bool(waiting.jobs)
            if waiting.jobs:
                self._renewals.append((now + self._knobs.refresh_seconds, waiting))
                self._expect(waiting, now)
                self._use(waiting.bucket.project, 0, now)

    # Who starts -------------------------------------------------------------------------------------------------------

    def _fill(self, lane: "_Lane", now: Instant) -> Iterator[Started]:
        lane.promise = None
        passed_over: list[_Bucket] = []
        while lane.free > 0 and len(passed_over) < self._knobs.looks_max:
            found = lane.first(fitting=lane.promise is not None)
            if found is None:
                break
            bucket, waiting = found
            kind = waiting.kind
            ends_by = now + kind.wall_seconds
            if kind.gpus > lane.free:
                lane.promise = self._promise(lane, waiting, now)
            elif lane.promise is None or ends_by <= lane.promise.at or kind.gpus <= lane.promise.spare:
                yield self._start(lane, waiting, ends_by, now)
            else:
                passed_over.append(bucket)
                self._enter(bucket, within_seconds=lane.promise.at - now)
        for bucket in passed_over:
            self._enter(bucket)

    def _start(self, lane: "_Lane", waiting: "_Waiting", ends_by: Instant, now: Instant) -> Started:
        kind = waiting.kind
        _, _, job = waiting.jobs.popleft()
        del self._waiting[job]
        self._running[job] = _Running(waiting, now, ends_by)
        lane.taken(ends_by, kind.gpus)
        backfilled = lane.promise is not None
        if lane.promise is not None and ends_by > lane.promise.at:
            lane.promise = Promise(lane.promise.job, lane.promise.at, lane.promise.spare - kind.gpus)
        self._estimates.started(waiting.lineage, now)
        self._place(waiting)
        self._use(waiting.bucket.project, kind.gpus, now)
        return Started(job, ends_by, backfilled)

    @staticmethod
    def _promise(lane: "_Lane", waiting: "_Waiting", now: Instant) -> Promise:
        free, at = lane.free, now
        for declared_end in lane.moments:
            # A job past its declared time is being stopped: its GPUs come back any moment, not in the past.
            ends_by = max(declared_end, now + 1)
            if free >= waiting.kind.gpus and ends_by > at:
                break
            free, at = free + lane.releases[declared_end], ends_by
        assert free >= waiting.kind.gpus, "an empty lane has all its GPUs"
        return Promise(waiting.jobs[0][2], at, free - waiting.kind.gpus)


@dataclass(slots=True)
class _Project:
    name: Name
    weight: int
    fared: float = 1.0  # how its jobs fared of late, with the power it has in a score
    gpus: int = 0  # in use
    past: float = 0.0  # decayed GPU-seconds at `settled_at`
    settled_at: Instant = 0
    buckets: dict[tuple[Name, int], "_Bucket"] = field(default_factory=dict)

    def settle(self, now: Instant, half_life: int) -> None:
        """Let past use decay until now; the GPUs in use add to it."""
        seconds = now - self.settled_at
        if seconds:
            kept = 0.5 ** (seconds / half_life)
            limit = self.gpus * half_life * _PER_LN2
            self.past = limit + (self.past - limit) * kept
            self.settled_at = now


@dataclass(slots=True, eq=False)
class _Bucket:
    """The waiting kinds of one project, lane and size."""

    project: _Project
    gpus: int
    line: "list[_InLine]"  # the lane's heap for this size
    kinds: "list[tuple[float, Instant, int, int, _Waiting]]" = field(default_factory=list)
    size: int = 0  # how many kinds it has ever had
    entry: int = 0  # the number of the one entry in `line` that counts

    def place(self, waiting: "_Waiting") -> None:
        """Put a kind among the others by its expectation."""
        at, sequence, _ = waiting.jobs[0]
        if len(self.kinds) > CROWDED * self.size + CROWDED:
            self.kinds = [entry for entry in self.kinds if entry[3] == entry[4].entry]
            heapq.heapify(self.kinds)
        heapq.heappush(self.kinds, (waiting.expected, at, sequence, waiting.entry, waiting))

    def best_within(self, seconds: int) -> "_Waiting | None":
        """The kind with the shortest expectation among those that declare to be over in so many seconds."""
        counting = (entry for entry in self.kinds if entry[3] == entry[4].entry and entry[4].kind.wall_seconds <= seconds)
        found = min(counting, default=None)
        return found[4] if found is not None else None

    def best(self) -> "_Waiting | None":
        """The kind with the shortest expectation."""
        while self.kinds:
            *_, entry, waiting = self.kinds[0]
            if entry == waiting.entry:
                return waiting
            heapq.heappop(self.kinds)
        return None


@dataclass(slots=True, eq=False)
class _Waiting:
    """A kind and its waiting jobs, oldest first."""

    kind: Kind
    bucket: _Bucket
    lineage: Lineage
    jobs: deque[tuple[Instant, int, Name]] = field(default_factory=deque)
    expected: float = 0.0  # seconds
    listed: bool = False  # among the renewals
    entry: int = 0  # the number of the one entry in the bucket's heap that counts


@dataclass(frozen=True, slots=True)
class _Running:
    waiting: _Waiting
    started_at: Instant
    ends_by: Instant


class _Lane:
    """One flavor in one pool."""

    def __init__(self, gpus: int) -> None:
        self.free = gpus
        self.moments: list[Instant] = []  # at which something that runs has its declared end, sorted
        self.releases: dict[Instant, int] = {}  # the GPUs that are free again then
        self.sizes: dict[int, list[_InLine]] = {}
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
        self.releases[ends_by] -= gpus
        if not self.releases[ends_by]:
            del self.releases[ends_by]
            del self.moments[bisect_left(self.moments, ends_by)]

    def first(self, *, fitting: bool) -> tuple[_Bucket, _Waiting] | None:
        """The bucket whose turn it is, and its best kind; among sizes that fit only, if so asked."""
        found: _InLine | None = None
        for gpus, line in self.sizes.items():
            if fitting and gpus > self.free:
                continue
            while line and line[0][3] != line[0][4].entry:
                heapq.heappop(line)
            if line and (found is None or line[0] < found):
                found = line[0]
        return (found[4], found[5]) if found is not None else None


_InLine = tuple[float, Instant, int, int, _Bucket, _Waiting]
"""Score, then submission and its number, then the entry's own number; the bucket and the kind it goes with."""

_PER_LN2 = 1.4426950408889634
