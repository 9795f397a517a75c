"""The hosts of a pool: named, changed, taken out of service and forgotten by programme officers.

A change holds from the scheduler's next look on, and is seen under the pool's lock by starts that were decided before it. What
runs on a host goes on, whatever becomes of the host.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from compute.models import Job, JobAttempt, Pool, PoolHost
from compute.queries import attempts, hosts
from core import audit
from core.db import new_id
from core.errors import DomainError, InvalidInput, NotFound
from core.identity import access
from core.identity.models import Person, Role

NAME_MAX = 63
LETTERS = set("abcdefghijklmnopqrstuvwxyz0123456789.-")


class HostTaken(DomainError):
    """A job has the host alone, or still runs there: it can't be changed in this way now."""

    code = "host_taken"


class LastHost(DomainError):
    """A pool needs a host that takes work."""

    code = "last_host"


def add(session: Session, pool: Pool, *, name: str, devices: int, reason: str, actor: Person, now: datetime) -> PoolHost:
    """Name a host of a pool. The first is the one that the pool was so far, with what runs there.

    Raises:
        NotAllowed: the actor is no programme officer.
        InvalidInput: no name that a machine can have, one that the pool has already, no devices, or no reason.
        HostTaken: the first host is named while a job has it alone, with another number of devices.
    """
    said = _required(session, reason, actor, now)
    name = name.strip().lower()
    if not name or len(name) > NAME_MAX or not set(name) <= LETTERS or name[0] in ".-" or name[-1] in ".-":
        raise InvalidInput(
            f"Name it as its executor does, such as gpu1.example.org: letters, digits, dots and hyphens, {NAME_MAX} at most.",
            field="name",
        )
    _require_devices(devices)
    rows = _locked(session, pool)
    if any(row.name == name for row in rows):
        raise InvalidInput(f"Pool {pool.name} has a host “{name}” already.", field="name")
    if not rows:
        if devices != pool.devices:
            _require_nobody_alone(session, pool, None)
        attempts.lock_open_in_pool(session, pool)
        session.execute(
            update(JobAttempt).where(JobAttempt.pool_id == pool.id, attempts.OPEN, JobAttempt.host.is_(None)).values(host=name)
        )
    row = PoolHost(
        id=new_id(), pool_id=pool.id, pool=pool, name=name, devices=devices, in_service=True, reason=said, set_by_id=actor.id,
        set_at=now,
    )  # fmt: skip
    session.add(row)
    pool.devices = _together(pool, {each.name: each.devices for each in rows if each.in_service} | {name: devices})
    session.flush()
    audit.record(session, "pool.host_added", pool, actor=actor, at=now, reason=said, host=name, devices=devices)
    return row


def change(
    session: Session, row: PoolHost, *, devices: int | None, in_service: bool | None, reason: str, actor: Person, now: datetime
) -> None:
    """Say how many devices a host has and whether it takes new work; None: that stays as it is.

    Raises:
        NotAllowed: the actor is no programme officer.
        InvalidInput: no devices, or no reason.
        NotFound: somebody removed it meanwhile.
        HostTaken: a job has it alone, and it is to have another number of devices.
        LastHost: no host of the pool would take new work.
    """
    said = _required(session, reason, actor, now)
    rows = _locked(session, row.pool)
    _require_there(row, rows)
    before = {"devices": row.devices, "in_service": row.in_service}
    devices = row.devices if devices is None else devices
    in_service = row.in_service if in_service is None else in_service
    _require_devices(devices)
    if devices != row.devices:
        _require_nobody_alone(session, row.pool, row.name)
    others = {each.name: each.devices for each in rows if each.in_service and each is not row}
    row.pool.devices = _together(row.pool, others | ({row.name: devices} if in_service else {}))
    row.devices, row.in_service, row.reason, row.set_by_id, row.set_at = devices, in_service, said, actor.id, now
    session.flush()
    audit.record(
        session, "pool.host_changed", row.pool, actor=actor, at=now, reason=said, host=row.name, devices=devices,
        in_service=in_service, before=before,
    )  # fmt: skip


def remove(session: Session, row: PoolHost, *, reason: str, actor: Person, now: datetime) -> None:
    """Forget a host that is gone. Past attempts keep its name.

    Raises:
        NotAllowed: the actor is no programme officer.
        InvalidInput: no reason.
        NotFound: somebody removed it meanwhile.
        HostTaken: something still runs there.
        LastHost: no host of the pool would take new work.
    """
    said = _required(session, reason, actor, now)
    rows = _locked(session, row.pool)
    _require_there(row, rows)
    if hosts.in_use(session, [row.pool_id]).get((row.pool_id, row.name)):
        raise HostTaken(f"Something still runs on {row.name}. Take it out of service, and remove it when that is over.")
    row.pool.devices = _together(row.pool, {each.name: each.devices for each in rows if each.in_service and each is not row})
    audit.record(session, "pool.host_removed", row.pool, actor=actor, at=now, reason=said, host=row.name, devices=row.devices)
    session.delete(row)
    session.flush()


def _required(session: Session, reason: str, actor: Person, now: datetime) -> str:
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    if not reason.strip():
        raise InvalidInput("Say why, for those whose jobs it concerns.", field="reason")
    return reason.strip()


def _require_devices(devices: int) -> None:
    if devices < 1:
        raise InvalidInput("A host has at least one device.", field="devices")


def _locked(session: Session, pool: Pool) -> list[PoolHost]:
    """The hosts as they are now. Nothing starts in the pool until the end of the transaction."""
    session.refresh(pool, with_for_update={"of": Pool})
    return hosts.of_pool(session, pool)


def _require_there(row: PoolHost, rows: Sequence[PoolHost]) -> None:
    """Of two who change or remove it at the same moment, the second comes here when the first is done."""
    if row not in rows:
        raise NotFound(f"Pool {row.pool.name} has no host “{row.name}” any more: somebody removed it a moment ago.")


def _together(pool: Pool, in_service: Mapping[str, int]) -> int:
    """What the pool has: what these hosts have."""
    if not in_service:
        raise LastHost(f"It is the last host of {pool.name} that takes new work. Drain or close the pool instead.")
    return sum(in_service.values())


def _require_nobody_alone(session: Session, pool: Pool, host: str | None) -> None:
    alone = exists(JobAttempt.id).where(
        JobAttempt.pool_id == pool.id, JobAttempt.host.is_not_distinct_from(host), attempts.OPEN, Job.exclusive
    )
    if session.scalar(select(alone.where(Job.id == JobAttempt.job_id))):
        raise HostTaken(
            "A job has this host alone and pays for all of it. Change how many devices it has when that job is over.",
            field="devices",
        )
