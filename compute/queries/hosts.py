"""The hosts of pools, and what is free on each."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from compute.models import Flavor, JobAttempt, Pool, PoolHost, PoolStatus
from compute.queries.attempts import OPEN
from compute.scheduling.hosts.book import alone_takes
from core.errors import NotFound

THE_ONE = ""
"""The host of a pool whose hosts have no names."""


def of_pools(session: Session, pool_ids: Collection[UUID]) -> dict[UUID, list[PoolHost]]:
    """The named hosts of each of these pools that has any, in the order of their names."""
    found: dict[UUID, list[PoolHost]] = {}
    query = select(PoolHost).where(PoolHost.pool_id.in_(pool_ids)).order_by(PoolHost.name)
    for row in session.scalars(query.execution_options(populate_existing=True)):
        found.setdefault(row.pool_id, []).append(row)
    return found


def of_pool(session: Session, pool: Pool) -> list[PoolHost]:
    """The named hosts of a pool; none: it is one host."""
    return of_pools(session, [pool.id]).get(pool.id, [])


def named(session: Session, pool: Pool, name: str) -> PoolHost:
    """A host of a pool.

    Raises:
        NotFound: the pool has none of this name.
    """
    row = next((row for row in of_pool(session, pool) if row.name == name), None)
    if row is None:
        raise NotFound(f"Pool {pool.name} has no host “{name}”.")
    return row


def sizes(pool: Pool, rows: Sequence[PoolHost]) -> dict[str, int]:
    """The devices of each host that takes new work."""
    return {row.name: row.devices for row in rows if row.in_service} if rows else {THE_ONE: pool.devices}


def takes(pool: Pool, rows: Sequence[PoolHost], gpus: int, *, exclusive: bool) -> int | None:
    """The devices that a job takes in a pool which asks for so many. None: no host in service has enough."""
    there = sizes(pool, rows).values()
    if exclusive:
        return alone_takes(there, gpus)
    return gpus if gpus <= max(there, default=0) else None


def largest(pool: Pool, rows: Sequence[PoolHost]) -> int:
    """The devices of the largest host, in service or not."""
    return max((row.devices for row in rows), default=pool.devices)


def pools_with(session: Session, flavor: Flavor) -> Sequence[Pool]:
    """The pools with a flavor that are not closed."""
    return session.scalars(select(Pool).where(Pool.flavor_id == flavor.id, Pool.status != PoolStatus.CLOSED)).all()


def taken_with(
    session: Session, flavor: Flavor, gpus: int, *, exclusive: bool, able: Sequence[Pool] | None = None
) -> tuple[int, int]:
    """The least and the most devices that a job takes which asks for so many, over the pools with a flavor that have room.

    `able`: those of them that can run it, if that is known.
    """
    if not exclusive:
        return gpus, gpus
    pools = pools_with(session, flavor) if able is None else able
    named = of_pools(session, [pool.id for pool in pools])
    found = [takes(pool, named.get(pool.id, []), gpus, exclusive=True) for pool in pools]
    taken = [each for each in found if each is not None] or [gpus]
    return min(taken), max(taken)


def in_use(session: Session, pool_ids: Collection[UUID]) -> dict[tuple[UUID, str], int]:
    """The devices that open attempts have, by pool and host."""
    rows = session.execute(
        select(JobAttempt.pool_id, JobAttempt.host, func.sum(JobAttempt.gpus))
        .where(JobAttempt.pool_id.in_(pool_ids), OPEN)
        .group_by(JobAttempt.pool_id, JobAttempt.host)
    )
    return {(pool_id, host or THE_ONE): int(gpus) for pool_id, host, gpus in rows}


def free(session: Session, pools: Sequence[Pool]) -> dict[tuple[UUID, str], int]:
    """The devices that are free on each host that takes new work, by pool and host."""
    ids = [pool.id for pool in pools]
    rows, used = of_pools(session, ids), in_use(session, ids)
    return {
        (pool.id, host): devices - used.get((pool.id, host), 0)
        for pool in pools
        for host, devices in sizes(pool, rows.get(pool.id, [])).items()
    }
