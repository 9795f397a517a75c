"""What happened since the last turn, as events: the difference between what a kept core was told and what is so now.

Callers that keep a core (kept.py) read a snapshot at each turn. Most of it is what the core knows already. This module compares,
and tells the rest. It knows nothing of rules: standing figures are compared as the events that plan.py makes of a snapshot, so a
new rule needs nothing here. What the books count on by themselves, the figures of grants and offers, is compared with the books.

A difference that nothing here explains (a job that runs and was not decided here, or that runs elsewhere; a figure that vanished)
is a `Surprise`: the caller builds the core anew from the snapshot. A lane that
comes or goes is one, too: it is among the choices of many kinds. So is a host.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from compute.scheduling.events import (
    NO_LIMIT,
    Cancelled,
    Ended,
    EndsBy,
    Event,
    GrantSet,
    LaneSet,
    Leaving,
    NotStarted,
    OfferSet,
    Past,
    ProjectSet,
    Runs,
    Submitted,
    SubmitterSet,
    WindowGone,
    WindowSet,
    name_of,
)
from compute.scheduling.model import Ending, Instant, Job, Name, Running, Snapshot, Start
from compute.scheduling.plan import events


class Surprise(Exception):
    """The snapshot can't have come from what the core knows by anything that it could be told."""


@dataclass(slots=True)
class Run:
    """A job that the core takes to run."""

    where: tuple[Any, ...]
    ends_by: Instant
    job: Job | None  # as it waited, if the core decided its start


Figure = tuple[type[Event], Name]
"""What a standing event is about."""


@dataclass(slots=True)
class Told:
    """What a core knows of the world outside."""

    waiting: dict[UUID, Job] = field(default_factory=dict)
    running: dict[UUID, Run] = field(default_factory=dict)
    figures: dict[Figure, Event] = field(default_factory=dict)
    reserved: frozenset[UUID] = frozenset()  # the reservations of which waiting jobs were told as their lanes

    @property
    def projects(self) -> set[Any]:
        """Those that it was told of."""
        return {name for kind, name in self.figures if kind is ProjectSet}

    def started(self, start: Start) -> None:
        """The core decided it and takes it to run."""
        where = (start.pool_id, start.flavor, start.gpus, start.reservation_id, start.host)
        self.running[start.job_id] = Run(where, start.ends_by, self.waiting.pop(start.job_id))


def everything(snapshot: Snapshot) -> tuple[Told, list[Event]]:
    """For a core that knows nothing yet."""
    found = list(events(snapshot))
    told = Told(
        {job.id: job for job in snapshot.queued},
        {run.job_id: Run(_where(run), run.ends_by, None) for run in snapshot.running},
        {_figure(event): event for event in found if _stands(event)},
        _reserved(snapshot),
    )
    return told, found


def unseen(told: Told, snapshot: Snapshot) -> set[UUID]:
    """The jobs that the core knows and the snapshot does not. Whether and how long they ran is to be found out."""
    return {*told.waiting, *told.running} - {job.id for job in snapshot.queued} - {run.job_id for run in snapshot.running}


def difference(told: Told, snapshot: Snapshot, ended: Mapping[UUID, Ending], says: Callable[[Event], bool]) -> list[Event]:
    """What the core is to be told; `told` has it from then on.

    `ended`: those of the `unseen` jobs that ran. `says`: whether the core's books have a figure.

    Raises:
        Surprise: it can't be told. `told` is of no use any more.
    """
    if _reserved(snapshot) != told.reserved:
        raise Surprise("a reservation came or went: jobs that wait may run in other lanes")
    waiting = {job.id: job for job in snapshot.queued}
    running = {run.job_id: run for run in snapshot.running}
    counted: set[Name] = set()  # grants and offers whose figures the books will change by themselves at this moment
    found: list[Event] = []
    for job_id in [job_id for job_id in told.running if job_id not in running]:
        found += _over(told, job_id, waiting.get(job_id), ended.get(job_id), counted)
    for job_id in [job_id for job_id in told.waiting if job_id not in waiting]:
        if job_id in running or (job_id in ended and ended[job_id].number > told.waiting[job_id].tries):
            raise Surprise(f"job {job_id} was started by somebody else")
        del told.waiting[job_id]
        found.append(Cancelled(job_id))
    for run in snapshot.running:
        found += _goes_on(told, run)
    new = tuple(job for job in snapshot.queued if _is_new(told, job))
    told.waiting |= {job.id: job for job in new}
    now = list(events(replace(snapshot, queued=new, running=(), past=())))
    found += [event for event in now if not _stands(event)]
    found += _figures(told, [event for event in now if _stands(event)], counted, says)
    return found


