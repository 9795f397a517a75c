"""Whose turn it is: the highest rank, then the bucket with the lowest score.

A score is the project's use for its weight, times the expected GPU time of its shortest kind, by how the project fared lately.
Use is GPUs in use now, a part of the job's own, and past use decayed by half-lives. After two weeks of waiting a score halves
every day (`Knobs.nearer`).
"""

import math
from collections import deque
from collections.abc import Mapping
from itertools import chain

from compute.scheduling.events import Choice, Kind, ProjectSet
from compute.scheduling.keeping.memory import Memory, ProjectMemory
from compute.scheduling.knobs import Knobs
from compute.scheduling.lanes import Lane, Size
from compute.scheduling.learning.estimates import Estimates
from compute.scheduling.learning.ideal import Ideal
from compute.scheduling.line import Bucket, Place, Project, Waiting
from compute.scheduling.model import Instant, Name
from compute.scheduling.rulebook import Rulebook
from core.units import TICKS_PER_GPU_SECOND


class Turns:
    """Projects, their kinds, and where these stand in line."""

    def __init__(self, rules: Rulebook, weights: Mapping[Name, int], knobs: Knobs) -> None:
        self._rules = rules
        self._weights = dict(weights)
        self._knobs = knobs
        self.estimates = Estimates()
        self.ideal = Ideal(rules.gpus(), self._weights)
        self._projects: dict[Name, Project] = {}
        self._kinds: dict[Kind, Waiting] = {}  # the latest batch of each
        self._earlier: dict[Kind, list[Waiting]] = {}  # batches before it, while they have jobs
        self._renewals: deque[tuple[Instant, Waiting]] = deque()  # kinds in line, by when they are looked at again
        self._places = 0

    def kind(self, kind: Kind, at: Instant) -> Waiting:
        """Where a job of a kind that was submitted then waits: with its batch."""
        waiting = self._kinds.get(kind)
        key = (kind.project, kind.submitter, kind.wall_seconds, kind.gpus)
        batch = self.estimates.batch(*key, at)
        if waiting is None or waiting.lineage[-1] is not batch:
            if waiting is not None and waiting.listed:
                self._earlier.setdefault(kind, []).append(waiting)
            elif waiting is not None:
                self._forget(waiting)
            most = max(map(kind.takes, kind.choices), default=kind.gpus) if kind.alone else kind.gpus
            lineage = (*self.estimates.lineage(*key), batch)
            waiting = self._kinds[kind] = Waiting(kind, self._project(kind.project), lineage, most)
            waiting.places = tuple(self._place(waiting, choice) for choice in kind.choices)
        return waiting

    def oldest(self, kind: Kind) -> tuple[Instant, Name] | None:
        """The oldest waiting job of a kind, in whichever batch."""
        batches = (*self._earlier.get(kind, ()), self._kinds[kind])
        return min((waiting.jobs[0] for waiting in batches if waiting.jobs), default=None)

    def line(self) -> list[Waiting]:
        """The batches that wait, in the order of their turns."""
        batches = (*chain.from_iterable(self._earlier.values()), *self._kinds.values())
        return sorted(
            (each for each in batches if each.jobs), key=lambda each: (self._below(each), self._score(each), *each.jobs[0])
        )

    @staticmethod
    def _below(waiting: Waiting) -> int:
        borrows = bool(waiting.places) and all(place.member.borrows(waiting.kind, place.gpus) for place in waiting.places)
        return _BORROWS * borrows - waiting.kind.priority.rank

    def first(self, lane: Lane, begins: Instant) -> Bucket | None:
        """The bucket whose turn it is in a lane; once the lane is promised, only of sizes of which some may pass."""
        if lane.fallen or not lane.looked_at or (lane.first is not None and not lane.first.stands):
            lane.first, lane.looked_at = self._look(lane, begins), True
        return lane.first  # others can only have gone back

    def _look(self, lane: Lane, begins: Instant) -> Bucket | None:
        while lane.fallen:
            bucket = lane.fallen.pop()
            bucket.has_fallen = False
            self.enter(bucket)
        found: Bucket | None = None
        for gpus, size in lane.sizes.items():
            buckets = size.line.buckets
            if not buckets or gpus > lane.most or (lane.promise is not None and not lane.may_pass(gpus, size, begins)):
                continue
            while buckets and not buckets[0].stands:
                self.enter(buckets[0])
            if buckets and (found is None or buckets[0].key < found.key):
                found = buckets[0]
        return found

    def enter(self, bucket: Bucket, *, within_seconds: int | None = None) -> None:
        """Put a bucket in its place in line, by its best kind (declared to be over in time)."""
        bucket.seen = bucket.project.rises
        bucket.lane.looked_at = False
        best = bucket.best() if within_seconds is None else bucket.best_within(within_seconds)
        line = bucket.lane.sizes[bucket.gpus].line
        if best is None:
            line.leave(bucket)
            return
        waiting = best.waiting
        at, job = waiting.jobs[0]
        bucket.key = (bucket.below + _BORROWS * best.member.borrows(waiting.kind, best.gpus), self._score(waiting), at, job)
        bucket.best_in_line = best
        line.put(bucket)

    # What changes it --------------------------------------------------------------------------------------------------

    def appeared(self, waiting: Waiting, now: Instant) -> None:
        """A kind has jobs again."""
        waiting.work = math.inf  # it comes anew
        self.expect(waiting, now)
        for place in waiting.places:
            place.bucket.lane.sizes[place.gpus].waits(place)
        if not waiting.listed:
            waiting.listed = True
            self._renewals.append((now + self._knobs.refresh_seconds, waiting))

    def expect(self, waiting: Waiting, now: Instant) -> None:
        """Learn anew how long the kind's jobs will run, see how long they wait, and put it in its place in its buckets."""
        before, kind = waiting.work, waiting.kind
        waiting.expected = self.estimates.expected(waiting.lineage, kind.wall_seconds, now)
        waited = now - waiting.jobs[0][0]
        waiting.work = (waiting.expected * waiting.gpus) ** self._knobs.short_first * self._knobs.nearer(waited)
        for place in waiting.places:
            if waiting.work > before:
                place.bucket.rose()
            elif waiting.work < before and not place.is_out:
                place.bucket.place(place)
                place.bucket.fell()

    def use(self, project: Project, rate: int, now: Instant) -> None:
        """A project uses so many reference ticks a second more or fewer from now on: its buckets stand elsewhere in line."""
        knobs = self._knobs
        self.ideal.touched.add(project.name)
        past, fared, before = project.past, project.fared, project.gpus
        project.settle(now, knobs.half_life_seconds)
        project.uses(rate)
        project.fared = self.ideal.fared(project.name) ** knobs.put_right
        if project.gpus - before + knobs.past_weight * (project.past - past) > _TINY and project.fared <= fared:
            project.rises += 1
            for bucket in project.buckets.values():
                bucket.lane.changed = True
        else:
            for bucket in project.buckets.values():
                if bucket.kinds:
                    bucket.fell()

    def renew(self, now: Instant) -> None:
        """Look again at some of the kinds that nothing happened to for a while."""
        for _ in range(self._knobs.renewals_max):
            if not self._renewals or self._renewals[0][0] > now:
                return
            _, waiting = self._renewals.popleft()
            waiting.listed = bool(waiting.jobs)
            if waiting.jobs:
                self._renewals.append((now + self._knobs.refresh_seconds, waiting))
                self.expect(waiting, now)
                if now - waiting.project.settled_at >= self._knobs.refresh_seconds:
                    self.use(waiting.project, 0, now)
            elif waiting is not self._kinds[waiting.kind]:
                self._earlier[waiting.kind].remove(waiting)
                self._forget(waiting)

    @staticmethod
    def _forget(waiting: Waiting) -> None:
        """All of a batch have started, and another came after it."""
        for place in waiting.places:
            place.bucket.size -= 1

    def reorder(self) -> None:
        """Whoever stands in line may stand elsewhere now."""
        for project in self._projects.values():
            for bucket in project.buckets.values():
                bucket.fell()

    def set(self, event: ProjectSet, now: Instant) -> None:
        """A project's weight, and its past use if that is known better."""
        self._weights[event.project] = event.weight
        self.ideal.touched.add(event.project)
        project = self._project(event.project)
        project.weight = event.weight
        if event.past_gpu_seconds is not None:
            project.past, project.settled_at = event.past_gpu_seconds, now
        for bucket in project.buckets.values():
            bucket.fell()

    def take_back(self, waiting: Waiting, rate: int, started_at: Instant, now: Instant) -> None:
        """A job of the kind never started: what was counted as its use is not, and it waits with its batch again."""
        if waiting is not self._kinds[waiting.kind] and waiting not in self._earlier.get(waiting.kind, ()):
            self._earlier.setdefault(waiting.kind, []).append(waiting)
            for place in waiting.places:
                place.bucket.size += 1
        self.estimates.never_started(waiting.lineage, started_at)
        self.use(waiting.project, -rate, now)
        waiting.project.used_not(rate, now - started_at, self._knobs.half_life_seconds)

    # What a restart must not forget -------------------------------------------------------------------------------------

    def remember(self) -> Memory:
        """What changed since it was last asked."""
        touched = {name: self._projects[name] for name in self.ideal.touched if name in self._projects}
        found = {
            name: ProjectMemory(each.weight, each.past, each.settled_at, each.rate, each.fared, self.ideal.remember(name))
            for name, each in touched.items()
        }
        self.ideal.touched.clear()
        return Memory(self.ideal.now, self.ideal.gpus, found)

    def recall(self, memory: Memory) -> None:
        """The ideal goes on where it stood; before anything else is told."""
        self._weights |= {name: each.weight for name, each in memory.projects.items()}
        self.ideal.gpus = memory.gpus
        self.ideal.recall(memory.ideal_at, {name: each.ideal for name, each in memory.projects.items()})

    def recall_use(self, memory: Memory, now: Instant) -> None:
        """What projects used, once it is told what runs now. Use that changed meanwhile counts as changed now."""
        for name, each in memory.projects.items():
            project = self._project(name)
            rate = project.rate
            project.past, project.settled_at, project.fared = each.past, each.settled_at, each.factor
            if rate != each.rate or (project.waits and now - each.settled_at >= self._knobs.refresh_seconds):
                project.uses(each.rate - rate)
                self.use(project, rate - each.rate, now)
            for bucket in project.buckets.values():
                bucket.fell()

    def _score(self, best: Waiting) -> float:
        knobs, project = self._knobs, best.project
        use = project.gpus + knobs.own_weight * best.gpus + knobs.past_weight * project.past
        return use / project.weight * best.work / project.fared

    def _project(self, name: Name) -> Project:
        if name not in self._projects:
            self._projects[name] = Project(name, self._weights.get(name, 1))
        return self._projects[name]

    def _place(self, waiting: Waiting, choice: Choice) -> Place:
        kind, project, gpus = waiting.kind, waiting.project, waiting.kind.takes(choice)
        key = (choice.lane, gpus, kind.priority.rank)
        bucket = project.buckets.get(key)
        if bucket is None:
            bucket = project.buckets[key] = Bucket(project, gpus, -kind.priority.rank, self._rules.lane(choice.lane))
            bucket.lane.sizes.setdefault(gpus, Size())
        bucket.size += 1
        self._places += 1
        rate = choice.cost_ticks // kind.wall_seconds if choice.cost_ticks else gpus * TICKS_PER_GPU_SECOND
        purse = self._rules.purse(kind, choice)
        member = self._rules.member(kind.project, choice.lane)
        return Place(waiting, choice, gpus, bucket, self._rules.books(kind, choice), member, purse, rate, self._places)


_BORROWS = 1 << 32
"""Whoever would run on what a quota group lends comes after everybody who would not, whatever the ranks."""

_TINY = 1e-6
"""More than what floating-point sums lose."""
