"""A host to itself: what it takes, what it is told, and that nobody disturbs it."""

from dataclasses import replace

import pytest
from scheduling_build import GPU_HOUR, HOUR, NOON, grant, job, offer, pool, running, snapshot, uid
from scheduling_slow import Reference

from compute.scheduling import (
    Job,
    KeptCore,
    Limit,
    Plan,
    Project,
    Quota,
    Ran,
    Reason,
    Share,
    Surprise,
    Terms,
    Whole,
    Window,
    forecast,
    plan,
)
from compute.scheduling.hosts.book import HostBook, alone_takes
from compute.scheduling.hosts.placement import Host
from compute.scheduling.plan import events
from core.units import TICKS_PER_GPU_SECOND

BERLIN = replace(pool(H100=20), hosts=(Host("large", 8), Host("medium", 4), Host("small", 4), Host("tall", 4)))


def alone(name: str, gpus: int, takes: int, *, where: str = "berlin", **other: object) -> Job:
    """A job that wants its host alone, and what that takes of a pool."""
    asked = job(name, gpus, **other)
    ticks = takes * asked.wall_seconds * TICKS_PER_GPU_SECOND
    return replace(asked, wholes=(Whole(uid(where), "H100", takes, ticks, ticks),))


def placed(found: Plan) -> dict[object, tuple[str, int]]:
    return {start.job_id: (start.host, start.gpus) for start in found.starts}


@pytest.mark.parametrize(
    ("sizes", "gpus", "takes"),
    [([8], 1, 8), ([8, 4, 4], 1, 4), ([8, 4], 4, 4), ([8, 4], 5, 8), ([8, 4], 9, None), ([], 1, None)],
)
def test_it_takes_all_of_the_smallest_host_that_has_enough(sizes: list[int], gpus: int, takes: int | None) -> None:
    assert alone_takes(sizes, gpus) == takes


def test_nothing_else_is_on_its_host_and_it_goes_to_no_larger_one() -> None:
    jobs = [alone(f"bench{number}", 2, 4, minute=number) for number in range(4)]
    found = plan(snapshot(*jobs, job("small", 1, minute=9), pools=(BERLIN,)))
    assert {placed(found)[each.id] for each in jobs[:3]} == {("medium", 4), ("small", 4), ("tall", 4)}
    assert placed(found)[uid("small")] == ("large", 1)
    (waits,) = found.waiting
    assert (waits.reason, waits.gpus_needed, waits.alone) == (Reason.RESERVED_NEXT, 4, True)
    assert waits.detail.startswith("needs 4 × H100 (a host to itself), 7 free in pool berlin; next in line")


def test_a_pool_without_named_hosts_is_one_host() -> None:
    bench = alone("bench", 1, 8)
    assert placed(plan(snapshot(bench))) == {bench.id: ("", 8)}
    (waits,) = plan(snapshot(bench, running=(running("other", 1, 1),))).waiting
    assert (waits.reason, waits.expected_start_at) == (Reason.RESERVED_NEXT, NOON + HOUR)


def test_who_waits_for_an_empty_host_is_told_so() -> None:
    there = replace(pool(H100=8), hosts=(Host("a", 4), Host("b", 4)))
    runs = [running(name, 1, hours, host=name) for name, hours in (("a", 2), ("b", 3))]
    first, second = alone("first", 2, 4), alone("second", 2, 4, minute=1)
    found = plan(snapshot(first, second, pools=(there,), running=runs))
    reserved, waits = found.waiting
    assert (reserved.reason, reserved.expected_start_at) == (Reason.RESERVED_NEXT, NOON + 2 * HOUR)
    assert waits.detail == (
        "needs 4 × H100 (a host to itself), 6 free in pool berlin, but no host of its size is empty: "
        "3 at most on one; number 2 in line"
    )
    assert waits.remedy == "4 × H100 of one host are free in pool berlin, once those ahead of it had their turn (1 job)"


def test_a_job_larger_than_the_largest_host_is_told_what_would_help() -> None:
    (waits,) = plan(snapshot(job("large", 10), pools=(BERLIN,))).waiting
    assert waits.reason is Reason.WAITING_FOR_POOL
    assert waits.detail == "needs 10 × H100; no open pool it may use has more than 8 on one host"
    assert waits.remedy == "a pool that it may use opens or grows to 10 × H100 on one host"