def _over(told: Told, job_id: UUID, queued: Job | None, ending: Ending | None, counted: set[Name]) -> Iterator[Event]:
    """A job that the core takes to run, and that does not."""
    job = told.running.pop(job_id).job
    if job is not None:
        counted |= {job.grant_id, *(job.offers or ())}
    if ending is not None and (job is None or ending.number > job.tries):
        yield Ended(job_id, ending.ran_seconds, ending.teaches)
    elif job is None or (queued is not None and queued != job):
        raise Surprise(f"job {job_id} ran and waits again")
    else:
        yield NotStarted(job_id, job.submitted_at)
        if queued is not None:
            told.waiting[job_id] = job
        else:
            yield Cancelled(job_id)


def _goes_on(told: Told, running: Running) -> Iterator[Event]:
    known = told.running.get(running.job_id)
    if known is None:
        raise Surprise(f"job {running.job_id} was started by somebody else")
    if known.where != _where(running):
        raise Surprise(f"job {running.job_id} runs elsewhere than it was decided")
    if known.ends_by != running.ends_by:
        known.ends_by = running.ends_by
        yield EndsBy(running.job_id, running.ends_by)


def _is_new(told: Told, job: Job) -> bool:
    known = told.waiting.get(job.id)
    if known is not None and known is not job and known != job:
        raise Surprise(f"job {job.id} changed while it waits")
    return known is None


def _reserved(snapshot: Snapshot) -> frozenset[UUID]:
    return frozenset(window.id for window in snapshot.windows if window.project_id is not None)


def _where(run: Running) -> tuple[Any, ...]:
    return run.pool_id, run.flavor, run.gpus, run.reservation_id, run.host


# Standing figures ----------------------------------------------------------------------------------------------------------


def _stands(event: Event) -> bool:
    return not isinstance(event, Submitted | Runs | Past)


def _figure(event: Event) -> Figure:
    return type(event), name_of(event)


def _figures(told: Told, now: list[Event], counted: set[Name], says: Callable[[Event], bool]) -> Iterator[Event]:
    """Those that changed, and those that the books have otherwise."""
    seen = set()
    for event in now:
        figure = _figure(event)
        seen.add(figure)
        known = told.figures.get(figure)
        if known is None and isinstance(event, LaneSet):
            raise Surprise(f"lane {event.lane} is new")
        if isinstance(known, LaneSet) and isinstance(event, LaneSet) and known.hosts != event.hosts:
            raise Surprise(f"the hosts of lane {event.lane} are others")
        if known is None or _differs(known, event) or figure[1] in counted or not says(event):
            told.figures[figure] = event
            yield event
    for figure in [figure for figure in told.figures if figure not in seen]:
        event = told.figures[figure]
        gone = _gone(event)
        if gone is not None:
            del told.figures[figure]
            yield gone


def _differs(known: Event, event: Event) -> bool:
    """Whether more changed than what the books count themselves."""
    match known, event:
        case GrantSet(), GrantSet():
            return replace(known, available_ticks=event.available_ticks) != event
        case OfferSet(), OfferSet():
            return replace(known, available_ticks=event.available_ticks) != event
        case ProjectSet(), ProjectSet():
            return replace(known, past_gpu_seconds=event.past_gpu_seconds) != event
    return known != event


def _gone(event: Event) -> Event | None:
    """What to tell once a snapshot has a figure no more; None: it has it only while somebody waits for it.

    Raises:
        Surprise: nothing can be told.
    """
    match event:
        case OfferSet():
            return replace(event, available_ticks=0, closes_at=0)
        case SubmitterSet():
            return SubmitterSet(event.submitter, NO_LIMIT)
        case WindowSet():
            return WindowGone(event.window, event.lane)
        case GrantSet() | ProjectSet() | Leaving():
            return None
    raise Surprise(f"{event} is no more")
