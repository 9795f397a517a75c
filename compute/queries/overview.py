"""The whole of compute at a glance: donors, pools, what runs and what waits."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from compute.models import (
    ComputeGrant,
    ComputeOffer,
    ExchangeRate,
    ExpiryReminder,
    Flavor,
    Job,
    JobAttempt,
    JobKind,
    JobStatus,
    OfferStatus,
    Pool,
    PoolStatus,
    UsageRecord,
)
from compute.models.grants import DRAWABLE
from compute.policies import OfferPolicy
from compute.queries import attempts
from core.errors import NotFound
from core.identity.models import Organisation, Project


@dataclass(frozen=True, slots=True)
class PoolUse:
    """A pool and how busy it is."""

    pool: Pool
    in_use: int
    used_share: float
    """Device-seconds taken of those there were in the last seven days, 0 to 1."""


@dataclass(frozen=True, slots=True)
class DonorLine:
    """A donor and its offers that can be drawn or will be."""

    donor: Organisation
    offers: Sequence[ComputeOffer]


def pools(session: Session) -> Sequence[Pool]:
    """Every pool that is not closed, by name."""
    return session.scalars(select(Pool).where(Pool.status != PoolStatus.CLOSED).order_by(Pool.name)).all()


def pool_named(session: Session, slug: str) -> Pool:
    """A pool by its slug, open or not.

    Raises:
        NotFound: there is none.
    """
    pool = session.scalars(select(Pool).where(Pool.slug == slug)).first()
    if pool is None:
        raise NotFound(f"There is no pool “{slug}”.")
    return pool


def pool_use(session: Session, *, now: datetime) -> list[PoolUse]:
    """How busy the pools are now and were over the last week."""
    week = timedelta(days=7)
    seconds = {
        pool_id: int(taken)
        for pool_id, taken in session.execute(
            select(JobAttempt.pool_id, func.sum(UsageRecord.seconds * JobAttempt.gpus))
            .join(UsageRecord, UsageRecord.attempt_id == JobAttempt.id)
            .where(UsageRecord.at > now - week)
            .group_by(JobAttempt.pool_id)
        )
    }
    lines = []
    for pool in pools(session):
        there_for = min(week, now - pool.created_at).total_seconds()
        share = seconds.get(pool.id, 0) / (pool.devices * there_for) if there_for > 0 else 0.0
        lines.append(PoolUse(pool, attempts.devices_in_use(session, pool), min(1.0, share)))
    return lines


def offers(
    session: Session, *, statuses: Sequence[OfferStatus] | None = None, donor_ids: Sequence[UUID] | None = None
) -> Sequence[ComputeOffer]:
    """Offers, soonest end first."""
    query = select(ComputeOffer).order_by(ComputeOffer.closes_at, ComputeOffer.id)
    if statuses is not None:
        query = query.where(ComputeOffer.status.in_(statuses))
    if donor_ids is not None:
        query = query.where(ComputeOffer.donor_id.in_(donor_ids))
    return session.scalars(query).all()


def offer(session: Session, offer_id: UUID) -> ComputeOffer:
    """One offer.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.get(ComputeOffer, offer_id)
    if found is None:
        raise NotFound(f"There is no offer {offer_id}.")
    return found


def locked_offer(session: Session, offer_id: UUID) -> ComputeOffer:
    """One offer as it is now, locked until the end of the transaction: donor, desk and clock may move it at the same moment.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.scalars(
        select(ComputeOffer)
        .where(ComputeOffer.id == offer_id)
        .with_for_update(of=ComputeOffer)
        .execution_options(populate_existing=True)
    ).first()
    if found is None:
        raise NotFound(f"There is no offer {offer_id}.")
    return found


def grant(session: Session, grant_id: UUID) -> ComputeGrant:
    """One compute grant.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.get(ComputeGrant, grant_id)
    if found is None:
        raise NotFound(f"There is no compute grant {grant_id}.")
    return found


def locked_grant(session: Session, grant_id: UUID) -> ComputeGrant:
    """One compute grant as it is now, locked until the end of the transaction.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.scalars(
        select(ComputeGrant)
        .where(ComputeGrant.id == grant_id)
        .with_for_update(of=ComputeGrant)
        .execution_options(populate_existing=True)
    ).first()
    if found is None:
        raise NotFound(f"There is no compute grant {grant_id}.")
    return found


def grants_of(session: Session, project: Project) -> Sequence[ComputeGrant]:
    """A project's compute grants, newest first."""
    return session.scalars(
        select(ComputeGrant).where(ComputeGrant.project_id == project.id).order_by(ComputeGrant.id.desc())
    ).all()