def test_a_closed_host_takes_nothing_and_promises_nothing() -> None:
    """The large host is out of service while a job ends there: what needs its size waits for a pool, not for that job."""
    there = replace(pool(H100=9), hosts=(Host("large", 5, is_open=False), Host("small", 4)))
    runs = [running("old", 5, 1, host="large")]
    small, large = job("small", 4), job("big", 5)
    found = plan(snapshot(small, large, pools=(there,), running=runs))
    assert placed(found) == {uid("small"): ("small", 4)}
    assert [each.reason for each in found.waiting] == [Reason.WAITING_FOR_POOL]


def test_it_is_charged_limited_and_counted_for_all_it_takes() -> None:
    bench = alone("bench", 1, 8, grant="g")
    quota = Quota("q", uid("berlin"), "H100", {uid("vllm"): Share(4, borrows=3)}, Terms())
    for short, reason in (
        ({"grants": (grant("g", 7),)}, Reason.WAITING_FOR_BUDGET),
        ({"grants": (grant("g", 8),), "projects": (Project(uid("vllm"), limit=Limit(gpus=7)),)}, Reason.PROJECT_LIMIT),
        ({"grants": (grant("g", 8),), "quotas": (quota,)}, Reason.WAITING_FOR_QUOTA),
        (
            {
                "grants": (grant("g", 8),),
                "windows": (Window(uid("w"), uid("berlin"), "H100", 1, NOON + 60, NOON + HOUR, "new fans"),),
            },
            Reason.WAITING_FOR_WINDOW,
        ),
    ):
        (waits,) = plan(snapshot(bench, **short)).waiting
        assert waits.reason is reason
        # Asking for one GPU among others, it would start.
        assert placed(plan(snapshot(replace(bench, wholes=None), **short))) == {bench.id: ("", 1)}
    assert placed(plan(snapshot(bench, grants=(grant("g", 8),)))) == {bench.id: ("", 8)}


def test_the_slow_scheduler_charges_it_the_same() -> None:
    bench, other = alone("bench", 1, 8, grant="g"), job("other", 1, 20, grant="g")
    world = snapshot(bench, other, grants=(grant("g", 8),))
    slow = Reference({}, {}, world.knobs)
    assert [each[0] for each in slow.apply(world.now, list(events(world)))] == [bench.id]
    assert slow.grant_left[uid("g")] == 0


def test_a_reservation_is_on_the_hosts_of_its_pool() -> None:
    """Four of eight are reserved for ray. What it runs there takes room on a host; whoever needs a whole host gets the other."""
    there = replace(pool(H100=8), hosts=(Host("a", 4), Host("b", 4)))
    window = Window(uid("w"), uid("berlin"), "H100", 4, NOON, NOON + 9 * HOUR, "a release", uid("ray"))
    mine, big = job("mine", 2, project="ray"), job("big", 4)
    found = placed(plan(snapshot(mine, big, pools=(there,), windows=(window,))))
    assert found.keys() == {mine.id, big.id}
    assert found[mine.id][0] != found[big.id][0]
    runs = [running("mine", 2, 5, host="a", reservation_id=uid("w"), project="ray"), running("big", 2, 5, host="b")]
    (waits,) = plan(snapshot(job("whole", 2, 1), job("half", 4, 9), pools=(there,), windows=(window,), running=runs)).waiting
    assert waits.job_id == uid("half"), "two are free for others, and both are together"


def test_large_jobs_are_not_broken_by_small_ones_where_first_fit_would() -> None:
    """Jobs of one and of four GPUs came before. First fit puts the small job on the first host with room, which is empty."""
    there = replace(pool(H100=8), hosts=(Host("a", 4), Host("b", 4)))
    past = tuple(Ran(uid("vllm"), None, 3600, gpus, 20, 20 * 3600) for gpus in (1, 4))
    runs = (running("old", 3, 5, host="b"),)
    state = snapshot(job("small", 1), job("large", 4, minute=1), pools=(there,), running=runs, past=past)
    assert placed(plan(state)) == {uid("small"): ("b", 1), uid("large"): ("a", 4)}
    ignorant = plan(replace(state, past=()))  # nothing is expected: hosts go by name, as in first fit
    assert placed(ignorant) == {uid("small"): ("a", 1)}


