"""The core that keeps its books agrees, start by start, with a scheduler that counts everything anew."""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scheduling_slow import Reference, takes

from compute.scheduling.core import Core
from compute.scheduling.events import (
    NEVER,
    Asked,
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
    Past,
    Priority,
    ProjectSet,
    Submitted,
    SubmitterSet,
    WindowGone,
    WindowSet,
)
from compute.scheduling.hosts.book import alone_takes
from compute.scheduling.hosts.placement import Host
from compute.scheduling.knobs import Knobs
from compute.scheduling.learning.estimates import BATCH_GAP
from compute.scheduling.learning.ideal import Ideal
from compute.scheduling.model import Limit, PoolState
from compute.scheduling.quotas.preemption import Terms
from compute.scheduling.quotas.quota import STRANGER, Share

LANES = {"a": 4, "b": 6}
WEIGHTS = {"p": 3}
KNOBS = Knobs(looks_max=10**6, wakes_max=10**6, refresh_seconds=50, past_weight=1e-3, patience_seconds=100, nearer_seconds=200)
WALLS = [10, 60, 400, 4000]

PLAIN = st.builds(
    Kind,
    project=st.sampled_from("pqr"),
    submitter=st.sampled_from("uv"),
    choices=st.sampled_from("ab").map(lambda lane: (Choice(lane),)),
    gpus=st.integers(1, 4),
    wall_seconds=st.sampled_from(WALLS),
)


@st.composite
def ruled(draw: st.DrawFn) -> Kind:
    """A kind under any of the rules, or all."""
    gpus, wall = draw(st.integers(1, 4)), draw(st.sampled_from(WALLS))
    lanes = draw(st.lists(st.sampled_from("ab"), unique=True, min_size=1, max_size=2))
    rates, orders = st.sampled_from([1, 2]), st.sampled_from([0, 0, 1])
    offers = draw(st.none() | st.frozensets(st.sampled_from(["o1", "o2", "o3"]), min_size=1))
    grant = draw(st.sampled_from([None, "g", "h"]))
    choices = [Choice(lane, draw(rates) * gpus * wall * 840 if grant else 0, gpus * wall, draw(orders)) for lane in lanes]
    priority = Priority(1, "a release waits for it") if draw(st.integers(0, 4)) == 0 else Priority()
    project, submitter = draw(st.sampled_from("pqr")), draw(st.sampled_from(["u", "v", None]))
    return Kind(project, submitter, tuple(choices), gpus, wall, grant, offers, priority)


AMOUNTS = st.sampled_from([0, 60, 400, 1600, 16000])
LIMITS = st.builds(Limit, jobs=st.sampled_from([None, 1, 2]), gpus=st.sampled_from([None, 2, 5]))


def window(name: str, lane: str, gpus: int, begins_at: int, seconds: int) -> WindowSet:
    return WindowSet(name, lane, gpus, begins_at, begins_at + seconds, "new fans")


SHARES = st.sampled_from([1, 2, 3])
STATES = st.sampled_from([PoolState.OPEN, PoolState.OPEN, PoolState.DRAINING])


def figures(now: int) -> st.SearchStrategy[list[Event]]:
    """Something new about one or two books."""
    opens, closes = st.sampled_from([0, 0, now + 20, now + 500]), st.sampled_from([NEVER, NEVER, now + 100, now + 5000])
    lanes, begins = st.sampled_from("ab"), st.sampled_from([now, now + 30, now + 300, now + 3000])
    one = (
        st.builds(GrantSet, st.sampled_from("gh"), AMOUNTS.map(lambda amount: 840 * amount), opens, closes)
        | st.builds(OfferSet, st.sampled_from(["o1", "o2"]), st.just("a"), AMOUNTS, opens, closes)
        | st.builds(OfferSet, st.just("o3"), st.just("b"), AMOUNTS, opens, closes)
        | st.builds(LaneSet, lanes, st.integers(1, 6), STATES, opens, closes)
        | st.builds(window, st.sampled_from("xy"), lanes, st.integers(1, 5), begins, st.sampled_from([50, 1000]))
        | st.builds(WindowGone, st.sampled_from("xy"), lanes)
        | st.builds(ProjectSet, st.sampled_from("pqr"), SHARES, LIMITS)
        | st.builds(SubmitterSet, st.sampled_from("uv"), LIMITS)
    )
    return st.lists(one, max_size=2, unique_by=lambda event: (type(event), getattr(event, fields(event)[0].name)))