def open_grants_of(session: Session, projects: Sequence[Project]) -> Sequence[ComputeGrant]:
    """Grants of these projects that can be drawn, soonest end first."""
    return session.scalars(
        select(ComputeGrant)
        .where(ComputeGrant.project_id.in_([project.id for project in projects]), ComputeGrant.status.in_(DRAWABLE))
        .order_by(ComputeGrant.expires_at, ComputeGrant.id)
    ).all()


def donors(session: Session) -> list[DonorLine]:
    """Who gives now or soon, by name."""
    found: dict[UUID, list[ComputeOffer]] = {}
    by_id: dict[UUID, Organisation] = {}
    for each in offers(session, statuses=(OfferStatus.ACCEPTED, OfferStatus.ACTIVE, OfferStatus.DRAINING)):
        found.setdefault(each.donor_id, []).append(each)
        by_id[each.donor_id] = each.donor
    return [DonorLine(by_id[key], found[key]) for key in sorted(found, key=lambda key: by_id[key].name.lower())]


def waiting(session: Session, *, limit: int = 50) -> Sequence[Job]:
    """The queue, longest-waiting first."""
    return session.scalars(
        select(Job).where(Job.status == JobStatus.QUEUED).order_by(Job.submitted_at, Job.id).limit(limit)
    ).all()


def running(session: Session, *, limit: int = 50) -> Sequence[Job]:
    """What has its devices now, newest first."""
    busy = (JobStatus.HELD, JobStatus.STARTING, JobStatus.RUNNING)
    return session.scalars(select(Job).where(Job.status.in_(busy)).order_by(Job.id.desc()).limit(limit)).all()


def count(session: Session, *statuses: JobStatus) -> int:
    """How many jobs are in one of these states."""
    return session.scalar(select(func.count(Job.id)).where(Job.status.in_(statuses))) or 0


def reference_used(session: Session, *, since: datetime | None = None) -> int:
    """Reference ticks charged, over all projects."""
    query = select(func.coalesce(func.sum(UsageRecord.reference_ticks), 0))
    return int(session.scalar(query if since is None else query.where(UsageRecord.at > since)) or 0)


def rates(session: Session) -> Sequence[ExchangeRate]:
    """The exchange table, newest first."""
    return session.scalars(select(ExchangeRate).order_by(ExchangeRate.valid_from.desc(), ExchangeRate.id.desc())).all()


def flavors(session: Session) -> Sequence[Flavor]:
    """Every kind of accelerator, by name."""
    return session.scalars(select(Flavor).order_by(Flavor.name)).all()


def reminders(session: Session, *, grant_id: UUID | None = None, offer_id: UUID | None = None) -> Sequence[ExpiryReminder]:
    """The reminders of one grant or offer, newest first."""
    query = select(ExpiryReminder).order_by(ExpiryReminder.at.desc())
    if grant_id is not None:
        query = query.where(ExpiryReminder.grant_id == grant_id)
    if offer_id is not None:
        query = query.where(ExpiryReminder.offer_id == offer_id)
    return session.scalars(query).all()


def current_rates(session: Session, *, now: datetime) -> list[ExchangeRate]:
    """What an hour of each flavor is worth now, dearest first."""
    newest: dict[UUID, ExchangeRate] = {}
    for row in rates(session):  # newest first
        if row.valid_from <= now:
            newest.setdefault(row.flavor_id, row)
    return sorted(newest.values(), key=lambda row: (-row.rate, row.flavor.slug))


def used_by_grant(session: Session, grant: ComputeGrant) -> int:
    """Reference ticks charged to a grant so far; stands after the grant is closed and its account is empty."""
    query = select(func.coalesce(func.sum(UsageRecord.reference_ticks), 0)).where(UsageRecord.grant_id == grant.id)
    return int(session.scalar(query) or 0)


def policy_words(session: Session, offer: ComputeOffer) -> list[str]:
    """An offer's conditions in words; empty: for everybody."""
    policy = OfferPolicy.from_json(offer.policy)
    words = []
    projects = session.scalars(select(Project.name).where(Project.id.in_(policy.projects)).order_by(Project.name)).all()
    hosts = session.scalars(select(Organisation.name).where(Organisation.id.in_(policy.hosts)).order_by(Organisation.name)).all()
    whose = [*projects, *(f"projects hosted by {host}" for host in hosts)]
    if whose:
        words.append(f"for {' and '.join(whose)}")
    if policy.kinds:
        names = {JobKind.CI: "CI", JobKind.BENCHMARK: "benchmarks"}
        words.append(f"for {' and '.join(names[kind] for kind in sorted(policy.kinds))} only")
    if policy.trusted_refs:
        words.append(f"from {', '.join(policy.trusted_refs)} only")
    return words
