"""What offers still give: drawn soonest expiry first, never past an amount or a window."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from compute.scheduling.events import NEVER, Choice, Kind, OfferSet
from compute.scheduling.model import Draw, Instant, Name, Reason
from compute.scheduling.parking import Book, Moments, Obstacle, Shelf, used_ticks


class Drawable(Protocol):
    """An offer with what is left of it."""

    @property
    def id(self) -> Any: ...
    @property
    def available_ticks(self) -> int: ...
    @property
    def opens_at(self) -> Instant: ...
    @property
    def closes_at(self) -> Instant: ...


def draw(offers: Iterable[Drawable], ticks: int, *, starts_at: Instant, ends_by: Instant) -> tuple[Draw, ...] | None:
    """Split `ticks` over offers that are open for the whole run, soonest expiry first, each used up before the next.

    The parts sum to `ticks` exactly. None: together they have less.
    """
    parts = _split(sorted(offers, key=lambda offer: (offer.closes_at, offer.id)), ticks, starts_at, ends_by)
    return tuple(Draw(offer.id, part) for offer, part in parts) if parts is not None else None


def _split(offers: "Iterable[_Any]", ticks: int, starts_at: Instant, ends_by: Instant) -> "list[tuple[_Any, int]] | None":
    """What each gives, if they come soonest expiry first."""
    parts = []
    for offer in offers:
        if ticks > 0 and offer.opens_at <= starts_at and ends_by <= offer.closes_at and offer.available_ticks > 0:
            part = min(ticks, offer.available_ticks)
            parts.append((offer, part))
            ticks -= part
    return parts if ticks == 0 else None


_Any = TypeVar("_Any", bound=Drawable)


@dataclass(slots=True, eq=False)
class _Offer:
    id: Name
    shelf: Shelf
    left: int = 0  # ticks, neither settled nor held
    kept: int = 0  # of these, for those who were promised a start
    opens_at: Instant = 0
    closes_at: Instant = NEVER

    @property
    def available_ticks(self) -> int:
        """What is left for others."""
        return max(0, self.left - self.kept)


class Offers:
    """The offers of one lane."""

    def __init__(self, woken: deque[Any], moments: Moments) -> None:
        self._woken, self._moments = woken, moments
        self._offers: dict[Name, _Offer] = {}
        self._purses: dict[frozenset[Name], Purse] = {}

    def purse(self, permitted: frozenset[Name]) -> "Purse":
        """The book of all kinds that may draw on the same offers."""
        if permitted not in self._purses:
            self._purses[permitted] = Purse(permitted, Shelf(self._woken))
            self._purses[permitted].fill(self._offers)
        return self._purses[permitted]

    def set(self, event: OfferSet, now: Instant) -> None:
        """A new figure."""
        offer = self._offers.get(event.offer)
        is_new = offer is None
        if offer is None:
            offer = self._offers[event.offer] = _Offer(event.offer, Shelf(self._woken))
        offer.left = event.available_ticks
        if not is_new and (event.opens_at, event.closes_at) == (offer.opens_at, offer.closes_at):
            offer.shelf.rises_to(offer.left)
            return
        offer.opens_at, offer.closes_at = event.opens_at, event.closes_at
        offer.shelf.empty()
        if event.opens_at > now:
            self._moments.note(event.opens_at, offer.shelf.empty)
        for purse in self._purses.values():
            purse.fill(self._offers)

    def says(self, event: OfferSet) -> bool:
        """Whether this is the figure of an offer."""
        offer = self._offers.get(event.offer)
        return offer is not None and offer.left == event.available_ticks


class Purse(Book):
    """The offers of one lane that some kinds may draw on."""

    def __init__(self, permitted: frozenset[Name], shelf: Shelf) -> None:
        self._permitted = permitted
        self._shelf = shelf  # for those who wait for offers that nobody made yet
        self._offers: list[_Offer] = []  # soonest expiry first
        self._held: dict[Name, list[tuple[_Offer, int]]] = {}

    def fill(self, offers: dict[Name, _Offer]) -> None:
        """The offers of the lane are others now, or at other times."""
        before = len(self._offers)
        found = [offer for offer in offers.values() if offer.id in self._permitted]
        self._offers = sorted(found, key=lambda offer: (offer.closes_at, offer.id))
        if len(found) > before:
            self._shelf.empty()

    def refuses(self, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> Obstacle | None:
        """Offers that are open for the whole run must have enough together."""
        left = 0
        for offer in self._offers:
            if offer.opens_at <= starts_at and ends_by <= offer.closes_at:
                left += offer.available_ticks
        return None if choice.offer_ticks <= left else self._obstacle(choice, starts_at, ends_by, left)

    def _obstacle(self, choice: Choice, starts_at: Instant, ends_by: Instant, left: int) -> Obstacle:
        """It waits until some offer has its part of what is missing: before that, all of them together can't have enough."""
        usable = [offer for offer in self._offers if offer.opens_at <= starts_at and ends_by <= offer.closes_at]
        missing = choice.offer_ticks - sum(max(0, offer.left) for offer in usable)
        waits_on = [(self._shelf, NEVER)]
        for offer in self._offers:
            part = max(0, offer.left) + -(-missing // len(usable)) if offer in usable else NEVER
            waits_on.append((offer.shelf, part))
        opens = closes = None
        if not left:
            opens = self._opening(choice, starts_at, ends_by - starts_at)
            closes = self._closing(choice, starts_at, ends_by)
        facts = {"ticks_needed": choice.offer_ticks, "ticks_available": left, "opens_at": opens, "closes_at": closes}
        return Obstacle(Reason.WAITING_FOR_OFFER, tuple(waits_on), is_promised=missing <= 0, facts=facts)

    def _opening(self, choice: Choice, after: Instant, seconds: int) -> Instant | None:
        """When the first offer opens with which there will be enough for a whole run."""
        for at in sorted({offer.opens_at for offer in self._offers if offer.opens_at > after}):
            usable = (offer for offer in self._offers if offer.opens_at <= at and at + seconds <= offer.closes_at)
            if sum(offer.available_ticks for offer in usable) >= choice.offer_ticks:
                return at
        return None

    def _closing(self, choice: Choice, starts_at: Instant, ends_by: Instant) -> Instant | None:
        """The latest moment until which offers that close too soon give enough together."""
        left = 0
        for offer in reversed(self._offers):
            if offer.opens_at <= starts_at and offer.closes_at < ends_by:
                left += offer.available_ticks
                if left >= choice.offer_ticks:
                    return offer.closes_at
        return None

    def soonest(self, choice: Choice, starts_at: Instant, ends_by: Instant) -> Instant:
        """When the first of the offers closes that it would draw on."""
        usable = (o for o in self._offers if o.opens_at <= starts_at and ends_by <= o.closes_at and o.available_ticks > 0)
        return next((offer.closes_at for offer in usable), NEVER)

    def draws(self, job: Name) -> tuple[Draw, ...]:
        """What a running job holds of which offers."""
        return tuple(Draw(offer.id, ticks) for offer, ticks in self._held[job])

    def started(self, job: Name, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> None:
        """Hold it, soonest expiry first."""
        self._held[job] = self._parts(choice, starts_at, ends_by)
        for offer, ticks in self._held[job]:
            offer.left -= ticks

    def ended(self, job: Name, kind: Kind, choice: Choice, ran_seconds: int) -> None:
        """Settle what it used, soonest expiry first; the rest is free."""
        used = used_ticks(choice.offer_ticks, kind, ran_seconds)
        for offer, ticks in self._held.pop(job):
            part = min(used, ticks)
            used -= part
            offer.left += ticks - part
            offer.shelf.rises_to(offer.left)

    def keep(self, kind: Kind, choice: Choice, starts_at: Instant, ends_by: Instant) -> None:
        """Set aside what it will draw."""
        for offer, ticks in self._parts(choice, starts_at, ends_by):
            offer.kept += ticks

    def keep_nothing(self) -> None:
        """Promises are made anew."""
        for offer in self._offers:
            offer.kept = 0

    def _parts(self, choice: Choice, starts_at: Instant, ends_by: Instant) -> list[tuple[_Offer, int]]:
        parts = _split(self._offers, choice.offer_ticks, starts_at, ends_by)
        assert parts is not None, "who was not refused can draw"
        return parts
