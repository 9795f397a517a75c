"""What grants and offers still give in one imagined course of events (forecast.py)."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from compute.scheduling.model import Draw, Grant, Instant, Job, Offer
from compute.scheduling.rules.offers import draw


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Why a grant or the offers can't carry a job now: too little, not open yet, or closing too soon."""

    ticks_needed: int
    ticks_available: int
    opens_at: Instant | None = None
    closes_at: Instant | None = None

    @property
    def is_window(self) -> bool:
        """Whether time is the trouble, not the amount."""
        return self.opens_at is not None or self.closes_at is not None


class Grants:
    """The grants during one pass. What is started or promised is gone for the jobs behind."""

    def __init__(self, grants: Iterable[Grant]) -> None:
        self._grants = {grant.id: grant for grant in grants}
        self._available = {grant.id: grant.available_ticks for grant in self._grants.values()}

    def shortfall(self, job: Job, *, starts_at: Instant, ends_by: Instant) -> Shortfall | None:
        """Why the job's grant can't carry it over this time; None if it can."""
        if job.grant_id is None:
            return None
        grant, available = self._grants[job.grant_id], self._available[job.grant_id]
        opens_at = grant.opens_at if grant.opens_at > starts_at else None
        closes_at = grant.closes_at if grant.closes_at < ends_by else None
        if opens_at is None and closes_at is None and job.cost_ticks <= available:
            return None
        return Shortfall(job.cost_ticks, max(0, available), opens_at, closes_at)

    def take(self, job: Job) -> None:
        """Set the job's whole declared cost aside."""
        if job.grant_id is not None:
            self._available[job.grant_id] -= job.cost_ticks


class Offers:
    """The offers during one pass. What is started or promised is gone for the jobs behind."""

    def __init__(self, offers: Iterable[Offer]) -> None:
        self._lanes: dict[tuple[UUID, str], list[Offer]] = {}
        for offer in offers:
            self._lanes.setdefault((offer.pool_id, offer.flavor), []).append(offer)
        self._taken: dict[UUID, int] = {}

    def draw(self, job: Job, pool_id: UUID, *, starts_at: Instant, ends_by: Instant) -> tuple[Draw, ...] | None:
        """What the job would take from which offers of this pool; empty if it is not metered by offers, None if too little."""
        if job.offers is None:
            return ()
        return draw(self._permitted(job, pool_id), job.offer_ticks, starts_at=starts_at, ends_by=ends_by)

    def take(self, draws: tuple[Draw, ...]) -> None:
        """Set these parts aside."""
        for part in draws:
            self._taken[part.offer_id] = self._taken.get(part.offer_id, 0) + part.ticks

    def _permitted(self, job: Job, pool_id: UUID) -> list[Offer]:
        """The permitted offers of one pool and flavor with what is left of them now."""
        ids = job.offers if job.offers is not None else frozenset()
        return [
            Offer(
                offer.id,
                offer.pool_id,
                offer.flavor,
                max(0, offer.available_ticks - self._taken.get(offer.id, 0)),
                offer.opens_at,
                offer.closes_at,
            )
            for offer in self._lanes.get((pool_id, job.flavor), [])
            if offer.id in ids
        ]
