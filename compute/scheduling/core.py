"""The scheduler that keeps its books between events: a moment's events in, its starts out; no clock, no I/O.

Jobs wait in kinds, and those of a kind in batches. A kind is everything the rules look at, so if its oldest job can't start, none
can. Batches of one project, lane, size and rank stand in a bucket, the shortest expected first, and each lane keeps a heap of
buckets for each size by whose turn it is (line.py). A moment touches only the buckets of projects that something happened to: who
goes sooner is put in its new place before the next look, who goes later is put there when it surfaces. ADR 11 says why.

told.py takes in what happened. Here is what follows from it, until the rule “What follows is asked now and then”.

The policy, in order:

1. Whose turn it is: turns.py.
2. What its grant, its offers, its limits or a window can't carry for its whole declared time is parked (parking.py) and holds up
   nobody.
3. A job starts if all its GPUs are free in a lane and nobody's promise suffers.
4. The first that does not fit is promised the earliest moment at which enough GPUs will be free by declared times (EASY). What it
   will need of its grant, offers and limits is set aside for it as well.
"""

from collections.abc import Container, Iterable

from compute.scheduling.events import (
    Asked,
    Cancelled,
    Ended,
    Event,
    Promise,
    Spared,
    Started,
    in_order,
)
from compute.scheduling.keeping.memory import Memory
from compute.scheduling.lanes import Lane
from compute.scheduling.line import Bucket, Place
from compute.scheduling.model import Decision, Instant, Name
from compute.scheduling.parking import Obstacle
from compute.scheduling.quotas.preemption import Claim
from compute.scheduling.told import Told
from compute.scheduling.why.explanations import Question, explain, passed_over


