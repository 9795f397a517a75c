"""Why a job waits, as JSON: the reason, and every fact it came from."""

from datetime import datetime
from decimal import Decimal
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field

from compute.models import JobStatus
from compute.queries.explain import Explanation
from compute.schemas import ExpectedOut, hours


class NeedOut(BaseModel):
    """What a job may use on one of the flavors it accepts."""

    flavor: str
    reference_gpu_hours: Decimal


class PoolOut(BaseModel):
    """A pool as the job meets it."""

    pool: str
    flavor: str
    status: str
    devices: int
    free: int
    fits: bool
    trusts: bool = Field(description="Whether it takes this job by where its code comes from.")


class OfferOut(BaseModel):
    """An offer as the job meets it."""

    offer: UUID
    donor: str
    name: str
    left_gpu_hours: Decimal
    permits: bool
    opens_at: datetime
    closes_at: datetime
    closes_too_soon: bool


class ExplanationOut(BaseModel):
    """Why a job waits, and everything that decides it."""

    id: UUID
    status: JobStatus
    code: str | None
    reason: str | None
    since: datetime | None
    place: int | None
    remedy: str | None = Field(description="What would have to happen for this reason to hold no more.")
    expected: ExpectedOut | None = Field(description="As of now; none if it waits for somebody to act.")
    passed_by: dict[str, int] = Field(description="How many waiting jobs go first because of which priority.")
    would_start_now: bool
    needed: list[NeedOut] = Field(description="For each flavor it accepts, the preferred one first; empty if it does not wait.")
    grant_left_gpu_hours: Decimal
    grant_held_gpu_hours: Decimal
    pools: list[PoolOut]
    offers: list[OfferOut]

    @classmethod
    def of(cls, found: Explanation) -> Self:
        return cls(
            id=found.job.id,
            status=found.job.status,
            code=found.code,
            reason=found.reason,
            since=found.since,
            place=found.place,
            remedy=found.remedy,
            expected=ExpectedOut.of(found.expected) if found.expected else None,
            passed_by=dict(found.passed_by),
            would_start_now=found.would_start_now,
            needed=[NeedOut(flavor=flavor.slug, reference_gpu_hours=hours(ticks)) for flavor, ticks in found.needed],
            grant_left_gpu_hours=hours(found.grant.left),
            grant_held_gpu_hours=hours(found.grant.held),
            pools=[
                PoolOut(
                    pool=fact.pool.slug,
                    flavor=fact.pool.flavor.slug,
                    status=fact.pool.status,
                    devices=fact.pool.devices,
                    free=fact.free,
                    fits=fact.fits,
                    trusts=fact.trusts,
                )
                for fact in found.pools
            ],
            offers=[
                OfferOut(
                    offer=fact.offer.id,
                    donor=fact.offer.donor.slug,
                    name=fact.offer.name,
                    left_gpu_hours=hours(fact.left),
                    permits=fact.permits,
                    opens_at=fact.offer.opens_at,
                    closes_at=fact.offer.closes_at,
                    closes_too_soon=fact.closes_too_soon,
                )
                for fact in found.offers
            ],
        )
