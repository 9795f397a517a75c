"""Flavors, their dated rates, and pools: the data that jobs and grants are counted with."""

from collections.abc import Collection
from datetime import datetime
from fractions import Fraction
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from compute.models import ExchangeRate, Flavor, Pool, PoolStatus, ProposalStatus, RateProposal, RateProposalLine, SourceKind
from core import audit
from core.db import new_id
from core.errors import DomainError, InvalidInput
from core.identity.models import Person

RATE_PART_MAX = 10**6


class RateInThePast(DomainError):
    """A rate may not change what was already held or settled with the rate of its day."""

    code = "rate_in_the_past"


class OwnRateProposed(DomainError):
    """Whoever proposed a rate from benchmarks does not enter it alone."""

    code = "own_rate_proposed"


class NameTaken(DomainError):
    """There is one of this name already."""

    code = "name_taken"


def add_flavor(
    session: Session,
    *,
    slug: str,
    name: str,
    vendor: str,
    slices_per_gpu: int = 1,
    memory_gb: int | None = None,
    author: Person | None,
    now: datetime,
) -> Flavor:
    """Name a kind of accelerator, or an equal slice of one.

    Raises:
        NameTaken: there is a flavor of this slug.
        InvalidInput: a GPU can be cut into 1 to 8 slices.
    """
    if not 1 <= slices_per_gpu <= 8:
        raise InvalidInput("A GPU is cut into 1 to 8 equal slices.", field="slices_per_gpu")
    if session.scalars(select(Flavor).where(Flavor.slug == slug)).first():
        raise NameTaken(f"There is a flavor “{slug}” already.", field="slug")
    flavor = Flavor(
        id=new_id(), slug=slug, name=name, vendor=vendor, slices_per_gpu=slices_per_gpu, memory_gb=memory_gb, created_at=now
    )
    session.add(flavor)
    session.flush()
    audit.record(session, "flavor.added", flavor, actor=author, at=now)
    return flavor


def set_rate(
    session: Session,
    flavor: Flavor,
    rate: Fraction,
    *,
    valid_from: datetime,
    source: str,
    author: Person | None,
    now: datetime,
    proposal: RateProposal | None = None,
) -> ExchangeRate:
    """From a moment on, an hour of a flavor is worth `rate` reference GPU-hours. Attempts keep the rate they were held at.

    With the `proposal` that was accepted, two people agreed on the rate.

    Raises:
        OwnRateProposed: the author's own proposal of this rate is open, or somebody declined it.
        RateInThePast: the moment is over, or the flavor has a rate from that very moment.
        InvalidInput: zero, negative, absurdly fine, or without a source.
    """
    if rate <= 0 or rate.numerator > RATE_PART_MAX or rate.denominator > RATE_PART_MAX:
        raise InvalidInput("A rate is a positive fraction such as 2, 0.35 or 1/7.", field="rate")
    if not source.strip():
        raise InvalidInput("Say where the rate comes from: a price list, a benchmark, a decision.", field="source")
    lock_flavors(session, [flavor.id])
    if author is not None and proposal is None:
        _require_no_own_proposal(session, flavor, rate, author)
    known = session.scalars(
        select(ExchangeRate).where(ExchangeRate.flavor_id == flavor.id).order_by(ExchangeRate.valid_from.desc())
    ).first()
    # The first rate of a flavor may lie in the past: nothing can have been counted without one.
    if known is not None and (valid_from < now or valid_from <= known.valid_from):
        raise RateInThePast(
            f"A new rate for {flavor.name} holds from now on or later, and after {known.valid_from:%Y-%m-%d %H:%M} UTC, "
            "when the one before it begins.",
            field="valid_from",
        )
    row = ExchangeRate(
        id=new_id(),
        flavor_id=flavor.id,
        flavor=flavor,
        numerator=rate.numerator,
        denominator=rate.denominator,
        valid_from=valid_from,
        author_id=author.id if author else None,
        source=source.strip(),
        created_at=now,
    )
    session.add(row)
    session.flush()
    audit.record(session, "exchange_rate.set", row, actor=author, at=now, flavor=flavor.slug, rate=str(rate))
    return row


def lock_flavors(session: Session, flavor_ids: Collection[UUID]) -> None:
    """Until the end of the transaction nobody else sets a rate of these flavors; jobs may still come for them."""
    query = select(Flavor.id).where(Flavor.id.in_(flavor_ids)).order_by(Flavor.id)
    session.execute(query.with_for_update(of=Flavor, key_share=True)).all()


def add_pool(
    session: Session,
    *,
    slug: str,
    name: str,
    flavor: Flavor,
    executor: str,
    devices: int,
    runs: list[SourceKind],
    author: Person | None,
    now: datetime,
    endpoint: str = "",
    region: str = "",
    is_demo: bool = False,
) -> Pool:
    """Put hardware of one flavor behind an executor.

    Raises:
        NameTaken: there is a pool of this slug.
        InvalidInput: no devices.
    """
    if devices < 1:
        raise InvalidInput("A pool has at least one device.", field="devices")
    if session.scalars(select(Pool).where(Pool.slug == slug)).first():
        raise NameTaken(f"There is a pool “{slug}” already.", field="slug")
    pool = Pool(
        id=new_id(),
        slug=slug,
        name=name,
        flavor_id=flavor.id,
        flavor=flavor,
        executor=executor,
        endpoint=endpoint,
        region=region,
        devices=devices,
        runs=[str(kind) for kind in runs],
        is_demo=is_demo,
        created_at=now,
    )
    session.add(pool)
    session.flush()
    audit.record(session, "pool.added", pool, actor=author, at=now)
    return pool


def set_pool_status(session: Session, pool: Pool, status: PoolStatus, *, actor: Person, now: datetime) -> None:
    """Open, drain or close a pool. What runs in it may finish."""
    if pool.status is not status:
        pool.status = status
        audit.record(session, f"pool.{status}", pool, actor=actor, at=now)


def _require_no_own_proposal(session: Session, flavor: Flavor, rate: Fraction, author: Person) -> None:
    own = session.scalars(
        select(RateProposal)
        .join(RateProposalLine)
        .where(
            RateProposal.made_by_id == author.id,
            RateProposal.status != ProposalStatus.ACCEPTED,
            RateProposalLine.flavor_id == flavor.id,
            RateProposalLine.numerator == rate.numerator,
            RateProposalLine.denominator == rate.denominator,
        )
        .order_by(RateProposal.made_at.desc())
    ).first()
    if own is not None:
        became = "waits for another person" if own.status is ProposalStatus.OPEN else "was declined"
        raise OwnRateProposed(
            f"You proposed {rate} for {flavor.name} on {own.made_at:%Y-%m-%d}, and that {became}; somebody else has to enter it.",
            field="rate",
        )
