"""The choice of a host, slow and obviously right: everything is counted from nothing, host by host, GPU by GPU."""

from collections.abc import Mapping, Sequence

from compute.scheduling.hosts.fragments import WHOLE, Need
from compute.scheduling.hosts.placement import Host, Place

Placed = Mapping[str, Sequence[Place]]


def left(host: Host, placed: Placed) -> tuple[int, int, list[int]]:
    """CPU, memory, and thousandths of each GPU that nobody has."""
    cpu, memory, gpus = host.cpu_milli, host.memory_mib, [WHOLE] * host.gpus
    for place in _on(host, placed):
        cpu -= place.need.cpu_milli
        memory -= place.need.memory_mib
        for number in place.gpus:
            gpus[number] -= place.need.share
    return cpu, memory, gpus


def overfull(hosts: Sequence[Host], placed: Placed) -> list[str]:
    """What is wrong with a state: nothing, if all is right."""
    wrong = []
    for host in hosts:
        cpu, memory, gpus = left(host, placed)
        if cpu < 0 or memory < 0 or any(free < 0 for free in gpus):
            wrong.append(f"{host.name} is over its capacity")
        here = _on(host, placed)
        if len(here) > 1 and any(place.need.exclusive for place in here):
            wrong.append(f"{host.name} is not exclusive")
        if any(len(set(place.gpus)) != place.need.gpus for place in here):
            wrong.append(f"{host.name} gave another number of GPUs than was asked for")
        if any(place.need.models and host.model not in place.need.models for place in here):
            wrong.append(f"{host.name} is of another model than was asked for")
    return wrong


def cheapest(hosts: Sequence[Host], placed: Placed, need: Need, mix: Mapping[Need, int]) -> tuple[str, int] | None:
    """The host where the need takes least from the expected work, the first by name among equals; and how much."""
    found = []
    for host in sorted(hosts, key=lambda host: host.name):
        here = _on(host, placed)
        if (need.models and host.model not in need.models) or any(place.need.exclusive for place in here):
            continue
        cpu, memory, gpus = left(host, placed)
        if need.exclusive and here:
            continue
        able = [number for number, free in enumerate(gpus) if free >= need.share]
        if cpu < need.cpu_milli or memory < need.memory_mib or len(able) < need.gpus:
            continue
        before = sum(count * _usable(host.model, cpu, memory, gpus, kind) for kind, count in mix.items())
        ways = [[number] for number in able] if need.share < WHOLE else [able[: need.gpus]]
        for way in ways:
            after = [free - need.share if number in way else free for number, free in enumerate(gpus)]
            rest = (cpu - need.cpu_milli, memory - need.memory_mib, after)
            kept = 0 if need.exclusive else sum(count * _usable(host.model, *rest, kind) for kind, count in mix.items())
            found.append((before - kept, host.name))
    return min(((name, cost) for cost, name in found), key=lambda pair: (pair[1], pair[0]), default=None)


def _usable(model: str, cpu: int, memory: int, gpus: Sequence[int], kind: Need) -> int:
    able = [free for free in gpus if free >= kind.share]
    if not kind.gpus or (kind.models and model not in kind.models):
        return 0
    if len(able) < kind.gpus or cpu < kind.cpu_milli or memory < kind.memory_mib:
        return 0
    parts = kind.gpus * kind.share
    most = [len(able) // kind.gpus * kind.gpus * WHOLE if kind.share == WHOLE else sum(able)]
    if kind.cpu_milli:
        most.append(parts * cpu // kind.cpu_milli)
    if kind.memory_mib:
        most.append(parts * memory // kind.memory_mib)
    return min(most)


def _on(host: Host, placed: Placed) -> list[Place]:
    return [place for places in placed.values() for place in places if place.host == host.name]
