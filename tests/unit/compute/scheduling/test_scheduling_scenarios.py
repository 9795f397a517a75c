"""A table of situations: pools and jobs in, who starts and what the others wait for out."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from scheduling_build import HOUR, NOON, grant, job, offer, pool, project, running, snapshot, uid

from compute.scheduling import Job, Knobs, Limit, PoolState, Priority, Reason, plan


@dataclass
class Scenario:
    name: str
    jobs: list[Job]
    starts: list[str]
    waits: dict[str, Reason] = field(default_factory=dict)
    world: dict[str, Any] = field(default_factory=dict)


SCENARIOS = [
    Scenario("an empty pool takes what fits", [job("a", 8)], starts=["a"]),
    Scenario("nothing queued, nothing decided", [], starts=[]),
    Scenario(
        "a gang starts whole or not at all",
        [job("a", 8)],
        starts=[],
        waits={"a": Reason.RESERVED_NEXT},
        world={"running": (running("r", 1, 2),)},
    ),
    Scenario(
        "no pool is large enough",
        [job("a", 16)],
        starts=[],
        waits={"a": Reason.WAITING_FOR_POOL},
    ),
    Scenario(
        "no pool has the flavor",
        [job("a", 1, flavor="B200")],
        starts=[],
        waits={"a": Reason.WAITING_FOR_POOL},
    ),
    Scenario(
        "a draining pool starts nothing",
        [job("a", 1)],
        starts=[],
        waits={"a": Reason.WAITING_FOR_POOL},
        world={"pools": (pool(state=PoolState.DRAINING),)},
    ),
    Scenario(
        "a pool that nothing is connected to starts nothing",
        [job("a", 1)],
        starts=[],
        waits={"a": Reason.WAITING_FOR_POOL},
        world={"pools": (pool(state=PoolState.OUT_OF_REACH),)},
    ),
    Scenario(
        "a closed pool starts nothing, another open one does",
        [job("a", 1)],
        starts=["a"],
        world={"pools": (pool(state=PoolState.CLOSED), pool("paris"))},
    ),
    Scenario(
        "a job that may only run in a closed pool waits for it",
        [job("a", 1, pools=["berlin"])],
        starts=[],
        waits={"a": Reason.WAITING_FOR_POOL},
        world={"pools": (pool(state=PoolState.CLOSED), pool("paris"))},
    ),
    Scenario(
        "a pool that closes soon takes only what is over by then",
        [job("short", 1, 1), job("long", 1, 3)],
        starts=["short"],
        waits={"long": Reason.WAITING_FOR_POOL},
        world={"pools": (pool(open_until=NOON + 2 * HOUR),)},
    ),
    Scenario(
        "a later job passes the next in line if it is over in time",
        [job("big", 8, 2, project="a"), job("small", 2, 1, project="b", minute=1)],
        starts=["small"],
        waits={"big": Reason.RESERVED_NEXT},
        world={"running": (running("r", 4, 1, project="c"),)},
    ),
    Scenario(
        "a later job that would not be over in time waits for its turn",
        [job("big", 8, 2, project="a"), job("small", 2, 1.5, project="b", minute=1)],
        starts=[],
        waits={"big": Reason.RESERVED_NEXT, "small": Reason.WAITING_FOR_FAIR_TURN},
        world={"projects": (project("a", weight=99),), "running": (running("r", 4, 1, project="c"),)},
    ),
    Scenario(
        "GPUs that the next in line will not need may be used for long",
        [job("big", 6, 2, project="a"), job("small", 2, 9, project="b", minute=1), job("other", 2, 10, project="d", minute=2)],
        starts=["small"],
        waits={"big": Reason.RESERVED_NEXT, "other": Reason.WAITING_FOR_FAIR_TURN},
        world={"projects": (project("a", weight=99),), "running": (running("r", 4, 1, project="c"),)},
    ),
    Scenario(
        "without backfill nobody passes",
        [job("big", 8, 2, project="a"), job("small", 2, 1, project="b", minute=1)],
        starts=[],
        waits={"big": Reason.RESERVED_NEXT, "small": Reason.WAITING_FOR_FAIR_TURN},
        world={
            "projects": (project("a", weight=99),),
            "running": (running("r", 4, 1, project="c"),),
            "knobs": Knobs(backfill=False),
        },
    ),
    Scenario(
        "the project that used less goes first",
        [job("a", 8, project="heavy"), job("b", 8, project="light", minute=5)],
        starts=["b"],
        waits={"a": Reason.RESERVED_NEXT},
        world={"projects": (project("heavy", used_gpu_hours=100), project("light", used_gpu_hours=99))},
    ),
    Scenario(
        "twice the weight carries twice the use",
        [job("a", 8, project="heavy"), job("b", 8, project="light", minute=5)],
        starts=["a"],
        waits={"b": Reason.RESERVED_NEXT},
        world={"projects": (project("heavy", weight=2, used_gpu_hours=100), project("light", used_gpu_hours=99))},
    ),
    Scenario(
        "what a project uses now counts too",
        [job("a", 4, project="busy"), job("b", 4, project="idle", minute=5)],
        starts=["b"],
        waits={"a": Reason.RESERVED_NEXT},
        world={"running": (running("r", 4, 1, project="busy"),)},
    ),
    Scenario(
        "turns alternate while a pool fills",
        [job(f"a{n}", 2, project="a", minute=n) for n in range(4)]
        + [job(f"b{n}", 2, project="b", minute=9 + n) for n in range(4)],
        starts=["a0", "b0", "a1", "b1"],
        waits={
            "a2": Reason.RESERVED_NEXT,
            "a3": Reason.WAITING_FOR_CAPACITY,
            "b2": Reason.WAITING_FOR_CAPACITY,
            "b3": Reason.WAITING_FOR_CAPACITY,
        },
    ),
    Scenario(
        "inside a project short declared jobs go first",
        [job("long", 8, 4), job("short", 8, 1, minute=30)],
        starts=["short"],
        waits={"long": Reason.RESERVED_NEXT},
    ),
    Scenario(
        "a tie goes to who came first",
        [job("b", 8, project="b", minute=2), job("a", 8, project="a", minute=1)],
        starts=["a"],
        waits={"b": Reason.RESERVED_NEXT},
    ),
    Scenario(
        "a job the grant can't carry waits and holds nobody up",
        [job("dear", 8, 2, grant="small"), job("cheap", 1, 1, grant="large", minute=1)],
        starts=["cheap"],
        waits={"dear": Reason.WAITING_FOR_BUDGET},
        world={"grants": (grant("small", 15.9), grant("large", 100))},
    ),
    Scenario(
        "the whole declared time counts, to the tick",
        [job("a", 8, 2, grant="exact")],
        starts=["a"],
        world={"grants": (grant("exact", 16),)},
    ),
    Scenario(
        "two jobs can't spend the same hour",
        [job("first", 1, 1, grant="g"), job("second", 1, 1, grant="g", minute=1)],
        starts=["first"],
        waits={"second": Reason.WAITING_FOR_BUDGET},
        world={"grants": (grant("g", 1.5),)},
    ),
    Scenario(
        "what the next in line will need of the grant is kept for it",
        [job("big", 8, 1, grant="g"), job("small", 1, 1, grant="g", minute=1, project="other")],
        starts=[],
        waits={"big": Reason.RESERVED_NEXT, "small": Reason.WAITING_FOR_BUDGET},
        world={"projects": (project(weight=99),), "grants": (grant("g", 8.5),), "running": (running("r", 4, 1, project="c"),)},
    ),
    Scenario(
        "a grant that ends before the job could is no grant for it",
        [job("a", 1, 2, grant="g"), job("b", 1, 1, grant="g", minute=1)],
        starts=["b"],
        waits={"a": Reason.WAITING_FOR_GRANT},
        world={"grants": (grant("g", 100, closes=NOON + HOUR),)},
    ),
    Scenario(
        "a grant that has not begun",
        [job("a", 1, 1, grant="g")],
        starts=[],
        waits={"a": Reason.WAITING_FOR_GRANT},
        world={"grants": (grant("g", 100, opens=NOON + 1),)},
    ),
    Scenario(
        "nothing is drawn of an offer past its window",
        [job("a", 1, 2, offers=["o"]), job("b", 1, 1, offers=["o"], minute=1)],
        starts=["b"],
        waits={"a": Reason.WAITING_FOR_OFFER},
        world={"offers": (offer("o", 100, closes=NOON + HOUR),)},
    ),
    Scenario(
        "an offer whose policy does not permit the job is none",
        [job("a", 1, 1, offers=["mine"])],
        starts=[],
        waits={"a": Reason.WAITING_FOR_OFFER},
        world={"offers": (offer("theirs", 100),)},
    ),
    Scenario(
        "two offers together carry what neither can alone",
        [job("a", 2, 1, offers=["o1", "o2"])],
        starts=["a"],
        world={"offers": (offer("o1", 1), offer("o2", 1))},
    ),
    Scenario(
        "offers in different pools don't add up: a job runs in one pool",
        [job("a", 2, 1, offers=["o1", "o2"])],
        starts=[],
        waits={"a": Reason.WAITING_FOR_OFFER},
        world={"offers": (offer("o1", 1), offer("o2", 1, pool="paris")), "pools": (pool(), pool("paris"))},
    ),
    Scenario(
        "the overhead of a start must fit into the windows as well",
        [job("a", 1, 1, offers=["o"])],
        starts=[],
        waits={"a": Reason.WAITING_FOR_OFFER},
        world={"offers": (offer("o", 100, closes=NOON + HOUR),), "knobs": Knobs(overhead_seconds=1)},
    ),
    Scenario(
        "a project runs only so many jobs",
        [job("a"), job("b", minute=1), job("c", project="other", minute=2)],
        starts=["a", "c"],
        waits={"b": Reason.PROJECT_LIMIT},
        world={"projects": (project(limit=Limit(jobs=1)),)},
    ),
    Scenario(
        "a project uses only so many GPUs",
        [job("a", 3), job("b", 2, minute=1)],
        starts=["b"],
        waits={"a": Reason.PROJECT_LIMIT},
        world={"projects": (project(limit=Limit(gpus=4)),)},
    ),
    Scenario(
        "a person runs only so many jobs, across projects",
        [job("a", by="ada"), job("b", by="ada", project="other", minute=1), job("c", by="bob", minute=2)],
        starts=["a", "c"],
        waits={"b": Reason.SUBMITTER_LIMIT},
        world={"submitter_limits": {uid("ada"): Limit(jobs=1)}},
    ),
    Scenario(
        "a job through the gaps may not fill the limit under the next in line",
        [job("big", 8, 1, priority=Priority(1, "a release")), job("long", 1, 2, minute=1)],
        starts=[],
        waits={"big": Reason.RESERVED_NEXT, "long": Reason.PROJECT_LIMIT},
        world={"projects": (project(limit=Limit(jobs=1)),), "running": (running("r", 4, 1, project="c"),)},
    ),
    Scenario(
        "each pool and flavor has a next in line of its own",
        [job("a", 8, 1), job("b", 4, 1, flavor="L4", project="b", minute=1)],
        starts=[],
        waits={"a": Reason.RESERVED_NEXT, "b": Reason.RESERVED_NEXT},
        world={
            "pools": (pool(H100=8, L4=4),),
            "running": (running("r", 1, 1, project="c"), running("s", 1, 1, project="c", flavor="L4")),
        },
    ),
    Scenario(
        "a pool that shrank under its jobs starts nothing until they are gone",
        [job("a", 2, 1)],
        starts=[],
        waits={"a": Reason.RESERVED_NEXT},
        world={"pools": (pool(H100=2),), "running": (running("r", 4, 1), running("s", 4, 2))},
    ),
]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Scenario) -> None:
    given = snapshot(*scenario.jobs, **scenario.world)

    answer = plan(given)

    names = {each.id: name for name in [*scenario.starts, *scenario.waits] for each in given.queued if each.id == uid(name)}
    assert [names[start.job_id] for start in answer.starts] == scenario.starts
    assert {names[wait.job_id]: wait.reason for wait in answer.waiting} == scenario.waits
    assert all(wait.detail for wait in answer.waiting)


def test_offers_are_drawn_soonest_expiry_first_and_split_exactly() -> None:
    given = snapshot(
        job("a", 2, 3, offers=["late", "soon", "next"]),
        offers=(offer("late", 100), offer("soon", 1, closes=NOON + 4 * HOUR), offer("next", 2.5, closes=NOON + 5 * HOUR)),
    )

    (start,) = plan(given).starts

    assert [draw.offer_id for draw in start.draws] == [uid("soon"), uid("next"), uid("late")]
    assert sum(draw.ticks for draw in start.draws) == given.queued[0].offer_ticks
    assert start.draws[0].ticks == given.offers[1].available_ticks


def test_the_pool_whose_offers_expire_soonest_is_used_first() -> None:
    given = snapshot(
        job("a", 1, 1, offers=["o1", "o2"]),
        offers=(offer("o1", 9, closes=NOON + 9 * HOUR), offer("o2", 9, closes=NOON + 5 * HOUR, pool="paris")),
        pools=(pool(), pool("paris")),
    )

    assert plan(given).starts[0].pool_id == uid("paris")


def test_a_job_past_its_declared_time_is_expected_to_end_at_any_moment() -> None:
    given = snapshot(job("a", 8), running=(running("late", 1, -1),))

    (wait,) = plan(given).waiting

    assert wait.expected_start_at == NOON + 1


def test_no_promise_is_made_for_a_time_when_the_grant_is_over() -> None:
    """The next in line would keep GPUs idle for a start that can't be; it stays in line without them."""
    given = snapshot(
        job("doomed", 8, 2, grant="ends"),
        job("small", 1, 8, project="b", minute=1),
        grants=(grant("ends", 1000, closes=NOON + 2 * HOUR),),
        running=(running("r", 4, 1, project="c"),),
    )

    answer = plan(given)

    assert [start.job_id for start in answer.starts] == [uid("small")]
    assert answer.waiting[0].reason is Reason.WAITING_FOR_CAPACITY
