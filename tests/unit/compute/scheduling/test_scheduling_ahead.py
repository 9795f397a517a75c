"""The line planned ahead: never over capacity, nothing could start earlier, and the same as a plan that looks at every second."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.scheduling.forecasts import profile
from compute.scheduling.forecasts.ahead import Counted, Hosted

HORIZON = 400
"""Everything in these small worlds is over by then."""

Running = list[tuple[int, int]]


@dataclass
class Seconds:
    """What is free, second by second: slow, and hard to get wrong."""

    free: list[int]

    @classmethod
    def of(cls, capacity: int, running: Running) -> "Seconds":
        return cls([capacity - sum(gpus for ends_by, gpus in running if second < ends_by) for second in range(HORIZON)])

    def earliest(self, gpus: int, seconds: int, not_before: int = 0) -> int | None:
        for at in range(not_before, HORIZON - seconds):
            if self.fits(at, gpus, seconds):
                return at
        return None

    def fits(self, at: int, gpus: int, seconds: int) -> bool:
        return all(free >= gpus for free in self.free[at : at + seconds])

    def take(self, at: int, seconds: int, gpus: int) -> None:
        for second in range(at, at + seconds):
            self.free[second] -= gpus


@dataclass
class World:
    """Hosts with what runs there, and jobs in line."""

    seed: int
    hosts: list[tuple[int, Running]] = field(default_factory=list)
    jobs: list[tuple[int, int, int]] = field(default_factory=list)  # GPUs on each host, seconds, hosts

    def __post_init__(self) -> None:
        chance = random.Random(self.seed)
        few = chance.choice([[3, 5], [2, 3, 5, 7, 11]])
        for _ in range(chance.randint(1, 4)):
            gpus, running = chance.choice([2, 4]), list[tuple[int, int]]()
            for _ in range(chance.randint(0, 4)):
                running.append((chance.randint(1, 15), chance.randint(1, 2)))
            self.hosts.append((gpus, running))
        for _ in range(chance.randint(1, 12)):
            self.jobs.append((chance.randint(1, 5), chance.choice(few), chance.choice([1, 1, 1, 2, 3])))

    @property
    def capacity(self) -> int:
        return sum(gpus for gpus, _ in self.hosts)

    @property
    def running(self) -> Running:
        return [each for _, running in self.hosts for each in running]


def free_now(capacity: int, running: Running) -> int:
    """Below zero where a pool shrank under its jobs."""
    return capacity - sum(gpus for _, gpus in running)


@pytest.fixture(autouse=True, params=[4, 48])
def block_max(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small blocks too, so that small worlds have many."""
    monkeypatch.setattr(profile, "BLOCK_MAX", request.param)


def test_a_counted_plan_is_the_one_found_second_by_second() -> None:
    for seed in range(600):
        world = World(seed)
        slow = Seconds.of(world.capacity, world.running)
        fast = Counted(0, free_now(world.capacity, world.running), world.running)
        for gpus, seconds, _ in world.jobs:
            at = fast.reserve(gpus, seconds)

            assert at == slow.earliest(gpus, seconds), f"seed {seed}"
            if at is not None:
                slow.take(at, seconds, gpus)


def test_a_hosted_plan_is_the_one_found_second_by_second() -> None:
    for seed in range(600):
        world = World(seed)
        slow = [Seconds.of(gpus, running) for gpus, running in world.hosts]
        fast = Hosted(0, [(free_now(gpus, running), running) for gpus, running in world.hosts])
        for gpus, seconds, hosts in world.jobs:
            reserved = fast.reserve(gpus, seconds, hosts)

            expected = next(
                (
                    (at, ready[:hosts])
                    for at in range(HORIZON - seconds)
                    if len(ready := tuple(h for h, host in enumerate(slow) if host.fits(at, gpus, seconds))) >= hosts
                ),
                None,
            )
            assert reserved == expected, f"seed {seed}"
            if reserved is not None:
                for host in reserved[1]:
                    slow[host].take(reserved[0], seconds, gpus)


def test_no_reservation_can_be_moved_earlier_without_moving_another() -> None:
    for seed in range(300):
        world = World(seed)
        plan = Counted(0, free_now(world.capacity, world.running), world.running)
        made = [(plan.reserve(gpus, seconds), seconds, gpus) for gpus, seconds, _ in world.jobs]
        kept = [(at, seconds, gpus) for at, seconds, gpus in made if at is not None]
        for moved, (at, seconds, gpus) in enumerate(kept):
            without = Seconds.of(world.capacity, world.running)
            for other in kept[:moved] + kept[moved + 1 :]:
                without.take(other[0], other[1], other[2])

            assert without.earliest(gpus, seconds) == at, f"seed {seed}: neither over capacity nor too late"


def test_a_reservation_stands_when_a_job_is_added_behind() -> None:
    world = World(7)
    for length in range(len(world.jobs)):
        short = Counted(0, free_now(world.capacity, world.running), world.running)
        long = Counted(0, free_now(world.capacity, world.running), world.running)

        assert [short.reserve(gpus, seconds) for gpus, seconds, _ in world.jobs[:length]] == [
            long.reserve(gpus, seconds) for gpus, seconds, _ in world.jobs
        ][:length]


def test_whole_hosts_can_be_counted_who_gets_which_is_decided_at_the_start() -> None:
    for seed in range(300):
        chance = random.Random(seed)
        hosts = chance.randint(1, 6)
        busy_until = [chance.randint(0, 20) for _ in range(hosts)]
        plan = Counted(0, busy_until.count(0), [(at, 1) for at in busy_until if at])
        gangs = [(chance.randint(1, hosts), chance.randint(1, 9)) for _ in range(10)]
        starts = sorted((plan.reserve(wanted, seconds), wanted, seconds) for wanted, seconds in gangs)
        for at, wanted, seconds in starts:
            idle = [host for host in range(hosts) if busy_until[host] <= at]

            assert len(idle) >= wanted, f"seed {seed}: the same hosts from start to end"
            for host in idle[:wanted]:
                busy_until[host] = at + seconds


def test_more_durations_than_are_kept_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(3)
    jobs = [(chance.choice([1, 2, 4]), chance.randint(1, 99)) for _ in range(80)]
    plans = []
    for kept in (2, 1000):
        monkeypatch.setattr("compute.scheduling.forecasts.ahead.KINDS_MAX", kept)
        plan = Hosted(0, [(4, []), (4, [])])
        plans.append([plan.reserve(gpus, seconds) for gpus, seconds in jobs])

    assert plans[0] == plans[1]


@settings(max_examples=100)
@given(
    takes=st.lists(st.tuples(st.integers(0, 60), st.integers(1, 40), st.integers(1, 3)), max_size=25),
    ask=st.tuples(st.integers(1, 6), st.integers(1, 30), st.integers(0, 70)),
)
def test_a_profile_is_what_was_taken_from_it(takes: list[tuple[int, int, int]], ask: tuple[int, int, int]) -> None:
    free, slow = profile.Profile(0, 6), Seconds.of(6, [])
    for at, seconds, amount in takes:
        free.take(at, at + seconds, amount)
        slow.take(at, seconds, amount)

    assert free.earliest(*ask) == slow.earliest(*ask)
