"""Quota groups: projects that lend each other the GPUs they don't use.

A group is for one flavor. Each member has a nominal quota; the group's quota is their sum. A member lends what it does not use,
at most so much, and may borrow beyond its own, at most so much. It gets its own back when it needs it: see preemption.py.

The arithmetic is Kueue's for one level of cohort (nominalQuota, lendingLimit, borrowingLimit): what a member never lends is kept
for it; all the rest is shared, and a member takes from its kept part first. So nobody's kept part is ever taken by others, and
what all use together is never more than the group's quota.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from compute.scheduling.model import Instant, Name


@dataclass(frozen=True, slots=True)
class Share:
    """What a group gives to one member, in GPUs."""

    nominal: int  # its own
    lends: int | None = None  # at most this much of its own, while it does not use it; None: all of it
    borrows: int | None = None  # at most this much beyond its own; None: whatever the others lend

    @property
    def kept(self) -> int:
        """The part of its own that it never lends."""
        return 0 if self.lends is None else max(0, self.nominal - self.lends)


STRANGER = Share(0)
"""A project that is no member owns nothing here, and may borrow."""


@dataclass(frozen=True, slots=True)
class Use:
    """A job that has its GPUs."""

    job: Name
    member: Name
    lane: Name  # where: a flavor in a pool
    gpus: int
    rank: int  # of its priority class: a higher one goes first
    started_at: Instant
    ends_by: Instant  # by its declared time
    host: str = ""  # in a lane that knows its hosts


@dataclass(frozen=True, slots=True)
class Wish:
    """A job that waits for GPUs of the group."""

    job: Name
    member: Name
    lane: Name
    gpus: int
    rank: int
    hosts: tuple[str, ...] = ()  # it must have them on one of these; none: its lane knows no hosts


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a member may not take more of its group now, in GPUs."""

    needed: int
    room: int  # what it may still take
    nominal: int
    used: int  # by the member
    borrows: int | None  # at most this much beyond its own
    quota: int  # of the group
    group_used: int
    own_short: int  # so many less of its own in use, or borrowed more: then it is not its share that keeps it
    lent_short: int  # so many more of what members lend each other: then it is not the others
    for_ever: bool  # it could not even if nobody else used anything; then both are what it takes that it could


@dataclass(slots=True)
class Counts:
    """What members take, and how much of it comes out of what is shared."""

    shares: Mapping[Name, Share]
    taken: dict[Name, int] = field(default_factory=dict)
    shared_taken: int = 0

    def add(self, member: Name, gpus: int) -> None:
        """A member takes more, or gives some back if below zero."""
        kept, before = self.shares.get(member, STRANGER).kept, self.taken.get(member, 0)
        self.taken[member] = before + gpus
        self.shared_taken += max(0, before + gpus - kept) - max(0, before - kept)

    def copy(self) -> "Counts":
        """The same figures, to try something with."""
        return Counts(self.shares, dict(self.taken), self.shared_taken)


