"""What happens to the scheduler, and what it answers: plain frozen data.

Names are whatever the caller calls things by: ids in production, numbers in a simulation. Names of one sort of thing can be
put in order; ties are broken by them, so that the order in which things of one moment are told means nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from compute.scheduling.hosts.placement import Host
from compute.scheduling.model import ORDINARY, Draw, Instant, Limit, Name, Passed, PoolState, Priority
from compute.scheduling.quotas.preemption import DEFAULT_TERMS, Terms
from compute.scheduling.quotas.quota import Share

NEVER: Instant = 1 << 62
"""Later than any moment, and more than any amount."""


# What waits ----------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Choice:
    """A lane that a job may run in, and what its whole declared time takes there. A lane is a flavor in a pool."""

    lane: Name
    cost_ticks: int = 0  # reference ticks: of its grant, and what counts as its use; 0: a reference GPU for each GPU, unmetered
    offer_ticks: int = 0  # ticks of the flavor, of the lane's offers
    order: int = 0  # a lower one is tried first; among equals the lane whose offers close sooner
    gpus: int = 0  # that it takes there, if that is more than it asks for: whole hosts, if it wants them alone


@dataclass(frozen=True, slots=True)
class Kind:
    """All that the rules look at."""

    project: Name
    submitter: Name  # None: nobody in particular, and no limit of a person
    choices: tuple[Choice, ...]  # of different lanes
    gpus: int  # all at once or not at all
    wall_seconds: int  # declared
    grant: Name = None  # None: not metered by a grant
    offers: frozenset[Name] | None = None  # those whose policy permits it; None: not metered by offers
    priority: Priority = ORDINARY
    alone: bool = False  # nothing else may be on its hosts; each choice says how many GPUs that takes

    def takes(self, choice: Choice) -> int:
        """The GPUs that it has in a lane: what counts there, wherever GPUs are counted."""
        return choice.gpus or self.gpus


NO_LIMIT = Limit()


# What happens --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job waits from now on. Its name is its own for ever."""

    job: Name
    kind: Kind
    at: Instant | None = None  # since when it waits, if that is longer ago


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A waiting job is withdrawn."""

    job: Name


@dataclass(frozen=True, slots=True)
class Ended:
    """A running job gave its GPUs back, early or at its declared end. What it held and did not use is free."""

    job: Name
    ran_seconds: Instant | None = None  # if the caller knows better than from when it was told of start and end
    teaches: bool = True  # whether jobs like it probably run as long


@dataclass(frozen=True, slots=True)
class NotStarted:
    """A start could not be carried out: the job waits as if it had never been decided."""

    job: Name
    at: Instant  # since when it waits


@dataclass(frozen=True, slots=True)
class EndsBy:
    """A running job ends at another moment at the latest: fetching its sources took longer than was thought, say."""

    job: Name
    ends_by: Instant


@dataclass(frozen=True, slots=True)
class Evicted:
    """A running job was stopped before its end, and all that it held is free. It waits again once it is submitted again."""

    job: Name


@dataclass(frozen=True, slots=True)
class Runs:
    """A job already ran when the scheduler came to know it. What it holds is gone from the figures of grants and offers."""

    job: Name
    kind: Kind  # with the one choice it runs in
    started_at: Instant
    ends_by: Instant
    held: tuple[tuple[str, int], ...] | None = None  # on which hosts, in a lane that knows them; None: wherever it fits


@dataclass(frozen=True, slots=True)
class Past:
    """Jobs ran and ended before the scheduler came to know their kind: how long kinds like it run is learnt from them."""

    project: Name
    submitter: Name
    wall_seconds: int  # declared by each
    gpus: int  # of each
    jobs: int
    ran_seconds: int  # all together


@dataclass(frozen=True, slots=True)
class LaneSet:
    """A new figure for a lane: its GPUs, whether it takes new jobs, and until when."""

    lane: Name
    gpus: int  # in use or not
    state: PoolState = PoolState.OPEN
    opens_at: Instant = 0
    open_until: Instant = NEVER  # nothing may run past this moment
    hosts: tuple[Host, ...] = ()  # empty: its GPUs are a number, and where they are is somebody else's matter
    spans: bool = True  # a job may be on several hosts, which are all alike then; else it has one
    pool_id: Name = None  # these three are for the words of a decision only
    pool_name: str = ""
    flavor: str = ""
    within: Name = None  # a reservation: the lane whose GPUs, hosts and offers it has


@dataclass(frozen=True, slots=True)
class WindowSet:
    """GPUs of a lane are taken from one moment to another: maintenance, or a reservation, which is a lane of its own then."""

    window: Name
    lane: Name
    gpus: int
    begins_at: Instant
    ends_at: Instant
    why: str


@dataclass(frozen=True, slots=True)
class WindowGone:
    """It is called off."""

    window: Name
    lane: Name


@dataclass(frozen=True, slots=True)
class GrantSet:
    """A new figure for a grant."""

    grant: Name
    available_ticks: int  # reference ticks, neither settled nor held
    opens_at: Instant = 0
    closes_at: Instant = NEVER


@dataclass(frozen=True, slots=True)
class OfferSet:
    """A new figure for an offer."""

    offer: Name
    lane: Name
    available_ticks: int  # ticks of the flavor, neither settled nor held
    opens_at: Instant = 0
    closes_at: Instant = NEVER


@dataclass(frozen=True, slots=True)
class ProjectSet:
    """A project's weight and limit; its past use, if that is known better than what was seen."""

    project: Name
    weight: int = 1
    limit: Limit = NO_LIMIT
    past_gpu_seconds: float | None = None  # reference GPU-seconds, decayed to now


