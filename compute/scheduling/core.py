"""The scheduler that keeps its books between events: a moment's events in, its starts out; no clock, no I/O.

Jobs wait in kinds. A kind is everything the rules look at, so if its oldest job can't start, none can. Kinds of one project,
lane and size stand in a bucket, the shortest expected first, and each lane keeps a heap of buckets for each size by whose turn
it is. A moment touches only the buckets of projects that something happened to: whose turn came sooner is put in its new place
before the next look, whose turn moved back is put there when it surfaces. ADR 11 says why.

The policy, in order:

1. The bucket with the lowest score goes first: its project's use for its weight, times how the project fared lately, times the
   job's expected GPU time.
2. A job starts if all its GPUs are free and nobody's promise suffers.
3. The first that does not fit is promised the earliest moment at which enough GPUs will be free by declared times (EASY).
"""

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from compute.scheduling.books import CROWDED, Bucket, InLine, Lane, Project, Running, Size, Waiting
from compute.scheduling.estimates import Estimates, Name
from compute.scheduling.events import Cancelled, Ended, Event, Kind, Promise, Started, Submitted
from compute.scheduling.ideal import Ideal
from compute.scheduling.model import Instant


@dataclass(frozen=True, slots=True)
class Knobs:
    """The settings of the policy, the same wherever it runs."""

    half_life_seconds: int = 7 * 24 * 3600  # past use counts half after this
    past_weight: float = 5e-7  # a GPU-second of past use weighs as much as so many GPUs in use now
    own_weight: float = 0.25  # the job's own GPUs count as in use by this part
    short_first: float = 1.0  # the power of expected GPU time in a score
    put_right: float = 0.6  # the power of how a project fared
    refresh_seconds: int = 300  # an expectation or a project that no event touched is looked at again after this, ...
    renewals_max: int = 2  # ... so many at one moment
    looks_max: int = 50  # how often one moment may find that a job can't pass the next in line


