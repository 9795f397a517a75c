"""The replay that compares where policies put pods: its draws, its peers, and its workloads."""

from collections.abc import Sequence
from random import Random

import pytest

from bench.placement import LOAD_PERCENT, POLICIES, WORKLOADS, draw, run
from compute.scheduling.hosts.fragments import WHOLE, Need
from compute.scheduling.hosts.placement import Host

HOSTS = [Host(f"h{number}", 4, "AB"[number % 2], 32_000, 65_536) for number in range(10)]
PODS = [Need(1, 810, 2_000), Need(1, cpu_milli=8_000), Need(1, 470, 4_000), Need(0, cpu_milli=4_000), Need(4)] * 4


def test_a_draw_has_every_pod_and_asks_for_almost_so_much_of_all_gpus():
    arrivals = draw(PODS, 40, Random(1))
    asked = sum(need.parts for need in arrivals)
    assert 40 * WHOLE * LOAD_PERCENT // 100 - 4 * WHOLE < asked <= 40 * WHOLE * LOAD_PERCENT // 100
    assert sorted(arrivals[: len(PODS)]) == sorted(PODS)
    assert draw(PODS, 40, Random(1)) == arrivals != draw(PODS, 40, Random(2))


@pytest.mark.parametrize("policy", POLICIES)
def test_no_policy_gives_more_than_there_is_and_the_unused_part_is_what_is_left(policy):
    arrivals = draw(PODS, 40, Random(1))
    placer = POLICIES[policy](HOSTS, PODS, Random(3))
    found = run(placer, HOSTS, arrivals)
    assert 0 <= found.unused_percent < 50
    assert list(found.in_use_percent) == sorted(found.in_use_percent)
    assert found.in_use_percent[-1] == pytest.approx(100 - found.unused_percent)


@pytest.mark.parametrize("policy", POLICIES)
def test_an_empty_platform_turns_nobody_away(policy):
    placer = POLICIES[policy](HOSTS, PODS, Random(3))
    assert [placer.arrived(need) for need in PODS[:5]] == [need.parts for need in PODS[:5]]


def test_the_other_workloads_have_the_share_that_they_are_named_for():
    def part(pods: Sequence[Need], chosen: Sequence[Need]) -> float:
        return sum(need.parts for need in chosen) / sum(need.parts for need in pods)

    several = WORKLOADS["multigpu50"](PODS, HOSTS, Random(1))
    assert part(several, [need for need in several if need.gpus > 1]) == pytest.approx(0.5, abs=0.1)
    shares = WORKLOADS["gpushare100"](PODS, HOSTS, Random(1))
    assert part(shares, [need for need in shares if need.share < WHOLE]) == 1
    models = WORKLOADS["gpuspec33"](PODS * 30, HOSTS, Random(1))
    with_gpus = [need for need in models if need.gpus]
    assert sum(bool(need.models) for need in with_gpus) / len(with_gpus) == pytest.approx(1 / 3, abs=0.05)
