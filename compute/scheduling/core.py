"""The scheduler that keeps its books between events: a moment's events in, its starts out; no clock, no I/O.

Jobs wait in kinds. A kind is everything the rules look at, so if its oldest job can't start, none can. Kinds of one project,
lane, size and rank stand in a bucket, the shortest expected first, and each lane keeps a heap of buckets for each size by whose
turn it is. A moment touches only the buckets of projects that something happened to: whose turn came sooner is put in its new
place before the next look, whose turn moved back is put there when it surfaces. ADR 11 says why.

The policy, in order:

1. The highest rank goes first; among equals the bucket with the lowest score: its project's use for its weight, times the
   job's expected GPU time, by how the project fared lately.
2. What its grant, its offers, its limits or a window can't carry for its whole declared time is parked (parking.py) and holds up
   nobody.
3. A job starts if all its GPUs are free in a lane and nobody's promise suffers.
4. The first that does not fit is promised the earliest moment at which enough GPUs will be free by declared times (EASY). What it
   will need of its grant, offers and limits is set aside for it as well.
"""

from bisect import insort
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace

from compute.scheduling.events import (
    Asked,
    Cancelled,
    Ended,
    EndsBy,
    Event,
    Evicted,
    GroupSet,
    Kind,
    LaneSet,
    Leaving,
    NotStarted,
    Past,
    ProjectSet,
    Promise,
    Runs,
    Spared,
    Started,
    Submitted,
    in_order,
)
from compute.scheduling.hosts.book import Held
from compute.scheduling.keeping.memory import Memory
from compute.scheduling.knobs import DEFAULTS, Knobs
from compute.scheduling.lanes import Lane
from compute.scheduling.line import Bucket, Place, Running, Waiting
from compute.scheduling.model import Decision, Instant, Name
from compute.scheduling.parking import Obstacle
from compute.scheduling.quotas.preemption import Claim
from compute.scheduling.rulebook import Rulebook
from compute.scheduling.turns import Turns
from compute.scheduling.why.explanations import Question, explain, passed_over


