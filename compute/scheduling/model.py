"""What the scheduler is told and what it answers: plain frozen data, nothing else.

Times are whole seconds on the caller's clock: Unix time in production, trace time in a simulator. GPU time is in ticks
(core/units.py): an offer's in ticks of its flavor, a grant's and the fair share's in reference ticks. "GPUs" are whole
devices of a flavor; a slice is a flavor of its own, and slots of a machine without accelerator are too.
"""

import enum
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from compute.scheduling.knobs import DEFAULTS, Knobs

if TYPE_CHECKING:
    from compute.scheduling.hosts.placement import Host
    from compute.scheduling.quotas.preemption import Terms
    from compute.scheduling.quotas.quota import Share

Instant = int
"""A moment, in whole seconds."""

Name = Hashable
"""What the caller calls a thing by: ids in production, numbers in a simulation."""


# What the scheduler is told ------------------------------------------------------------------------------------------------


class PoolState(enum.StrEnum):
    """Whether a pool takes new jobs."""

    OPEN = "open"
    OUT_OF_REACH = "out_of_reach"  # open, but nothing that could start jobs there is connected at the moment
    DRAINING = "draining"  # what runs may end; nothing new starts
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Pool:
    """Hardware behind one executor."""

    id: UUID
    name: str
    capacity: Mapping[str, int]  # GPUs per flavor, in use or not
    state: PoolState = PoolState.OPEN
    open_until: Instant | None = None  # nothing may run past this moment; None: no end is known
    hosts: "tuple[Host, ...]" = ()  # a job is on one of them; empty: it is one host


@dataclass(frozen=True, slots=True)
class Offer:
    """GPU time a donor gives in one pool. Its policy was applied already: see `Job.offers`."""

    id: UUID
    pool_id: UUID
    flavor: str
    available_ticks: int  # neither settled nor held
    opens_at: Instant
    closes_at: Instant


@dataclass(frozen=True, slots=True)
class Grant:
    """What a project may still use."""

    id: UUID
    available_ticks: int  # reference ticks, neither settled nor held
    opens_at: Instant
    closes_at: Instant


@dataclass(frozen=True, slots=True)
class Window:
    """GPUs of a flavor in a pool that are taken from one moment to another."""

    id: UUID
    pool_id: UUID
    flavor: str
    gpus: int
    begins_at: Instant
    ends_at: Instant
    why: str
    project_id: UUID | None = None  # reserved for its jobs, which may run there meanwhile; None: nobody may


@dataclass(frozen=True, slots=True)
class Limit:
    """The most that one project or one person may have running at a time; None: no limit."""

    jobs: int | None = None
    gpus: int | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """Who takes turns with whom."""

    id: UUID
    weight: int = 1  # twice the weight, twice the share
    used_ticks: int | None = 0  # past use in reference ticks, decayed to now; None: the scheduler knows it
    limit: Limit = Limit()


@dataclass(frozen=True, slots=True)
class Priority:
    """Ahead of fairness: a higher rank goes first, and why is known to everybody whom it passes."""

    rank: int = 0
    why: str = ""


ORDINARY = Priority()


@dataclass(frozen=True, slots=True)
class Running:
    """A job that has its devices, starting ones included."""

    job_id: UUID
    project_id: UUID
    submitter_id: UUID | None
    pool_id: UUID
    flavor: str
    gpus: int
    rate: int  # reference ticks per second
    ends_by: Instant  # when its declared time, and what ending it takes, is over at the latest
    started_at: Instant | None = None  # None: a moment ago
    wall_seconds: int = 0  # declared; 0: what is left until `ends_by`
    reservation_id: UUID | None = None  # the reservation it runs in
    priority: Priority = ORDINARY
    host: str = ""  # which of its pool's hosts it is on, if they have names
    asked_gpus: int = 0  # what it asked for, if `gpus` are more: it has its host alone


@dataclass(frozen=True, slots=True)
class Alternative:
    """Another flavor that a job accepts, and what its whole wall time takes there."""

    flavor: str
    cost_ticks: int  # reference ticks: rates differ
    offer_ticks: int = 0  # ticks of this flavor


