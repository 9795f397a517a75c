"""Jobs on hosts: their GPUs are together, a promise is about hosts, and whoever waits is told."""

from random import Random

from compute.scheduling.core import Core
from compute.scheduling.events import Choice, Ended, Kind, LaneSet, Submitted
from compute.scheduling.hosts.book import HostBook
from compute.scheduling.hosts.placement import Host
from compute.scheduling.model import Reason
from compute.scheduling.why.remedies import remedy

LANE, SIZE = "gpus", 8


def test_a_job_waits_where_enough_is_free_but_not_on_one_host_and_is_told_so():
    core = _core(hosts=2, size=4)
    assert _names(core.apply(0, [_job(number, 3, 100) for number in range(2)])) == [0, 1]
    assert core.apply(1, [_job(2, 2, 50)]) == []
    core.apply(2, [_job(3, 2, 50)])
    decision = core.decision(3)
    assert decision.reason is Reason.WAITING_FOR_CAPACITY
    assert decision.detail == "needs 2 × , 2 free in pool , but not together: 1 at most on one host; number 2 in line"
    assert remedy(decision) == "2 ×  are free together in pool , once those ahead of it had their turn (1 job)"
    assert core.decision(2).reason is Reason.RESERVED_NEXT
    assert core.decision(2).expected_start_at == 100
    assert _names(core.apply(60, [Ended(0)])) == [2, 3]


def test_a_large_job_spans_hosts_of_its_own():
    core = _core(hosts=3, size=4)
    (started,) = core.apply(0, [_job(0, 10, 100)])
    assert sorted(count for _, count in started.held) == [2, 4, 4]
    assert len({host for host, _ in started.held}) == 3


def test_who_outlasts_the_promise_goes_beside_the_promised_host():
    """Host a is free at 100, b at 200: a is promised. A long small job may go to b, and not to a."""
    book = HostBook([Host("a", 4), Host("b", 4)])
    book.take("first", 3, 100)
    book.take("second", 3, 200)
    assert book.earliest(4, 0) == 100
    book.keep(4, 100)
    assert book.take("long", 1, 300) == (("b", 1),)
    assert not book.fits(1, 300)
    assert book.take("short", 1, 100) == (("a", 1),)


def test_a_promised_host_takes_those_that_leave_the_promised_job_its_part():
    book = HostBook([Host("a", 4)])
    book.take("first", 2, 100)
    book.keep(3, 100)
    assert book.fits(1, 300)
    book.take("long", 1, 300)
    assert not book.fits(1, 300)
    assert book.fits(1, 100)


def test_hosts_are_never_over_their_capacity_and_what_is_promised_will_be_free():
    """Many random moments: jobs are on as few hosts as they can be, and by declared times the promised job has its hosts then."""
    promises = sum(_play(Random(seed)) for seed in range(8))
    assert promises > 500


def _play(rng: Random) -> int:
    core, kinds, running, ends, promises = _core(hosts=4, size=SIZE), {}, {}, {}, 0
    for now in range(400):
        over = [Ended(name) for name in sorted(running) if ends[name] == now]
        for each in over:
            del running[each.job]
        new = []
        if rng.randrange(3):
            new = [_job(now, rng.choice([1, 1, 2, 4, 7, 8, 12]), rng.choice([5, 20, 60]))]
            kinds[now] = new[0].kind
        for started in core.apply(now, [*over, *new]):
            gpus = kinds[started.job].gpus
            running[started.job] = started
            ends[started.job] = now + rng.randint(1, kinds[started.job].wall_seconds)
            assert sum(count for _, count in started.held) == gpus
            assert len(started.held) == -(-gpus // SIZE)
        assert all(free >= 0 for free in _free(running.values()))
        promise = core.promise(LANE)
        if promise is not None:
            promises += 1
            still = [each for each in running.values() if each.ends_by > promise.at]
            assert _has_room(kinds[promise.job].gpus, _free(still))
    return promises


def _free(running):
    free = dict.fromkeys(("h0", "h1", "h2", "h3"), SIZE)
    for started in running:
        for host, count in started.held:
            free[host] -= count
    return sorted(free.values(), reverse=True)


def _has_room(gpus, free):
    """Whether whole hosts and one with the rest are there, the emptiest first."""
    needs = [SIZE] * (gpus // SIZE) + [gpus % SIZE] * (gpus % SIZE > 0)
    return all(need <= left for need, left in zip(needs, free, strict=False))


def _core(*, hosts: int, size: int) -> Core:
    core = Core({}, {})
    core.apply(0, [LaneSet(LANE, hosts * size, hosts=tuple(Host(f"h{number}", size) for number in range(hosts)))])
    return core


def _job(name: object, gpus: int, seconds: int) -> Submitted:
    return Submitted(name, Kind("project", None, (Choice(LANE),), gpus, seconds))


def _names(started):
    return [each.job for each in started]
