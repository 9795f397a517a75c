"""A job that accepts several flavors: on which it starts, why, and what it is told while it waits."""

from dataclasses import replace

import pytest
from scheduling_build import FOREVER, GPU_HOUR, HOUR, NOON, grant, job, offer, pool, running, snapshot, uid

from compute.scheduling import Alternative, Job, Plan, Priority, Reason, Snapshot, Window, forecast, plan

POOLS = (pool("old", A100=4), pool("new", H100=4))


def either(name: str, gpus: int = 2, **other: object) -> Job:
    """A job that likes H100 best and takes A100, which cost half as much, as well."""
    made = job(name, gpus, **other)
    return replace(made, alternatives=(Alternative("A100", made.cost_ticks // 2, made.offer_ticks),))


def fully(name: str = "r", flavor: str = "H100", hours: float = 1) -> Snapshot:
    pool_name = {"H100": "new", "A100": "old"}[flavor]
    return snapshot(pools=POOLS, running=(running(name, 4, hours, pool=pool_name, flavor=flavor, project="other"),))


def only_start(answer: Plan) -> tuple[str, str | None]:
    (start,) = answer.starts
    return start.flavor, start.chosen_because


CASES = {
    "free": (snapshot(either("a"), pools=POOLS), ("H100", None)),
    "too few": (replace(fully(), queued=(either("a"),)), ("A100", "fewer H100 were free than it needs")),
    "too dear": (
        snapshot(either("a", grant="g"), pools=POOLS, grants=(grant("g", 1),)),
        ("A100", "its grant had too little left for H100"),
    ),
    "no gift": (
        snapshot(
            either("a", offers=["o", "p"]),
            pools=POOLS,
            offers=(offer("o", 1, pool="new"), offer("p", 9, pool="old", flavor="A100")),
        ),
        ("A100", "no offer of H100 could carry it"),
    ),
    "no pool": (snapshot(either("a"), pools=POOLS[:1]), ("A100", None)),
    "too small": (
        snapshot(either("a", 3), pools=(POOLS[0], pool("new", H100=2))),
        ("A100", "no open pool had enough H100 for it"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_it_starts_on_the_first_that_can_carry_it(case: str) -> None:
    told, expected = CASES[case]
    assert only_start(plan(told)) == expected


def test_its_own_order_comes_before_the_names_of_pools() -> None:
    made = replace(either("a"), flavor="A100", alternatives=(Alternative("H100", 2 * GPU_HOUR, 2 * GPU_HOUR),))
    assert only_start(plan(snapshot(made, pools=POOLS))) == ("A100", None)


def test_what_is_kept_for_the_next_in_line_is_said() -> None:
    large = job("large", 4, priority=Priority(1, "release"))
    told = snapshot(large, either("a", hours=2), pools=POOLS, running=(running("r", 2, 1, pool="new"),))
    assert only_start(plan(told)) == ("A100", "the free H100 were kept for the next in line")


def test_a_dear_start_leaves_the_grant_no_less_than_nothing() -> None:
    """Two fit on the cheap flavor and one on the dear one: which of them is counted decides what the second may do."""
    told = replace(fully(flavor="A100"), queued=(either("a", grant="g"), either("b", grant="g")), grants=(grant("g", 3),))
    answer = plan(told)
    assert [start.flavor for start in answer.starts] == ["H100"], "two of three hours are gone; one pays for A100 alone"
    assert [decision.flavor for decision in answer.waiting] == ["A100"]
    cheap = replace(told, queued=tuple(replace(each, cost_ticks=each.cost_ticks // 2) for each in told.queued))
    assert len(plan(cheap).starts) == 2, "at the price of the cheap one both would start"


def test_the_smaller_need_is_the_one_that_is_named() -> None:
    told = snapshot(either("a", grant="g"), pools=POOLS, grants=(grant("g", 0.5),))
    (waiting,) = plan(told).waiting
    assert (waiting.reason, waiting.ticks_needed) == (Reason.WAITING_FOR_BUDGET, GPU_HOUR)
    assert waiting.detail == (
        "may use 1.00 reference GPU-hours on A100; its compute grant has 0.50 left that no other job holds, 0.50 short"
    )
    enough = replace(told, grants=(grant("g", 1),))
    assert only_start(plan(enough))[0] == "A100", "and that much is enough"


def test_it_is_told_all_that_it_accepts() -> None:
    both = (running("r", 4, 2, pool="new", project="x"), running("s", 4, 1, pool="old", flavor="A100", project="x"))
    told = snapshot(either("a"), pools=POOLS, running=both)
    answer = plan(told)
    (waiting,) = answer.waiting
    assert waiting.detail == (
        "needs 2 × A100 or H100, 0 A100 free in pool old; next in line, expected at 13:00 UTC at the latest "
        "unless another’s turn comes sooner"
    )
    expected = forecast(told, answer, {uid("a"): HOUR, uid("r"): 2 * HOUR, uid("s"): HOUR}, jobs_max=9)[uid("a")]
    assert expected.latest_at == NOON + HOUR, "where it starts soonest"
    (closed,) = plan(replace(told, pools=())).waiting
    assert closed.detail == "needs 2 × H100 or A100; no open pool it may use has any"
    assert closed.remedy == "a pool that it may use opens or grows to 2 × H100 or A100"


def test_those_ahead_take_what_their_flavor_costs() -> None:
    """The line planned ahead: who goes first uses up the grant at the rate of the flavor where it starts soonest."""
    first, second = either("a", 4, grant="g"), either("b", 4, grant="g", minute=1)
    told = snapshot(
        first, second, pools=POOLS, grants=(grant("g", 6, closes=FOREVER),),
        running=(running("r", 4, 1, pool="new", project="x"), running("s", 4, 5, pool="old", flavor="A100", project="x")),
    )  # fmt: skip
    likely = {uid("a"): HOUR, uid("b"): HOUR, uid("r"): HOUR, uid("s"): 5 * HOUR}
    found = forecast(told, plan(told), likely, jobs_max=9)
    assert found[uid("a")].latest_at == NOON + HOUR
    assert found[uid("b")].latest_at == NOON + 5 * HOUR, "two of six hours are left: enough for A100 alone"


def test_a_full_reservation_of_the_same_flavor_is_no_other_flavor() -> None:
    small = Window(uid("w"), uid("old"), "A100", 1, NOON - HOUR, NOON + 9 * HOUR, "release", project_id=uid("vllm"))
    assert only_start(plan(replace(fully(), queued=(either("a"),), windows=(small,)))) == (
        "A100",
        "fewer H100 were free than it needs",
    )