class Core(Told):
    """All books, between moments. The same moments give the same starts, in whatever order the events of a moment are told."""

    def apply(self, now: Instant, events: Iterable[Event]) -> list[Started]:
        """What happened at one moment, and who starts because of it. Moments come in order."""
        self._pass_to(now, events)
        return self._decide(now)

    def _decide(self, now: Instant) -> list[Started]:
        self._turns.renew(now)
        self._wake()
        started = self._fill(now) if any(lane.changed for lane in self._rules.lanes.values()) else []
        self._asks = self._ask_back(now)
        return started

    def _wake(self) -> None:
        """Those that may pass what they were parked for."""
        for _ in range(min(len(self._rules.woken), self._knobs.wakes_max)):
            place = self._rules.woken.popleft()
            place.come_back()
            place.bucket.lane.changed = True

    # Who starts -------------------------------------------------------------------------------------------------------

    def _fill(self, now: Instant) -> list[Started]:
        """Start whoever may."""
        self._rules.forget_promises(place for place in self._promised.values() if place is not None)
        self._promised.clear()
        return self._go_through(self._rules.open_lanes(now), now, full_too=self._rules.promises_bind)

    def _go_through(self, lanes: list[Lane], now: Instant, *, full_too: bool) -> list[Started]:
        """Look at everybody whose turn comes, in the order of their turns, whatever the lane.

        Where nothing is free nobody can start; a promise made there keeps budgets and limits for the next in line.
        """
        started: list[Started] = []
        too_long: list[Bucket] = []  # passed over, because their shortest kinds are too long for the gaps
        skipped: list[Place] = []  # not looked at again at this moment
        while (place := self._next(lanes, now, full_too=full_too)) is not None:
            obstacle = self._refusal(place, now)
            if obstacle is not None and not obstacle.is_promised:
                self._park(place, obstacle)
            elif obstacle is not None or place.batch in self._promised:
                self._skip(place, skipped)
            else:
                chosen = self._preferred(place, now) if len(place.batch.places) > 1 else place
                lane, kind = chosen.bucket.lane, chosen.batch.kind
                gpus, ends_by = chosen.gpus, now + kind.wall_seconds + self._knobs.overhead_seconds
                if gpus > lane.free or (lane.hosts is not None and not lane.fits(gpus, ends_by, kind.alone)):
                    # Promised here, it holds up its size: what is not free is looked at no more (Lane.may_pass).
                    if self._promise(place, now) is not place:
                        self._skip(place, skipped)
                elif lane.lets_pass(gpus, ends_by, kind.alone):
                    started.append(self._start(chosen, now, ends_by))
                elif lane.promise is None or ends_by <= lane.promise.at:  # its hosts are promised in another lane
                    self._skip(place, skipped)
                else:
                    lane.looks += 1
                    too_long.append(place.bucket)
                    self._turns.enter(place.bucket, within_seconds=lane.promise.at - now - self._knobs.overhead_seconds)
        for place in skipped:
            place.come_back()
        for bucket in too_long:
            bucket.enter_anew()
        return started

    def _next(self, lanes: Iterable[Lane], now: Instant, *, full_too: bool) -> Place | None:
        """Whose turn it is."""
        knobs = self._knobs
        found: Bucket | None = None
        for lane in lanes:
            is_full = lane.free <= 0 and (lane.promise is not None or not full_too)  # nobody can pass where nothing is free
            if not is_full and lane.looks < knobs.looks_max and self._may_be_passed(lane):
                first = self._turns.first(lane, now + knobs.overhead_seconds)
                if first is not None and (found is None or first.goes_before(found)):
                    found = first
        return found.best_in_line if found is not None else None

    def _may_be_passed(self, lane: Lane) -> bool:
        """Whether others may start in a lane before its next in line."""
        return self._knobs.backfill or lane.promise is None

    def _refusal(self, place: Place, starts_at: Instant) -> Obstacle | None:
        """The first rule in its way, whether or not GPUs are free."""
        kind = place.batch.kind
        ends_by = self._ends_by(kind, starts_at)
        obstacle = place.bucket.lane.refuses(place.gpus, starts_at, ends_by)
        if obstacle is not None:
            return obstacle
        for book in place.books:
            obstacle = book.refuses(kind, place.choice, starts_at, ends_by)
            if obstacle is not None:
                return obstacle
        return None

    @staticmethod
    def _park(place: Place, obstacle: Obstacle) -> None:
        """It leaves the line until a figure rises so high that it may pass."""
        place.leave()
        place.shelves = tuple(shelf for shelf, _ in obstacle.waits_on)
        for shelf, need in obstacle.waits_on:
            shelf.put(place, need)

    @staticmethod
    def _skip(place: Place, skipped: list[Place]) -> None:
        place.bucket.lane.looks += 1
        place.leave()
        skipped.append(place)

    def _preferred(self, place: Place, now: Instant) -> Place:
        """Where a kind that may run in several lanes starts; the given place if it can start in none."""
        batch = place.batch
        ends_by = self._ends_by(batch.kind, now)

        def wish(other: Place) -> tuple[int, Instant]:
            return other.choice.order, other.purse.soonest(other.choice, now, ends_by) if other.purse is not None else 0

        for other in sorted(batch.places, key=wish):
            lane, gpus, alone = other.bucket.lane, other.gpus, batch.kind.alone
            fits = lane.is_open(now) and lane.fits(gpus, ends_by, alone) and lane.lets_pass(gpus, ends_by, alone)
            if fits and self._may_be_passed(lane) and self._refusal(other, now) is None:
                return other
        return place

    def _start(self, place: Place, now: Instant, ends_by: Instant) -> Started:
        batch, lane = place.batch, place.bucket.lane
        job = batch.starts()
        for other in batch.places:
            other.bucket.surface()
        del self._waiting[job]
        backfilled = lane.promise is not None
        passed = passed_over(place, now, self._refusal) if place.choice.order else ()
        held = self._hold(job, place, now, ends_by)
        self._turns.use(batch.project, place.rate, now)
        draws = place.purse.draws(job) if place.purse is not None else ()
        return Started(job, ends_by, backfilled, place.choice.lane, draws, held, passed)

    def _ask_back(self, now: Instant) -> list[Asked | Spared]:
        """Quota groups get back what was borrowed, for those who wait for it."""
        if not self._rules.groups:
            return []
        for place in (place for batch in self._promised for place in batch.places):
            place.member.lacks_gpus(place.batch.kind, place.choice)
        free: dict[Name, int] = {name: max(0, lane.free) for name, lane in self._rules.lanes.items()}
        for name, lane in self._rules.lanes.items():
            free |= {(name, host): gpus for host, gpus in lane.hosts.free.items()} if lane.hosts is not None else {}
        found: list[Asked | Spared] = [Spared(job) for job in self._rules.spared]
        self._rules.spared.clear()
        for group in self._rules.groups.values():
            found += group.ask(self._turns.oldest, now, free)
        return found

    # Promises ---------------------------------------------------------------------------------------------------------

    def _promise(self, place: Place, now: Instant) -> Place | None:
        """Promise a kind that does not fit its earliest start, in the lane where that is; None: there is none that holds.

        Nothing refuses the place whose turn it is.
        """
        batch, kind = place.batch, place.batch.kind
        seconds = kind.wall_seconds + self._knobs.overhead_seconds
        found: tuple[Instant, int, Place] | None = None
        for other in batch.places:
            lane = other.bucket.lane
            if lane.promise is not None or not lane.is_open(now) or other.gpus > lane.most:
                continue
            if other is not place and self._refusal(other, now) is not None:
                continue
            earliest = lane.earliest(other.gpus, seconds, now, kind.alone)
            if earliest is None or self._refusal(other, earliest[0]) is not None:
                continue
            if found is None or earliest[0] < found[0]:
                found = (*earliest, other)
        if found is None:
            self._promised[batch] = None
            return None
        at, spare, promised = found
        promise = Promise(batch.oldest, at, spare)
        promised.bucket.lane.keep(promise, promised.gpus, at + seconds, kind.alone)
        for book in promised.books:
            book.keep(kind, promised.choice, at, at + seconds)
        self._promised[batch] = promised
        return promised

    # What follows is asked now and then: the line, and why a job waits --------------------------------------------------

    def next_moment(self) -> Instant | None:
        """When something may start though nothing happens until then; None: not before the next event."""
        return self._now + 1 if self._rules.woken else self._rules.moments.next()

    def promise(self, lane: Name) -> Promise | None:
        """To whom a lane was promised at the last moment, if to anybody."""
        return self._rules.lanes[lane].promise

    def asks(self) -> list[Asked | Spared]:
        """Which running jobs were asked to leave at the last moment, and which of those asked before need not."""
        return self._asks

    def claims(self) -> list[Claim]:
        """What quota groups are getting back for whom, in the order in which it was asked for in each."""
        return [claim for group in self._rules.groups.values() for claim in group.claims]

    def line(self) -> list[Name]:
        """The waiting jobs in the order of their turns, if nothing started meanwhile."""
        return [job for batch in self._turns.line() for _, job in batch.jobs]

    def decision(self, job: Name) -> Decision:
        """Why a waiting job has not started, at the last moment."""
        self._look_where_nothing_is_free()
        return self._why(job, self.line().index(job) + 1)

    def decisions(self, of: Container[Name] | None = None) -> list[Decision]:
        """Why each waiting job (of these) has not started, in the order of the line."""
        self._look_where_nothing_is_free()
        return [self._why(job, turn) for turn, job in enumerate(self.line(), 1) if of is None or job in of]

    def _why(self, job: Name, turn: int) -> Decision:
        batch = self._waiting[job]
        oldest = self._turns.oldest(batch.kind)
        is_oldest = oldest is not None and oldest[1] == job
        return explain(Question(job, batch, turn, self._now, self._refusal, is_oldest, self._knobs.overhead_seconds))

    def _look_where_nothing_is_free(self) -> None:
        """Find out who is next in line there. Nothing starts, so nobody did it as long as nothing had to be kept for them."""
        if not self._rules.promises_bind:
            full = [lane for lane in self._rules.open_lanes(self._now) if lane.free <= 0 and lane.promise is None]
            started = self._go_through(full, self._now, full_too=True)
            assert not started, "nobody starts where nothing is free"

    # For a caller that keeps it between turns (keeping/) ----------------------------------------------------------------

    def says(self, event: Event) -> bool:
        """Whether its books have the figure of an event; they count on after a figure was told."""
        return self._rules.says(event)

    def remember(self) -> Memory:
        """What no caller could tell it again, as far as it changed since it was last asked."""
        return self._turns.remember()

    def resume(self, now: Instant, events: Iterable[Event], memory: Memory, over: Iterable[Ended | Cancelled]) -> list[Started]:
        """Be told everything that is so, and go on where another core stopped; `over` are jobs that it knew."""
        ideal = self._turns.ideal
        self._turns.recall(memory)
        ideal.advance(now)
        for event in in_order(over):
            match event:
                case Ended(job, int(ran_seconds)):
                    ideal.ended(job, ran_seconds, now)
                case Cancelled(job):
                    ideal.cancelled(job)
        self._pass_to(now, events)
        self._turns.recall_use(memory, now)
        return self._decide(now)