LENT = st.builds(Share, st.integers(0, 4), st.sampled_from([None, None, 0, 1]), st.sampled_from([None, None, 0, 2]))
TERMS = st.builds(Terms, st.sampled_from([0, 10, 100]), st.sampled_from([0, 500, 10**6]))


def quotas(lanes: str) -> st.SearchStrategy[list[Event]]:
    """What the projects own of some lanes together."""
    shares = st.dictionaries(st.sampled_from("pq"), LENT)
    one = st.builds(GroupSet, st.just("quota"), st.just(frozenset(lanes)), shares, TERMS, st.integers(0, 4))
    return st.lists(one, max_size=1)


SIZES = {"a": (4, 2, 2), "b": (4, 1), "reserved": (4, 2, 2)}
"""The hosts of each lane; the reservation has those of its lane."""

HOSTED: list[Event] = [
    LaneSet(lane, sum(sizes), hosts=tuple(Host(f"{lane}{number}", size) for number, size in enumerate(sizes)), spans=False)
    for lane, sizes in SIZES.items()
    if lane != "reserved"
] + [LaneSet("reserved", 5, within="a"), WindowSet("reserved", "a", 5, 1000, 50_000, "a release")]


@st.composite
def hosted(draw: st.DrawFn) -> Kind:
    """A kind that needs its GPUs on one host, or a host to itself."""
    kind = draw(PLAIN)
    lanes = draw(st.lists(st.sampled_from(["a", "b", "reserved"]), unique=True, min_size=1, max_size=2))
    alone = draw(st.booleans())
    choices = [Choice(lane, gpus=(alone_takes(SIZES[lane], kind.gpus) or 0) if alone else 0) for lane in lanes]
    return replace(kind, choices=tuple(choices), alone=alone)


def hosted_figures(now: int) -> st.SearchStrategy[list[Event]]:
    """Something new about lanes whose hosts stay."""
    lanes, begins = st.sampled_from(HOSTED[:2]), st.sampled_from([now, now + 30, now + 300, now + 3000])
    one = (
        st.builds(replace, lanes, state=STATES)
        | st.builds(window, st.just("x"), st.sampled_from("ab"), st.integers(1, 5), begins, st.sampled_from([50, 1000]))
        | st.builds(ProjectSet, st.sampled_from("pqr"), SHARES, LIMITS)
        | st.builds(GroupSet, st.just("quota"), st.just(frozenset("a")), st.dictionaries(st.sampled_from("pq"), LENT))
    )
    return st.lists(one, max_size=1)