class Core:
    """All books, between moments. The same moments give the same starts."""

    def __init__(self, lanes: Mapping[Name, int], weights: Mapping[Name, int], knobs: Knobs = Knobs()) -> None:
        self._knobs = knobs
        self._weights = weights
        self._lanes = {name: Lane(gpus) for name, gpus in lanes.items()}
        self._projects: dict[Name, Project] = {}
        self._kinds: dict[Kind, Waiting] = {}
        self._waiting: dict[Name, Waiting] = {}
        self._running: dict[Name, Running] = {}
        self._estimates = Estimates()
        self._ideal = Ideal(sum(lanes.values()), weights)
        self._sequence = 0
        self._renewals: deque[tuple[Instant, Waiting]] = deque()  # kinds in line, by when they are looked at again

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
        return [started for lane in self._lanes.values() if lane.changed for started in self._fill(lane, now)]

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
            waiting.expected = math.inf  # it comes anew
            self._expect(waiting, now)
            waiting.bucket.lane.sizes[kind.gpus].waits(waiting)
            if not waiting.listed:
                waiting.listed = True
                self._renewals.append((now + self._knobs.refresh_seconds, waiting))
        self._ideal.submitted(job, kind.project, kind.gpus, waiting.expected, now)

    def _first_of(self, kind: Kind) -> Waiting:
        project = self._projects.get(kind.project)
        if project is None:
            project = self._projects[kind.project] = Project(kind.project, self._weights.get(kind.project, 1))
        bucket = project.buckets.get((kind.lane, kind.gpus))
        if bucket is None:
            bucket = project.buckets[kind.lane, kind.gpus] = Bucket(project, kind.gpus, self._lanes[kind.lane])
            bucket.lane.sizes.setdefault(kind.gpus, Size())
        lineage = self._estimates.lineage(kind.project, kind.submitter, kind.wall_seconds, kind.gpus)
        bucket.size += 1
        return Waiting(kind, bucket, lineage)

    def _cancel(self, job: Name) -> None:
        waiting = self._waiting.pop(job)
        place = next(place for place, entry in enumerate(waiting.jobs) if entry[2] == job)
        del waiting.jobs[place]
        if place == 0:
            waiting.bucket.rose()
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

    def _use(self, project: Project, gpus: int, now: Instant) -> None:
        """A project uses more or fewer GPUs from now on: its buckets stand elsewhere in line."""
        knobs = self._knobs
        past, fared = project.past, project.fared
        project.settle(now, knobs.half_life_seconds)
        project.gpus += gpus
        project.fared = self._ideal.fared(project.name) ** knobs.put_right
        if gpus + knobs.past_weight * (project.past - past) > _TINY and project.fared <= fared:
            project.rises += 1
            for bucket in project.buckets.values():
                bucket.lane.changed = True
        else:
            for bucket in project.buckets.values():
                bucket.fell()

    def _expect(self, waiting: Waiting, now: Instant) -> None:
        """Learn anew how long the kind's jobs will run, and put it in its place in the bucket."""
        before, bucket = waiting.expected, waiting.bucket
        waiting.expected = self._estimates.expected(waiting.lineage, waiting.kind.wall_seconds, now)
        waiting.work = (waiting.expected * bucket.gpus) ** self._knobs.short_first
        if waiting.expected < before:
            bucket.place(waiting)
            bucket.fell()
        elif waiting.expected > before:
            bucket.rose()

    def _enter(self, bucket: Bucket, *, within_seconds: int | None = None) -> None:
        """Put a bucket in its place in line, by its best kind (declared to be over in time); its former entry counts no more."""
        bucket.entry += 1
        bucket.seen = bucket.project.rises
        best = bucket.best() if within_seconds is None else bucket.best_within(within_seconds)
        if best is None:
            return
        at, sequence, _ = best.jobs[0]
        line = bucket.lane.sizes[bucket.gpus].line
        if len(line) > CROWDED * len(self._projects) + CROWDED:
            line[:] = [entry for entry in line if entry[3] == entry[4].entry]
            heapq.heapify(line)
        heapq.heappush(line, (self._score(bucket, best), at, sequence, bucket.entry, bucket, best))

    def _score(self, bucket: Bucket, best: Waiting) -> float:
        knobs, project = self._knobs, bucket.project
        use = project.gpus + knobs.own_weight * bucket.gpus + knobs.past_weight * project.past
        return use / project.weight * best.work / project.fared

    def _first(self, lane: Lane, now: Instant) -> tuple[Bucket, Waiting] | None:
        """The bucket whose turn it is, and its best kind; once the lane is promised, only of sizes of which some may pass."""
        while lane.fallen:
            bucket = lane.fallen.pop()
            bucket.has_fallen = False
            self._enter(bucket)
        found: InLine | None = None
        for gpus, size in lane.sizes.items():
            if lane.promise is not None and not lane.may_pass(gpus, size, now):
                continue
            line = size.line
            while line and not line[0][4].stands(line[0][3]):
                *_, entry, bucket, _ = heapq.heappop(line)
                if entry == bucket.entry:
                    self._enter(bucket)
            if line and (found is None or line[0] < found):
                found = line[0]
        return (found[4], found[5]) if found is not None else None

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
                if now - waiting.bucket.project.settled_at >= self._knobs.refresh_seconds:
                    self._use(waiting.bucket.project, 0, now)

    # Who starts -------------------------------------------------------------------------------------------------------

    def _fill(self, lane: Lane, now: Instant) -> Iterator[Started]:
        lane.promise, lane.changed = None, False
        passed_over: list[Bucket] = []
        while lane.free > 0 and len(passed_over) < self._knobs.looks_max:
            found = self._first(lane, now)
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
            bucket.enter_anew()

    def _start(self, lane: Lane, waiting: Waiting, ends_by: Instant, now: Instant) -> Started:
        kind = waiting.kind
        _, _, job = waiting.jobs.popleft()
        del self._waiting[job]
        self._running[job] = Running(waiting, now, ends_by)
        lane.taken(ends_by, kind.gpus)
        backfilled = lane.promise is not None
        if lane.promise is not None and ends_by > lane.promise.at:
            lane.promise = Promise(lane.promise.job, lane.promise.at, lane.promise.spare - kind.gpus)
        self._estimates.started(waiting.lineage, now)
        self._use(waiting.bucket.project, kind.gpus, now)
        return Started(job, ends_by, backfilled)

    @staticmethod
    def _promise(lane: Lane, waiting: Waiting, now: Instant) -> Promise:
        free, at = lane.free, now
        for declared_end in lane.moments:
            # A job past its declared time is being stopped: its GPUs come back any moment, not in the past.
            ends_by = max(declared_end, now + 1)
            if free >= waiting.kind.gpus and ends_by > at:
                break
            free, at = free + lane.releases[declared_end], ends_by
        assert free >= waiting.kind.gpus, "an empty lane has all its GPUs"
        return Promise(waiting.jobs[0][2], at, free - waiting.kind.gpus)


_TINY = 1e-6
"""More than what floating-point sums lose."""
