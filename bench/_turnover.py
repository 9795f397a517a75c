"""What letting the wasteful wait costs where jobs end: GPUs in use in a pool that is asked for less, or more, than it has.

Pods are drawn from the trace at random, and each keeps its place for as many arrivals as are drawn for it, exponentially around
a mean that makes them ask for so much of all GPUs on average. After two such means the pool has forgotten how it was filled; use
is the mean over the next two.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from compute.scheduling.hosts.booking import Limits, Line
from compute.scheduling.hosts.fragments import WHOLE, Need
from compute.scheduling.hosts.placement import Host, Hosts

LOADS = (70, 90, 100, 105, 110, 130)
"""Percent of all GPUs that are asked for."""

TURNS = 2
"""Mean times of a pod until the pool is looked at, and for which it is."""


@dataclass(frozen=True)
class Seen:
    """One pool at one load."""

    in_use_percent: float
    held_back: float  # jobs that wait although there is room, at an arrival on average


def turnover(hosts: Sequence[Host], pods: Sequence[Need], limits: Limits | None, load: int, seed: int) -> Seen:
    """Let pods come and go."""
    rng = Random(seed)
    total = sum(host.gpus for host in hosts) * WHOLE
    mean = load * total * len(pods) / sum(need.parts for need in pods) / 100
    line = Line(Hosts(hosts), limits)
    lasts: list[float] = []
    ends: list[tuple[float, int, int]] = []
    used = use = held = looks = 0
    for number in range(round(2 * TURNS * mean)):
        started = []
        while ends and ends[0][0] <= number:
            _, name, parts = heapq.heappop(ends)
            used -= parts
            started += line.ended(name)
        lasts.append(rng.expovariate(1 / mean))
        started += line.arrived(number, rng.choice(pods))
        for started_name, place in started:
            assert isinstance(started_name, int)
            used += place.need.parts
            heapq.heappush(ends, (number + lasts[started_name], started_name, place.need.parts))
        if number >= TURNS * mean:
            use, held, looks = use + used, held + line.held_back, looks + 1
    return Seen(100 * use / looks / total, held / looks)