@dataclass
class Story:
    """Both schedulers hear the same, moment by moment."""

    data: st.DataObject
    knobs: Knobs
    lanes: Mapping[str, int] = field(default_factory=lambda: LANES)
    core: Core = field(init=False)
    slow: Reference = field(init=False)
    now: int = 1000
    submitted: int = 0
    leaving: dict[int, Asked] = field(default_factory=dict)
    lost: dict[int, int] = field(default_factory=lambda: defaultdict(int))  # GPU-seconds for each job that asked

    def __post_init__(self) -> None:
        self.core = Core(self.lanes, WEIGHTS, self.knobs)
        self.slow = Reference({name: LaneSet(name, gpus) for name, gpus in self.lanes.items()}, dict(WEIGHTS), self.knobs)

    def moment(self, kinds: st.SearchStrategy[Kind], *others: Event) -> None:
        draw = self.data.draw
        events: list[Event] = [*others]
        running = {job.name: job for job in self.slow.running()}
        due = [name for name, job in running.items() if job.ends_by <= self.now]
        early = draw(st.lists(st.sampled_from(sorted(running)), unique=True, max_size=2)) if running else []
        events += [Ended(name) for name in sorted({*due, *early}) if running[name].started_at < self.now]
        gone = {event.job for event in events if isinstance(event, Ended)}
        for name in [name for name, asked in self.leaving.items() if asked.at <= self.now and name not in gone]:
            job = running[name]
            events += [Evicted(name), Submitted(name, job.kind.plain, job.at)]
            gone.add(name)
        for name in gone:
            self.leaving.pop(name, None)
        waiting = [job.name for job in self.slow.waiting()]
        if waiting and draw(st.integers(0, 5)) == 0:
            events.append(Cancelled(draw(st.sampled_from(waiting))))
        for kind in draw(st.lists(kinds, max_size=4)):
            events.append(Submitted(self.submitted, kind))
            self.submitted += 1
        mixed = draw(st.permutations(events))
        started = self.core.apply(self.now, mixed)
        self.slow.where = {each.job: each.held for each in started}
        fast = [(s.job, s.ends_by, s.lane, {d.offer_id: d.ticks for d in s.draws}) for s in started]
        assert fast == self.slow.apply(self.now, events)
        if any(isinstance(event, Ended) for event in events):  # where nothing happened, a promise stands as it was made
            for lane in self.slow.lanes:
                seen, kept = self.core.promise(lane), [each for each in self.slow.kept if each.choice.lane == lane]
                assert ([(seen.job, seen.at)] if seen else []) == [(each.job, each.at) for each in kept]
        self.hear_who_leaves()
        self.now += draw(st.sampled_from([1, 7, 60, 300, 2000, 4000]))

    def hear_who_leaves(self) -> None:
        """Who is asked is on borrowed GPUs or below in its own project, for somebody inside its quota, within the limit."""
        self.slow.claims = [(claim.wish.job, claim.wish.lane) for claim in self.core.claims()]
        running = {job.name: job for job in self.slow.running()}
        for told in self.core.asks():
            if not isinstance(told, Asked):
                del self.leaving[told.job]
                continue
            assert told.job not in self.leaving, "nobody is asked twice at a time"
            victim, owner = running[told.job], self.slow.jobs[told.needed_for]
            assert owner.started_at is None
            group = self.slow.group_of(victim.choice.lane)
            assert told.at == self.now + group.terms.grace_seconds
            lost = 0 if victim.ends_by <= told.at else (told.at - victim.started_at) * takes(victim)
            assert told.lost_gpu_seconds == lost
            self.lost[told.needed_for] += lost
            assert self.lost[told.needed_for] <= group.terms.lost_gpu_seconds_max
            mine, rank = owner.kind.project, owner.kind.priority.rank
            inside = [job for name, job in running.items() if job.kind.project == mine and name not in self.leaving]
            inside = [takes(job) for job in inside if job.kind.priority.rank >= rank and job.choice.lane in group.lanes]
            assert sum(inside) + min(map(owner.kind.takes, owner.kind.choices)) <= group.shares.get(mine, STRANGER).nominal
            if victim.kind.project == mine:
                assert victim.kind.priority.rank < rank
            else:
                theirs = victim.kind.project
                assert self.slow.taken(group)[theirs] > group.shares.get(theirs, STRANGER).nominal, "it borrows"
            self.leaving[told.job] = told


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_both_start_the_same_jobs_at_the_same_moments(data: st.DataObject) -> None:
    story = Story(data, KNOBS)
    for _ in range(data.draw(st.integers(5, 40), "moments")):
        story.moment(PLAIN)
        for lane, gpus in LANES.items():
            assert sum(takes(job) for job in story.slow.running() if job.choice.lane == lane) <= gpus


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_both_start_the_same_jobs_under_all_rules(data: st.DataObject) -> None:
    overhead, backfill = data.draw(st.sampled_from([0, 0, 5])), data.draw(st.integers(0, 5)) > 0
    knobs = Knobs(
        looks_max=10**6,
        wakes_max=10**6,
        refresh_seconds=50,
        past_weight=1e-3,
        overhead_seconds=overhead,
        backfill=backfill,
    )
    story = Story(data, knobs)
    first: list[Event] = [GrantSet("g", 8000 * 840), GrantSet("h", 400 * 840, 0, 9000), OfferSet("o1", "a", 800)]
    first += [OfferSet("o2", "a", 5000, 1200, 20000), OfferSet("o3", "b", 16000)]
    for number in range(data.draw(st.integers(5, 20), "moments")):
        story.moment(ruled(), *(first if number == 0 else data.draw(figures(story.now))))


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_both_start_the_same_jobs_where_quotas_are_lent_and_asked_back(data: st.DataObject) -> None:
    overhead = data.draw(st.sampled_from([0, 5]))
    story = Story(data, Knobs(looks_max=10**6, wakes_max=10**6, refresh_seconds=50, overhead_seconds=overhead))
    lanes = data.draw(st.sampled_from(["a", "b", "ab"]))
    first: list[Event] = [GrantSet("g", 8000 * 840), GrantSet("h", 400 * 840, 0, 9000), OfferSet("o1", "a", 800)]
    first += [OfferSet("o2", "a", 5000, 1200, 20000), OfferSet("o3", "b", 16000)]
    kinds = data.draw(st.sampled_from([PLAIN, ruled()]))
    for number in range(data.draw(st.integers(5, 20), "moments")):
        new = data.draw(quotas(lanes)) if number in {0, 7} else []
        story.moment(kinds, *new, *(first if number == 0 else data.draw(figures(story.now))))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_both_start_the_same_jobs_where_hosts_are_known_and_some_want_one_alone(data: st.DataObject) -> None:
    knobs = replace(KNOBS, overhead_seconds=data.draw(st.sampled_from([0, 5])), backfill=data.draw(st.integers(0, 5)) > 0)
    story = Story(data, knobs, {})
    for number in range(data.draw(st.integers(5, 25), "moments")):
        story.moment(hosted(), *(HOSTED if number == 0 else data.draw(hosted_figures(story.now))))
        running = story.slow.running()
        for job in running:
            ((host, gpus),) = job.held
            beside = [other for other in running if other is not job and other.held[0][0] == host]
            assert not (job.kind.alone and beside), "who wants a host alone has it alone"
            assert gpus + sum(takes(other) for other in beside) <= SIZES[host[0]][int(host[1:])]


