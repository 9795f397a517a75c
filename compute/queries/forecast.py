"""Forecasts of grants and offers, from what was metered."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Integer, Label, cast, func, literal, or_, select
from sqlalchemy.orm import Session

from compute.models import (
    AttemptDraw,
    ComputeGrant,
    ComputeOffer,
    Flavor,
    ForecastWarning,
    Job,
    JobAttempt,
    OfferStatus,
    Pool,
    UsageRecord,
)
from compute.policies import OfferPolicy, Request, forecast
from compute.policies.forecast import Demand, Forecast, Gift, TooShort
from compute.queries import budget, overview, statements
from core.identity.models import Project

Found = Forecast | TooShort

DRAWN = (OfferStatus.ACCEPTED, OfferStatus.ACTIVE)
"""Offers that jobs draw, now or when their window opens."""


def of_grant(session: Session, grant: ComputeGrant, *, now: datetime) -> Found | None:
    """What becomes of a grant; None: nothing can be drawn on it."""
    return of_grants(session, [grant], now=now).get(grant.id)


def of_grants(session: Session, grants: Sequence[ComputeGrant], *, now: datetime) -> Mapping[UUID, Found]:
    """What becomes of each grant that can be drawn, in reference ticks."""
    open_grants = [grant for grant in grants if grant.drawable and grant.granted_ticks]
    budgets = budget.of_grants(session, open_grants)
    rows = session.execute(
        select(UsageRecord.grant_id, _days_ago(now), func.sum(UsageRecord.reference_ticks))
        .where(UsageRecord.grant_id.in_([grant.id for grant in open_grants]), *_lately(now))
        .group_by(UsageRecord.grant_id, "day")
    )
    used: dict[UUID, dict[int, int]] = {}
    for grant_id, day, ticks in rows:
        used.setdefault(grant_id, {})[day] = int(ticks)
    found: dict[UUID, Found] = {}
    for grant in open_grants:
        assert grant.granted_ticks is not None
        began = max(grant.starts_at, grant.decided_at or grant.starts_at)
        daily = _daily(used.get(grant.id, {}), since=began, now=now)
        left = budgets[grant.id].unsettled
        found[grant.id] = forecast.forecast(daily, given=grant.granted_ticks, left=left, now=now, ends_at=grant.expires_at)
    return found


def of_offers(session: Session, *, now: datetime) -> Mapping[UUID, Found]:
    """What becomes of every offer that jobs draw or will draw, in ticks of its flavor.

    Offers of a flavor stand for each other: a job draws the one that ends soonest among those whose policy permits it. So the
    pace is that of the flavor, and each project's part of it goes where its jobs may draw. That projects go on as in the last
    weeks is assumed, also past the end of a grant.
    """
    offers = overview.offers(session, statuses=DRAWN)
    found: dict[UUID, Found] = {}
    for flavor in {offer.flavor_id: offer.flavor for offer in offers}.values():
        found |= _of_flavor(session, flavor, [offer for offer in offers if offer.flavor_id == flavor.id], now=now)
    return found


def warnings(session: Session, *, grant_ids: Sequence[UUID] = (), offer_ids: Sequence[UUID] = ()) -> Sequence[ForecastWarning]:
    """The warnings that were given about these grants and offers, newest first."""
    about = or_(ForecastWarning.grant_id.in_(grant_ids), ForecastWarning.offer_id.in_(offer_ids))
    return session.scalars(select(ForecastWarning).where(about).order_by(ForecastWarning.at.desc(), ForecastWarning.id)).all()


def _of_flavor(session: Session, flavor: Flavor, offers: Sequence[ComputeOffer], *, now: datetime) -> Mapping[UUID, Found]:
    daily, demands = _use_of_flavor(session, flavor, offers, now=now)
    pace = forecast.pace(daily)
    if pace is None:
        return {offer.id: TooShort(len(daily)) for offer in offers}
    budgets = budget.of_offers(session, offers)
    left = {
        offer.id: offer.given_ticks if offer.status is OfferStatus.ACCEPTED else budgets[offer.id].unsettled for offer in offers
    }
    gifts = [Gift(offer.id, left[offer.id], offer.opens_at, offer.closes_at) for offer in offers]
    quiet, expected, busy = (
        forecast.draw_down(gifts, demands, per_week=week, now=now) for week in (pace.quiet, pace.middle, pace.busy)
    )
    return {
        offer.id: Forecast(
            offer.given_ticks, left[offer.id], offer.closes_at, pace, quiet[offer.id], expected[offer.id], busy[offer.id]
        )
        for offer in offers
    }


def _use_of_flavor(
    session: Session, flavor: Flavor, offers: Sequence[ComputeOffer], *, now: datetime
) -> tuple[list[int], list[Demand]]:
    """The flavor's use day by day, and by which of these offers it may draw on."""
    rows = session.execute(
        select(
            Job.project_id,
            Project.parent_id,
            Job.kind,
            Job.ref,
            _days_ago(now),
            func.sum(AttemptDraw.used_ticks + AttemptDraw.lost_ticks),
        )
        .select_from(UsageRecord)
        .join(JobAttempt, JobAttempt.id == UsageRecord.attempt_id)
        .join(AttemptDraw, AttemptDraw.attempt_id == JobAttempt.id)
        .join(Job, Job.id == JobAttempt.job_id)
        .join(Project, Project.id == Job.project_id)
        .join(Pool, Pool.id == JobAttempt.pool_id)
        .where(Pool.flavor_id == flavor.id, *_lately(now))
        .group_by(Job.project_id, Project.parent_id, Job.kind, Job.ref, "day")
    )
    policies = [(offer.id, OfferPolicy.from_json(offer.policy)) for offer in offers]
    by_day: dict[int, int] = {}
    by_gifts: dict[frozenset[UUID], int] = {}
    for project_id, host_id, kind, ref, day, ticks in rows:
        asked = Request(project_id=project_id, host_id=host_id, kind=kind, ref=ref)
        permitted = frozenset(offer_id for offer_id, policy in policies if policy.permits(asked))
        by_day[day] = by_day.get(day, 0) + int(ticks)
        by_gifts[permitted] = by_gifts.get(permitted, 0) + int(ticks)
    opened = ComputeOffer.flavor_id == flavor.id, ComputeOffer.status.in_(statements.GIVEN)
    began = session.scalar(select(func.min(ComputeOffer.opens_at)).where(*opened))
    demands = [Demand(used, gifts) for gifts, used in by_gifts.items()]
    return _daily(by_day, since=began or now, now=now), demands


def _daily(used: Mapping[int, int], *, since: datetime, now: datetime) -> list[int]:
    """Ticks of each whole day back from now, oldest first, as far back as there was anything to use."""
    days = max(0, min(forecast.DAYS, (now - since) // timedelta(days=1)))
    return [used.get(day, 0) for day in reversed(range(days))]


def _days_ago(now: datetime) -> Label[int]:
    """`day`: 0 is the last 24 hours."""
    return cast(func.floor(func.extract("epoch", literal(now) - UsageRecord.at) / 86_400), Integer).label("day")


def _lately(now: datetime) -> list[ColumnElement[Any]]:
    return [UsageRecord.at > now - timedelta(days=forecast.DAYS), UsageRecord.at <= now]
