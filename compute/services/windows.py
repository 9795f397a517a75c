"""Planning, changing and calling off windows of pools: maintenance, reservations, drains. And what the clock does to them.

Whoever plans or changes one locks the pool, as whoever starts jobs does: a start either is seen here, or sees the window.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from compute.models import Pool, PoolStatus, PoolWindow, WindowKind, WindowStatus
from compute.policies.windows import PoolTime, without
from compute.queries import windows
from core import audit
from core.db import new_id
from core.errors import DomainError, InvalidInput
from core.identity import access
from core.identity.models import Person, Project, Role

AHEAD_MAX = timedelta(days=366)
"""Nothing is planned further ahead, and nothing lasts longer."""

A_MOMENT = timedelta(hours=1)
"""Forms and commands say minutes: a beginning so little ago means now."""

WHY_MAX = 120


class PoolTaken(DomainError):
    """The pool does not have the GPUs then: other windows take them, or what runs may still have them."""

    code = "pool_taken"


class WindowBegun(DomainError):
    """What has begun can be ended sooner or later, but not made something else."""

    code = "window_begun"


class ReservationInUse(DomainError):
    """Jobs run in the reservation that the change would leave without their GPUs."""

    code = "reservation_in_use"


@dataclass(frozen=True, slots=True)
class NewWindow:
    """What somebody plans."""

    kind: WindowKind
    begins_at: datetime
    why: str
    ends_at: datetime | None = None
    gpus: int | None = None
    project: Project | None = None


def plan(session: Session, pool: Pool, new: NewWindow, *, actor: Person, now: datetime) -> PoolWindow:
    """Take GPUs of a pool for a while, or close it for new jobs from a moment on. What could still run then starts no more.

    Raises:
        NotAllowed: the actor is no programme officer.
        InvalidInput: times in the past or in the wrong order, a GPU too many, or no reason.
        PoolTaken: other windows take these GPUs, or, for a reservation, jobs may still have them.
    """
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    time = _locked(session, pool, now=now)
    if now - A_MOMENT < new.begins_at < now:
        new = replace(new, begins_at=now)
    _require_ahead(new, now)
    _require_sense(new, pool, now)
    _require_free(new, pool, time)
    _require_sure(new, pool, time)
    row = PoolWindow(id=new_id(), pool=pool, kind=new.kind, status_at=now, planned_by_id=actor.id, planned_at=now)
    _write(row, new)
    session.add(row)
    session.flush()
    audit.record(session, "pool_window.planned", row, actor=actor, at=now, reason=row.why, **_said(row))
    return row


def change(session: Session, row: PoolWindow, new: NewWindow, *, actor: Person, now: datetime) -> PoolWindow:
    """Plan it otherwise. Of what has begun only the end, the GPUs and the reason can be others; kinds never change.

    Raises:
        NotAllowed, InvalidInput, PoolTaken: as for `plan`.
        WindowBegun: it has begun, and another beginning or project was asked for.
        ReservationInUse: jobs that run in it would be left without their GPUs.
    """
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    time = _locked(session, row.pool, now=now)
    windows.get(session, row.id, lock=True)
    if row.status is not WindowStatus.PLANNED or (row.ends_at is not None and row.ends_at <= now):
        raise InvalidInput("It is over or was called off. Plan another.", field="kind")
    if new.kind is not row.kind:
        raise InvalidInput("Call it off and plan another: the kind of a window does not change.", field="kind")
    if new.begins_at == row.begins_at.replace(second=0, microsecond=0):
        new = replace(new, begins_at=row.begins_at)  # forms say minutes
    has_begun = row.begins_at <= now
    if has_begun and (new.begins_at != row.begins_at or new.project != row.project):
        raise WindowBegun(
            f"It began at {row.begins_at:%Y-%m-%d %H:%M} UTC. Change its end or its GPUs, or call it off and plan another.",
            field="begins_at",
        )
    if not has_begun:
        _require_ahead(new, now)
    _require_sense(new, row.pool, now)
    _require_not_in_use(new, row, time)
    time.windows = without(time.windows, row.id)
    _require_free(new, row.pool, time)
    if not has_begun or (new.gpus or 0) > (row.gpus or 0):
        _require_sure(new, row.pool, time)
    before = _said(row)
    _write(row, new)
    session.flush()
    audit.record(session, "pool_window.changed", row, actor=actor, at=now, reason=row.why, before=before, **_said(row))
    return row


def call_off(session: Session, row: PoolWindow, *, reason: str, actor: Person, now: datetime) -> None:
    """It takes nothing any more. Jobs that run in a reservation go on.

    Raises:
        NotAllowed: the actor is no programme officer.
        InvalidInput: no reason.
        IllegalTransition: it is over or was called off already.
    """
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    if not reason.strip():
        raise InvalidInput("Say why it is called off.", field="reason")
    _locked(session, row.pool, now=now)
    windows.get(session, row.id, lock=True)
    row.advance(WindowStatus.CALLED_OFF, now)
    session.flush()
    audit.record(session, "pool_window.called_off", row, actor=actor, at=now, reason=reason.strip())


def pass_windows(session: Session, *, now: datetime) -> None:
    """End windows whose time is over, and let pools drain whose moment has come. Doing it twice ends in the same place."""
    rows = session.scalars(select(PoolWindow).where(PoolWindow.status == WindowStatus.PLANNED).order_by(PoolWindow.id)).all()
    due = [row for row in rows if (row.ends_at or row.begins_at) <= now]
    for pool_id in sorted({row.pool_id for row in due}):
        _lock(session, pool_id)
    for row in due:
        windows.get(session, row.id, lock=True)
        if row.status is not WindowStatus.PLANNED or (row.ends_at or row.begins_at) > now:
            continue  # somebody changed it a moment ago
        row.advance(WindowStatus.OVER, now)
        audit.record(session, "pool_window.over", row, actor=None, at=now)
        if row.kind is WindowKind.DRAIN and row.pool.status is PoolStatus.OPEN:
            row.pool.status = PoolStatus.DRAINING
            audit.record(session, "pool.draining", row.pool, actor=None, at=now, reason=row.why)


def _locked(session: Session, pool: Pool, *, now: datetime) -> PoolTime:
    _lock(session, pool.id)
    return windows.pool_times(session, [pool], now=now)[pool.id]


def _lock(session: Session, pool_id: UUID) -> None:
    session.execute(select(Pool).where(Pool.id == pool_id).with_for_update(of=Pool).execution_options(populate_existing=True))


def _require_ahead(new: NewWindow, now: datetime) -> None:
    if not now <= new.begins_at <= now + AHEAD_MAX:
        raise InvalidInput("It begins now or later, and within a year.", field="begins_at")


def _require_sense(new: NewWindow, pool: Pool, now: datetime) -> None:
    """Refuse what makes no sense, whatever else is planned."""
    is_drain, is_reservation = new.kind is WindowKind.DRAIN, new.kind is WindowKind.RESERVATION
    if not new.why.strip() or len(new.why.strip()) > WHY_MAX:
        raise InvalidInput(f"Say why in at most {WHY_MAX} characters: whoever waits because of it reads it.", field="why")
    if is_drain and (new.ends_at is not None or new.gpus is not None):
        field = "ends_at" if new.ends_at is not None else "gpus"
        raise InvalidInput("A drain takes all GPUs and has no end: it lasts until the pool is opened again.", field=field)
    if not is_drain and (new.ends_at is None or new.gpus is None):
        raise InvalidInput("Say until when, and how many GPUs.", field="ends_at" if new.ends_at is None else "gpus")
    if new.ends_at is not None and not max(new.begins_at, now) < new.ends_at <= new.begins_at + AHEAD_MAX:
        raise InvalidInput("It ends after it begins, later than now, and within a year.", field="ends_at")
    if new.gpus is not None and not 1 <= new.gpus <= pool.devices:
        raise InvalidInput(f"{pool.name} has {pool.devices} in all: take between 1 and all of them.", field="gpus")
    if is_reservation != (new.project is not None):
        words = "Say for which project they are reserved." if is_reservation else "Only a reservation is for a project."
        raise InvalidInput(words, field="project")


def _require_free(new: NewWindow, pool: Pool, time: PoolTime) -> None:
    """Windows may not take more together than there is."""
    if new.gpus is None or new.ends_at is None:
        return
    taken, moment = time.most_taken(new.begins_at, new.ends_at)
    if taken + new.gpus > pool.devices:
        raise PoolTaken(
            f"On {moment:%Y-%m-%d at %H:%M} UTC other windows take {taken} of the {pool.devices} of {pool.name}; "
            f"{new.gpus} more are too many.",
            field="gpus",
        )


def _require_sure(new: NewWindow, pool: Pool, time: PoolTime) -> None:
    """Maintenance can begin beside jobs that still run; what is promised to a project has to be there."""
    if new.kind is not WindowKind.RESERVATION or new.gpus is None or new.ends_at is None:
        return
    room = max(0, time.room(new.begins_at, new.ends_at))
    if new.gpus > room:
        raise PoolTaken(
            f"From {new.begins_at:%Y-%m-%d %H:%M} UTC on {pool.name} has {room} that are sure to be free: jobs that run "
            "now may still have the others, or it drains. Begin later, or reserve fewer.",
            field="begins_at",
        )


def _require_not_in_use(new: NewWindow, row: PoolWindow, time: PoolTime) -> None:
    used = time.used_in(row.id)
    if new.gpus is not None and used > new.gpus:
        raise ReservationInUse(f"Jobs run on {used} of its GPUs now; keep as many until they end.", field="gpus")
    last = max((run.ends_by for run in time.runs if run.reservation_id == row.id), default=None)
    if last is not None and new.ends_at is not None and last > new.ends_at:
        raise ReservationInUse(
            f"A job that runs in it may do so until {last:%Y-%m-%d %H:%M} UTC; end it no sooner.", field="ends_at"
        )


def _write(row: PoolWindow, new: NewWindow) -> None:
    row.begins_at, row.ends_at, row.gpus, row.why = new.begins_at, new.ends_at, new.gpus, new.why.strip()
    row.project = new.project


def _said(row: PoolWindow) -> dict[str, object]:
    """A window in the words of the audit trail."""
    return {
        "pool": row.pool.slug,
        "kind": str(row.kind),
        "begins_at": row.begins_at.isoformat(),
        "ends_at": row.ends_at.isoformat() if row.ends_at else None,
        "gpus": row.gpus,
        "project": row.project.slug if row.project else None,
    }