@settings(max_examples=30, deadline=None)
@given(st.data())
def test_the_ideal_is_the_same_whoever_asks_when(data: st.DataObject) -> None:
    """Projects are served late unless somebody asks about them; asking changes no figure."""
    asked, left_alone = Ideal(6, WEIGHTS), Ideal(6, WEIGHTS)
    both, now, running, submitted = (asked, left_alone), 0, {}, 0
    for _ in range(data.draw(st.integers(5, 40), "moments")):
        for ideal in both:
            ideal.advance(now)
        for job in data.draw(st.lists(st.sampled_from(sorted(running)), unique=True, max_size=2)) if running else []:
            for ideal in both:
                ideal.ended(job, now - running[job], now)
            del running[job]
        for project in data.draw(st.lists(st.sampled_from("pqrstuvw"), max_size=4)):
            gpus, expected = data.draw(st.integers(1, 3)), data.draw(st.sampled_from([30.0, 900.0, 5000.0]))
            for ideal in both:
                ideal.submitted(submitted, project, gpus, expected, now)
            running[submitted], submitted = now, submitted + 1
        for project in "pqrstuvw":
            asked.fared(project)
        now += data.draw(st.sampled_from([1, 300, 900, 4000]))
    assert [asked.fared(project) for project in "pqrstuvw"] == [left_alone.fared(project) for project in "pqrstuvw"]


@pytest.mark.parametrize(("apart", "first"), [(BATCH_GAP, "mate"), (BATCH_GAP + 1, "other")])
def test_what_was_submitted_with_a_job_is_expected_to_run_like_it(apart: int, first: str) -> None:
    """p's jobs ran for hours so far. This batch takes a minute, which makes p's next job of it the shorter one."""
    core = Core({}, {}, Knobs())
    sweep, others = (Kind(project, f"{project}1", (Choice("a"),), 1, wall) for project, wall in (("p", 36_000), ("q", 7200)))
    known = [Past("p", "p1", 36_000, 1, 10, 360_000), Past("q", "q1", 7200, 1, 10, 60_000)]
    now = 1000
    core.apply(now, [LaneSet("a", 1), *known])
    for job in range(20):
        assert [each.job for each in core.apply(now, [Submitted(job, sweep)])] == [job]
        core.apply(now + 60, [Ended(job)])
        now += 61
    core.apply(now, [Submitted("running", others)])
    late = now - 61 + apart
    core.apply(late, [Submitted("mate", sweep), Submitted("other", others)])
    assert [each.job for each in core.apply(late + 1, [Ended("running")])] == [first]


def starts_within(days: int, knobs: Knobs) -> bool:
    """Whether a job of a hundred hours gets the one GPU that another project's short jobs would use up, hour after hour."""
    core = Core({}, {}, knobs)
    now, short, running = 0, 1, 0
    known = Past("q", "q1", 360_000, 1, 100, 36_000_000)
    core.apply(now, [LaneSet("a", 1), known, Submitted(0, Kind("p", "p1", (Choice("a"),), 1, 3600))])
    core.apply(now + 1, [Submitted("long", Kind("q", "q1", (Choice("a"),), 1, 360_000))])
    while now < days * 24 * 3600:
        now += 3600
        events: list[Event] = [Submitted(short, Kind("p", "p1", (Choice("a"),), 1, 3600)), Ended(running)]
        started = [each.job for each in core.apply(now, events)]
        if "long" in started:
            return True
        assert started == [short]
        running, short = short, short + 1
    return False


def test_no_stream_of_short_jobs_keeps_a_long_one_waiting_for_ever() -> None:
    assert starts_within(21, Knobs())
    assert not starts_within(21, Knobs(patience_seconds=10**9)), "without patience it would still wait"
