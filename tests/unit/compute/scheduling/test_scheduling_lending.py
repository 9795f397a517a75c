"""Quota groups through time: members borrow, ask back and are asked, and nobody is without its own for longer than the grace.

The machine plays the caller: it stops who was asked when its grace is over, submits it again, and keeps accounts of its own.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from compute.scheduling.core import Core
from compute.scheduling.events import Asked, Cancelled, Choice, Ended, Event, Evicted, GroupSet, Kind, LaneSet, Started, Submitted
from compute.scheduling.knobs import Knobs
from compute.scheduling.model import Priority
from compute.scheduling.quotas.preemption import Terms
from compute.scheduling.quotas.quota import STRANGER, Share

LANE = "h100"
GRACE = 60
NO_LIMIT = 10**9
SHARES = {"vllm": Share(4), "ray": Share(3, lends=1), "jax": Share(1, borrows=2)}
QUOTA = sum(share.nominal for share in SHARES.values())
PROJECTS = (*SHARES, "outside")


@dataclass
class Run:
    kind: Kind
    began: int
    submitted_at: int
    leaves_at: int | None = None
    may_lose: int = 0


class Lending(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = self.submitted = 0
        self.waiting: dict[int, tuple[int, Kind]] = {}
        self.running: dict[int, Run] = {}
        self.pending: list[Event] = []
        self.told: list[tuple[int, list[Event]]] = []
        self.answers: list[tuple[list[Started], list[object]]] = []
        self.fits_since: dict[int, int] = {}  # waiting jobs for which their project's own quota has room, and nobody of it starts
        self.spent: dict[int, int] = {}  # GPU-seconds of others that were asked for on behalf of a job

    @initialize(lost=st.sampled_from([NO_LIMIT, NO_LIMIT, 400]), grace=st.sampled_from([GRACE, 0]))
    def begin(self, lost: int, grace: int) -> None:
        self.terms = Terms(grace, lost)
        self.core = self.fresh()
        self.pending = self.figures()

    def fresh(self) -> Core:
        return Core({}, {"ray": 2}, Knobs(looks_max=10**6, refresh_seconds=100))

    def figures(self) -> list[Event]:
        return [LaneSet(LANE, QUOTA), GroupSet("ml", frozenset({LANE}), SHARES, self.terms)]

    @rule(
        asked=st.lists(
            st.tuples(
                st.sampled_from(PROJECTS),
                st.sampled_from([1, 1, 2, 3, 4, 8]),
                st.sampled_from([50, 400, 3000]),
                st.sampled_from([0, 0, 1]),
            ),
            min_size=1,
            max_size=5,
        )
    )
    def submit(self, asked: list[tuple[str, int, int, int]]) -> None:
        for project, gpus, wall, rank in asked:
            self.submitted += 1
            kind = Kind(project, None, (Choice(LANE),), gpus, wall, priority=Priority(rank, "a release" if rank else ""))
            self.waiting[self.submitted] = (self.now, kind)
            self.pending.append(Submitted(self.submitted, kind))

    @rule(seconds=st.sampled_from([1, 30, 60, 400]), data=st.data())
    def let_time_pass(self, seconds: int, data: st.DataObject) -> None:
        """The scheduler is asked now, and whenever a job reaches its declared end or the end of its grace; some end sooner."""
        self.tell()
        until = self.now + seconds
        while (at := min(map(self.over_at, self.running), default=until + 1)) <= until:
            self.now = at
            for job in [job for job in self.running if self.over_at(job) == at]:
                self.stop(job)
            self.tell()
        self.now = until
        for job in [job for job, run in self.running.items() if run.began < until]:
            if data.draw(st.integers(0, 4), label="ends early if 0") == 0:
                self.end(job)
        self.tell()

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        self.tell()
        if self.waiting:
            job = data.draw(st.sampled_from(sorted(self.waiting)))
            del self.waiting[job]
            self.pending.append(Cancelled(job))

    def over_at(self, job: int) -> int:
        run = self.running[job]
        ends_by = run.began + run.kind.wall_seconds
        return ends_by if run.leaves_at is None else min(ends_by, run.leaves_at)

    def stop(self, job: int) -> None:
        run = self.running[job]
        if self.now == run.began + run.kind.wall_seconds:
            self.end(job)
            return
        assert run.kind.gpus * (self.now - run.began) <= run.may_lose, "no more work is lost than was said"
        del self.running[job]
        self.waiting[job] = (run.submitted_at, run.kind)
        self.pending += [Evicted(job), Submitted(job, run.kind, run.submitted_at)]

    def end(self, job: int) -> None:
        del self.running[job]
        self.pending.append(Ended(job))

    def tell(self) -> None:
        """One moment: what is pending, who starts because of it, and who is asked to leave."""
        events, self.pending = self.pending, []
        self.told.append((self.now, events))
        started = self.core.apply(self.now, random.Random(len(self.told)).sample(events, len(events)))
        for start in started:
            assert isinstance(start.job, int)
            submitted_at, kind = self.waiting.pop(start.job)
            self.running[start.job] = Run(kind, self.now, submitted_at)
            self.spent.pop(start.job, None)
            assert self.used() <= QUOTA, "no pool runs over capacity"
            self.check_shares()
        asks = self.core.asks()
        self.answers.append((started, list(asks)))
        self.check_asked([each for each in asks if isinstance(each, Asked)])
        for each in asks:
            if not isinstance(each, Asked):
                assert isinstance(each.job, int)
                self.running[each.job].leaves_at = None
        assert self.core.claims() or all(run.leaves_at in {None, self.now} for run in self.running.values()), (
            "nobody leaves for nobody"
        )
        self.note_who_has_room({self.running[start.job].kind.project for start in started if isinstance(start.job, int)})

    def check_shares(self) -> None:
        shared_taken = shared = 0
        for project in PROJECTS:
            share = SHARES.get(project, STRANGER)
            kept, used = (
                share.nominal - min(share.nominal, share.nominal if share.lends is None else share.lends),
                self.used(project),
            )
            shared, shared_taken = shared + share.nominal - kept, shared_taken + max(0, used - kept)
            assert share.borrows is None or used <= share.nominal + share.borrows, "nobody borrows more than it may"
        assert shared_taken <= shared, "what is not lent is kept"

    def check_asked(self, asks: Iterable[Asked]) -> None:
        promised = dict.fromkeys(PROJECTS, 0)
        for claim in self.core.claims():
            promised[str(claim.wish.member)] += claim.wish.gpus
        for each in asks:
            assert isinstance(each.job, int)
            assert isinstance(each.needed_for, int)
            run, (_, needs) = self.running[each.job], self.waiting[each.needed_for]
            project = run.kind.project
            above = [other.kind for other in self.of(str(needs.project)) if other.leaves_at is None]
            mine = sum(kind.gpus for kind in above if kind.priority.rank >= needs.priority.rank)
            assert needs.gpus + mine <= SHARES[str(needs.project)].nominal, "only for one's own"
            if project == needs.project:
                assert run.kind.priority.rank < needs.priority.rank, "one's own project's jobs leave for a higher class only"
            else:
                stays = sum(other.kind.gpus for other in self.of(project) if other.leaves_at is None)
                assert stays + promised[project] > SHARES.get(project, STRANGER).nominal, "nobody is asked inside its own quota"
            assert run.leaves_at is None, "asked once"
            assert each.at <= self.now + self.terms.grace_seconds
            run.leaves_at, run.may_lose = each.at, each.lost_gpu_seconds
            self.spent[each.needed_for] = self.spent.get(each.needed_for, 0) + each.lost_gpu_seconds
            assert self.spent[each.needed_for] <= self.terms.lost_gpu_seconds_max, "nothing beyond the limit"

    def note_who_has_room(self, served: set[str]) -> None:
        """A project of which somebody started waits anew."""
        free = {project: share.nominal - self.used(project) for project, share in SHARES.items()}
        fits = [job for job, (_, kind) in self.waiting.items() if kind.gpus <= free.get(str(kind.project), 0)]
        self.fits_since = {
            job: self.now if self.waiting[job][1].project in served else self.fits_since.get(job, self.now) for job in fits
        }

    def of(self, project: str) -> list[Run]:
        return [run for run in self.running.values() if run.kind.project == project]

    def used(self, project: str | None = None) -> int:
        return sum(run.kind.gpus for run in self.running.values() if project in {None, run.kind.project})

    @invariant()
    def nobody_is_without_its_own_for_longer_than_the_grace(self) -> None:
        if not self.pending and self.told and self.terms.lost_gpu_seconds_max == NO_LIMIT:
            for job, since in self.fits_since.items():
                assert self.now - since <= self.terms.grace_seconds, f"{job} has waited since {since}"

    def teardown(self) -> None:
        """Told again in another order within each moment, it answers the same."""
        if self.told:
            again = self.fresh()
            for number, (now, events) in enumerate(self.told):
                mixed = random.Random(-number).sample(events, len(events))
                assert (again.apply(now, mixed), again.asks()) == self.answers[number]


TestLending = Lending.TestCase
TestLending.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
