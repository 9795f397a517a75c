"""Quota groups as a rule of the core: a kind whose project has no room in its group passes its turn, and may ask for room.

quota.py says what may be borrowed, preemption.py who is asked to leave. A kind asks once for its oldest job; when that has
started, the kind asks anew. Who asked and waits no more gives up what was being given back for it.

Who would borrow, where all GPUs are in use, waits for GPUs like anybody else, and can be next in line: the group says no only
where GPUs are free that it may not take. Room comes and goes with every start, so that nobody is parked for it; only who may
borrow no more is, or who could never run.
"""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from compute.scheduling.events import Asked, Choice, GroupSet, Kind, Leaving, Spared
from compute.scheduling.lanes import Lane
from compute.scheduling.model import Instant, Name, Reason
from compute.scheduling.parking import Book, Obstacle, Shelf
from compute.scheduling.quotas.preemption import Claim, Leave, Lending, TooDear
from compute.scheduling.quotas.quota import Group, Use, Wish

Oldest = Callable[[Kind], tuple[Instant, Name] | None]
"""The oldest waiting job of a kind and since when it waits; None: none waits."""


class GroupBook:
    """One group: what its members use, and who waits for what is being given back."""

    def __init__(self, name: Name, woken: deque[Any]) -> None:
        self._name = name
        self._woken = woken
        self._lending = Lending(Group({}))
        self._shelves: dict[Name, Shelf] = {}
        self._short: dict[Kind, Wish] = {}  # kinds that wait for room, as they were refused
        self._too_dear: dict[Kind, TooDear] = {}  # those of them for whom too much work would be lost
        self._changed = False
        self.lanes: frozenset[Name] = frozenset()

    def set(self, event: GroupSet, uses: Iterable[Use]) -> list[Name]:
        """Other figures from now on, for what runs too; those who were asked and are not in the group any more."""
        former, self.lanes = self._lending, event.lanes
        self._lending = Lending(Group(event.shares, event.unassigned), event.terms)
        for use in uses:
            self._lending.take(use)
        self._lending.inherit(former)
        for shelf in self._shelves.values():
            shelf.empty()
        self._short.clear()
        self._too_dear.clear()
        self._changed = True
        return [job for job in former.asked if not self._lending.group.runs(job)]

    def is_leaving(self, event: Leaving, kind: Kind | None, lane: Lane) -> None:
        """Somebody was asked before; for a kind that still waits, or for nobody any more."""
        leave = Leave(event.job, event.at, event.lost_gpu_seconds)
        self._lending.restore(leave, event.asked_at, _wish(kind, lane) if kind is not None else None)
        self._changed = True

    @property
    def claims(self) -> list[Claim]:
        """What is being given back for whom."""
        return self._lending.claims

    # What members are told --------------------------------------------------------------------------------------------

    def borrows(self, project: Name, gpus: int) -> bool:
        """Whether a job of this size would run on what others lent."""
        group = self._lending.group
        return group.counts.taken.get(project, 0) + gpus > group.share(project).nominal

    def refuses(self, kind: Kind, lane: Lane) -> Obstacle | None:
        """Its project must have room, whatever is being given back for others."""
        wish = _wish(kind, lane)
        obstacle = self._lending.obstacle(wish)
        if obstacle is None:
            return None
        self._short[kind] = wish
        self._changed = True
        may_take = wish.gpus <= self._lending.group.may_take(kind.project) and not obstacle.for_ever
        if may_take and wish.gpus > lane.free and self.borrows(kind.project, wish.gpus):
            return None
        claim = self._lending.claim_of(kind)
        facts = {
            "group": str(self._name),
            "limit": obstacle.nominal,
            "in_use": obstacle.used,
            "group_quota": obstacle.quota,
            "group_in_use": obstacle.group_used,
            "may_borrow": obstacle.borrows,
            "own_short": obstacle.own_short,
            "gpus_short": obstacle.lent_short,
            "kept_for_others": self._lending.promised_before(kind),
            "never_fits": obstacle.for_ever,
            # Only notices outlive a core. Who waits for GPUs that others were asked for has none, and is told no time.
            "expected_start_at": claim.at if claim is not None and claim.leaves else None,
        }
        if claim is None and kind in self._too_dear:
            facts |= {"asking_costs": self._too_dear[kind].lost_gpu_seconds}
            facts |= {"asking_costs_max": self._too_dear[kind].lost_gpu_seconds_max}
        waits_on = () if may_take else ((self._shelf(kind.project), wish.gpus),)
        return Obstacle(Reason.WAITING_FOR_QUOTA, waits_on, is_promised=may_take, facts=facts)

    def lent_short(self, kind: Kind, lane: Lane) -> int:
        """So many more of the GPUs that members lend would have to be free once the others had their turn."""
        obstacle = self._lending.group.obstacle(_wish(kind, lane))
        return obstacle.lent_short if obstacle is not None else 0

    def lacks_gpus(self, kind: Kind, lane: Lane) -> None:
        """It has room in the group, and its lane has no GPUs for it."""
        self._short[kind] = _wish(kind, lane)
        self._changed = True

    def took(self, kind: Kind, use: Use) -> None:
        """A job runs."""
        self._lending.withdraw(kind)
        self._lending.take(use)
        self._short.pop(kind, None)
        self._changed = True

    def gave_back(self, job: Name) -> None:
        """A job runs no more."""
        project = self._lending.group.use(job).member
        self._lending.give_back(job)
        self._changed = True
        if project in self._shelves:
            self._shelves[project].rises_to(self._lending.group.may_take(project))

    # Asking -----------------------------------------------------------------------------------------------------------

    def ask(self, oldest: Oldest, now: Instant, free: Mapping[Name, int]) -> list[Asked | Spared]:
        """Who is asked to leave now and who may stay, given whether a kind still waits."""
        for kind in [kind for kind in self._waiting_kinds() if oldest(kind) is None]:
            self._short.pop(kind, None)
            self._changed = self._lending.withdraw(kind) or self._changed
        if not self._changed:
            return []
        self._changed = False
        self._too_dear.clear()
        found: list[Asked | Spared] = []
        short = sorted(self._short.items(), key=lambda each: (-each[1].rank, oldest(each[0])))
        for kind, wish in short:
            front = oldest(kind)
            assert front is not None
            before = self._lending.claim_of(kind)
            claim = self._lending.claim(wish, now, free)
            if isinstance(claim, TooDear):
                self._too_dear[kind] = claim
            elif claim is not None and claim is not before:
                known = len(before.leaves) if before is not None else 0
                found += [Asked(leave.job, leave.at, front[1], leave.lost_gpu_seconds) for leave in claim.leaves[known:]]
        found += [Spared(job) for job in self._lending.spare(now, free)]
        return found

    def _waiting_kinds(self) -> list[Kind]:
        claimed = [claim.wish.job for claim in self._lending.claims if isinstance(claim.wish.job, Kind)]
        return [*self._short, *(kind for kind in claimed if kind not in self._short)]

    def _shelf(self, project: Name) -> Shelf:
        if project not in self._shelves:
            self._shelves[project] = Shelf(self._woken)
        return self._shelves[project]