class Core:
    """All books, between moments. The same moments give the same starts, in whatever order the events of a moment are told."""

    def __init__(self, lanes: Mapping[Name, int], weights: Mapping[Name, int], knobs: Knobs = DEFAULTS) -> None:
        self._knobs = knobs
        self._now: Instant = 0
        self._rules = Rulebook(lanes)
        self._turns = Turns(self._rules, weights, knobs)
        self._waiting: dict[Name, Waiting] = {}
        self._running: dict[Name, Running] = {}
        self._promised: dict[Waiting, Place | None] = {}  # what did not fit, and where it is next in line, if anywhere
        self._asks: list[Asked | Spared] = []

    def apply(self, now: Instant, events: Iterable[Event]) -> list[Started]:
        """What happened at one moment, and who starts because of it. Moments come in order."""
        return self._apply(now, events, None)

    def _apply(self, now: Instant, events: Iterable[Event], memory: Memory | None) -> list[Started]:
        self._now = now
        self._turns.ideal.advance(now)
        self._rules.moments.pass_until(now)
        for event in in_order(events):
            self._take_in(event, now)
        if memory is not None:
            self._turns.recall_use(memory, now)
        self._turns.renew(now)
        self._put_back()
        started = self._fill(now) if any(lane.changed for lane in self._rules.lanes.values()) else []
        self._asks = self._ask_back(now)
        return started

    def asks(self) -> list[Asked | Spared]:
        """Which running jobs were asked to leave at the last moment, and which of those asked before need not."""
        return self._asks

    def claims(self) -> list[Claim]:
        """What quota groups are getting back for whom, in the order in which it was asked for in each."""
        return [claim for group in self._rules.groups.values() for claim in group.claims]

    def next_moment(self) -> Instant | None:
        """When something may start though nothing happens until then; None: not before the next event."""
        return self._now + 1 if self._rules.woken else self._rules.moments.next()

    def promise(self, lane: Name) -> Promise | None:
        """To whom a lane was promised at the last moment, if to anybody."""
        return self._rules.lanes[lane].promise

    # Why the others wait ----------------------------------------------------------------------------------------------

    def decision(self, job: Name) -> Decision:
        """Why a waiting job has not started, at the last moment."""
        self._look_where_nothing_is_free()
        return self._decide(job, self.line().index(job) + 1)

    def decisions(self, of: Container[Name] | None = None) -> list[Decision]:
        """Why each waiting job (of these) has not started, in the order of the line."""
        self._look_where_nothing_is_free()
        return [self._decide(job, turn) for turn, job in enumerate(self.line(), 1) if of is None or job in of]

    def line(self) -> list[Name]:
        """The waiting jobs in the order of their turns, if nothing started meanwhile."""
        return [job for waiting in self._turns.line() for _, job in waiting.jobs]

    def _decide(self, job: Name, turn: int) -> Decision:
        waiting = self._waiting[job]
        oldest = self._turns.oldest(waiting.kind)
        is_oldest = oldest is not None and oldest[1] == job
        return explain(Question(job, waiting, turn, self._now, self._refusal, is_oldest, self._knobs.overhead_seconds))

    def _look_where_nothing_is_free(self) -> None:
        """Find out who is next in line there. Nothing starts, so nobody did it as long as nothing had to be kept for them."""
        if not self._rules.keeps:
            full = [lane for lane in self._rules.open_lanes(self._now) if lane.free <= 0 and lane.promise is None]
            started = self._go_through(full, self._now, full_too=True)
            assert not started, "nobody starts where nothing is free"

    # Between turns of a caller that keeps it ------------------------------------------------------------------------------

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
        return self._apply(now, events, memory)

    # Events -----------------------------------------------------------------------------------------------------------

    def _take_in(self, event: Event, now: Instant) -> None:
        match event:
            case Submitted():
                self._submit(event, now)
            case Cancelled():
                self._cancel(event.job)
            case Runs() | EndsBy() | Leaving() | Ended() | Evicted() | NotStarted():
                self._take_in_of_running(event, now)
            case Past():
                estimates = self._turns.estimates
                lineage = estimates.lineage(event.project, event.submitter, event.wall_seconds, event.gpus)
                estimates.remember(lineage, seconds=event.ran_seconds, jobs=event.jobs)
                self._rules.expect(event.gpus, event.jobs)
            case _:
                self._rules.set(event, now)
                if isinstance(event, ProjectSet):
                    self._turns.set(event, now)
                elif isinstance(event, GroupSet):
                    self._turns.reorder()
                elif isinstance(event, LaneSet):
                    self._turns.ideal.gpus = self._rules.gpus()

    def _take_in_of_running(self, event: Runs | EndsBy | Leaving | Ended | Evicted | NotStarted, now: Instant) -> None:
        match event:
            case Runs():
                self._runs(event, now)
            case EndsBy():
                self._ends(event)
            case Leaving():
                self._leaving(event)
            case Ended():
                self._end(event, now)
            case Evicted():
                self._evict(event.job, now)
            case NotStarted():
                self._take_back(event, now)

    def _submit(self, event: Submitted, now: Instant) -> None:
        job, kind = event.job, event.kind
        assert job not in self._waiting, "a job is submitted once"
        at = now if event.at is None else event.at
        waiting = self._waits(job, self._turns.kind(kind, at), at, now)
        self._turns.ideal.submitted(job, kind.project, waiting.gpus, waiting.expected, now)

    def _waits(self, job: Name, waiting: Waiting, since: Instant, now: Instant) -> Waiting:
        self._waiting[job] = waiting
        entry = (since, job)
        if not waiting.jobs:
            waiting.jobs.append(entry)
            self._turns.appeared(waiting, now)
        elif entry > waiting.jobs[-1]:
            waiting.jobs.append(entry)
        else:  # it waits for longer than others that came before it
            insort(waiting.jobs, entry)
            waiting.oldest_changed()
        return waiting

    def _cancel(self, job: Name) -> None:
        waiting = self._waiting.pop(job)
        number = next(number for number, entry in enumerate(waiting.jobs) if entry[1] == job)
        del waiting.jobs[number]
        if number == 0:
            for place in waiting.places:
                place.bucket.rose()
        self._turns.ideal.cancelled(job)

    def _runs(self, event: Runs, now: Instant) -> None:
        kind = event.kind
        (place,) = self._turns.kind(kind, event.started_at).places
        self._turns.ideal.submitted(event.job, kind.project, place.gpus, float(kind.wall_seconds), now)
        self._begin(event.job, place, event.started_at, event.ends_by, event.held)
        self._turns.use(place.waiting.project, place.rate, now)

    def _evict(self, job: Name, now: Instant) -> None:
        """What it held is free, all of it: it pays for nothing."""
        running = self._running.pop(job)
        place, waiting = running.place, running.place.waiting
        place.bucket.lane.released(job, running.ends_by, place.gpus)
        for book in place.books:
            book.ended(job, waiting.kind, place.choice, 0)
        self._turns.estimates.stopped(waiting.lineage, running.started_at, now)
        self._turns.ideal.cancelled(job)
        self._turns.use(waiting.project, -place.rate, now)

    def _ends(self, event: EndsBy) -> None:
        running = self._running[event.job]
        running.place.bucket.lane.ends(event.job, running.ends_by, event.ends_by, running.place.gpus)
        self._running[event.job] = replace(running, ends_by=event.ends_by)

    def _take_back(self, event: NotStarted, now: Instant) -> None:
        job, running = event.job, self._running.pop(event.job)
        place, waiting = running.place, running.place.waiting
        place.bucket.lane.released(job, running.ends_by, place.gpus)
        for book in place.books:
            book.ended(job, waiting.kind, place.choice, 0)
        self._turns.take_back(waiting, place.rate, running.started_at, now)
        self._waits(job, waiting, event.at, now)

    def _end(self, event: Ended, now: Instant) -> None:
        job, running = event.job, self._running.pop(event.job)
        place, waiting = running.place, running.place.waiting
        ran = now - running.started_at if event.ran_seconds is None else event.ran_seconds
        place.bucket.lane.released(job, running.ends_by, place.gpus)
        for book in place.books:
            book.ended(job, waiting.kind, place.choice, ran)
        if event.teaches:
            self._turns.estimates.ended(waiting.lineage, running.started_at, running.started_at + ran)
        else:
            self._turns.estimates.never_started(waiting.lineage, running.started_at)
        self._turns.ideal.ended(job, ran, now)
        if waiting.jobs:
            self._turns.expect(waiting, now)
        self._turns.use(waiting.project, -place.rate, now)

    # Who starts -------------------------------------------------------------------------------------------------------

    def _fill(self, now: Instant) -> list[Started]:
        """Start whoever may."""
        self._rules.forget_promises(place for place in self._promised.values() if place is not None)
        self._promised.clear()
        return self._go_through(self._rules.open_lanes(now), now, full_too=self._rules.keeps)

    def _go_through(self, lanes: list[Lane], now: Instant, *, full_too: bool) -> list[Started]:
        """Look at everybody whose turn comes, in the order of their turns, whatever the lane.

        Where nothing is free nobody can start; a promise made there keeps budgets and limits for the next in line.
        """
        started: list[Started] = []
        over: list[Bucket] = []  # passed over, because their shortest kinds are too long for the gaps
        aside: list[Place] = []  # not looked at again at this moment
        while (place := self._next(lanes, now, full_too=full_too)) is not None:
            obstacle = self._refusal(place, now)
            if obstacle is not None and not obstacle.is_kept:
                self._park(place, obstacle)
            elif obstacle is not None or place.waiting in self._promised:
                self._set_aside(place, aside)
            else:
                chosen = self._preferred(place, now) if len(place.waiting.places) > 1 else place
                lane, kind = chosen.bucket.lane, chosen.waiting.kind
                gpus, ends_by = chosen.gpus, now + kind.wall_seconds + self._knobs.overhead_seconds
                if gpus > lane.free or (lane.hosts is not None and not lane.fits(gpus, ends_by, kind.alone)):
                    if self._promise(place, now) is not place:
                        self._set_aside(place, aside)
                elif lane.lets_pass(gpus, ends_by, kind.alone):
                    started.append(self._start(chosen, now, ends_by))
                elif lane.promise is None or ends_by <= lane.promise.at:  # its hosts are promised in another lane
                    self._set_aside(place, aside)
                else:
                    lane.looks += 1
                    over.append(place.bucket)
                    self._turns.enter(place.bucket, within_seconds=lane.promise.at - now - self._knobs.overhead_seconds)
        for place in aside:
            place.come_back()
        for bucket in over:
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
                if first is not None and (found is None or first.key < found.key):
                    found = first
        return found.best_in_line if found is not None else None

    def _may_be_passed(self, lane: Lane) -> bool:
        """Whether others may start in a lane before its next in line."""
        return self._knobs.backfill or lane.promise is None

    def _ends_by(self, kind: Kind, starts_at: Instant) -> Instant:
        return starts_at + kind.wall_seconds + self._knobs.overhead_seconds

    def _refusal(self, place: Place, starts_at: Instant) -> Obstacle | None:
        """The first rule in its way, whether or not GPUs are free."""
        kind = place.waiting.kind
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
    def _set_aside(place: Place, aside: list[Place]) -> None:
        place.bucket.lane.looks += 1
        place.leave()
        aside.append(place)

    def _put_back(self) -> None:
        """Those that may pass what they were parked for."""
        for _ in range(min(len(self._rules.woken), self._knobs.wakes_max)):
            place = self._rules.woken.popleft()
            place.come_back()
            place.bucket.lane.changed = True

    def _preferred(self, place: Place, now: Instant) -> Place:
        """Where a kind that may run in several lanes starts; the given place if it can start in none."""
        waiting = place.waiting
        ends_by = self._ends_by(waiting.kind, now)

        def wish(other: Place) -> tuple[int, Instant]:
            return other.choice.order, other.purse.soonest(other.choice, now, ends_by) if other.purse is not None else 0

        for other in sorted(waiting.places, key=wish):
            lane, gpus, alone = other.bucket.lane, other.gpus, waiting.kind.alone
            fits = lane.is_open(now) and lane.fits(gpus, ends_by, alone) and lane.lets_pass(gpus, ends_by, alone)
            if fits and self._may_be_passed(lane) and self._refusal(other, now) is None:
                return other
        return place

    def _start(self, place: Place, now: Instant, ends_by: Instant) -> Started:
        waiting, lane = place.waiting, place.bucket.lane
        _, job = waiting.jobs.popleft()
        for other in waiting.places:
            other.bucket.surface()
        del self._waiting[job]
        backfilled = lane.promise is not None
        passed = passed_over(place, now, self._refusal) if place.choice.order else ()
        held = self._begin(job, place, now, ends_by)
        self._turns.use(waiting.project, place.rate, now)
        draws = place.purse.draws(job) if place.purse is not None else ()
        return Started(job, ends_by, backfilled, place.choice.lane, draws, held, passed)

    def _begin(self, job: Name, place: Place, at: Instant, ends_by: Instant, held: Held | None = None) -> Held:
        """Its GPUs are in use, and what it may use at most is held. On which hosts; `held`: where it is already."""
        waiting = place.waiting
        self._running[job] = Running(place, at, ends_by)
        held = place.bucket.lane.taken(job, ends_by, place.gpus, waiting.kind.alone, held)
        for book in place.books:
            book.started(job, waiting.kind, place.choice, at, ends_by)
        self._turns.estimates.started(waiting.lineage, at)
        return held

    def _ask_back(self, now: Instant) -> list[Asked | Spared]:
        """Quota groups get back what was borrowed, for those who wait for it."""
        if not self._rules.groups:
            return []
        for place in (place for waiting in self._promised for place in waiting.places):
            place.member.lacks_gpus(place.waiting.kind, place.choice)
        free: dict[Name, int] = {name: max(0, lane.free) for name, lane in self._rules.lanes.items()}
        for name, lane in self._rules.lanes.items():
            free |= {(name, host): gpus for host, gpus in lane.hosts.free.items()} if lane.hosts is not None else {}
        found: list[Asked | Spared] = [Spared(job) for job in self._rules.spared]
        self._rules.spared.clear()
        for group in self._rules.groups.values():
            found += group.ask(self._turns.oldest, now, free)
        return found

    def _leaving(self, event: Leaving) -> None:
        waiting = self._waiting.get(event.needed_for)
        needs = waiting.kind if waiting is not None and waiting.jobs[0][1] == event.needed_for else None
        for group in self._rules.groups.values():
            if event.lane in group.lanes:
                group.is_leaving(event, needs, self._rules.lane(event.lane))

    # Promises ---------------------------------------------------------------------------------------------------------

    def _promise(self, place: Place, now: Instant) -> Place | None:
        """Promise a kind that does not fit its earliest start, in the lane where that is; None: there is none that holds.

        Nothing refuses the place whose turn it is.
        """
        waiting, kind = place.waiting, place.waiting.kind
        seconds = kind.wall_seconds + self._knobs.overhead_seconds
        found: tuple[Instant, int, Place] | None = None
        for other in waiting.places:
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
            self._promised[waiting] = None
            return None
        at, spare, promised = found
        promise = Promise(waiting.jobs[0][1], at, spare)
        promised.bucket.lane.keep(promise, promised.gpus, at + seconds, kind.alone)
        for book in promised.books:
            book.keep(kind, promised.choice, at, at + seconds)
        self._promised[waiting] = promised
        return promised