@dataclass(frozen=True, slots=True)
class Whole:
    """What a job takes in a pool where it has its host alone."""

    pool_id: UUID
    flavor: str
    gpus: int  # all of the smallest host that has enough
    cost_ticks: int  # reference ticks
    offer_ticks: int  # ticks of the flavor


@dataclass(frozen=True, slots=True)
class Job:
    """A job that waits."""

    id: UUID
    project_id: UUID
    submitter_id: UUID | None
    submitted_at: Instant
    flavor: str  # the one it prefers
    gpus: int  # all at once or not at all, of one flavor
    wall_seconds: int  # declared
    cost_ticks: int  # reference ticks for the whole wall time: what the grant must still have
    grant_id: UUID | None  # None: not metered by a grant
    offer_ticks: int = 0  # flavor ticks for the whole wall time: what the offers must still have
    offers: frozenset[UUID] | None = None  # the offers whose policy permits this job; None: not metered by offers
    pools: frozenset[UUID] | None = None  # the pools it may run in; None: any with its flavor
    priority: Priority = ORDINARY
    distrusted_in: tuple[str, ...] = ()  # names of pools that are not among `pools` because they take reviewed code only
    alternatives: tuple[Alternative, ...] = ()  # other flavors it accepts, the one it likes best first
    tries: int = 0  # how often it was started before
    wholes: tuple[Whole, ...] | None = None  # what it takes if it wants its host alone; of no pool whose hosts are too small

    @property
    def rate(self) -> int:
        """Reference ticks per second while it runs."""
        return self.cost_ticks // self.wall_seconds

    @property
    def wishes(self) -> "tuple[Job, ...]":
        """The job as if it asked for one flavor alone: each that it accepts, the one it likes best first."""
        if not self.alternatives:
            return (self,)
        return tuple(
            replace(self, flavor=each.flavor, cost_ticks=each.cost_ticks, offer_ticks=each.offer_ticks, alternatives=())
            for each in (Alternative(self.flavor, self.cost_ticks, self.offer_ticks), *self.alternatives)
        )

    def on(self, flavor: str) -> "Job":
        """The job as if it asked for this flavor alone."""
        return next(wish for wish in self.wishes if wish.flavor == flavor)

    def inside(self, pool_id: UUID) -> "Job":
        """The job, which asks for one flavor, with what it takes in a pool."""
        if self.wholes is None:
            return self
        whole = next((each for each in self.wholes if (each.pool_id, each.flavor) == (pool_id, self.flavor)), None)
        if whole is None:
            return self
        return replace(self, gpus=whole.gpus, cost_ticks=whole.cost_ticks, offer_ticks=whole.offer_ticks)


@dataclass(frozen=True, slots=True)
class Ran:
    """Jobs that ended: how long such jobs run is learnt from them."""

    project_id: UUID
    submitter_id: UUID | None
    wall_seconds: int  # declared by each
    gpus: int  # of each
    jobs: int
    ran_seconds: int  # all together


@dataclass(frozen=True, slots=True)
class Ending:
    """A job that had its GPUs gave them back."""

    ran_seconds: int
    teaches: bool  # whether jobs like it probably run as long
    number: int = 1  # of its tries


@dataclass(frozen=True, slots=True)
class Quota:
    """What projects own of a pool, and how they get back what they lend."""

    group: str
    pool_id: UUID
    flavor: str
    shares: "Mapping[Any, Share]"  # by project
    terms: "Terms"