@dataclass(frozen=True, slots=True)
class SubmitterSet:
    """A person's limit."""

    submitter: Name
    limit: Limit


@dataclass(frozen=True, slots=True)
class GroupSet:
    """A quota group: what each member has of some lanes together, and how it is asked back.

    Other projects own nothing in these lanes and may borrow there. A lane is in one group at most.
    """

    group: Name
    lanes: frozenset[Name]
    shares: Mapping[Name, Share]  # by project
    terms: Terms = DEFAULT_TERMS
    unassigned: int = 0  # GPUs of these lanes that are nobody's own


@dataclass(frozen=True, slots=True)
class Leaving:
    """A job was asked to leave before the scheduler came to know it. Telling what it knows already changes nothing."""

    job: Name
    lane: Name
    at: Instant
    needed_for: Name  # the job; where it waits no more, nobody needs the GPUs
    asked_at: Instant
    lost_gpu_seconds: int


Event = (
    Ended
    | Evicted
    | NotStarted
    | Cancelled
    | LaneSet
    | Runs
    | EndsBy
    | Past
    | WindowGone
    | WindowSet
    | GrantSet
    | OfferSet
    | ProjectSet
    | SubmitterSet
    | GroupSet
    | Submitted
    | Leaving
)

_ORDER = {kind: place for place, kind in enumerate(Event.__args__)}
"""Who gives back comes first, lanes before who has their GPUs, other figures after what they contain already, who asks last."""

_NAME = {kind: fields(kind)[0].name for kind in Event.__args__}
"""The field that has the name of the thing."""


def in_order(events: Iterable[Event]) -> list[Event]:
    """The events of one moment in the one order in which they count."""
    found = list(events)
    return sorted(found, key=_key) if len(found) > 1 else found


def _key(event: Event) -> tuple[int, Any, Any]:
    place = _ORDER[type(event)]
    if isinstance(event, Submitted):
        return place, event.at or 0, event.job
    if isinstance(event, Leaving):
        return place, event.asked_at, event.job
    if isinstance(event, Runs):
        return place, event.started_at, event.job
    if isinstance(event, Past):
        return place, 0, 0  # only sums are kept of them: any order gives the same
    return place, 0, name_of(event)


def name_of(event: Event) -> Name:
    """The name of the thing that an event is about."""
    name: Name = getattr(event, _NAME[type(event)])
    return name


# What it answers -----------------------------------------------------------------------------------------------------------


class Started(NamedTuple):
    """This job starts now, with all its GPUs."""

    job: Name
    ends_by: Instant
    backfilled: bool  # it passed the next in line without delaying it
    lane: Name
    draws: tuple[Draw, ...] = ()  # what it takes of which offers, soonest expiry first; empty if not metered by offers
    held: tuple[tuple[str, int], ...] = ()  # on which hosts, and how many GPUs of each; empty if the lane knows no hosts
    passed: tuple[Passed, ...] = ()  # flavors of its own order that come before, and what was in the way there


@dataclass(frozen=True, slots=True)
class Asked:
    """A running job is asked to be gone at `at`, unless it is over before. Then it is to be stopped, and submitted again."""

    job: Name
    at: Instant
    needed_for: Name  # the waiting job that has a right to the GPUs
    lost_gpu_seconds: int


@dataclass(frozen=True, slots=True)
class Spared:
    """A job that was asked to leave may stay."""

    job: Name


@dataclass(slots=True)
class Promise:
    """The next in line of a lane starts then at the latest, if running jobs keep their declared times."""

    job: Name
    at: Instant
    spare: int  # GPUs that stay free then; fewer as others start beside it
