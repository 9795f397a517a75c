"""What a waiting job is told about its start: a bound by declared times, a range by learnt ones, nothing where nobody knows."""

from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from scheduling_build import HOUR, NOON, grant, job, offer, pool, project, running, snapshot, uid
from scheduling_worlds import on_hosts, world

from compute.scheduling import Expected, Limit, PoolState, Priority, Quota, Snapshot, forecast, plan
from compute.scheduling.forecasts.forecast import _PARTS, DRAWS
from compute.scheduling.quotas.preemption import Terms
from compute.scheduling.quotas.quota import Share


def expect(state: Snapshot, share: float = 1.0, jobs_max: int = 1000) -> dict[UUID, Expected]:
    """Forecast with jobs that probably run for this share of their declared time."""
    likely = {each.id: round(each.wall_seconds * share) for each in state.queued}
    likely |= {each.job_id: max(1, round((each.ends_by - state.now) * share)) for each in state.running}
    return forecast(state, plan(state), likely, jobs_max=jobs_max)


def latest(state: Snapshot, name: str) -> float | None:
    """The latest start in hours from noon."""
    at = expect(state)[uid(name)].latest_at
    return None if at is None else (at - NOON) / HOUR


def test_everybody_in_line_has_a_latest_start_by_declared_times() -> None:
    state = snapshot(
        job("first", 8, 2, priority=Priority(2)),
        job("second", 8, 3, minute=1, priority=Priority(1)),
        job("through the gap", 2, 4),
        running=(running("r", 8, 1, project="x"),),
    )

    assert [latest(state, name) for name in ("first", "second", "through the gap")] == [1, 3, 6]


def test_the_next_in_line_is_expected_when_it_was_promised() -> None:
    checked = 0
    for seed in range(400):
        state = world(seed) if seed % 4 else on_hosts(world(seed), seed)
        decided = plan(state)
        found = expect(state)
        for decision in decided.waiting:
            if decision.place == 1 and decision.expected_start_at is not None:
                checked += 1
                assert found[decision.job_id].latest_at == decision.expected_start_at, f"seed {seed}"
    assert checked > 50


def test_the_range_is_in_order_and_never_later_than_the_latest() -> None:
    for seed in range(400):
        for found in expect(world(seed), 0.5).values():
            moments = [found.as_of, found.soonest_at, found.likely_at, found.late_at]
            assert moments == sorted(moments), f"seed {seed}"
            assert found.latest_at is None or found.late_at <= found.latest_at


def test_jobs_that_end_early_are_expected_to() -> None:
    state = snapshot(job("a", 8, 2), running=(running("r", 4, 4, project="x"),))

    found = expect(state, 0.1)[uid("a")]

    assert found.latest_at == NOON + 4 * HOUR
    assert found.soonest_at < found.likely_at < found.late_at < NOON + 2 * HOUR


def test_a_limit_is_waited_for_as_devices_are() -> None:
    state = snapshot(
        job("a", 1, 1),
        projects=(project(limit=Limit(jobs=1)),),
        running=(running("r", 1, 2), running("s", 1, 5, project="other")),
    )

    assert latest(state, "a") == 2


def test_a_grant_that_those_ahead_may_use_up_leaves_no_latest_start() -> None:
    asked: dict[str, Any] = {"grant": "g", "offers": ["o"]}
    state = snapshot(
        job("next in line", 8, 1),
        job("a", 8, 1, minute=1, **asked),
        job("b", 8, 1, minute=2, **asked),
        running=(running("r", 8, 1, project="x"),),
        grants=(grant("g", 12),),
        offers=(offer("o", 100),),
    )

    found = expect(state)

    assert found[uid("a")].latest_at == NOON + 2 * HOUR
    assert found[uid("b")].latest_at is None
    assert found[uid("b")].likely_at >= found[uid("a")].likely_at


def test_a_quota_group_that_may_keep_it_from_free_gpus_leaves_no_latest_start() -> None:
    state = snapshot(
        job("first", 8, 2, priority=Priority(1)), job("second", 2, 3, minute=1), running=(running("r", 8, 1, project="x"),)
    )
    lending = replace(state, quotas=(Quota("owners", uid("berlin"), "H100", {uid("vllm"): Share(0)}, Terms()),))

    assert (latest(state, "first"), latest(state, "second")) == (1, 3)
    assert (latest(lending, "first"), latest(lending, "second")) == (1, None), "who was promised a start has one all the same"