@dataclass(frozen=True, slots=True)
class Leaving:
    """A job was asked to leave on an earlier turn: it still runs, or the job that needs its GPUs still waits."""

    job_id: UUID
    pool_id: UUID
    flavor: str
    at: Instant
    needed_for: UUID
    asked_at: Instant
    lost_gpu_seconds: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a plan depends on. The order of the parts means nothing."""

    now: Instant
    pools: tuple[Pool, ...]
    projects: tuple[Project, ...]
    queued: tuple[Job, ...]
    running: tuple[Running, ...] = ()
    offers: tuple[Offer, ...] = ()
    grants: tuple[Grant, ...] = ()
    submitter_limits: Mapping[UUID, Limit] = field(default_factory=dict)
    windows: tuple[Window, ...] = ()
    quotas: tuple[Quota, ...] = ()
    leaving: tuple[Leaving, ...] = ()
    past: tuple[Ran, ...] = ()
    knobs: Knobs = DEFAULTS


# What the scheduler answers ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Draw:
    """A part of a job's declared GPU time, taken from one offer, in ticks of the flavor."""

    offer_id: Any  # the caller's name for it
    ticks: int


@dataclass(frozen=True, slots=True)
class Start:
    """This job is to start now, in this pool, with all its GPUs."""

    job_id: Any  # the caller's name for it
    pool_id: Any
    flavor: str
    gpus: int  # that it takes: all of its host, if it wants that alone
    ends_by: Instant
    draws: tuple[Draw, ...]  # what to hold of which offers, soonest expiry first; empty if not metered by offers
    backfilled: bool  # it passed a job that is ahead of it in line, without delaying it
    passed: "tuple[Passed, ...]" = ()  # flavors that it likes better
    reservation_id: Any = None  # the reservation it runs in
    host: str = ""  # on which of the pool's hosts, if they have names

    @property
    def chosen_because(self) -> str | None:
        """Why not a flavor that it likes better, in words; None: it likes none better."""
        from compute.scheduling.why.sentences import choice

        return choice(self)


class Reason(enum.StrEnum):
    """Why a job waits. The first that applies, in this order."""

    WAITING_FOR_POOL = "waiting_for_pool"  # no open pool has these GPUs, however long one waits
    WAITING_FOR_WINDOW = "waiting_for_window"  # its pool keeps GPUs for maintenance or a reservation before it could end
    WAITING_FOR_GRANT = "waiting_for_grant"  # the grant is not open for as long as the job may take
    WAITING_FOR_BUDGET = "waiting_for_budget"  # the grant has less left than the job may use
    WAITING_FOR_OFFER = "waiting_for_offer"  # no permitted offer is open long enough, or none has enough left
    PROJECT_LIMIT = "project_limit"  # the project runs as much at once as it may
    SUBMITTER_LIMIT = "submitter_limit"  # the submitter runs as much at once as they may
    WAITING_FOR_QUOTA = "waiting_for_quota"  # its project has no room in its quota group
    RESERVED_NEXT = "reserved_next"  # next in line in its pool: the GPUs it needs are being kept for it
    WAITING_FOR_CAPACITY = "waiting_for_capacity"  # fewer GPUs are free than it needs
    WAITING_FOR_FAIR_TURN = "waiting_for_fair_turn"  # enough are free, but starting it would delay the next in line


Passed = tuple[str, Reason]
"""A flavor that a job likes better than the one it starts on, and what was in its way there."""


