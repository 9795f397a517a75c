"""Making room: which running jobs are asked to leave so that a job gets what is its project's own.

A job may ask if it fits into its project's nominal quota beside what the project runs of its class and above. It asks back what
others borrowed, and its own project's jobs of lower classes. Who is asked leaves after a grace period, unless it is over before
that, or the room comes by itself and it is spared.

Nobody else is asked: a job inside its own project's quota is safe from other projects, whatever their classes. Of those that may
be asked, lower classes come first, and inside a class those that lose least; two orders are tried (least lost in all, least lost
for each GPU) and the cheaper answer counts. Where hosts are known, the room is made on one of them, where that costs least.

The work that may be lost for one job is limited. Where lower classes first would pass the limit, classes don't count; where that
passes it too, nobody is asked, and the job waits.

Kueue's reclaimWithinCohort: Any and withinClusterQueue: LowerPriority are the models. It evicts at once, sets no limit to work
lost, takes the newest first, and from a queue that borrows it takes any job.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from compute.scheduling.model import Instant, Name
from compute.scheduling.quotas.quota import Counts, Group, Obstacle, Use, Wish


@dataclass(frozen=True, slots=True)
class Terms:
    """How a group asks back."""

    grace_seconds: int = 300  # between being asked and having to leave
    lost_gpu_seconds_max: int = 8 * 3600  # work that may be lost for one job


DEFAULT_TERMS = Terms()


@dataclass(frozen=True, slots=True)
class Leave:
    """A running job is asked to be gone at `at`."""

    job: Name
    at: Instant
    lost_gpu_seconds: int  # what it will have done by then; nothing if its declared time is over before


@dataclass(frozen=True, slots=True)
class Claim:
    """Room that is being made for a job. It is kept for it."""

    wish: Wish
    leaves: tuple[Leave, ...]  # everybody who was asked for it
    at: Instant  # when the room is there at the latest
    host: str = ""  # where, in a lane that knows its hosts

    @property
    def lost_gpu_seconds(self) -> int:
        return sum(leave.lost_gpu_seconds for leave in self.leaves)


@dataclass(frozen=True, slots=True)
class TooDear:
    """Room could be made, and would cost more work than the group's limit allows."""

    lost_gpu_seconds: int
    lost_gpu_seconds_max: int


Free = Mapping[Name, int]
"""The GPUs that nobody uses: of each lane, and of each host of a lane that knows its hosts, by lane and host."""


