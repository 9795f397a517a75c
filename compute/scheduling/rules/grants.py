"""What a grant still gives: nothing starts that could run past its amount or its dates."""

from collections import deque
from typing import Any

from compute.scheduling.events import NEVER, Choice, GrantSet, Kind
from compute.scheduling.model import Instant, Name, Reason
from compute.scheduling.parking import Book, Moments, Obstacle, Shelf, used_ticks


class GrantBook(Book):
    """What one grant still gives."""

    def __init__(self, woken: deque[Any], moments: Moments) -> None:
        self._moments = moments
        self._shelf = Shelf(woken)
        self._available = 0
        self._kept = 0
        self._opens_at, self._closes_at = 0, NEVER

    def set(self, event: GrantSet, now: Instant) -> None:
        """A new figure."""
        self._available = event.available_ticks
        if (event.opens_at, event.closes_at) == (self._opens_at, self._closes_at):
            self._shelf.rises_to(self._available)
            return
        self._opens_at, self._closes_at = event.opens_at, event.closes_at
        self._shelf.empty()
        if event.opens_at > now:
            self._moments.note(event.opens_at, self._shelf.empty)

    def says(self, event: GrantSet) -> bool:
        """Whether this is its figure."""
        return self._available == event.available_ticks

    def refuses(self, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> Obstacle | None:
        """The whole declared cost must be there, and the whole run inside the grant's dates."""
        in_time = self._opens_at <= starts_at and ends_by <= self._closes_at
        if in_time and choice.cost_ticks <= self._available - self._kept:
            return None
        return Obstacle(
            Reason.WAITING_FOR_BUDGET if in_time else Reason.WAITING_FOR_GRANT,
            ((self._shelf, choice.cost_ticks if in_time else NEVER),),
            is_promised=in_time and choice.cost_ticks <= self._available,
            facts={
                "ticks_needed": choice.cost_ticks,
                "ticks_available": max(0, self._available - self._kept),
                "opens_at": self._opens_at if self._opens_at > starts_at else None,
                "closes_at": self._closes_at if self._closes_at < ends_by else None,
            },
        )

    def started(self, job: Name, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> None:
        """Hold the whole declared cost."""
        self._available -= choice.cost_ticks

    def ended(self, job: Name, kind: Kind, choice: Choice, ran_seconds: int) -> None:
        """Settle what it used; the rest is free."""
        self._available += choice.cost_ticks - used_ticks(choice.cost_ticks, kind, ran_seconds)
        self._shelf.rises_to(self._available)

    def keep(self, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> None:
        """Set the whole declared cost aside."""
        self._kept += choice.cost_ticks

    def keep_nothing(self) -> None:
        """Promises are made anew."""
        self._kept = 0
