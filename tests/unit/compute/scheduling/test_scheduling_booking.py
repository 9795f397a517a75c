"""Which shares of a GPU wait although there is room, and which never do."""

from collections import deque

from hypothesis import given, settings
from hypothesis import strategies as st

from compute.scheduling.hosts.booking import Limits, Line, packings
from compute.scheduling.hosts.fragments import WHOLE, Need
from compute.scheduling.hosts.placement import Host, Hosts

FULL, WASTEFUL, HALF = Need(1), Need(1, 810), Need(1, 500)


def test_shares_are_packed_the_largest_first_and_filled_with_the_largest_that_fit():
    assert packings({650: 2, 320: 3, 160: 1}) == [(970, 650, 2), (480, 320, 1)]
    assert packings({500: 5}) == [(WHOLE, 500, 2), (500, 500, 1)]


@given(st.dictionaries(st.integers(1, 999), st.integers(0, 40), max_size=12))
@settings(max_examples=60)
def test_packings_hold_every_job_once_and_no_gpu_over_its_capacity(shares):
    found = packings(shares)
    assert all(largest <= filled <= WHOLE for filled, largest, _ in found)
    assert sum(filled * count for filled, _, count in found) == sum(share * count for share, count in shares.items())


def test_nobody_waits_while_more_is_free_than_is_expected():
    line = Line(Hosts([Host("a", 1000)]), Limits())
    for number in range(100):
        assert line.arrived(number, FULL if number % 2 else WASTEFUL)
    assert line.held_back == 0


def test_who_wastes_waits_once_all_that_is_free_will_be_asked_for():
    line, started = _filled(Limits())
    assert line.held_back > 0
    assert set(started) == {FULL, WASTEFUL}
    without, all_started = _filled(None)
    assert without.held_back == 0
    assert started.count(FULL) > all_started.count(FULL)


def test_nobody_waits_where_as_much_comes_back_as_is_asked_for():
    """Thirty of forty GPUs are in use all the time, by shares of which each leaves a part of its GPU unused."""
    line = Line(Hosts([Host("a", 40)]), Limits())
    for number in range(400):
        back = line.ended(number - 30) if number >= 30 else []
        started = line.arrived(number, WASTEFUL if number % 2 else FULL)
        assert number < 60 or (len(started) == 1 and not back), "one turnover after the first end nobody waits any more"


def test_shares_that_fill_a_gpu_together_never_wait():
    line = Line(Hosts([Host("a", 40)]), Limits())
    started = [line.arrived(number, HALF) for number in range(100)]
    assert sum(map(len, started)) == 80
    assert line.held_back == 0


def test_all_who_wait_start_when_jobs_end_those_first_that_had_found_no_place():
    line, _ = _filled(Limits())
    assert line.held_back > 0
    kinds = []
    running = deque(name for name in range(100) if name not in line.waiting)
    while running:
        started = line.ended(running.popleft())
        running.extend(name for name, _ in started)
        kinds += [place.need for _, place in started]
    assert line.held_back == 0
    assert len(line.waiting) == 0
    assert kinds == sorted(kinds, key=lambda need: need.parts, reverse=True)


def _filled(limits):
    """Forty GPUs, and a hundred jobs that want one each; every other leaves a fifth of it unused."""
    hosts = Hosts([Host("a", 40)])
    line = Line(hosts, limits)
    kinds = [FULL if number % 2 else WASTEFUL for number in range(100)]
    started = [kinds[name] for number, need in enumerate(kinds) for name, _ in line.arrived(number, need)]
    return line, started
