"""What people read while they wait."""

from dataclasses import replace

import pytest
from scheduling_build import HOUR, NOON, grant, job, offer, pool, project, running, snapshot, uid

from compute.scheduling import Decision, Limit, Pool, PoolState, Reason, Snapshot, plan
from compute.scheduling.hosts.placement import Host

UNLESS = " at the latest unless another’s turn comes sooner"

CASES = {
    f"needs 8 × H100, 3 free in pool berlin; next in line, expected at 14:20 UTC{UNLESS}": snapshot(
        job("a", 8), running=(running("r", 5, 2 + 1 / 3),)
    ),
    f"needs 8 × H100, 7 free in pool berlin; next in line, expected at 20 Nov 12:00 UTC{UNLESS}": snapshot(
        job("a", 8), running=(running("r", 1, 48),)
    ),
    f"needs 8 × H100, 7 free in pool berlin; next in line, expected at 7 Jan 2027 12:00 UTC{UNLESS}": snapshot(
        job("a", 8), running=(running("r", 1, 24 * 50),)
    ),
    "needs 16 × H100; no open pool it may use has more than 8": snapshot(job("a", 16)),
    "needs 1 × H100; no open pool it may use has any": snapshot(job("a", 1), pools=()),
    "needs 1 × H100; pool berlin takes reviewed code only, and no other open pool has any": snapshot(
        job("a", 1, pools=[], distrusted_in=("berlin",))
    ),
    "needs 2 × H100; pools berlin and oslo take reviewed code only, and no other open pool has more than 1": snapshot(
        job("a", 2, pools=["rome"], distrusted_in=("berlin", "oslo")), pools=(pool(), pool("oslo"), pool("rome", H100=1))
    ),
    "needs 1 × H100; pool berlin closes at 12:30 UTC, before this job could end": snapshot(
        job("a", 1), pools=(pool(open_until=NOON + HOUR // 2),)
    ),
    "may use 16.00 reference GPU-hours; its compute grant has 1.50 left that no other job holds, 14.50 short": snapshot(
        job("a", 8, 2, grant="g"), grants=(grant("g", 1.5),)
    ),
    "its compute grant starts at 19 Nov 12:00 UTC": snapshot(
        job("a", grant="g"), grants=(grant("g", 9, opens=NOON + 24 * HOUR),)
    ),
    "its compute grant ended at 11:30 UTC": snapshot(job("a", grant="g"), grants=(grant("g", 9, closes=NOON - HOUR // 2),)),
    "its compute grant ends at 12:30 UTC, before this job could end": snapshot(
        job("a", grant="g"), grants=(grant("g", 9, closes=NOON + HOUR // 2),)
    ),
    "may use 8.00 H100 GPU-hours; the offers it may use in pool berlin have 2.00 left": snapshot(
        job("a", 8, offers=["o"]), offers=(offer("o", 2),)
    ),
    "the offers it may use in pool berlin have enough for it until 12:30 UTC only, and this job could end later": snapshot(
        job("a", offers=["o"]), offers=(offer("o", 9, closes=NOON + HOUR // 2),)
    ),
    "the next offer it may use in pool berlin opens at 13:00 UTC": snapshot(
        job("a", offers=["o"]), offers=(offer("o", 9, opens=NOON + HOUR),)
    ),
    "no offer it may use in pool berlin has any H100 time for it": snapshot(job("a", offers=["o"]), offers=(offer("o", 0),)),
    "its project may run 1 job at a time and has 1 running or about to start": snapshot(
        job("a"), projects=(project(limit=Limit(jobs=1)),), running=(running("r", 1, 1),)
    ),
    "its project may use 4 GPUs at a time: 3 in use or promised, 2 more needed": snapshot(
        job("a", 2), projects=(project(limit=Limit(gpus=4)),), running=(running("r", 3, 1),)
    ),
    "its project may use 4 GPUs at a time: 8 needed": snapshot(job("a", 8), projects=(project(limit=Limit(gpus=4)),)),
    "its submitter may run 2 jobs at a time and has 2 running or about to start": snapshot(
        job("a", by="ada"),
        running=(running("r", 1, 1, by="ada"), running("s", 1, 1, by="ada")),
        submitter_limits={uid("ada"): Limit(jobs=2)},
    ),
}


@pytest.mark.parametrize("sentence", CASES)
def test_a_waiting_job_says_what_it_waits_for(sentence: str) -> None:
    (wait,) = plan(CASES[sentence]).waiting

    assert wait.detail == sentence


@pytest.mark.parametrize(
    "unable",
    [
        pool("oslo", open_until=NOON + HOUR // 2),
        pool("oslo", state=PoolState.DRAINING),
        pool("oslo", H100=1),
        replace(pool("oslo"), hosts=(Host("large", 4, is_open=False), Host("one", 1), Host("two", 1))),
    ],
    ids=["closes too soon", "takes nothing new", "is too small", "has too small hosts"],
)
def test_a_distrusting_pool_that_could_not_take_the_job_anyhow_is_not_named(unable: Pool) -> None:
    waits = job("a", 2, pools=["rome"], distrusted_in=("berlin", "oslo"))
    (wait,) = plan(snapshot(waits, pools=(pool(), unable, pool("rome", H100=1)))).waiting

    assert wait.distrusted_in == ("berlin",)


def test_jobs_behind_the_next_in_line_say_so() -> None:
    given = snapshot(
        job("a", 8, 2, project="a"),
        job("b", 8, 2, project="b", minute=1),
        job("c", 2, 9, project="c", minute=2),
        running=(running("r", 4, 1, project="d"),),
        projects=(project("a", weight=99), project("b", weight=50)),
    )

    _, second, third = plan(given).waiting

    assert second.detail == "needs 8 × H100, 4 free in pool berlin; number 2 in line"
    assert third.detail == (
        "needs 2 × H100, 4 free in pool berlin; starting it now would delay the job that is next in line, "
        "which is expected at 13:00 UTC at the latest"
    )


def test_the_numbers_of_the_sentence_are_fields() -> None:
    given: Snapshot = snapshot(job("a", 8, 2, grant="g"), grants=(grant("g", 1.5),))

    (wait,) = plan(given).waiting

    assert (wait.ticks_needed, wait.ticks_available) == (given.queued[0].cost_ticks, given.grants[0].available_ticks)
    assert (wait.place, wait.gpus_needed, wait.flavor) == (1, 8, "H100")


def test_maintenance_says_when_it_begins_and_what_it_leaves() -> None:
    facts = {"closes_at": NOON + HOUR, "gpus_free": 3, "gpus_short": 5, "window": "new fans", "pool_name": "berlin"}
    wait = Decision(uid("a"), Reason.WAITING_FOR_WINDOW, NOON, 1, "H100", 8, **facts)

    assert wait.detail == "needs 8 × H100; from 13:00 UTC on pool berlin has 3 left for it (new fans)"
    assert wait.remedy == "new fans in pool berlin is over or takes 5 GPUs less, once the others there had their turn"
    assert replace(wait, over_by=NOON + HOUR // 2).remedy == (
        f"{wait.remedy}, or the job is submitted again so short that it is over by 12:30 UTC"
    )


def test_an_offer_that_opens_is_named_only_if_the_pool_lasts_as_long_as_the_job_may_take_then() -> None:
    given = snapshot(
        job("a", hours=1, offers=["o"]),
        pools=(pool(open_until=NOON + 2 * HOUR - 1),),
        offers=(offer("o", 9, opens=NOON + HOUR),),
    )
    lasting = replace(given, pools=(pool(open_until=NOON + 2 * HOUR),))

    (wait,), (other,) = plan(given).waiting, plan(lasting).waiting

    assert (wait.opens_at, other.opens_at) == (None, NOON + HOUR)
    assert wait.detail == "no offer it may use in pool berlin has any H100 time for it"


def test_of_the_pools_it_may_use_the_one_whose_offer_opens_first_is_named() -> None:
    given = snapshot(
        job("a", offers=["late", "soon"]),
        pools=(pool("athens"), pool("berlin")),
        offers=(offer("late", 9, pool="athens", opens=NOON + 2 * HOUR), offer("soon", 9, pool="berlin", opens=NOON + HOUR)),
    )

    (wait,) = plan(given).waiting

    assert wait.detail == "the next offer it may use in pool berlin opens at 13:00 UTC"