def test_an_offer_that_opens_later_is_waited_for() -> None:
    state = snapshot(job("a", offers=["o"]), offers=(offer("o", 9, opens=NOON + HOUR),))

    assert latest(state, "a") == 1


def test_the_next_offer_is_one_that_will_do() -> None:
    later = [
        offer("too short", 99, opens=NOON + HOUR, closes=NOON + 2 * HOUR),
        offer("too little", 1, opens=NOON + 2 * HOUR),
        offer("enough", 99, opens=NOON + 3 * HOUR),
    ]
    asked = job("a", 8, 2, offers=["too short", "too little", "enough"])

    (one,) = plan(snapshot(asked, offers=tuple(later))).waiting
    (none,) = plan(snapshot(asked, offers=tuple(later[:2]))).waiting

    assert one.opens_at == NOON + 3 * HOUR
    assert none.opens_at is None


@pytest.mark.parametrize(
    "state",
    [
        snapshot(job("a", 16)),
        snapshot(job("a", 8, grant="g"), grants=(grant("g", 1),)),
        snapshot(job("a", 8), pools=(pool(state=PoolState.DRAINING),)),
        snapshot(job("a", 8), projects=(project(limit=Limit(gpus=4)),)),
        snapshot(job("a", 8, 3, grant="g"), grants=(grant("g", 99, closes=NOON + HOUR),)),
    ],
    ids=["too large", "no budget", "no pool", "over a limit alone", "a window too short"],
)
def test_what_waits_for_somebody_to_act_is_promised_nothing(state: Snapshot) -> None:
    assert expect(state) == {}


def test_as_many_are_planned_as_asked_and_the_first_ones_alike() -> None:
    state = snapshot(*(job(f"j{number}", 8, minute=number) for number in range(6)), running=(running("r", 1, 1),))

    some, everybody = expect(state, 0.5, jobs_max=3), expect(state, 0.5)

    assert len(some) == 3
    assert some.items() <= everybody.items()


def test_the_parts_of_the_distribution_have_its_mean() -> None:
    assert len(_PARTS) == DRAWS
    assert sum(_PARTS) == 1000 * DRAWS


def test_the_words_say_what_they_assume() -> None:
    sure = Expected(NOON, NOON + HOUR, NOON + 2 * HOUR, NOON + 3 * HOUR, NOON + 30 * HOUR, ranges=10, held=8)
    unsure = Expected(NOON, NOON + HOUR, NOON + HOUR, NOON + HOUR, None)
    once = [replace(sure, ranges=1, held=held).in_short for held in (0, 1)]

    assert sure.detail == (
        "probably at 14:00 UTC (between 13:00 UTC and 15:00 UTC; 8 of the last 10 such ranges held); "
        "at 19 Nov 18:00 UTC if all take as long as they declared and the line stays as it is"
    )
    assert unsure.detail == (
        "probably at 13:00 UTC (between 13:00 UTC and 13:00 UTC), a wide guess: no earlier guess of this sort could be checked "
        "yet; "
        "those ahead in line may use up what it needs, so nothing is certain"
    )
    assert once == [
        "14:00 UTC (between 13:00 UTC and 15:00 UTC; the last such range did not hold)",
        "14:00 UTC (between 13:00 UTC and 15:00 UTC; the last such range held)",
    ]


def test_every_reason_says_what_would_have_to_happen() -> None:
    short = snapshot(job("a", 8, 2, grant="g"), grants=(grant("g", 1.5),))
    line = snapshot(
        job("a", 8, 2, project="a"),
        job("b", 8, 2, project="b", minute=1),
        job("c", 2, 9, project="c", minute=2),
        running=(running("r", 4, 1, project="d"),),
        projects=(project("a", weight=99), project("b", weight=50)),
    )

    said = [decision.remedy for state in (short, line) for decision in plan(state).waiting]

    assert said == [
        (
            "its compute grant gets 14.50 reference GPU-hours more, or its other jobs end and give back as much of what they "
            "hold, and none of them takes it first"
        ),
        "nothing but time: 8 × H100 are kept for it in pool berlin as they get free",
        "4 more H100 get free in pool berlin, once those ahead of it had their turn (1 job)",
        "the job that is next in line has its GPUs, or the job is submitted again so short that it is over by 13:00 UTC",
    ]