@dataclass(frozen=True, slots=True)
class Decision:
    """A current "not yet" for one waiting job. `detail` says it in words; the numbers it says are fields."""

    job_id: Any  # the caller's name for it
    reason: Reason
    decided_at: Instant
    place: int  # 1 is the first in line among all that wait
    flavor: str
    gpus_needed: int  # all of a host, if it wants that alone
    alone: bool = False
    pool_id: Any = None  # the pool the numbers are about, if it is about one
    pool_name: str = ""
    on_one_host: int | None = None  # where hosts are known: the most that are free on one; WAITING_FOR_POOL: that one has
    gpus_free: int | None = None  # in that pool; for WAITING_FOR_POOL the most any open pool has in all
    gpus_short: int | None = None  # WAITING_FOR_CAPACITY, _WINDOW: with so many more it would fit; _QUOTA: of those that are lent
    ticks_needed: int | None = None  # of the grant or the offers, whichever the reason is about
    ticks_available: int | None = None
    limit: int | None = None  # PROJECT_LIMIT, SUBMITTER_LIMIT: what may run at once ...
    limit_on: str = ""  # ... of "jobs" or "gpus"
    in_use: int | None = None  # ... and what does, jobs promised a start included
    opens_at: Instant | None = None  # of a grant, an offer or a pool that is not open yet
    closes_at: Instant | None = (
        None  # of a grant, an offer or a pool that closes, or a window that begins, before the job could end
    )
    over_by: Instant | None = (
        None  # one that declares to be over by then, and stopped before `closes_at` or `kept_until`, may start
    )
    window: str = ""  # WAITING_FOR_WINDOW: why GPUs are taken away then
    expected_start_at: Instant | None = (
        None  # RESERVED_NEXT, WAITING_FOR_QUOTA: at the latest, if running jobs keep their declared times
    )
    out_of_reach: str = ""  # WAITING_FOR_POOL: the name of a pool that would do if it were connected
    group: str = ""  # WAITING_FOR_QUOTA: this group, of whose GPUs `limit` are the project's own and it uses `in_use`; ...
    group_quota: int | None = None  # ... the GPUs of all members, ...
    group_in_use: int | None = None  # ... and how many of them all members use; ...
    may_borrow: int | None = None  # ... the project may use so many more than its own, None: all that the others lend; ...
    own_short: int = 0  # ... it would have to use so many less, or may borrow so many more; ...
    kept_for_others: int = 0  # ... so many are being given back to those who asked before; ...
    behind_one_like_it: bool = False  # ... what is being given back goes to an older job of its kind; ...
    never_fits: bool = False  # ... the job is larger than all it could ever get; ...
    asking_costs: int | None = None  # ... asking back what others borrowed would lose so much work, in GPU-seconds, ...
    asking_costs_max: int = 0  # ... and no more than this may be lost for one job
    kept_until: Instant | None = None  # WAITING_FOR_FAIR_TURN: when the next in line needs the free GPUs
    distrusted_in: tuple[str, ...] = ()  # pools that it may not use because they take reviewed code only
    would_borrow: bool = False  # WAITING_FOR_CAPACITY, _FAIR_TURN: from members of a quota group; then it comes after others
    or_else: tuple[str, ...] = ()  # other flavors that it accepts; the reason is about the one it came furthest on

    @property
    def detail(self) -> str:
        """The decision as one sentence for the person who waits."""
        from compute.scheduling.why.sentences import sentence  # there, not here: words change more often than rules

        return sentence(self)

    @property
    def remedy(self) -> str:
        """What would have to happen for this reason to hold no more."""
        from compute.scheduling.why.remedies import remedy

        return remedy(self)


@dataclass(frozen=True, slots=True)
class Expected:
    """When a waiting job probably starts: forecasts/forecast.py says what is planned, ranges.py what corrects it."""

    as_of: Instant  # what it was computed from
    soonest_at: Instant  # one start in ten is to come before this, ...
    likely_at: Instant  # ... every other one before this, ...
    late_at: Instant  # ... and one in ten after this
    latest_at: Instant | None  # if all run as long as declared and the line stays so; None: others may use up what it needs
    ranges: int = 0  # of so many of the last ranges of this sort ...
    held: int = 0  # ... so many held

    @property
    def detail(self) -> str:
        """All of it in words, with what it assumes."""
        from compute.scheduling.why.remedies import expectation

        return expectation(self)

    @property
    def in_short(self) -> str:
        """The likely start and the range, for a list."""
        from compute.scheduling.why.remedies import expectation_in_short

        return expectation_in_short(self)


@dataclass(frozen=True, slots=True)
class Leave:
    """A running job is to be asked to be gone at `at`, for a job whose project owns the GPUs."""

    job_id: Any
    at: Instant
    needed_for: Any
    lost_gpu_seconds: int


@dataclass(frozen=True, slots=True)
class Asks:
    """Running jobs that are asked to leave now, and of those asked before, who may stay."""

    leave: tuple[Leave, ...] = ()
    stay: tuple[UUID, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """The answer: every queued job is in exactly one of the two."""

    starts: tuple[Start, ...]  # in the order decided
    waiting: tuple[Decision, ...]  # in line order
    asks: Asks = Asks()
