"""Whose turn it is: who borrows nothing of a quota group, then the highest rank, the lowest score, who was submitted first.

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
from compute.scheduling.line import Batch, Bucket, Place, Project
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
        self._kinds: dict[Kind, Batch] = {}  # the latest batch of each
        self._earlier: dict[Kind, list[Batch]] = {}  # batches before it, while they have jobs
        self._renewals: deque[tuple[Instant, Batch]] = deque()  # kinds in line, by when they are looked at again
        self._places = 0

    def batch_of(self, kind: Kind, at: Instant) -> Batch:
        """Where a job of a kind that was submitted then waits: with its batch."""
        batch = self._kinds.get(kind)
        key = (kind.project, kind.submitter, kind.wall_seconds, kind.gpus)
        level = self.estimates.batch(*key, at)
        if batch is None or batch.lineage[-1] is not level:
            if batch is not None and batch.listed:
                self._earlier.setdefault(kind, []).append(batch)
            elif batch is not None:
                self._forget(batch)
            most = max(map(kind.takes, kind.choices), default=kind.gpus) if kind.alone else kind.gpus
            lineage = (*self.estimates.lineage(*key), level)
            batch = self._kinds[kind] = Batch(kind, self._project(kind.project), lineage, most)
            batch.places = tuple(self._place(batch, choice) for choice in kind.choices)
        return batch

    # Whose turn it is ---------------------------------------------------------------------------------------------------

    def first(self, lane: Lane, begins: Instant) -> Bucket | None:
        """The bucket whose turn it is in a lane; once the lane is promised, only of sizes of which some may pass."""
        if lane.to_enter or not lane.looked_at or (lane.first is not None and not lane.first.stands):
            lane.first, lane.looked_at = self._look(lane, begins), True
        return lane.first  # others can only have gone back

    def _look(self, lane: Lane, begins: Instant) -> Bucket | None:
        while lane.to_enter:
            bucket = lane.to_enter.pop()
            bucket.is_to_enter = False
            self.enter(bucket)
        found: Bucket | None = None
        for gpus, size in lane.sizes.items():
            buckets = size.line.buckets
            if not buckets or gpus > lane.most or (lane.promise is not None and not lane.may_pass(gpus, size, begins)):
                continue
            while buckets and not buckets[0].stands:
                self.enter(buckets[0])
            if buckets and (found is None or buckets[0].goes_before(found)):
                found = buckets[0]
        return found

    def enter(self, bucket: Bucket, *, within_seconds: int | None = None) -> None:
        """Put a bucket in its place in line, by its best kind (declared to be over in time)."""
        bucket.version = bucket.project.version
        bucket.lane.looked_at = False
        best = bucket.best() if within_seconds is None else bucket.best_within(within_seconds)
        line = bucket.of_size.line
        if best is None:
            line.leave(bucket)
            return
        batch = best.batch
        bucket.group = bucket.below + _BORROWS * best.member.borrows(batch.kind, best.gpus)
        bucket.score, bucket.since, bucket.job = self._score(batch), batch.since, batch.oldest
        bucket.best_in_line = best
        line.put(bucket)

    def _score(self, best: Batch) -> float:
        knobs, project = self._knobs, best.project
        use = project.gpus + knobs.own_weight * best.gpus + knobs.past_weight * project.past
        return use / project.weight * best.work / project.fared

    # What changes it --------------------------------------------------------------------------------------------------

    def appeared(self, batch: Batch, now: Instant) -> None:
        """A kind has jobs again."""
        batch.work = math.inf  # it comes anew
        self.expect(batch, now)
        for place in batch.places:
            place.bucket.of_size.waits(place)
        if not batch.listed:
            batch.listed = True
            self._renewals.append((now + self._knobs.refresh_seconds, batch))

    def expect(self, batch: Batch, now: Instant) -> None:
        """Learn anew how long the kind's jobs will run, see how long they wait, and put it in its place in its buckets."""
        before, kind = batch.work, batch.kind
        batch.expected = self.estimates.expected(batch.lineage, kind.wall_seconds, now)
        waited = now - batch.since
        batch.work = (batch.expected * batch.gpus) ** self._knobs.short_first * self._knobs.nearer(waited)
        for place in batch.places:
            if batch.work > before:
                place.bucket.goes_later()
            elif batch.work < before and not place.is_out:
                place.bucket.place(place)
                place.bucket.goes_sooner()

    def use(self, project: Project, rate: int, now: Instant) -> None:
        """A project uses so many reference ticks a second more or fewer from now on: its buckets stand elsewhere in line."""
        knobs = self._knobs
        self.ideal.touched.add(project.name)
        past, fared, before = project.past, project.fared, project.gpus
        project.settle(now, knobs.half_life_seconds)
        project.uses(rate)
        project.fared = self.ideal.fared(project.name) ** knobs.put_right
        if project.gpus - before + knobs.past_weight * (project.past - past) > _TINY and project.fared <= fared:
            project.version += 1
            for bucket in project.buckets.values():
                bucket.lane.changed = True
        else:
            for bucket in project.buckets.values():
                if bucket.kinds:
                    bucket.goes_sooner()

    def renew(self, now: Instant) -> None:
        """Look again at some of the kinds that nothing happened to for a while."""
        for _ in range(self._knobs.renewals_max):
            if not self._renewals or self._renewals[0][0] > now:
                return
            _, batch = self._renewals.popleft()
            batch.listed = bool(batch.jobs)
            if batch.jobs:
                self._renewals.append((now + self._knobs.refresh_seconds, batch))
                self.expect(batch, now)
                if now - batch.project.settled_at >= self._knobs.refresh_seconds:
                    self.use(batch.project, 0, now)
            elif batch is not self._kinds[batch.kind]:
                self._earlier[batch.kind].remove(batch)
                self._forget(batch)

    @staticmethod
    def _forget(batch: Batch) -> None:
        """All of a batch have started, and another came after it."""
        for place in batch.places:
            place.bucket.size -= 1

    def reorder(self) -> None:
        """Whoever stands in line may stand elsewhere now."""
        for project in self._projects.values():
            for bucket in project.buckets.values():
                bucket.goes_sooner()

    def set(self, event: ProjectSet, now: Instant) -> None:
        """A project's weight, and its past use if that is known better."""
        self._weights[event.project] = event.weight
        self.ideal.touched.add(event.project)
        project = self._project(event.project)
        project.weight = event.weight
        if event.past_gpu_seconds is not None:
            project.past, project.settled_at = event.past_gpu_seconds, now
        for bucket in project.buckets.values():
            bucket.goes_sooner()

    def take_back(self, batch: Batch, rate: int, started_at: Instant, now: Instant) -> None:
        """A job of the kind never started: what was counted as its use is not, and it waits with its batch again."""
        if batch is not self._kinds[batch.kind] and batch not in self._earlier.get(batch.kind, ()):
            self._earlier.setdefault(batch.kind, []).append(batch)
            for place in batch.places:
                place.bucket.size += 1
        self.estimates.never_started(batch.lineage, started_at)
        self.use(batch.project, -rate, now)
        batch.project.used_not(rate, now - started_at, self._knobs.half_life_seconds)

    def _project(self, name: Name) -> Project:
        if name not in self._projects:
            self._projects[name] = Project(name, self._weights.get(name, 1))
        return self._projects[name]

    def _place(self, batch: Batch, choice: Choice) -> Place:
        kind, project, gpus = batch.kind, batch.project, batch.kind.takes(choice)
        key = (choice.lane, gpus, kind.priority.rank)
        bucket = project.buckets.get(key)
        if bucket is None:
            lane = self._rules.lane(choice.lane)
            of_size = lane.sizes.setdefault(gpus, Size())
            bucket = project.buckets[key] = Bucket(project, gpus, -kind.priority.rank, lane, of_size)
        bucket.size += 1
        self._places += 1
        rate = choice.cost_ticks // kind.wall_seconds if choice.cost_ticks else gpus * TICKS_PER_GPU_SECOND
        purse = self._rules.purse(kind, choice)
        member = self._rules.member(kind.project, choice.lane)
        return Place(batch, choice, gpus, bucket, self._rules.books(kind, choice), member, purse, rate, self._places)

    # What follows is asked now and then ---------------------------------------------------------------------------------

    def line(self) -> list[Batch]:
        """The batches that wait, in the order of their turns."""
        batches = (*chain.from_iterable(self._earlier.values()), *self._kinds.values())
        return sorted(
            (each for each in batches if each.jobs), key=lambda each: (self._below(each), self._score(each), *each.jobs[0])
        )

    @staticmethod
    def _below(batch: Batch) -> int:
        borrows = bool(batch.places) and all(place.member.borrows(batch.kind, place.gpus) for place in batch.places)
        return _BORROWS * borrows - batch.kind.priority.rank

    def oldest(self, kind: Kind) -> tuple[Instant, Name] | None:
        """The oldest waiting job of a kind, in whichever batch."""
        batches = (*self._earlier.get(kind, ()), self._kinds[kind])
        return min((batch.jobs[0] for batch in batches if batch.jobs), default=None)

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
                bucket.goes_sooner()


_BORROWS = 1 << 32
"""Whoever would run on what a quota group lends comes after everybody who would not, whatever the ranks."""

_TINY = 1e-6
"""More than what floating-point sums lose."""
