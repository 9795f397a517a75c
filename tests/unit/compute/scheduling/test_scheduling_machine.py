"""The scheduler through time: jobs come and go, pools drain and shrink, and no rule is broken at any moment.

The machine plays the caller and keeps accounts of its own: what was given, held, used and given back.
"""

import random
from dataclasses import dataclass, field

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from compute.scheduling.core import Core
from compute.scheduling.events import (
    Cancelled,
    Choice,
    Ended,
    Event,
    GrantSet,
    Kind,
    LaneSet,
    OfferSet,
    ProjectSet,
    Started,
    Submitted,
    SubmitterSet,
    WindowSet,
)
from compute.scheduling.knobs import Knobs
from compute.scheduling.model import Limit, PoolState, Reason

LANES = ("berlin", "paris")
LIMIT = Limit(gpus=14)
PERSON = Limit(jobs=4)


@dataclass
class Account:
    """What is left of a grant or an offer, and between when it may be used."""

    left: int
    opens_at: int
    closes_at: int


@dataclass
class Run:
    kind: Kind
    choice: Choice
    start: Started
    began: int
    holds: dict[str, int] = field(default_factory=dict)


class Timeline(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now, self.submitted, self.windows = 0, 0, 0
        self.accounts: dict[str, Account] = {}
        self.capacity = dict.fromkeys(LANES, 8)
        self.shrunk: set[str] = set()  # lanes that were made smaller under what runs, or given a window
        self.closed: set[str] = set()
        self.planned: list[WindowSet] = []
        self.waiting: dict[int, Kind] = {}
        self.running: dict[int, Run] = {}
        self.pending: list[Event] = []
        self.told: list[tuple[int, list[Event]]] = []
        self.answers: list[list[Started]] = []
        self.promises: dict[str, tuple[int, int]] = {}

    @initialize(overhead=st.sampled_from([0, 5]), wakes=st.sampled_from([1, 50]))
    def begin(self, overhead: int, wakes: int) -> None:
        self.knobs = Knobs(overhead_seconds=overhead, looks_max=10**6, wakes_max=wakes, refresh_seconds=100)
        self.core = Core({}, {"vllm": 2}, self.knobs)
        self.pending = [LaneSet(lane, 8) for lane in LANES]
        self.pending += [ProjectSet(project, weight, LIMIT) for weight, project in enumerate(("vllm", "ray"), 1)]
        self.pending.append(SubmitterSet("ada", PERSON))
        for name in ("vllm", "ray"):
            self.give(GrantSet(name, 60_000, 0, 40_000))
        self.give(OfferSet("o1", "berlin", 20_000, 0, 9000))
        self.give(OfferSet("o2", "berlin", 40_000, 600, 40_000))
        self.give(OfferSet("o3", "paris", 40_000, 0, 40_000))

    def give(self, event: GrantSet | OfferSet) -> None:
        name = event.grant if isinstance(event, GrantSet) else event.offer
        self.accounts[str(name)] = Account(event.available_ticks, event.opens_at, event.closes_at)
        self.pending.append(event)

    @rule(
        asked=st.lists(
            st.tuples(
                st.sampled_from(["vllm", "ray"]),
                st.sampled_from(["ada", None]),
                st.sampled_from([1, 1, 2, 3, 6, 8]),
                st.sampled_from([60, 60, 300, 2000]),
                st.sampled_from([("berlin",), ("paris",), ("paris", "berlin")]),
                st.booleans(),
            ),
            min_size=1,
            max_size=6,
        )
    )
    def submit(self, asked: list[tuple[str, str | None, int, int, tuple[str, ...], bool]]) -> None:
        for project, submitter, gpus, wall, lanes, metered in asked:
            choices = tuple(Choice(lane, 2 * gpus * wall, gpus * wall) for lane in lanes)
            offers = frozenset({"o1", "o2", "o3"}) if metered else None
            kind = Kind(project, submitter, choices, gpus, wall, project if metered else None, offers)
            self.submitted += 1
            self.waiting[self.submitted] = kind
            self.pending.append(Submitted(self.submitted, kind))

    @rule(seconds=st.sampled_from([1, 60, 300, 1000]), data=st.data())
    def let_time_pass(self, seconds: int, data: st.DataObject) -> None:
        """The scheduler is asked now, and whenever it asked to be; then each job that reaches its declared end ends."""
        self.tell()
        until = self.now + seconds
        while (at := self.next_moment()) <= until:
            self.now = at
            for job, run in list(self.running.items()):
                if run.start.ends_by == at:
                    self.end(job)
            self.tell()
        self.now = until
        for job, run in list(self.running.items()):
            if run.began < until and data.draw(st.integers(0, 3), label="ends early if 0") == 0:
                self.end(job)
        self.tell()

    def next_moment(self) -> int:
        asked = self.core.next_moment()
        assert asked is None or asked > self.now, "what is due was done"
        return min([run.start.ends_by for run in self.running.values()] + ([] if asked is None else [asked]), default=10**9)

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        known = [job for job in self.waiting if all(event != Submitted(job, self.waiting[job]) for event in self.pending)]
        if known:
            job = data.draw(st.sampled_from(known))
            del self.waiting[job]
            if Cancelled(job) not in self.pending:
                self.pending.append(Cancelled(job))

    @rule(lane=st.sampled_from(LANES), gpus=st.sampled_from([4, 8]), state=st.sampled_from([PoolState.OPEN, PoolState.DRAINING]))
    def change_lane(self, lane: str, gpus: int, state: PoolState) -> None:
        self.tell()
        if gpus < self.capacity[lane]:
            self.shrunk.add(lane)
        self.capacity[lane] = gpus
        (self.closed.discard if state is PoolState.OPEN else self.closed.add)(lane)
        self.pending.append(LaneSet(lane, gpus, state))

    @rule(lane=st.sampled_from(LANES), gpus=st.integers(1, 8), later=st.sampled_from([0, 50, 500]))
    def plan_maintenance(self, lane: str, gpus: int, later: int) -> None:
        self.tell()
        self.windows += 1
        self.shrunk.add(lane)
        self.planned.append(WindowSet(self.windows, lane, gpus, self.now + later, self.now + later + 400, "new fans"))
        self.pending.append(self.planned[-1])

    @rule(name=st.sampled_from(["vllm", "ray"]), ticks=st.sampled_from([0, 500, 60_000]))
    def change_grant(self, name: str, ticks: int) -> None:
        self.tell()
        self.give(GrantSet(name, ticks, 0, 40_000))

    def tell(self) -> None:
        """One moment: what is pending, and what starts because of it."""
        events, self.pending = self.pending, []
        self.told.append((self.now, events))
        answer = self.core.apply(self.now, random.Random(len(self.told)).sample(events, len(events)))
        self.answers.append(answer)
        for start in answer:
            self.hold(start)
        # A job that is next in line again, and that nobody came before, is promised no later start because of who passed it.
        figures = any(not isinstance(event, Submitted | Ended | Cancelled) for event in events)
        promises = {lane: promise for lane in LANES if (promise := self.core.promise(lane)) is not None}
        if not figures and all(start.backfilled for start in answer):
            for lane, promise in promises.items():
                before = self.promises.get(lane)
                assert before is None or before[0] != promise.job or promise.at <= max(before[1], self.now + 1)
        self.promises = {lane: (promise.job, promise.at) for lane, promise in promises.items()}

    def hold(self, start: Started) -> None:
        kind = self.waiting.pop(start.job)
        (choice,) = (choice for choice in kind.choices if choice.lane == start.lane)
        assert start.ends_by == self.now + kind.wall_seconds + self.knobs.overhead_seconds
        assert start.lane not in self.closed, "a pool that drains starts nothing"
        run = self.running[start.job] = Run(kind, choice, start, self.now)
        if kind.grant is not None:
            assert sum(draw.ticks for draw in start.draws) == choice.offer_ticks
            run.holds = {str(kind.grant): choice.cost_ticks} | {draw.offer_id: draw.ticks for draw in start.draws}
        for name, ticks in run.holds.items():
            account = self.accounts[name]
            account.left -= ticks
            assert account.left >= 0, "nothing is spent twice"
            assert account.opens_at <= self.now
            assert start.ends_by <= account.closes_at, "nothing runs past a window"
        free = self.capacity[start.lane] - self.used(start.lane, self.now)
        assert free - self.taken_away(start.lane, self.now) >= 0, "no pool runs over capacity"
        for window in self.planned:
            if window.lane == start.lane and self.now < window.begins_at < start.ends_by:
                at = window.begins_at
                assert self.capacity[window.lane] - self.used(window.lane, at) - self.taken_away(window.lane, at) >= 0
        mine = [run.kind.gpus for run in self.running.values() if run.kind.project == kind.project]
        assert sum(mine) <= (LIMIT.gpus or 0)
        if kind.submitter is not None:
            assert sum(run.kind.submitter == kind.submitter for run in self.running.values()) <= (PERSON.jobs or 0)

    def used(self, lane: str, at: int) -> int:
        return sum(run.kind.gpus for run in self.running.values() if run.choice.lane == lane and run.start.ends_by > at)

    def taken_away(self, lane: str, at: int) -> int:
        return sum(window.gpus for window in self.planned if window.lane == lane and window.begins_at <= at < window.ends_at)

    def end(self, job: int) -> None:
        """What it used is gone, soonest expiry first; the rest is there again."""
        run = self.running.pop(job)
        self.pending.append(Ended(job))
        wall = run.kind.wall_seconds
        ran = min(self.now - run.began, wall)
        used = run.kind.gpus * ran
        for name, ticks in run.holds.items():
            part = 2 * run.kind.gpus * ran if name == run.kind.grant else min(used, ticks)
            used -= part if name != run.kind.grant else 0
            self.accounts[name].left += ticks - part

    @invariant()
    def every_waiting_job_says_why(self) -> None:
        if self.pending or not self.told:
            return
        decisions = self.core.decisions()
        assert sorted(each.job_id for each in decisions) == sorted(self.waiting)
        assert all(each.detail for each in decisions)
        if self.core.next_moment() != self.now + 1:  # nobody is about to be put back in line
            for each in decisions:
                assert each.reason is not Reason.WAITING_FOR_FAIR_TURN or each.kept_until is not None, "no GPU idles for nothing"

    def teardown(self) -> None:
        """Told again in another order within each moment, it answers the same."""
        if self.told:
            again = Core({}, {"vllm": 2}, self.knobs)
            for number, (now, events) in enumerate(self.told):
                mixed = random.Random(-number).sample(events, len(events))
                assert again.apply(now, mixed) == self.answers[number]


TestTimeline = Timeline.TestCase
TestTimeline.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
