"""Where jobs go: properties on random hosts and jobs, agreement with a slow reference, and cases that tell the rule."""

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from compute.scheduling.hosts.fragments import LEARN_FROM, WHOLE, Mix, Need, Room
from compute.scheduling.hosts.placement import Host, Hosts, Place
from tests.unit.compute.scheduling.placement_reference import cheapest, left, overfull

EMPTY = Mix()

hosts_of = st.lists(
    st.builds(
        Host,
        name=st.sampled_from("abcdef"),
        gpus=st.sampled_from([0, 1, 2, 4, 8]),
        model=st.sampled_from(["A", "B"]),
        cpu_milli=st.sampled_from([8_000, 64_000]),
        memory_mib=st.sampled_from([4_096, 65_536]),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda host: host.name,
)
wholes = st.builds(Need, gpus=st.sampled_from([0, 1, 2, 4]), cpu_milli=st.sampled_from([0, 1_000, 8_000]))
shares = st.builds(
    Need,
    gpus=st.just(1),
    share=st.sampled_from([50, 160, 190, 320, 470, 530, 810]),
    cpu_milli=st.sampled_from([0, 4_000]),
    memory_mib=st.sampled_from([0, 2_048]),
    models=st.sampled_from([(), ("A",), ("A", "B")]),
)
alone = st.builds(Need, gpus=st.sampled_from([1, 2]), exclusive=st.just(True))
needs = st.one_of(wholes, shares, alone)
mixes = st.dictionaries(st.one_of(wholes, shares), st.integers(1, 9), max_size=6)
steps = st.lists(st.tuples(st.lists(needs, min_size=1, max_size=3), st.booleans(), st.integers(0, 5)), max_size=25)


@given(hosts_of, mixes, steps)
@settings(max_examples=60)
def test_no_host_is_ever_over_its_capacity_and_no_gang_is_placed_partly(hosts, mix, steps):
    book, placed = Hosts(hosts, Mix(mix)), {}
    for number, (gang, apart, over) in enumerate(steps):
        free = book.free
        places = book.place(number, gang, apart=apart)
        if places is None:
            assert book.free == free
        else:
            placed[number] = places
            assert Counter(place.need for place in places) == Counter(gang)
            assert not apart or len({place.host for place in places}) == len(gang)
        assert overfull(hosts, placed) == []
        if over in placed:
            book.release(over)
            del placed[over]
        assert book.free == sum(sum(left(host, placed)[2]) for host in hosts)


@given(hosts_of, mixes, steps)
@settings(max_examples=60)
def test_the_slow_reference_chooses_the_same_host(hosts, mix, steps):
    book, placed = Hosts(hosts, Mix(mix)), {}
    for number, (gang, _, over) in enumerate(steps):
        for need in gang:
            found, expected = book.find(need), cheapest(hosts, placed, need, mix)
            if expected is None:
                assert found is None
            else:
                weight = sum(count for kind, count in mix.items() if kind.gpus)
                assert found is not None
                assert (found.host, found.wasted) == (expected[0], expected[1] - need.parts * weight)
        places = book.place(number, gang[:1])
        if places is not None:
            placed[number] = places
        if over in placed:
            book.release(over)
            del placed[over]


@given(hosts_of, steps)
@settings(max_examples=25)
def test_what_is_released_is_as_if_it_had_never_been(hosts, steps):
    book = Hosts(hosts)
    places = [book.place(number, gang) for number, (gang, _, _) in enumerate(steps)]
    for number in range(len(steps)):
        if places[number] is not None:
            book.release(number)
    assert [book.place(("again", number), gang) for number, (gang, _, _) in enumerate(steps)] == places


def test_the_check_sees_a_host_that_is_over_its_capacity_or_shared_against_the_rule():
    host, need = Host("a", 2, cpu_milli=1_000), Need(1, 600)
    twice = {1: [Place("a", (0,), need, 0)], 2: [Place("a", (0,), need, 0)]}
    assert overfull([host], twice) == ["a is over its capacity"]
    shared = {1: [Place("a", (0,), Need(1, exclusive=True), 0)], 2: [Place("a", (1,), need, 0)]}
    assert overfull([host], shared) == ["a is not exclusive"]
    assert overfull([host], {1: [Place("a", (0,), need, 0)], 2: [Place("a", (1,), need, 0)]}) == []


def test_a_gang_that_fits_only_in_part_takes_nothing():
    book = Hosts([Host("a", 4), Host("b", 2)])
    assert book.place("gang", [Need(4), Need(4)]) is None
    assert book.place("one", [Need(4)]) == (Place("a", (0, 1, 2, 3), Need(4), 0),)
    assert book.free == 2 * WHOLE


def test_an_exclusive_job_gets_an_empty_host_and_keeps_others_away():
    book = Hosts([Host("a", 4), Host("b", 4)])
    book.place("first", [Need(1)])
    places = book.place("alone", [Need(1, exclusive=True)])
    assert places is not None
    assert places[0].host == "b"
    assert book.place("another", [Need(1, exclusive=True)]) is None
    assert book.place("three", [Need(3)]) == (Place("a", (1, 2, 3), Need(3), 0),)
    assert book.place("one", [Need(1)]) is None
    book.release("alone")
    assert book.place("one", [Need(1)]) == (Place("b", (0,), Need(1), 0),)


def test_a_small_job_goes_where_a_large_one_could_not_go_anyway():
    """One of two hosts is broken already; the other stays whole for the jobs of four that come, too."""
    book = Hosts([Host("a", 4), Host("b", 4)], Mix({Need(1): 3, Need(4): 1}))
    book.place("first", [Need(1)])
    second = book.place("second", [Need(1)])
    assert second is not None
    assert second[0].host == "a"
    assert book.place("large", [Need(4)]) is not None


def test_shares_that_fill_a_gpu_go_together():
    book = Hosts([Host("a", 2)], Mix({Need(1, 470): 5, Need(1): 5}))
    places = [book.place(number, [Need(1, 470)]) for number in range(2)]
    assert [place[0].gpus for place in places if place] == [(0,), (0,)]
    whole = book.place("whole", [Need(1)])
    assert whole is not None
    assert whole[0].gpus == (1,)


def test_a_gpu_without_the_cpu_for_a_task_counts_as_lost():
    mix = Mix({Need(1, cpu_milli=8_000): 1})
    enough, half = Room("", 16_000, 0, (WHOLE, WHOLE)), Room("", 8_000, 0, (WHOLE, WHOLE))
    assert (mix.usable(enough), mix.usable(half)) == (2 * WHOLE, WHOLE)
    assert mix.usable(Room("", 7_999, 0, (WHOLE, WHOLE))) == 0


def test_what_is_expected_is_learnt_from_what_arrives():
    mix, room = Mix(), Room("", 0, 0, (500, WHOLE))
    assert [mix.arrived(Need(1)) for _ in range(LEARN_FROM)] == [False] * (LEARN_FROM - 1) + [True]
    assert mix.usable(room) == LEARN_FROM * WHOLE
    assert [mix.arrived(Need(1, 500)) for _ in range(LEARN_FROM)].index(True) == LEARN_FROM - 1
    assert mix.usable(room) == LEARN_FROM * WHOLE + LEARN_FROM * 1_500
