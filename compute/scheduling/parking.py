"""What a rule is to the core: a book that can refuse a kind, and shelves on which refused kinds wait.

A rule keeps a `Book` for each thing it is about: a grant, the offers of a lane, the limit of a project. The core asks the books
of a kind when its turn comes. If one refuses it, the kind leaves the line and is parked on the shelves that the obstacle names.
When the figure of a shelf rises, the book says so (`Shelf.rises_to`), and those that need no more are put back in line. So what
can't start costs nothing while nothing happens to what it waits for.

A rule that time opens (an offer, a grant, the end of maintenance) notes the moment with `Moments`.

docs/explanation/scheduling.md says how to add a rule.
"""

import heapq
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from compute.scheduling.events import NEVER, Choice, Kind
from compute.scheduling.model import Instant, Name, Reason

CROWDED = 4
"""Entries that count no more are swept out once there are so many for each that may count."""


class Parked(Protocol):
    """What waits on shelves: a kind in one lane."""

    number: int  # of its own, for ties
    shelves: "tuple[Shelf, ...]"  # on which it waits


class Shelf:
    """Kinds that wait for one figure to rise, the least need first."""

    __slots__ = ("_heap", "_needs", "_woken")

    def __init__(self, woken: deque[Any]) -> None:
        self._woken = woken  # where the core finds those that may pass now
        self._needs: dict[Parked, int] = {}
        self._heap: list[tuple[int, int, Parked]] = []

    def put(self, parked: Parked, need: int) -> None:
        """It waits until the figure is so high."""
        self._needs[parked] = need
        if len(self._heap) > CROWDED * len(self._needs) + CROWDED:
            self._heap = [(least, each.number, each) for each, least in self._needs.items() if each is not parked]
            heapq.heapify(self._heap)
        heapq.heappush(self._heap, (need, parked.number, parked))

    def rises_to(self, figure: int) -> None:
        """Whoever needs no more is put back in line."""
        while self._heap and self._heap[0][0] <= figure:
            need, _, parked = heapq.heappop(self._heap)
            if self._needs.get(parked) == need:
                for shelf in parked.shelves:
                    del shelf._needs[parked]
                parked.shelves = ()
                self._woken.append(parked)

    def empty(self) -> None:
        """Everybody is put back in line: what they waited for has changed altogether."""
        self.rises_to(NEVER)


@dataclass(slots=True)
class Moments:
    """When something opens or ends by itself."""

    _heap: list[tuple[Instant, int, Callable[[], None]]] = field(default_factory=list)
    _number: int = 0

    def note(self, at: Instant, act: Callable[[], None]) -> None:
        """Do this then. Once too often does no harm: a moment that was changed may come all the same."""
        self._number += 1
        heapq.heappush(self._heap, (at, self._number, act))

    def pass_until(self, now: Instant) -> None:
        """Do what is due."""
        while self._heap and self._heap[0][0] <= now:
            heapq.heappop(self._heap)[2]()

    def next(self) -> Instant | None:
        """When something is due next."""
        return self._heap[0][0] if self._heap else None


@dataclass(slots=True)
class Obstacle:
    """Why a kind can't start in a lane, and on which shelves it waits for how much."""

    reason: Reason
    waits_on: tuple[tuple[Shelf, int], ...]
    is_promised: bool = False  # there would be enough, but for what is kept for those who were promised a start
    facts: Mapping[str, Any] = field(default_factory=dict)  # fields of a Decision


class Book(ABC):
    """One thing that can refuse a kind. Times are those of a start now, or of a promised one."""

    @abstractmethod
    def refuses(self, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> Obstacle | None:
        """Why it can't run then; None: this book lets it. Asked often: quick when there is nothing in the way."""

    @abstractmethod
    def started(self, job: Name, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> None:
        """A job of the kind runs: take what it may use at most."""

    @abstractmethod
    def ended(self, job: Name, kind: Kind, choice: Choice, ran_seconds: int) -> None:
        """It gave its GPUs back: give back what it did not use, and say which figures rose."""

    @abstractmethod
    def keep(self, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> None:
        """Set aside what the next in line will need, so that nobody behind it takes it away."""

    @abstractmethod
    def keep_nothing(self) -> None:
        """Promises are made anew."""


def used_ticks(ticks: int, kind: Kind, ran_seconds: int) -> int:
    """The part of what is held for the declared time that a run took, rounded up; beyond the declared time nothing is charged."""
    return -(-ticks * min(ran_seconds, kind.wall_seconds) // kind.wall_seconds)
