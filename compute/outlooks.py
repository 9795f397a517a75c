"""Forecasts as JSON: what /api/v1 gives and the command line prints."""

from datetime import datetime
from decimal import Decimal
from typing import Self
from uuid import UUID

from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from compute.models import ComputeGrant
from compute.policies import forecast_words
from compute.policies.forecast import Forecast, Outlook, TooShort, Verdict, warning_dates
from compute.queries import forecast, overview, statements
from compute.schemas import hours
from core.identity.models import Organisation


class OutlookOut(BaseModel):
    """What becomes of a budget at one pace."""

    used_up_at: datetime | None = Field(description="None: not before its end.")
    unused_gpu_hours: Decimal = Field(description="Left at its end, and lapsing then.")

    @classmethod
    def of(cls, found: Outlook) -> Self:
        return cls(used_up_at=found.used_up_at, unused_gpu_hours=hours(found.unused))


class ForecastOut(BaseModel):
    """When a grant or an offer is used up, or how much of it will lapse. Reference GPU-hours of grants, else of the flavor."""

    verdict: Verdict | None = Field(description="None: there is too little history to say.")
    sentence: str
    method: str | None
    days: int = Field(description="Days of history it is made from.")
    left_gpu_hours: Decimal | None
    ends_at: datetime
    quiet: OutlookOut | None
    expected: OutlookOut | None
    busy: OutlookOut | None
    warns_at: list[datetime] = Field(description="When warnings will be given if the pace stays.")

    @classmethod
    def of(cls, found: Forecast | TooShort, *, ends_at: datetime, remind_days: list[int], now: datetime) -> Self:
        if isinstance(found, TooShort):
            return cls(
                verdict=None, sentence=forecast_words.sentence(found), method=None, days=found.days, left_gpu_hours=None,
                ends_at=ends_at, quiet=None, expected=None, busy=None, warns_at=[],
            )  # fmt: skip
        return cls(
            verdict=found.verdict,
            sentence=forecast_words.sentence(found),
            method=forecast_words.method(found),
            days=found.pace.days,
            left_gpu_hours=hours(found.left),
            ends_at=ends_at,
            quiet=OutlookOut.of(found.quiet),
            expected=OutlookOut.of(found.expected),
            busy=OutlookOut.of(found.busy),
            warns_at=warning_dates(found, remind_days, now),
        )


class GrantForecastOut(BaseModel):
    """A compute grant and what becomes of it."""

    grant: UUID
    project: str
    title: str
    status: str
    forecast: ForecastOut | None = Field(description="None: nothing can be drawn on it.")

    @classmethod
    def of(cls, session: Session, grant: ComputeGrant, *, now: datetime) -> Self:
        found = forecast.of_grant(session, grant, now=now)
        made = None
        if found is not None:
            made = ForecastOut.of(found, ends_at=grant.expires_at, remind_days=grant.remind_days, now=now)
        return cls(grant=grant.id, project=grant.project.slug, title=grant.title, status=grant.status, forecast=made)


class OfferForecastOut(BaseModel):
    """An offer and what becomes of it."""

    offer: UUID
    name: str
    flavor: str
    forecast: ForecastOut


class DonorForecastOut(BaseModel):
    """What becomes of a donor's offers that can be drawn, soonest end first."""

    donor: str
    offers: list[OfferForecastOut]

    @classmethod
    def of(cls, session: Session, donor: Organisation, *, now: datetime) -> Self:
        found = forecast.of_offers(session, now=now)
        return cls(
            donor=donor.slug,
            offers=[
                OfferForecastOut(
                    offer=offer.id,
                    name=offer.name,
                    flavor=offer.flavor.slug,
                    forecast=ForecastOut.of(found[offer.id], ends_at=offer.closes_at, remind_days=offer.remind_days, now=now),
                )
                for offer in overview.offers(session, donor_ids=[donor.id])
                if offer.id in found
            ],
        )


def of_donor(session: Session, slug: str, *, now: datetime) -> DonorForecastOut:
    """By the donor's slug.

    Raises:
        NotFound: nobody of this name offered GPU time.
    """
    return DonorForecastOut.of(session, statements.donor_named(session, slug), now=now)
