"""Flavors, their dated rates, and pools: the data that jobs and grants are counted with."""

from datetime import datetime
from fractions import Fraction

from sqlalchemy import select
from sqlalchemy.orm import Session

from compute.models import ExchangeRate, Flavor, Pool, PoolStatus, SourceKind
from core import audit
from core.db import new_id
from core.errors import DomainError, InvalidInput
from core.identity.models import Person

RATE_PART_MAX = 10**6


class RateInThePast(DomainError):
    """A rate may not change what was already held or settled with the rate of its day."""

    code = "rate_in_the_past"


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
) -> ExchangeRate:
    """From a moment on, an hour of a flavor is worth `rate` reference GPU-hours. Attempts keep the rate they were held at.

    Raises:
        RateInThePast: the moment is over, or the flavor has a rate from that very moment.
        InvalidInput: zero, negative, absurdly fine, or without a source.
    """
    if rate <= 0 or rate.numerator > RATE_PART_MAX or rate.denominator > RATE_PART_MAX:
        raise InvalidInput("A rate is a positive fraction such as 2, 0.35 or 1/7.", field="rate")
    if not source.strip():
        raise InvalidInput("Say where the rate comes from: a price list, a benchmark, a decision.", field="source")
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
