"""The policies of other schedulers, as models of them: who is first in line, and who may pass.

`fifo` is Kueue's StrictFIFO, `greedy` its BestEffortFIFO, `easy` plain PBS or Slurm with backfill, `slurm-like` Slurm's
multifactor order by decayed past use, `drf` max-min on current use (Ghodsi et al., Dominant Resource Fairness, NSDI 2011, for
one resource), `sjf` the shortest declared time first. They are our models, not the products.
"""

import enum
import heapq
import math
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from compute.scheduling.hosts.book import HostBook
from compute.scheduling.hosts.placement import Host
from compute.simulation.engine import Ask


class Fairness(enum.Enum):
    """Between projects."""

    NONE = enum.auto()
    CURRENT_USE = enum.auto()
    PAST_USE = enum.auto()


class Passing(enum.Enum):
    """Who may pass a job that does not fit."""

    NOBODY = enum.auto()
    ANYBODY = enum.auto()
    WITHOUT_DELAY = enum.auto()  # EASY: nobody who would delay the first in line by the declared times


@dataclass(frozen=True, slots=True)
class Peer:
    """One policy in three words."""

    fairness: Fairness
    passing: Passing
    short_first: bool = False
    half_life_seconds: int = 7 * 24 * 3600

    def start(self, gpus: int, weights: Mapping[str, int], hosts: Sequence[Host] = ()) -> "PeerPolicy":
        """A fresh scheduler with this policy."""
        return PeerPolicy(self, gpus, weights, hosts)


PEERS: Mapping[str, Peer] = {
    "fifo": Peer(Fairness.NONE, Passing.NOBODY),
    "greedy": Peer(Fairness.NONE, Passing.ANYBODY),
    "easy": Peer(Fairness.NONE, Passing.WITHOUT_DELAY),
    "slurm-like": Peer(Fairness.PAST_USE, Passing.WITHOUT_DELAY),
    "drf": Peer(Fairness.CURRENT_USE, Passing.WITHOUT_DELAY),
    "sjf": Peer(Fairness.NONE, Passing.ANYBODY, short_first=True),
}


class PeerPolicy:
    """A peer at work. Each decision walks the line from its head until no waiting job is small enough for what is free."""

    def __init__(self, peer: Peer, gpus: int, weights: Mapping[str, int], hosts: Sequence[Host]) -> None:
        self._peer = peer
        self._hosts = HostBook(hosts) if hosts else None
        self._free = gpus
        self._weights = weights
        self._queues: dict[str, list[tuple[int, int]]] = {}  # by project: (key, job), sorted
        self._asks: dict[int, Ask] = {}  # waiting and running
        self._sizes: dict[int, int] = {}  # how many wait for so many GPUs
        self._releases: list[tuple[int, int]] = []  # (declared end, job) of what runs, sorted
        self._ends_by: dict[int, int] = {}
        self._use: dict[str, int] = {}  # GPUs in use by project
        self._past: dict[str, float] = {}  # decayed GPU-seconds at `_decayed_at`
        self._decayed_at = 0

    def submitted(self, ask: Ask, now: int) -> None:
        self._asks[ask.index] = ask
        insort(self._queues.setdefault(self._line(ask), []), (self._key(ask), ask.index))
        self._sizes[ask.gpus] = self._sizes.get(ask.gpus, 0) + 1

    def ended(self, index: int, now: int) -> None:
        self._decay(now)
        ask = self._asks.pop(index)
        self._free += ask.gpus
        self._use[ask.project] -= ask.gpus
        if self._hosts is not None:
            self._hosts.release(index)
        del self._releases[bisect_left(self._releases, (self._ends_by.pop(index), index))]

    def decide(self, now: int) -> Iterator[int]:
        self._decay(now)
        smallest = min(self._sizes, default=0)
        if not self._sizes or smallest > self._free:
            return
        if self._hosts is not None:
            self._hosts.forget()
        promise: tuple[int, int] | None = None  # when the first in line is promised its GPUs, and how many stay free then
        heads = {line: 0 for line, queue in self._queues.items() if queue}
        heap = [self._entry(line, 0) for line in heads]
        heapq.heapify(heap)
        while heap and self._free >= smallest:
            *_, index, line = heapq.heappop(heap)
            ask = self._asks[index]
            ends_by = now + ask.wall_seconds
            if self._fits(ask.gpus, ends_by) and (promise is None or ends_by <= promise[0] or ask.gpus <= promise[1]):
                if promise is not None and ends_by > promise[0]:
                    promise = (promise[0], promise[1] - ask.gpus)
                del self._queues[line][heads[line]]
                self._begin(ask, ends_by)
                smallest = min(self._sizes, default=0)
                yield index
                if not self._sizes:
                    return
            else:
                if self._peer.passing is Passing.NOBODY:
                    return
                if promise is None and self._peer.passing is Passing.WITHOUT_DELAY:
                    promise = self._promise(ask, now)
                heads[line] += 1
            if heads[line] < len(self._queues[line]):
                heapq.heappush(heap, self._entry(line, heads[line]))

    def _begin(self, ask: Ask, ends_by: int) -> None:
        self._free -= ask.gpus
        self._use[ask.project] = self._use.get(ask.project, 0) + ask.gpus
        self._ends_by[ask.index] = ends_by
        if self._hosts is not None:
            self._hosts.take(ask.index, ask.gpus, ends_by)
        insort(self._releases, (ends_by, ask.index))
        self._sizes[ask.gpus] -= 1
        if not self._sizes[ask.gpus]:
            del self._sizes[ask.gpus]

    def _fits(self, gpus: int, ends_by: int) -> bool:
        return gpus <= self._free and (self._hosts is None or self._hosts.fits(gpus, ends_by))

    def _promise(self, ask: Ask, now: int) -> tuple[int, int]:
        on_hosts = now if self._hosts is None else self._hosts.earliest(ask.gpus, now)
        assert on_hosts is not None, "all hosts are free some time, and nobody else was promised any"
        free = self._free
        at = now
        for declared_end, index in self._releases:
            ends_by = max(declared_end, now + 1)
            if free >= ask.gpus and at >= on_hosts and ends_by > at:
                break
            free += self._asks[index].gpus
            at = ends_by
        if self._hosts is not None:
            self._hosts.keep(ask.gpus, at)
        return at, free - ask.gpus

    # Order -------------------------------------------------------------------------------------------------------------

    def _line(self, ask: Ask) -> str:
        return "" if self._peer.fairness is Fairness.NONE else ask.project

    def _key(self, ask: Ask) -> int:
        return ask.wall_seconds if self._peer.short_first else ask.submitted_at

    def _entry(self, line: str, head: int) -> tuple[float, int, int, str]:
        key, index = self._queues[line][head]
        match self._peer.fairness:
            case Fairness.NONE:
                return (0.0, key, index, line)
            case Fairness.CURRENT_USE:
                standing = self._use.get(line, 0) / self._weights.get(line, 1)
            case Fairness.PAST_USE:
                standing = self._past.get(line, 0.0) / self._weights.get(line, 1)
        return (standing, self._asks[index].submitted_at, index, line)

    def _decay(self, now: int) -> None:
        """Past use tends to what constant use at today's rate would leave, by halves of the way."""
        if self._peer.fairness is not Fairness.PAST_USE or now == self._decayed_at:
            return
        kept = 0.5 ** ((now - self._decayed_at) / self._peer.half_life_seconds)
        scale = self._peer.half_life_seconds / math.log(2)
        for project, gpus in self._use.items():
            limit = gpus * scale
            self._past[project] = limit + (self._past.get(project, 0.0) - limit) * kept
        self._decayed_at = now
