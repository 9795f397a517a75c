"""A second scheduler that is slow and obviously right: it knows no line, no shelf and no spare GPUs.

Every figure is counted from the list of all jobs, for every kind that waits, whenever one is to start. Only the moments at which
the core looks again at an expectation or a project's past are as they are there.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields

from compute.scheduling.events import (
    Cancelled,
    Choice,
    Ended,
    Event,
    Evicted,
    GrantSet,
    GroupSet,
    Kind,
    LaneSet,
    OfferSet,
    ProjectSet,
    Runs,
    Submitted,
    SubmitterSet,
    WindowGone,
    WindowSet,
    in_order,
)
from compute.scheduling.hosts.placement import Host
from compute.scheduling.knobs import Knobs
from compute.scheduling.learning.estimates import BATCH_GAP, FIRST_GUESS, TRUST
from compute.scheduling.learning.ideal import Ideal
from compute.scheduling.model import Limit, Name, PoolState, Priority
from compute.scheduling.quotas.quota import STRANGER


@dataclass(frozen=True)
class Batch:
    """Jobs of a kind that were submitted one soon after the other. They wait like a kind of their own: here is what it has."""

    project: Name
    submitter: Name
    choices: tuple[Choice, ...]
    gpus: int
    wall_seconds: int
    grant: Name
    offers: frozenset[Name] | None
    priority: Priority
    alone: bool
    batch: int

    @property
    def plain(self) -> Kind:
        """The kind that it is a batch of."""
        return Kind(*(getattr(self, each.name) for each in fields(Kind)))

    def takes(self, choice: Choice) -> int:
        return self.plain.takes(choice)


@dataclass
class SlowJob:
    name: int
    kind: Batch
    at: int
    started_at: int | None = None
    ended_at: int | None = None
    choice: Choice | None = None
    ends_by: int = 0
    draws: dict[str, int] = field(default_factory=dict)
    held: tuple[tuple[str, int], ...] = ()  # on which hosts
    is_stopped: bool = False  # before its end, by the scheduler


@dataclass
class Kept:
    """What the next in line of a lane will have, from when to when."""

    job: int
    kind: Batch
    choice: Choice
    at: int
    ends: int
    draws: dict[str, int]
    host: str = ""


@dataclass
class Reference:
    lanes: dict[str, LaneSet]
    weights: dict[str, int]
    knobs: Knobs
    jobs: dict[int, SlowJob] = field(default_factory=dict)
    expected: dict[Batch, float] = field(default_factory=dict)
    work: dict[Batch, float] = field(default_factory=dict)
    renewals: list[tuple[int, Batch]] = field(default_factory=list)
    batches: dict[tuple[object, ...], tuple[int, int]] = field(default_factory=dict)  # by kind: the last job's time, a number
    past: dict[str, tuple[float, int]] = field(default_factory=dict)
    fared: dict[str, float] = field(default_factory=dict)
    windows: dict[tuple[str, str], WindowSet] = field(default_factory=dict)
    grants: dict[str, GrantSet] = field(default_factory=dict)
    grant_left: dict[str, int] = field(default_factory=dict)
    offers: dict[str, OfferSet] = field(default_factory=dict)
    offer_left: dict[str, int] = field(default_factory=dict)
    project_limits: dict[str, Limit] = field(default_factory=dict)
    submitter_limits: dict[str, Limit] = field(default_factory=dict)
    groups: dict[str, GroupSet] = field(default_factory=dict)
    claims: list[tuple[Batch, str]] = field(
        default_factory=list
    )  # kinds that GPUs are given back for, and where; told from outside
    stopped: list[SlowJob] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    where: dict[int, tuple[tuple[str, int], ...]] = field(default_factory=dict)  # on which hosts jobs start; told from outside
    now: int = 0
    is_ruled: bool = False  # from when on something beside GPUs may have to be kept for the next in line

    def __post_init__(self) -> None:
        self.ideal = Ideal(self.gpus(), self.weights)

    def gpus(self) -> int:
        return sum(lane.gpus for lane in self.lanes.values() if lane.within is None)

    def apply(self, now: int, events: list[Event]) -> list[tuple[int, int, str, dict[str, int]]]:
        self.now = now
        self.ideal.advance(now)
        for event in in_order(events):
            self.take_in(event)
        self.renew()
        return list(self.fill())

    def take_in(self, event: Event) -> None:
        match event:
            case Submitted(job, kind, at):
                self.is_ruled = self.is_ruled or kind.grant is not None or kind.offers is not None
                at = self.now if at is None else at
                kind = self.batch(kind, at)
                alone = not self.waiting(kind)
                self.jobs[job] = SlowJob(job, kind, at)
                if alone:
                    self.expect(kind)
                    if all(listed != kind for _, listed in self.renewals):
                        self.renewals.append((self.now + self.knobs.refresh_seconds, kind))
                self.ideal.submitted(job, kind.project, most(kind), self.expected[kind], self.now)
            case Runs(job, kind, started_at, ends_by, held):
                self.settle(kind.project)
                kind = self.batch(kind, started_at)
                self.jobs[job] = SlowJob(job, kind, started_at, started_at, None, kind.choices[0], ends_by, held=held or ())
                self.ideal.submitted(job, kind.project, most(kind), float(kind.wall_seconds), self.now)
                self.judge(kind.project)
            case Cancelled(job):
                del self.jobs[job]
                self.ideal.cancelled(job)
            case Ended(job):
                self.end(self.jobs[job])
            case Evicted(job):
                self.evict(self.jobs.pop(job))
            case _:
                self.set(event)

    def batch(self, kind: Kind, at: int) -> Batch:
        key = levels(kind)
        last, number = self.batches.get(key, (at, 0))
        self.batches[key] = (at, number + (abs(at - last) > BATCH_GAP))
        return Batch(*(getattr(kind, each.name) for each in fields(Kind)), self.batches[key][1])

    def set(self, event: Event) -> None:
        match event:
            case LaneSet():
                self.lanes[event.lane] = event
                self.ideal.gpus = self.gpus()
            case WindowSet():
                self.windows[event.lane, event.window] = event
            case WindowGone():
                self.windows.pop((event.lane, event.window), None)
            case GrantSet():
                self.grants[event.grant], self.grant_left[event.grant] = event, event.available_ticks
            case OfferSet():
                self.offers[event.offer], self.offer_left[event.offer] = event, event.available_ticks
            case ProjectSet():
                self.is_ruled = True
                self.weights[event.project] = event.weight
                self.project_limits[event.project] = event.limit
                if event.past_gpu_seconds is not None:
                    self.past[event.project] = (event.past_gpu_seconds, self.now)
            case SubmitterSet():
                self.is_ruled = True
                self.submitter_limits[event.submitter] = event.limit
            case GroupSet():
                self.is_ruled = True
                self.groups[event.group] = event

    def end(self, job: SlowJob) -> None:
        kind, choice = job.kind, job.choice
        self.settle(kind.project)
        job.ended_at = self.now
        ran = self.now - job.started_at
        if kind.grant is not None:
            self.grant_left[kind.grant] += choice.cost_ticks - charged(choice.cost_ticks, ran, kind)
        used = charged(choice.offer_ticks, ran, kind)
        for offer, ticks in job.draws.items():
            self.offer_left[offer] += ticks - min(used, ticks)
            used -= min(used, ticks)
        self.ideal.ended(job.name, ran, self.now)
        self.judge(kind.project)
        if self.waiting(kind):
            self.expect(kind)

    def evict(self, job: SlowJob) -> None:
        """It gives back all that it held."""
        self.settle(job.kind.project)
        job.ended_at, job.is_stopped = self.now, True
        self.stopped.append(job)
        if job.kind.grant is not None:
            self.grant_left[job.kind.grant] += job.choice.cost_ticks
        for offer, ticks in job.draws.items():
            self.offer_left[offer] += ticks
        self.ideal.cancelled(job.name)
        self.judge(job.kind.project)

    # Who starts -------------------------------------------------------------------------------------------------------

    def fill(self) -> Iterator[tuple[int, int, str, dict[str, int]]]:
        self.kept, done = [], set()
        passed: set[tuple[Batch, str]] = set()  # their group had no room when it was their turn
        while True:
            able = [
                (kind, choice)
                for kind in {job.kind for job in self.waiting()} - done
                for choice in kind.choices
                if (kind, choice.lane) not in passed and self.is_worth_a_look(kind, choice)
            ]
            if not able:
                return
            fronts = [(self.best_of(kind, choice.lane, able), choice.lane) for kind, choice in able]
            kind, lane = min(fronts, key=lambda front: self.turn(front[0], [front[1]]))
            if self.lacks_room(kind, lane):
                passed.add((kind, lane))
                continue
            job = self.waiting(kind)[0]
            choice = next((each for each in self.preferred(kind) if self.can_start(kind, each)), None)
            if choice is not None:
                yield self.start(job, choice)
            else:
                done.add(kind)
                self.promise(job)

    def is_worth_a_look(self, kind: Batch, choice: Choice) -> bool:
        lane = self.lanes[choice.lane]
        too_large = kind.takes(choice) > self.most(choice.lane)
        if not self.is_open(lane) or too_large or (self.free(choice.lane, self.now) <= 0 and not self.is_ruled):
            return False
        if self.refused(kind, choice, self.now, room=False):
            return False
        promised = any(kept.choice.lane == choice.lane for kept in self.kept)
        return not promised or self.can_start(kind, choice)

    def can_start(self, kind: Batch, choice: Choice) -> bool:
        lane, gpus = self.lanes[choice.lane], kind.takes(choice)
        if not self.is_open(lane) or self.refused(kind, choice, self.now) or gpus > self.free(choice.lane, self.now):
            return False
        promised = [kept for kept in self.kept if kept.choice.lane == choice.lane]
        if promised and not self.knobs.backfill:
            return False
        ends = self.now + kind.wall_seconds + self.knobs.overhead_seconds
        if self.hosts(choice.lane) and not self.able(kind, choice, ends):
            return False
        return all(ends <= each.at or gpus + takes(each) <= self.free(choice.lane, each.at) for each in promised)

    def start(self, job: SlowJob, choice: Choice) -> tuple[int, int, str, dict[str, int]]:
        kind = job.kind
        self.settle(kind.project)
        job.draws = self.draws(kind, choice, self.now) or {}
        job.ends_by = self.now + kind.wall_seconds + self.knobs.overhead_seconds
        job.held = self.where.get(job.name, ())
        if self.hosts(choice.lane):
            ((host, gpus),) = job.held
            assert gpus == kind.takes(choice), "all of it is on one host"
            assert host in self.able(kind, choice, job.ends_by), "it has room there, and delays nobody"
        job.started_at, job.choice = self.now, choice
        if kind.grant is not None:
            self.grant_left[kind.grant] -= choice.cost_ticks
        for offer, ticks in job.draws.items():
            self.offer_left[offer] -= ticks
        self.judge(kind.project)
        return job.name, job.ends_by, choice.lane, job.draws

    def promise(self, job: SlowJob) -> None:
        """At the earliest moment in any lane that has promised nothing yet, if every rule lets it run then."""
        possible = []
        for place, choice in enumerate(job.kind.choices):
            lane, taken = self.lanes[choice.lane], any(kept.choice.lane == choice.lane for kept in self.kept)
            too_large = job.kind.takes(choice) > self.most(choice.lane)
            if taken or not self.is_open(lane) or too_large or self.refused(job.kind, choice, self.now):
                continue
            at = self.earliest(job.kind, choice)
            if at is not None and not self.refused(job.kind, choice, at):
                possible.append((at, place, choice))
        if possible:
            at, _, choice = min(possible, key=lambda found: found[:2])
            ends = at + job.kind.wall_seconds + self.knobs.overhead_seconds
            draws, host = self.draws(job.kind, choice, at) or {}, self.promised_host(job.kind, choice, at)
            self.kept.append(Kept(job.name, job.kind, choice, at, ends, draws, host or ""))

    def earliest(self, kind: Batch, choice: Choice) -> int | None:
        needs = kind.wall_seconds + self.knobs.overhead_seconds
        moments = {max(job.ends_by, self.now + 1) for job in self.running() if self.is_beside(job.choice.lane, choice.lane)}
        moments |= {window.ends_at for window in self.windows_of(choice.lane) if window.ends_at > self.now}
        for at in sorted(moments):
            on_host = not self.hosts(choice.lane) or self.promised_host(kind, choice, at) is not None
            if on_host and self.stays_free(kind.takes(choice), choice.lane, at, at + needs):
                return at
        return None

    def stays_free(self, gpus: int, lane: str, begins: int, ends: int) -> bool:
        """Free GPUs only become fewer where a window begins."""
        moments = [begins, *(w.begins_at for w in self.windows_of(lane) if begins < w.begins_at < ends)]
        return all(self.free(lane, moment) >= gpus for moment in moments)

    # Hosts ------------------------------------------------------------------------------------------------------------

    def hosts(self, lane: str) -> list[Host]:
        """A reservation has the hosts of the lane that it is within."""
        facts = self.lanes.get(lane)
        if facts is None:
            return []
        return [host for host in (self.lanes[facts.within] if facts.within else facts).hosts if host.is_open]

    def is_beside(self, lane: str, other: str) -> bool:
        return lane == other or bool({host.name for host in self.hosts(lane)} & {host.name for host in self.hosts(other)})

    def most(self, lane: str) -> int:
        return min(self.lanes[lane].gpus, max((host.gpus for host in self.hosts(lane)), default=self.lanes[lane].gpus))

    def free_on(self, host: Host, at: int) -> int:
        """Now, or then if running jobs keep their declared times."""
        runs = [job for job in self.running() if at == self.now or max(job.ends_by, self.now + 1) > at]
        return host.gpus - sum(gpus for job in runs for name, gpus in job.held if name == host.name)

    def able(self, kind: Batch, choice: Choice, ends: int) -> list[str]:
        """The hosts on which it may start now."""
        gpus, found = kind.takes(choice), []
        for host in self.hosts(choice.lane):
            if self.free_on(host, self.now) < gpus or (kind.alone and host.gpus != gpus):
                continue
            here = [(place, each) for place, each in enumerate(self.kept) if each.host == host.name and ends > each.at]
            if all(gpus + takes(each) + self.promised_on(host, place) <= self.free_on(host, each.at) for place, each in here):
                found.append(host.name)
        return found

    def promised_on(self, host: Host, before: int) -> int:
        return sum(takes(each) for each in self.kept[:before] if each.host == host.name)

    def promised_host(self, kind: Batch, choice: Choice, at: int) -> str | None:
        """The one with least room beside it."""
        rooms = []
        for host in self.hosts(choice.lane):
            room = self.free_on(host, at) - self.promised_on(host, len(self.kept)) - kind.takes(choice)
            if room >= 0 and (not kind.alone or host.gpus == kind.takes(choice)):
                rooms.append((room, host.name))
        return min(rooms)[1] if rooms else None

    # The rules --------------------------------------------------------------------------------------------------------

    def refused(self, kind: Batch, choice: Choice, at: int, *, room: bool = True) -> bool:
        ends = at + kind.wall_seconds + self.knobs.overhead_seconds
        return (
            ends > self.lanes[choice.lane].open_until
            or self.refused_by_window(kind, choice, at, ends)
            or self.refused_by_grant(kind, choice, at, ends)
            or self.draws(kind, choice, at) is None
            or self.refused_by_limit(self.project_limits.get(kind.project), kind, kind.takes(choice), ends, "project")
            or self.refused_by_limit(self.submitter_limits.get(kind.submitter), kind, kind.takes(choice), ends, "submitter")
            or self.may_not_borrow(kind, choice.lane)
            or (room and self.lacks_room(kind, choice.lane))
        )

    def group_of(self, lane: str) -> GroupSet | None:
        return next((group for group in self.groups.values() if lane in group.lanes), None)

    def taken(self, group: GroupSet) -> dict[str, int]:
        """The GPUs of each project that runs something there."""
        mine = [job for job in self.running() if job.choice.lane in group.lanes]
        return {
            project: sum(job.kind.takes(job.choice) for job in mine if job.kind.project == project)
            for project in {j.kind.project for j in mine}
        }

    def borrows(self, kind: Batch, lane: str) -> bool:
        group = self.group_of(lane)
        if group is None:
            return False
        return self.taken(group).get(kind.project, 0) + gpus_in(kind, lane) > group.shares.get(kind.project, STRANGER).nominal

    def may_not_borrow(self, kind: Batch, lane: str) -> bool:
        """It would be more than its project may ever borrow, whatever the others lend."""
        group = self.group_of(lane)
        if group is None:
            return False
        share, room, gpus = group.shares.get(kind.project, STRANGER), self.room(kind, group), gpus_in(kind, lane)
        lent = group.unassigned + sum(each.nominal - each.kept for name, each in group.shares.items() if name != kind.project)
        too_much = share.borrows is not None and self.taken(group).get(kind.project, 0) + gpus > share.nominal + share.borrows
        return gpus > room and (too_much or gpus > share.nominal + min(lent, lent if share.borrows is None else share.borrows))

    def lacks_room(self, kind: Batch, lane: str) -> bool:
        """The group keeps from it what is free. Where too little is free, that is what it waits for, unless it owns it."""
        group = self.group_of(lane)
        gpus = gpus_in(kind, lane)
        if group is None or gpus <= self.room(kind, group):
            return False
        return not (self.borrows(kind, lane) and gpus > self.free(lane, self.now))

    def room(self, kind: Batch, group: GroupSet) -> int:
        """What its project may take now beside all that runs and what is being given back for those who asked before it."""
        before, taken = [], self.taken(group)
        for other, lane in self.claims:
            if all(getattr(kind, each.name) == getattr(other, each.name) for each in fields(other)):
                break
            if lane in group.lanes:
                before.append((other.project, gpus_in(other, lane)))
        for project, gpus in before:
            taken[project] = taken.get(project, 0) + gpus
        shares = {name: group.shares.get(name, STRANGER) for name in {*group.shares, *taken, kind.project}}
        mine, used = shares[kind.project], taken.get(kind.project, 0)
        shared = group.unassigned + sum(share.nominal - share.kept for share in shares.values())
        from_shared = sum(max(0, taken.get(name, 0) - share.kept) for name, share in shares.items())
        room = max(0, mine.kept - used) + max(0, shared - from_shared)
        if mine.borrows is not None:
            room = min(room, mine.nominal + mine.borrows - used)
        quota = group.unassigned + sum(share.nominal for share in shares.values())
        return min(room, quota - sum(self.taken(group).values()))

    def refused_by_window(self, kind: Batch, choice: Choice, at: int, ends: int) -> bool:
        for window in self.windows_of(choice.lane):
            if at < window.begins_at < ends:
                mine = [each for each in self.kept if each.choice.lane == choice.lane and each.at < window.begins_at < each.ends]
                if self.free(choice.lane, window.begins_at) - sum(map(takes, mine)) < kind.takes(choice):
                    return True
        return False

    def refused_by_grant(self, kind: Batch, choice: Choice, at: int, ends: int) -> bool:
        if kind.grant is None:
            return False
        grant = self.grants[kind.grant]
        kept = sum(each.choice.cost_ticks for each in self.kept if each.kind.grant == kind.grant)
        return grant.opens_at > at or grant.closes_at < ends or self.grant_left[kind.grant] - kept < choice.cost_ticks

    def refused_by_limit(self, limit: Limit | None, kind: Batch, gpus: int, ends: int, whose: str) -> bool:
        if limit is None:
            return False
        mine = [*self.running(), *(each for each in self.kept if each.at < ends)]
        mine = [each for each in mine if getattr(each.kind, whose) == getattr(kind, whose)]
        too_many = limit.jobs is not None and len(mine) + 1 > limit.jobs
        return too_many or (limit.gpus is not None and sum(map(takes, mine)) + gpus > limit.gpus)

    def draws(self, kind: Batch, choice: Choice, at: int) -> dict[str, int] | None:
        if kind.offers is None:
            return {}
        need, draws = choice.offer_ticks, {}
        for offer, left in self.usable(kind, choice, at):
            if need:
                draws[offer.offer] = min(need, left)
                need -= draws[offer.offer]
        return draws if need == 0 else None

    def usable(self, kind: Batch, choice: Choice, at: int) -> list[tuple[OfferSet, int]]:
        ends = at + kind.wall_seconds + self.knobs.overhead_seconds
        found = []
        for offer in sorted(self.offers.values(), key=lambda offer: (offer.closes_at, offer.offer)):
            left = self.offer_left[offer.offer] - sum(each.draws.get(offer.offer, 0) for each in self.kept)
            in_time = offer.opens_at <= at and ends <= offer.closes_at
            if (
                offer.lane in {choice.lane, self.lanes[choice.lane].within}
                and offer.offer in kind.offers
                and left > 0
                and in_time
            ):
                found.append((offer, left))
        return found

    def preferred(self, kind: Batch) -> Iterable[Choice]:
        def wish(choice: Choice) -> tuple[int, float]:
            usable = self.usable(kind, choice, self.now) if kind.offers is not None else []
            soonest = usable[0][0].closes_at if usable else float("inf") if kind.offers is not None else 0
            return choice.order, soonest

        return sorted(kind.choices, key=wish)

    # Counting ---------------------------------------------------------------------------------------------------------

    def is_open(self, lane: LaneSet) -> bool:
        return lane.state is PoolState.OPEN and lane.opens_at <= self.now

    def windows_of(self, lane: str) -> list[WindowSet]:
        return [window for window in self.windows.values() if window.lane == lane]

    def free(self, lane: str, at: int) -> int:
        """Now, or then if running jobs keep their declared times."""
        mine = [job for job in self.running() if job.choice.lane == lane]
        running = sum(takes(job) for job in mine if at == self.now or max(job.ends_by, self.now + 1) > at)
        windows = sum(window.gpus for window in self.windows_of(lane) if window.begins_at <= at < window.ends_at)
        return self.lanes[lane].gpus - running - windows

    def waiting(self, kind: Batch | None = None) -> list[SlowJob]:
        found = [job for job in self.jobs.values() if job.started_at is None and kind in {None, job.kind}]
        return sorted(found, key=lambda job: (job.at, job.name))

    def line(self) -> list[SlowJob]:
        kinds = sorted({job.kind for job in self.waiting()}, key=self.turn)
        return [job for kind in kinds for job in self.waiting(kind)]

    def running(self) -> list[SlowJob]:
        return [job for job in self.jobs.values() if job.started_at is not None and job.ended_at is None]

    # Whose turn it is -------------------------------------------------------------------------------------------------

    def turn(self, kind: Batch, lanes: Iterable[str] = ()) -> tuple[bool, int, float, int, int]:
        """In some lanes, or wherever it may run."""
        where = [*lanes] or [choice.lane for choice in kind.choices]
        borrows = bool(where) and all(self.borrows(kind, lane) for lane in where)
        return (borrows, -kind.priority.rank, self.score(kind), *self.front(kind))

    def best_of(self, kind: Batch, lane: str, able: list[tuple[Batch, Choice]]) -> Batch:
        """The one of its project, size, rank and lane that is expected to be the shortest."""
        mine = (kind.project, gpus_in(kind, lane), kind.priority.rank)
        same = [k for k, each in able if each.lane == lane and (k.project, k.takes(each), k.priority.rank) == mine]
        return min(same, key=lambda other: (self.work[other], *self.front(other)))

    def score(self, kind: Batch) -> float:
        rate = sum(rate_of(job.kind, job.choice) for job in self.running() if job.kind.project == kind.project)
        use = rate / 840 + self.knobs.own_weight * most(kind) + self.knobs.past_weight * self.past.get(kind.project, (0.0, 0))[0]
        return use / self.weights.get(kind.project, 1) * self.work[kind] / self.fared.get(kind.project, 1.0)

    def front(self, kind: Batch) -> tuple[int, int]:
        first = self.waiting(kind)[0]
        return first.at, first.name

    def settle(self, project: str) -> None:
        past, at = self.past.get(project, (0.0, 0))
        rate = sum(rate_of(job.kind, job.choice) for job in self.running() if job.kind.project == project)
        limit = rate / 840 * self.knobs.half_life_seconds * 1.4426950408889634
        self.past[project] = (limit + (past - limit) * 0.5 ** ((self.now - at) / self.knobs.half_life_seconds), self.now)

    def judge(self, project: str) -> None:
        self.fared[project] = self.ideal.fared(project) ** self.knobs.put_right

    def renew(self) -> None:
        for _ in range(self.knobs.renewals_max):
            if not self.renewals or self.renewals[0][0] > self.now:
                return
            _, kind = self.renewals.pop(0)
            if self.waiting(kind):
                self.renewals.append((self.now + self.knobs.refresh_seconds, kind))
                self.expect(kind)
                if self.now - self.past.get(kind.project, (0.0, 0))[1] >= self.knobs.refresh_seconds:
                    self.settle(kind.project)
                    self.judge(kind.project)

    def expect(self, kind: Batch) -> None:
        mean = kind.wall_seconds * FIRST_GUESS
        own = (*levels(kind), kind.batch)
        for depth in range(len(own) + 1):
            alike = [
                job
                for job in [*self.jobs.values(), *self.stopped]
                if (*levels(job.kind), job.kind.batch)[:depth] == own[:depth] and job.started_at is not None
            ]
            ran = sum((self.now if job.ended_at is None else job.ended_at) - job.started_at for job in alike)
            mean = (TRUST * mean + ran) / (TRUST + sum(job.ended_at is not None and not job.is_stopped for job in alike))
        self.expected[kind] = min(max(mean, 1.0), float(kind.wall_seconds))
        late = max(0, self.now - self.front(kind)[0] - self.knobs.patience_seconds)
        nearer = 0.5 ** (late / self.knobs.nearer_seconds)
        self.work[kind] = (self.expected[kind] * most(kind)) ** self.knobs.short_first * nearer


def levels(kind: Kind | Batch) -> tuple[object, ...]:
    return kind.project, kind.submitter, kind.wall_seconds, kind.gpus


def takes(job: SlowJob | Kept) -> int:
    """The GPUs that it has, or will have."""
    return job.kind.takes(job.choice)


def gpus_in(kind: Batch, lane: str) -> int:
    return next(kind.takes(choice) for choice in kind.choices if choice.lane == lane)


def most(kind: Batch) -> int:
    """The GPUs that it takes where that is most."""
    return max(map(kind.takes, kind.choices), default=kind.gpus)


def rate_of(kind: Batch, choice: Choice) -> int:
    return choice.cost_ticks // kind.wall_seconds if choice.cost_ticks else kind.takes(choice) * 840


def charged(ticks: int, ran: int, kind: Batch) -> int:
    """In proportion to the declared time, rounded up."""
    exact, rest = divmod(ticks * min(ran, kind.wall_seconds), kind.wall_seconds)
    return exact + (1 if rest else 0)
