"""What other schedulers do with a task that asks for a part of a host, as far as the choice of the host goes.

They are our models of the policies that Weng et al. compare (USENIX ATC 2023): uniformly random, best fit, and their own,
fragmentation gradient descent, with the rounding of its score and the random choice among equals that its published program has.
A task that fits nowhere is turned away. FGD knows how popular each kind of task is in the whole trace; its authors leave out the
rarest twentieth, and where that cut falls among the tasks of eight GPUs moves the figure by points.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from compute.scheduling.hosts.fragments import WHOLE, Need, Room
from compute.scheduling.hosts.placement import Host

CPU_MOST, GPUS_MOST = 128_000, 8 * WHOLE
"""What best fit divides by, to compare CPU with GPUs."""

Score = Callable[[Room, Room], float]
"""How good it is to go from one room to the other; the highest goes first."""


class Scan:
    """Every host gets a score; among the best one is drawn."""

    def __init__(self, hosts: Sequence[Host], score: Score, rng: Random) -> None:
        self._rooms = [Room(host.model, host.cpu_milli, host.memory_mib, (WHOLE,) * host.gpus) for host in hosts]
        self._score = score
        self._rng = rng
        self._changed: list[int] = []
        self._known: dict[Need, tuple[list[float], list[Room | None]]] = {}
        self._seen: dict[Need, int] = {}

    def arrived(self, need: Need) -> int:
        """Thousandths of GPUs that it got: all it asks for, or -1 if it was turned away."""
        scores, rooms = self._up_to_date(need)
        best = max(scores)
        if best == -math.inf:
            return -1
        number = self._rng.choice([number for number, score in enumerate(scores) if score == best])
        after = rooms[number]
        assert after is not None, "it has a score"
        self._rooms[number] = after
        self._changed.append(number)
        return need.parts

    def _up_to_date(self, need: Need) -> tuple[list[float], list[Room | None]]:
        known = self._known.setdefault(need, ([-math.inf] * len(self._rooms), [None] * len(self._rooms)))
        changed = set(self._changed[self._seen[need] :]) if need in self._seen else range(len(self._rooms))
        for number in changed:
            room = self._rooms[number]
            options = [(self._score(room, after), -free, after) for free, after in room.after(need)]
            best = max(options, key=lambda option: option[:2], default=None)
            known[0][number], known[1][number] = (best[0], best[2]) if best else (-math.inf, None)
        self._seen[need] = len(self._changed)
        return known


def best_fit(room: Room, after: Room) -> float:
    """The least left of CPU and GPUs together, in hundredths of the largest host."""
    return math.floor(100 * (1 - after.cpu_milli / CPU_MOST / 2 - sum(after.gpus) / GPUS_MOST / 2))


def gradient_descent(trace: Sequence[Need]) -> Score:
    """The fragments that go away, as a score of 0 to 100 (`FGDScore` of the authors' simulator)."""
    shapes = _shapes(trace)
    known: dict[Room, float] = {}

    def fragments(room: Room) -> float:
        if room not in known:
            known[room] = sum(shape.fragments(room) for shape in shapes)
        return known[room]

    def score(room: Room, after: Room) -> float:
        return math.floor(100 / (1 + math.exp((fragments(after) - fragments(room)) / WHOLE)))

    return score


@dataclass(frozen=True)
class _Shape:
    """The tasks that need the same of GPUs: their CPU, ascending, and how popular those up to each are together."""

    need: Need
    cpus: Sequence[int]
    popularity: Sequence[float]

    def fragments(self, room: Room) -> float:
        """Thousandths that these tasks can't use, by popularity: all if one does not fit, else what is too full (F_n(m))."""
        free, need = sum(room.gpus), self.need
        able = [each for each in room.gpus if each >= need.share]
        lost = self.popularity[-1] * free
        if len(able) < need.gpus or not need.gpus or (need.models and room.model not in need.models):
            return lost
        fitting = bisect_right(self.cpus, room.cpu_milli)
        return lost - (self.popularity[fitting - 1] * sum(able) if fitting else 0)


def _shapes(trace: Sequence[Need]) -> list[_Shape]:
    found: dict[Need, list[int]] = {}
    for need in trace:
        found.setdefault(replace(need, cpu_milli=0, memory_mib=0), []).append(need.cpu_milli)
    return [
        _Shape(need, sorted(cpus), [count / len(trace) for count in range(1, len(cpus) + 1)])
        for need, cpus in sorted(found.items())
    ]


class AtRandom:
    """Any host with room, any of its GPUs with room."""

    def __init__(self, hosts: Sequence[Host], rng: Random) -> None:
        self._rooms = [Room(host.model, host.cpu_milli, host.memory_mib, (WHOLE,) * host.gpus) for host in hosts]
        self._rng = rng
        self._too_large: set[Need] = set()  # for ever: nothing ends

    def arrived(self, need: Need) -> int:
        """Thousandths of GPUs that it got, or -1."""
        if need in self._too_large:
            return -1
        numbers = list(range(len(self._rooms)))
        for place in range(len(numbers)):
            other = self._rng.randrange(place, len(numbers))
            numbers[place], numbers[other] = numbers[other], numbers[place]
            number = numbers[place]
            options = self._rooms[number].after(need)
            if options:
                self._rooms[number] = self._rng.choice(options)[1]
                return need.parts
        self._too_large.add(need)
        return -1