def test_the_forecast_knows_that_gpus_are_needed_on_one_host() -> None:
    """Four are free at once in an hour, two on each host; four on one in two hours, an empty host of four in three."""
    there = replace(pool(H100=8), hosts=(Host("a", 4), Host("b", 4)))
    runs = [running(f"{host}{hours}", 2, hours, host=host) for host, hours in (("a", 1), ("a", 3), ("b", 1), ("b", 2))]
    large, bench = job("large", 4), alone("bench", 1, 4, minute=1)
    state = snapshot(large, bench, pools=(there,), running=runs)
    likely = {each.id: each.wall_seconds for each in state.queued} | {each.job_id: each.ends_by - NOON for each in runs}
    found = forecast(state, plan(state), likely, jobs_max=10)
    assert sorted(each.latest_at for each in found.values() if each.latest_at) == [NOON + 2 * HOUR, NOON + 3 * HOUR]
    one = forecast(replace(state, pools=(pool(H100=8),)), plan(replace(state, pools=(pool(H100=8),))), likely, jobs_max=10)
    assert min(each.latest_at for each in one.values() if each.latest_at) == NOON + HOUR, "a pool that is one machine has them"


def test_a_kept_core_hears_of_hosts() -> None:
    there = replace(pool(H100=8), hosts=(Host("a", 4), Host("b", 4)))
    waits = job("waits", 8)
    before = snapshot(waits, pools=(there,))
    kept = KeptCore(before)
    assert kept.turn(before, {}) == ()
    gone = snapshot(waits, pools=(replace(there, hosts=(Host("a", 8),)),))
    with pytest.raises(Surprise, match="hosts of lane"):
        kept.turn(gone, {})
    assert [each.host for each in KeptCore(gone).starts] == ["a"]


def test_a_kept_core_knows_where_jobs_run_that_it_did_not_start() -> None:
    there = replace(pool(H100=8), hosts=(Host("a", 4), Host("b", 4)))
    state = snapshot(job("large", 4), pools=(there,), running=(running("old", 1, 5, host="a"),))
    kept = KeptCore(state)
    assert [each.host for each in kept.starts] == ["b"]
    elsewhere = replace(state, running=(running("old", 1, 5, host="b"),))
    with pytest.raises(Surprise, match="elsewhere"):
        kept.turn(elsewhere, {})


def _borrowed(owned: int) -> Plan:
    """Ray has two jobs of two GPUs on each of two hosts, an old one and a young one; vllm owns so many GPUs and needs four."""
    there = replace(pool(H100=8), hosts=(Host("a", 4), Host("b", 4)))
    shares = {uid("vllm"): Share(owned)} | ({uid("ray"): Share(8 - owned)} if owned < 8 else {})
    runs = [
        running(f"{age} {host}", 2, 9, project="ray", host=host, started_at=NOON - (1 if age == "young" else 2) * HOUR)
        for host in "ab"
        for age in ("old", "young")
    ]
    quota = Quota("q", uid("berlin"), "H100", shares, Terms(lost_gpu_seconds_max=10**6))
    return plan(snapshot(job("large", 4), pools=(there,), running=runs, quotas=(quota,)))


def test_who_gets_gpus_back_gets_them_on_one_host() -> None:
    asked = {leave.job_id for leave in _borrowed(8).asks.leave}
    assert asked in ({uid("old a"), uid("young a")}, {uid("old b"), uid("young b")}), "not the two that lose least"


def test_nobody_is_asked_in_vain_who_would_leave_room_on_two_hosts() -> None:
    """The young ones are borrowed, one on each host: if both left, the large job would fit on neither."""
    assert _borrowed(4).asks.leave == ()


def test_two_promises_on_the_same_hosts_are_of_different_gpus() -> None:
    """The second lane on these hosts is promised what the first one's promise leaves, or nothing."""
    book = HostBook([Host("a", 4), Host("b", 4)], spans=False)
    book.take("first", 4, 100)
    book.take("second", 4, 200)
    assert book.earliest(3, 0) == 100
    book.keep(3, 100)
    assert book.earliest(3, 0) == 200, "one is left on a"
    book.keep(3, 200)
    assert book.earliest(2, 0) is None
    assert book.earliest(1, 0) == 100


def test_an_offer_pays_for_the_whole_host() -> None:
    bench = alone("bench", 1, 8, offers=("o1",))
    (start,) = plan(snapshot(bench, offers=(offer("o1", 8),))).starts
    assert [draw.ticks for draw in start.draws] == [8 * GPU_HOUR]
    (waits,) = plan(snapshot(bench, offers=(offer("o1", 7.5),))).waiting
    assert waits.reason is Reason.WAITING_FOR_OFFER
