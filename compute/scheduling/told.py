"""What a core knows, and how it takes in what it is told. What follows from it is decided in core.py."""

from collections.abc import Iterable, Mapping

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
    Runs,
    Spared,
    Submitted,
    in_order,
)
from compute.scheduling.hosts.book import Held
from compute.scheduling.knobs import DEFAULTS, Knobs
from compute.scheduling.line import Batch, Place, Running
from compute.scheduling.model import Instant, Name
from compute.scheduling.rulebook import Rulebook
from compute.scheduling.turns import Turns


class Told:
    """All books, and who waits and runs."""

    def __init__(self, lanes: Mapping[Name, int], weights: Mapping[Name, int], knobs: Knobs = DEFAULTS) -> None:
        self._knobs = knobs
        self._now: Instant = 0
        self._rules = Rulebook(lanes)
        self._turns = Turns(self._rules, weights, knobs)
        self._waiting: dict[Name, Batch] = {}
        self._running: dict[Name, Running] = {}
        self._promised: dict[Batch, Place | None] = {}  # what did not fit, and where it is next in line, if anywhere
        self._asks: list[Asked | Spared] = []

    def _pass_to(self, now: Instant, events: Iterable[Event]) -> None:
        """It is so late, and this happened since the moment before."""
        self._now = now
        self._turns.ideal.advance(now)
        self._rules.moments.pass_until(now)
        for event in in_order(events):
            self._tell(event, now)

    def _tell(self, event: Event, now: Instant) -> None:
        match event:
            case Submitted():
                self._submitted(event, now)
            case Ended():
                self._ended(event, now)
            case Cancelled():
                self._cancelled(event.job)
            case NotStarted():
                self._not_started(event, now)
            case Runs():
                self._found_running(event, now)
            case EndsBy():
                self._move_end(event)
            case Leaving():
                self._leaving(event)
            case Evicted():
                self._evicted(event.job, now)
            case Past():
                estimates = self._turns.estimates
                lineage = estimates.lineage(event.project, event.submitter, event.wall_seconds, event.gpus)
                estimates.remember(lineage, seconds=event.ran_seconds, jobs=event.jobs)
                self._rules.expect(event.gpus, event.jobs)
            case _:
                self._set(event, now)

    def _set(self, event: Event, now: Instant) -> None:
        """A figure is another one."""
        if isinstance(event, GroupSet):
            inside = ((job, each) for job, each in self._running.items() if each.place.choice.lane in event.lanes)
            self._rules.set_group(event, [each.use(job) for job, each in inside])
        self._rules.set(event, now)
        if isinstance(event, ProjectSet):
            self._turns.set(event, now)
        elif isinstance(event, GroupSet):
            self._turns.reorder()
        elif isinstance(event, LaneSet):
            self._turns.ideal.gpus = self._rules.gpus()

    # Who waits ----------------------------------------------------------------------------------------------------------

    def _submitted(self, event: Submitted, now: Instant) -> None:
        job, kind = event.job, event.kind
        assert job not in self._waiting, "a job is submitted once"
        at = now if event.at is None else event.at
        batch = self._waits(job, self._turns.batch_of(kind, at), at, now)
        self._turns.ideal.submitted(job, kind.project, batch.gpus, batch.expected, now)

    def _waits(self, job: Name, batch: Batch, since: Instant, now: Instant) -> Batch:
        self._waiting[job] = batch
        appears = not batch.jobs
        came_before_others = batch.waits(since, job)
        if appears:
            self._turns.appeared(batch, now)
        elif came_before_others:
            batch.oldest_changed()
        return batch

    def _cancelled(self, job: Name) -> None:
        batch = self._waiting.pop(job)
        if batch.goes(job):
            for place in batch.places:
                place.bucket.goes_later()
        self._turns.ideal.cancelled(job)

    # Who runs -----------------------------------------------------------------------------------------------------------

    def _found_running(self, event: Runs, now: Instant) -> None:
        kind = event.kind
        (place,) = self._turns.batch_of(kind, event.started_at).places
        self._turns.ideal.submitted(event.job, kind.project, place.gpus, float(kind.wall_seconds), now)
        self._hold(event.job, place, event.started_at, event.ends_by, event.held)
        self._turns.use(place.batch.project, place.rate, now)

    def _hold(self, job: Name, place: Place, at: Instant, ends_by: Instant, held: Held | None = None) -> Held:
        """Its GPUs are in use, and what it may use at most is held. On which hosts; `held`: where it is already."""
        batch = place.batch
        self._running[job] = Running(place, at, ends_by)
        held = place.bucket.lane.taken(job, ends_by, place.gpus, batch.kind.alone, held)
        for book in place.books:
            book.started(job, batch.kind, place.choice, at, ends_by)
        self._turns.estimates.started(batch.lineage, at)
        return held

    def _release(self, job: Name, ran_seconds: int) -> Running:
        """Its GPUs are free, and what it held and did not use."""
        running = self._running.pop(job)
        place, batch = running.place, running.place.batch
        place.bucket.lane.released(job, running.ends_by, place.gpus)
        for book in place.books:
            book.ended(job, batch.kind, place.choice, ran_seconds)
        return running

    def _ended(self, event: Ended, now: Instant) -> None:
        job, running = event.job, self._running[event.job]
        place, batch = running.place, running.place.batch
        ran = now - running.started_at if event.ran_seconds is None else event.ran_seconds
        self._release(job, ran)
        if event.teaches:
            self._turns.estimates.ended(batch.lineage, running.started_at, running.started_at + ran)
        else:
            self._turns.estimates.never_started(batch.lineage, running.started_at)
        self._turns.ideal.ended(job, ran, now)
        if batch.jobs:
            self._turns.expect(batch, now)
        self._turns.use(batch.project, -place.rate, now)

    def _evicted(self, job: Name, now: Instant) -> None:
        """It pays for nothing."""
        running = self._release(job, 0)
        place, batch = running.place, running.place.batch
        self._turns.estimates.stopped(batch.lineage, running.started_at, now)
        self._turns.ideal.cancelled(job)
        self._turns.use(batch.project, -place.rate, now)

    def _not_started(self, event: NotStarted, now: Instant) -> None:
        job, running = event.job, self._release(event.job, 0)
        place, batch = running.place, running.place.batch
        self._turns.take_back(batch, place.rate, running.started_at, now)
        self._waits(job, batch, event.at, now)

    def _move_end(self, event: EndsBy) -> None:
        running = self._running[event.job]
        running.place.bucket.lane.ends(event.job, running.ends_by, event.ends_by, running.place.gpus)
        running.ends_by = event.ends_by

    def _leaving(self, event: Leaving) -> None:
        batch = self._waiting.get(event.needed_for)
        needs = batch.kind if batch is not None and batch.oldest == event.needed_for else None
        for group in self._rules.groups.values():
            if event.lane in group.lanes:
                group.is_leaving(event, needs, self._rules.lane(event.lane))

    def _ends_by(self, kind: Kind, starts_at: Instant) -> Instant:
        return starts_at + kind.wall_seconds + self._knobs.overhead_seconds