class Lending:
    """A group's book with what is being given back: who uses how much, who waits for room, who is leaving."""

    def __init__(self, group: Group, terms: Terms = DEFAULT_TERMS) -> None:
        self.group = group
        self._terms = terms
        self._claims: dict[Name, Claim] = {}  # in the order in which they were made
        self._counts = group.counts.copy()  # what is used, and what is being given back for the claims
        self._promised: dict[Name, int] = {}  # by member, for its claims
        self._leaving: dict[Name, Instant] = {}

    def take(self, use: Use) -> None:
        """A job runs from now on."""
        self.withdraw(use.job)
        self.group.take(use)
        self._counts.add(use.member, use.gpus)

    def give_back(self, job: Name) -> None:
        """A job runs no more, whatever the cause."""
        self._leaving.pop(job, None)
        use = self.group.use(job)
        self.group.give_back(job)
        self._counts.add(use.member, -use.gpus)

    def withdraw(self, job: Name) -> bool:
        """A waiting job waits no more; whether anything was being done for it."""
        claim = self._claims.pop(job, None)
        if claim is not None:
            self._promise(claim.wish, -1)
        return claim is not None

    def obstacle(self, wish: Wish) -> Obstacle | None:
        """What keeps a job from its GPUs, if the group does. A claim holds against everybody who came after it."""
        if wish.job not in self._claims:
            return self.group.obstacle(wish, self._counts)
        counts = self.group.counts.copy()
        for job, claim in self._claims.items():
            if job == wish.job:
                break
            counts.add(claim.wish.member, claim.wish.gpus)
        return self.group.obstacle(wish, counts)

    def promised_before(self, job: Name) -> int:
        """The GPUs that are being given back to those who asked before this one."""
        found = 0
        for other, claim in self._claims.items():
            if other == job:
                break
            found += claim.wish.gpus
        return found

    @property
    def claims(self) -> list[Claim]:
        """What is being done for whom, in the order in which it was asked for."""
        return list(self._claims.values())

    @property
    def asked(self) -> list[Name]:
        """Who was asked to leave and still runs."""
        return list(self._leaving)

    def claim_of(self, job: Name) -> Claim | None:
        """What is being done for a waiting job."""
        return self._claims.get(job)

    def leaving_at(self, job: Name) -> Instant | None:
        """When a running job must be gone, if it was asked."""
        return self._leaving.get(job)

    def due(self, now: Instant) -> list[Name]:
        """Those whose grace is over."""
        return sorted((job for job, at in self._leaving.items() if at <= now), key=str)

    def claim(self, wish: Wish, now: Instant, free: Free) -> Claim | TooDear | None:
        """Make room for a job, as far as it may ask for it. None: it may not, or it would not help.

        Asking again while the room is being made asks nobody else; who was asked for it once is never asked for it again.
        """
        before = self._claims.get(wish.job)
        if not self._is_inside(wish):
            return before
        if before is not None and self._trial(wish, before.host, free).enough:
            return before
        asked, spent = (before.leaves, before.lost_gpu_seconds) if before is not None else ((), 0)
        found, host = None, ""
        for each in [before.host] if before is not None else wish.hosts or ("",):
            trial = self._trial(wish, each, free)
            there = self._cheapest(trial, {leave.job for leave in asked}, now, self._terms.lost_gpu_seconds_max - spent)
            if there is not None and (found is None or _lost(there) < _lost(found)):
                found, host = there, each
        if found is None:
            return None
        lost = spent + _lost(found)
        if lost > self._terms.lost_gpu_seconds_max:
            return TooDear(lost, self._terms.lost_gpu_seconds_max)
        self._leaving.update((leave.job, leave.at) for leave in found)
        if before is None:
            self._promise(wish, 1)
        claim = self._claims[wish.job] = Claim(wish, (*asked, *found), max(self._leaving.values(), default=now), host)
        return claim

    def restore(self, leave: Leave, asked_at: Instant, wish: Wish | None) -> None:
        """Somebody was asked to leave before this book was opened; for a job that still waits, if there is a wish.

        Who left and runs again since does not leave: what it was asked then says nothing any more.
        """
        if self.group.runs(leave.job):
            if self.group.use(leave.job).started_at > asked_at:
                return
            self._leaving.setdefault(leave.job, leave.at)
        if wish is None:
            return
        before = self._claims.get(wish.job)
        if before is None:
            self._promise(wish, 1)
            host = self.group.use(leave.job).host if self.group.runs(leave.job) else ""
            self._claims[wish.job] = Claim(wish, (leave,), leave.at, host if host in wish.hosts else "")
        elif all(each.job != leave.job for each in before.leaves):
            self._claims[wish.job] = replace(before, leaves=(*before.leaves, leave), at=max(before.at, leave.at))

    def inherit(self, former: "Lending") -> None:
        """Other figures hold for the same jobs: what is being given back goes on where the project still owns as much."""
        self._leaving = {job: at for job, at in former._leaving.items() if self.group.runs(job)}
        for job, claim in former._claims.items():
            if claim.wish.gpus <= self.group.share(claim.wish.member).nominal:
                self._claims[job] = claim
                self._promise(claim.wish, 1)

    def spare(self, now: Instant, free: Free) -> list[Name]:
        """Those who need not leave any more, the one that would lose most first: every claim is met in time without them."""
        spared: list[Name] = []
        waiting = [use for use in self._uses(self._leaving) if self._leaving[use.job] > now]
        for use in sorted(waiting, key=lambda use: ((use.started_at - now) * use.gpus, str(use.job))):
            at = self._leaving.pop(use.job)
            if self._all_in_time(free):
                spared.append(use.job)
            else:
                self._leaving[use.job] = at
        return spared

    def _all_in_time(self, free: Free) -> bool:
        """Whether each claim is met by its time, after those before it.

        Only those count who leave by then: a large job asked for a later claim may do for both, but too late for the first.
        """
        claims, counts = list[tuple[Wish, str]](), self.group.counts.copy()
        for claim in self._claims.values():
            claims.append((claim.wish, claim.host))
            counts.add(claim.wish.member, claim.wish.gpus)
            gone = [job for job, at in self._leaving.items() if at <= claim.at]
            if not self._without(gone, claim.wish, claim.host, claims, counts.copy(), free).enough:
                return False
        return True

    # Who is asked -----------------------------------------------------------------------------------------------------

    def _cheapest(self, trial: "_Trial", asked: set[Name], now: Instant, limit: int) -> list[Leave] | None:
        """By classes; whatever the classes if only that is within the limit."""
        candidates = [use for use in self._candidates(trial.wish) if use.job not in asked]
        best: list[Leave] | None = None
        for by_class in (True, False):
            for by_gpu in (False, True):
                found = self._choose(trial.copy(), candidates, now, by_class=by_class, by_gpu=by_gpu)
                if found is not None and (best is None or _lost(found) < _lost(best)):
                    best = found
            if best is None or _lost(best) <= limit:
                break
        return best

    def _is_inside(self, wish: Wish) -> bool:
        """Whether it fits into its project's quota beside what the project was promised, and runs of its class and above."""
        promised = self._promised.get(wish.member, 0) - (wish.gpus if wish.job in self._claims else 0)
        stays = (use for use in self.group.uses(wish.member) if use.rank >= wish.rank and use.job not in self._leaving)
        return wish.gpus + promised + sum(use.gpus for use in stays) <= self.group.share(wish.member).nominal

    def _candidates(self, wish: Wish) -> list[Use]:
        """The project's own jobs of lower classes, and what others run on borrowed GPUs."""
        group = self.group
        own = [use for use in group.uses(wish.member) if use.rank < wish.rank and use.job not in self._leaving]
        others = [member for member in group.present if member != wish.member]
        return own + [use for member in others for use in group.borrowed(member, self._leaving, self._promised.get(member, 0))]

    def _choose(
        self, trial: "_Trial", candidates: Iterable[Use], now: Instant, *, by_class: bool, by_gpu: bool
    ) -> list[Leave] | None:
        """Take one after the other until it is enough, then leave out whom it does not take, others before the project's own."""
        at = now + self._terms.grace_seconds
        lost = {use.job: 0 if use.ends_by <= at else (at - use.started_at) * use.gpus for use in candidates}

        def order(use: Use) -> tuple[int, int, str]:
            return (use.rank if by_class else 0, lost[use.job] // use.gpus if by_gpu else lost[use.job], str(use.job))

        chosen: list[Use] = []
        for use in sorted(candidates, key=order):
            if trial.enough:
                break
            trial.leaves(use)
            chosen.append(use)
        if not trial.enough:
            return None
        own = trial.wish.member
        for use in sorted(chosen, key=lambda use: (use.member == own, -lost[use.job], str(use.job))):
            trial.stays(use)
            if not trial.enough:
                trial.leaves(use)
            else:
                chosen.remove(use)
        return [Leave(use.job, at, lost[use.job]) for use in chosen]

    def _trial(self, wish: Wish, host: str, free: Free) -> "_Trial":
        """All claims and this wish granted, and all who leave gone."""
        claims, counts = [(claim.wish, claim.host) for claim in self._claims.values()], self._counts.copy()
        if wish.job not in self._claims:
            counts.add(wish.member, wish.gpus)
            claims.append((wish, host))
        return self._without(self._leaving, wish, host, claims, counts, free)

    def _without(
        self, gone: Iterable[Name], wish: Wish, host: str, claims: Sequence[tuple[Wish, str]], counts: Counts, free: Free
    ) -> "_Trial":
        """Some wishes granted, this one among them and all in the counts, and some of those who leave gone."""
        here = [(each.gpus, on) for each, on in claims if each.lane == wish.lane]
        on_host = free[wish.lane, host] - sum(gpus for gpus, on in here if on == host) if host else 0
        trial = _Trial(self.group, wish, counts, free[wish.lane] - sum(gpus for gpus, _ in here), host, on_host)
        for use in self._uses(gone):
            trial.leaves(use)
        trial.others = 0
        return trial

    def _promise(self, wish: Wish, sign: int) -> None:
        self._counts.add(wish.member, sign * wish.gpus)
        self._promised[wish.member] = self._promised.get(wish.member, 0) + sign * wish.gpus

    def _uses(self, jobs: Iterable[Name]) -> list[Use]:
        return [self.group.use(job) for job in jobs]


@dataclass(slots=True)
class _Trial:
    """What would be if some left."""

    group: Group
    wish: Wish
    counts: Counts
    free: int  # GPUs of the wish's lane, less than nothing while they are not enough
    host: str  # where the wish would be granted, if its lane knows hosts, ...
    on_host: int  # ... and the same of this host
    others: int = 0  # how many of other projects are asked

    @property
    def taken(self) -> int:
        """By the project that wishes, the wish included."""
        return self.counts.taken[self.wish.member]

    @property
    def enough(self) -> bool:
        """Everything that is promised fits, and nobody else gave for what is more than the project's own."""
        share = self.group.share(self.wish.member)
        return (
            self.free >= 0
            and self.on_host >= 0
            and self.counts.shared_taken <= self.group.shared
            and (share.borrows is None or self.taken <= share.nominal + share.borrows)
            and (self.others == 0 or self.taken <= share.nominal)
        )

    def leaves(self, use: Use) -> None:
        self._move(use, -1)

    def stays(self, use: Use) -> None:
        self._move(use, 1)

    def copy(self) -> "_Trial":
        return _Trial(self.group, self.wish, self.counts.copy(), self.free, self.host, self.on_host, self.others)

    def _move(self, use: Use, sign: int) -> None:
        self.counts.add(use.member, sign * use.gpus)
        if use.lane == self.wish.lane:
            self.free -= sign * use.gpus
            if self.host and use.host == self.host:
                self.on_host -= sign * use.gpus
        if use.member != self.wish.member:
            self.others -= sign


def _lost(leaves: Iterable[Leave]) -> int:
    return sum(leave.lost_gpu_seconds for leave in leaves)