class Member(Book):
    """A project in one lane, as the lane's group sees it; nothing is in its way as long as the lane is in no group."""

    def __init__(self, lane: Lane) -> None:
        self.group: GroupBook | None = None
        self._lane = lane

    def borrows(self, kind: Kind, gpus: int) -> bool:
        """Whether a job of the kind, which takes so many here, would run on what others lent."""
        return self.group is not None and self.group.borrows(kind.project, gpus)

    def lent_short(self, kind: Kind) -> int:
        """So many more of the GPUs that members lend would have to be free for a job of the kind."""
        return self.group.lent_short(kind, self._lane) if self.group is not None else 0

    def lacks_gpus(self, kind: Kind, choice: Choice) -> None:
        """A job of the kind found too few GPUs free."""
        if self.group is not None:
            self.group.lacks_gpus(kind, self._lane)

    def refuses(self, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> Obstacle | None:
        return self.group.refuses(kind, self._lane) if self.group is not None else None

    def started(self, job: Name, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> None:
        if self.group is not None:
            self.group.took(kind, self.use(job, kind, choice, starts_at, ends_by))

    def use(self, job: Name, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> Use:
        """What a job that has its GPUs is to the group."""
        hosts = self._lane.hosts
        host = "" if hosts is None else hosts.where(job)
        gpus = choice.gpus or kind.gpus
        return Use(job, kind.project, choice.lane, gpus, kind.priority.rank, starts_at, ends_by, host)

    def ended(self, job: Name, kind: Kind, choice: Choice, ran_seconds: int) -> None:
        if self.group is not None:
            self.group.gave_back(job)

    def keep(self, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> None:
        """Nothing: a promise is about GPUs, and who owns them comes first and gets them back."""

    def keep_nothing(self) -> None:
        """Nothing was."""


def _wish(kind: Kind, lane: Lane) -> Wish:
    """A kind wishes for its oldest job."""
    name = lane.facts.lane
    gpus = next((kind.takes(choice) for choice in kind.choices if choice.lane == name), kind.gpus)
    hosts = () if lane.hosts is None else lane.hosts.able(gpus, alone=kind.alone)
    return Wish(kind, kind.project, name, gpus, kind.priority.rank, hosts)
