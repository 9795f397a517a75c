"""Making room: which running jobs are asked to leave so that a job gets what is its project's own.

A job may ask if it fits into its project's nominal quota beside what the project runs of its class and above. It asks back what
others borrowed, and its own project's jobs of lower classes. Who is asked leaves after a grace period, unless it is over before
that, or the room comes by itself and it is spared.

Nobody else is asked: a job inside its own project's quota is safe from other projects, whatever their classes. Of those that may
be asked, lower classes come first, and inside a class those that lose least; two orders are tried (least lost in all, least lost
for each GPU) and the cheaper answer counts. The work that may be lost for one job is limited. Where lower classes first would
pass the limit, classes don't count; where that passes it too, nobody is asked, and the job waits.

Kueue's reclaimWithinCohort: Any and withinClusterQueue: LowerPriority are the models. It evicts at once, sets no limit to work
lost, takes the newest first, and from a queue that borrows it takes any job.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from compute.scheduling.estimates import Name
from compute.scheduling.model import Instant
from compute.scheduling.quota import Counts, Group, Obstacle, Use, Wish


@dataclass(frozen=True, slots=True)
class Terms:
    """How a group asks back."""

    grace_seconds: int = 300  # between being asked and having to leave
    lost_gpu_seconds_max: int = 8 * 3600  # work that may be lost for one job


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

    @property
    def lost_gpu_seconds(self) -> int:
        return sum(leave.lost_gpu_seconds for leave in self.leaves)


@dataclass(frozen=True, slots=True)
class TooDear:
    """Room could be made, and would cost more work than the group's limit allows."""

    lost_gpu_seconds: int
    lost_gpu_seconds_max: int


Free = Mapping[Name, int]
"""The GPUs of each lane that nobody uses."""


class Lending:
    """A group's book with what is being given back: who uses how much, who waits for room, who is leaving."""

    def __init__(self, group: Group, terms: Terms = Terms()) -> None:
        self.group = group
        self._terms = terms
        self._claims: dict[Name, Claim] = {}  # in the order in which they were made
        self._leaving: dict[Name, Instant] = {}

    def take(self, use: Use) -> None:
        """A job runs from now on."""
        self._claims.pop(use.job, None)
        self.group.take(use)

    def give_back(self, job: Name) -> None:
        """A job runs no more, whatever the cause."""
        self._leaving.pop(job, None)
        self.group.give_back(job)

    def withdraw(self, job: Name) -> None:
        """A waiting job waits no more."""
        self._claims.pop(job, None)

    def obstacle(self, wish: Wish) -> Obstacle | None:
        """What keeps a job from its GPUs, if the group does. A claim holds against everybody who came after it."""
        if not self._claims:
            return self.group.obstacle(wish)
        counts = self.group.counts.copy()
        for job, claim in self._claims.items():
            if job == wish.job:
                break
            counts.add(claim.wish.member, claim.wish.gpus)
        return self.group.obstacle(wish, counts)

    @property
    def claims(self) -> list[Claim]:
        """What is being done for whom, in the order in which it was asked for."""
        return list(self._claims.values())

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
        others = [claim.wish for job, claim in self._claims.items() if job != wish.job]
        trial = self._trial(wish, others, self._leaving, free)
        if before is not None and trial.enough:
            return before
        asked, spent = (before.leaves, before.lost_gpu_seconds) if before is not None else ((), 0)
        found = self._cheapest(trial, {leave.job for leave in asked}, now, self._terms.lost_gpu_seconds_max - spent)
        if found is None:
            return None
        lost = spent + _lost(found)
        if lost > self._terms.lost_gpu_seconds_max:
            return TooDear(lost, self._terms.lost_gpu_seconds_max)
        self._leaving.update((leave.job, leave.at) for leave in found)
        claim = self._claims[wish.job] = Claim(wish, (*asked, *found), max(self._leaving.values(), default=now))
        return claim

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
        before: list[Wish] = []
        for claim in self._claims.values():
            gone = [job for job, at in self._leaving.items() if at <= claim.at]
            if not self._trial(claim.wish, before, gone, free).enough:
                return False
            before.append(claim.wish)
        return True

    # Who is asked -----------------------------------------------------------------------------------------------------

    def _cheapest(self, trial: "_Trial", asked: set[Name], now: Instant, limit: int) -> list[Leave] | None:
        """By classes; whatever the classes if only that is within the limit."""
        candidates = self._candidates(trial)
        if candidates is None:
            return None
        candidates = [use for use in candidates if use.job not in asked]
        best: list[Leave] | None = None
        for by_class in (True, False):
            for by_gpu in (False, True):
                found = self._choose(trial.copy(), candidates, now, by_class=by_class, by_gpu=by_gpu)
                if found is not None and (best is None or _lost(found) < _lost(best)):
                    best = found
            if best is None or _lost(best) <= limit:
                break
        return best

    def _candidates(self, trial: "_Trial") -> list[Use] | None:
        """The project's own jobs of lower classes, and what others run on borrowed GPUs. None: the job may not ask."""
        group, wish = self.group, trial.wish
        own = [use for use in group.uses(wish.member) if use.rank < wish.rank and use.job not in self._leaving]
        if trial.taken - sum(use.gpus for use in own) > group.shares[wish.member].nominal:
            return None
        promised: dict[Name, int] = {}
        for claim in self._claims.values():
            promised[claim.wish.member] = promised.get(claim.wish.member, 0) + claim.wish.gpus
        others = [member for member in group.shares if member != wish.member]
        return own + [use for member in others for use in group.borrowed(member, self._leaving, promised.get(member, 0))]

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

    def _trial(self, wish: Wish, others: Iterable[Wish], gone: Iterable[Name], free: Free) -> "_Trial":
        """This wish and others granted, and some of those who leave gone."""
        wishes = [*others, wish]
        counts = self.group.counts.copy()
        for each in wishes:
            counts.add(each.member, each.gpus)
        trial = _Trial(self.group, wish, counts, free[wish.lane] - sum(w.gpus for w in wishes if w.lane == wish.lane))
        for use in self._uses(gone):
            trial.leaves(use)
        trial.others = 0
        return trial

    def _uses(self, jobs: Iterable[Name]) -> list[Use]:
        return [self.group.use(job) for job in jobs]


@dataclass(slots=True)
class _Trial:
    """What would be if some left."""

    group: Group
    wish: Wish
    counts: Counts
    free: int  # GPUs of the wish's lane, less than nothing while they are not enough
    others: int = 0  # how many of other projects are asked

    @property
    def taken(self) -> int:
        """By the project that wishes, the wish included."""
        return self.counts.taken[self.wish.member]

    @property
    def enough(self) -> bool:
        """Everything that is promised fits, and nobody else gave for what is more than the project's own."""
        share = self.group.shares[self.wish.member]
        return (
            self.free >= 0
            and self.counts.shared_taken <= self.group.shared
            and (share.borrows is None or self.taken <= share.nominal + share.borrows)
            and (self.others == 0 or self.taken <= share.nominal)
        )

    def leaves(self, use: Use) -> None:
        self._move(use, -1)

    def stays(self, use: Use) -> None:
        self._move(use, 1)

    def copy(self) -> "_Trial":
        return _Trial(self.group, self.wish, self.counts.copy(), self.free, self.others)

    def _move(self, use: Use, sign: int) -> None:
        self.counts.add(use.member, sign * use.gpus)
        if use.lane == self.wish.lane:
            self.free -= sign * use.gpus
        if use.member != self.wish.member:
            self.others -= sign


def _lost(leaves: Iterable[Leave]) -> int:
    return sum(leave.lost_gpu_seconds for leave in leaves)