class Group:
    """The book of one group and flavor: who uses how much. `unassigned` GPUs are nobody's own, and lent to whoever comes."""

    def __init__(self, shares: Mapping[Name, Share], unassigned: int = 0) -> None:
        self.shares = dict(shares)
        self._unassigned = unassigned
        self.quota = unassigned + sum(share.nominal for share in shares.values())
        self.shared = unassigned + sum(share.nominal - share.kept for share in shares.values())
        self.counts = Counts(self.shares)
        self.used = 0
        self._uses: dict[Name, dict[Name, Use]] = {}
        self._members: dict[Name, Name] = {}

    def take(self, use: Use) -> None:
        """A job runs from now on."""
        assert use.job not in self._members, "a job takes its GPUs once"
        self._members[use.job] = use.member
        self._uses.setdefault(use.member, {})[use.job] = use
        self.counts.add(use.member, use.gpus)
        self.used += use.gpus

    def give_back(self, job: Name) -> None:
        """It runs no more, whatever the cause."""
        use = self._uses[self._members.pop(job)].pop(job)
        self.counts.add(use.member, -use.gpus)
        self.used -= use.gpus

    def use(self, job: Name) -> Use:
        """What a running job uses."""
        return self._uses[self._members[job]][job]

    def uses(self, member: Name) -> Iterable[Use]:
        """What a member runs."""
        return self._uses.get(member, {}).values()

    def runs(self, job: Name) -> bool:
        """Whether a job uses GPUs of the group."""
        return job in self._members

    @property
    def present(self) -> Iterable[Name]:
        """Who runs something, or did."""
        return self._uses

    def share(self, member: Name) -> Share:
        """What the group gives to a project."""
        return self.shares.get(member, STRANGER)

    def room(self, member: Name, counts: Counts | None = None) -> int:
        """How many more GPUs a member may take, in GPUs; what is promised to others is in `counts`."""
        counts = counts or self.counts
        share, taken = self.share(member), counts.taken.get(member, 0)
        room = max(0, share.kept - taken) + max(0, self.shared - counts.shared_taken)
        if share.borrows is not None:
            room = min(room, share.nominal + share.borrows - taken)
        # The last holds where quotas shrank under what runs: then nobody's start may add to the excess.
        return max(0, min(room, self.quota - self.used))

    def may_take(self, member: Name) -> int:
        """How many more GPUs a member may take if others lend as many."""
        share = self.share(member)
        return self.quota if share.borrows is None else share.nominal + share.borrows - self.counts.taken.get(member, 0)

    def obstacle(self, wish: Wish, counts: Counts | None = None) -> Obstacle | None:
        """What keeps a job from its GPUs, if the group does."""
        room = self.room(wish.member, counts)
        if wish.gpus <= room:
            return None
        share, for_ever = self.share(wish.member), wish.gpus > self.most(wish.member)
        idle = Group(self.shares, self._unassigned) if for_ever else self
        own_short, lent_short = idle._lacks(wish, idle.counts if for_ever else counts or self.counts)
        return Obstacle(
            needed=wish.gpus,
            room=room,
            nominal=share.nominal,
            used=self.counts.taken.get(wish.member, 0),
            borrows=share.borrows,
            quota=self.quota,
            group_used=self.used,
            own_short=own_short,
            lent_short=lent_short,
            for_ever=for_ever,
        )

    def _lacks(self, wish: Wish, counts: Counts) -> tuple[int, int]:
        """By how many GPUs its own share is too small, and by how many what is lent."""
        share, taken = self.share(wish.member), counts.taken.get(wish.member, 0)
        own = 0 if share.borrows is None else wish.gpus - (share.nominal + share.borrows - taken)
        kept_left = max(0, share.kept - taken)
        lent = 0 if wish.gpus <= kept_left else wish.gpus - kept_left - (self.shared - counts.shared_taken)
        return max(0, own), max(0, lent, wish.gpus - (self.quota - self.used))

    def most(self, member: Name) -> int:
        """What a member can use if nobody else uses anything."""
        share = self.share(member)
        lent = self.shared - (share.nominal - share.kept)
        return share.nominal + (lent if share.borrows is None else min(share.borrows, lent))

    def borrowed(self, member: Name, leaving: Iterable[Name] = (), promised: int = 0) -> list[Use]:
        """The jobs that run on what others lent, without those that leave already.

        A member's own quota goes to what it was promised (in GPUs), then to its jobs of the highest class, the oldest of a class
        first, as long as they fit; the others are on borrowed GPUs. Without them a member is never over its nominal quota.
        """
        left, gone, found = self.share(member).nominal - promised, set(leaving), []
        for use in sorted(self.uses(member), key=lambda use: (-use.rank, use.started_at, str(use.job))):
            if use.job in gone:
                continue
            if use.gpus <= left:
                left -= use.gpus
            else:
                found.append(use)
        return found
