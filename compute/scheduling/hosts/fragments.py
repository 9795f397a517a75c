"""How much of a host's free GPUs the expected work can use: the measure by which a host is chosen.

A GPU that is free is not always of use: half of one helps nobody who needs a whole one, and eight are of no use where the CPU for
them is taken. Weng et al. (Beware of Fragmentation: Scheduling GPU-Sharing Workloads with Fragmentation Gradient Descent, USENIX
ATC 2023, section 4) count, for a kind m of work with popularity p_m, as the fragments of a node n

    F_n(m) = all that is free, if m does not fit n; else what is free of those GPUs that are too full for m
    F_n = sum over m of p_m F_n(m),

and place each task where F_n grows least. We count what is left, the usable part U_n = free - F_n, with one change: of the GPUs
that would do for m, only as many count as the node's CPU and memory can carry work of kind m on,

    U_n(m) = min(GPUs of n that would do for m, gpus_m × cpu_n / cpu_m, gpus_m × memory_n / memory_m),

because eight free GPUs beside the CPU for one task are of use to one task. Of whole GPUs only whole multiples of gpus_m count.
Popularity is learnt from what arrived, never given. All figures are integers: thousandths of a GPU times arrivals.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

WHOLE = 1000
"""A GPU in thousandths."""

TYPICAL_MAX = 200
"""Only so many kinds of work are looked at, the most frequent ones."""

LEARN_FROM = 32
"""Popularity is first learnt from so many arrivals, and again whenever they have doubled."""

SWEEP_AT = 50_000
"""Answers kept before they are forgotten."""


@dataclass(frozen=True, slots=True, order=True)
class Need:
    """What has to be had on one host. A slice is a GPU of a flavor of its own."""

    gpus: int  # 0: none
    share: int = WHOLE  # of one GPU, in thousandths; less than WHOLE only with `gpus` of 1
    cpu_milli: int = 0
    memory_mib: int = 0
    models: tuple[str, ...] = ()  # of GPU, any of them; empty: any at all
    exclusive: bool = False  # nothing else may be on the host, whatever is free there

    def __post_init__(self) -> None:
        assert self.gpus >= 0, "GPUs are counted"
        assert 0 < self.share <= WHOLE, "a share is a part of a GPU"
        assert self.share == WHOLE or self.gpus == 1, "a share is of one GPU"

    @property
    def parts(self) -> int:
        """GPUs in thousandths, all together."""
        return self.gpus * self.share


class Room(NamedTuple):
    """What is free on a host. Which of its GPUs is which does not matter here."""

    model: str
    cpu_milli: int
    memory_mib: int
    gpus: tuple[int, ...]  # free thousandths of each, ascending

    def after(self, need: Need) -> "list[tuple[int, Room]]":
        """What would be left if the need were met: for a share one answer for each GPU that would do, the fullest first.

        With each answer: how much was free on the GPU that is taken. Empty: it does not fit.
        """
        cpu, memory = self.cpu_milli - need.cpu_milli, self.memory_mib - need.memory_mib
        if cpu < 0 or memory < 0 or (need.models and self.model not in need.models):
            return []
        if need.share < WHOLE:
            return [
                (free, Room(self.model, cpu, memory, _replaced(self.gpus, free, free - need.share)))
                for free in sorted(set(self.gpus))
                if free >= need.share
            ]
        kept = len(self.gpus) - need.gpus
        if need.gpus and (kept < 0 or self.gpus[kept] < WHOLE):
            return []
        return [(WHOLE, Room(self.model, cpu, memory, (0,) * need.gpus + self.gpus[:kept]))]


def _replaced(gpus: tuple[int, ...], old: int, new: int) -> tuple[int, ...]:
    found = list(gpus)
    found.remove(old)
    found.append(new)
    found.sort()
    return tuple(found)


class Mix:
    """The work that is expected: what arrived so far, the most frequent kinds of it."""

    def __init__(self, arrivals: Mapping[Need, int] | None = None) -> None:
        self._counts: dict[Need, int] = dict(arrivals or {})
        self._total = sum(self._counts.values())
        self._learnt_at = 0
        self._shapes: dict[str, list[_Shape]] = {}
        self._typical: list[tuple[int, Need]] = []
        self._known: dict[Room, int] = {}
        self.weight = 0  # arrivals of the kinds that are looked at
        if self._total:
            self._learn()

    def arrived(self, need: Need, jobs: int = 1) -> bool:
        """So many more. True: what is expected changed, and nothing measured before compares with what is measured now."""
        self._counts[need] = self._counts.get(need, 0) + jobs
        self._total += jobs
        if self._total < max(LEARN_FROM, 2 * self._learnt_at):
            return False
        self._learn()
        return True

    def usable(self, room: Room) -> int:
        """What the expected work can use of the free GPUs: thousandths of a GPU, once for each arrival that could use it."""
        if room not in self._known:
            if len(self._known) > SWEEP_AT:
                self._known.clear()
            self._known[room] = sum(shape.usable(room) for shape in self._shapes_for(room.model))
        return self._known[room]

    def _learn(self) -> None:
        self._learnt_at = self._total
        with_gpus = ((-count, need) for need, count in self._counts.items() if need.gpus)
        self._typical = [(-negative, need) for negative, need in sorted(with_gpus)[:TYPICAL_MAX]]
        self.weight = sum(count for count, _ in self._typical)
        self._shapes.clear()
        self._known.clear()

    def _shapes_for(self, model: str) -> "list[_Shape]":
        if model not in self._shapes:
            found: dict[tuple[int, int], list[tuple[int, int, int]]] = {}
            for count, need in self._typical:
                if not need.models or model in need.models:
                    found.setdefault((need.gpus, need.share), []).append((count, need.cpu_milli, need.memory_mib))
            self._shapes[model] = [_Shape(gpus, share, members) for (gpus, share), members in found.items()]
        return self._shapes[model]


class _Shape:
    """The expected kinds that need the same of GPUs, and different amounts of CPU and memory."""

    def __init__(self, gpus: int, share: int, members: Iterable[tuple[int, int, int]]) -> None:
        self._gpus, self._share = gpus, share
        self._members = list(members)
        self._weight = sum(count for count, _, _ in self._members)
        self._cpu_most = max(cpu for _, cpu, _ in self._members)
        self._memory_most = max(memory for _, _, memory in self._members)

    def usable(self, room: Room) -> int:
        """Summed over its kinds: thousandths of a GPU times arrivals."""
        gpus, share, cpu, memory = self._gpus, self._share, room.cpu_milli, room.memory_mib
        if share == WHOLE:
            most = room.gpus.count(WHOLE) // gpus * gpus * WHOLE
        else:
            most = sum(free for free in room.gpus if free >= share)
        if not most:
            return 0
        found, parts = 0, gpus * share
        if parts * cpu >= most * self._cpu_most and parts * memory >= most * self._memory_most:
            return self._weight * most  # enough of both for the hungriest of them
        for count, cpu_each, memory_each in self._members:
            if cpu < cpu_each or memory < memory_each:
                continue
            part = most
            if cpu_each and parts * cpu < part * cpu_each:
                part = parts * cpu // cpu_each
            if memory_each and parts * memory < part * memory_each:
                part = parts * memory // memory_each
            found += count * part
        return found
