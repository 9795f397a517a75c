"""Saying what projects own of a pool, what they lend each other, and on which terms they get it back."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from compute.models import Pool, QuotaGroup, QuotaShare
from compute.queries import quotas
from compute.services import reclaim
from core import audit
from core.db import new_id
from core.db.firsts import add_first
from core.errors import DomainError, InvalidInput
from core.identity import access
from core.identity.models import Person, Project, Role

GRACE_SECONDS_MAX = 24 * 3600
LOST_GPU_HOURS_MAX = 100_000
BORROWS_MAX = 100_000
NAME_MAX = 60


class PoolTooSmall(DomainError):
    """Nobody can own what is not there."""

    code = "pool_too_small"

    def __init__(self, pool: Pool, owned: int, asked: int) -> None:
        free = max(0, pool.devices - owned)  # a pool that got smaller may have less than they own
        super().__init__(
            f"Pool {pool.name} has {pool.devices} devices, other projects own {owned}: give {free} at most, not {asked}.",
            field="nominal",
        )


class QuotaGroupEnded(DomainError):
    """Nobody owns anything in it any more."""

    code = "quota_group_ended"


@dataclass(frozen=True, slots=True)
class Terms:
    """How a group asks back."""

    name: str
    grace_seconds: int
    lost_gpu_seconds_max: int


@dataclass(frozen=True, slots=True)
class Quota:
    """What a project has of a group, in devices; None: no limit."""

    nominal: int  # its own; 0: it owns nothing any more
    lends: int | None = None
    borrows: int | None = None


def set_group(session: Session, pool: Pool, terms: Terms, *, reason: str, actor: Person, now: datetime) -> QuotaGroup:
    """From the scheduler's next look on, projects can own GPUs of the pool and get them back on these terms.

    Raises:
        NotAllowed: the actor is no programme officer.
        InvalidInput: no name or one that is taken, too long a grace, a limit that is none, or no reason.
        MadeMeanwhile: somebody else set the first terms, or took the name, at the same moment.
    """
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    name, said = terms.name.strip(), _said(reason)
    if not name or len(name) > NAME_MAX:
        raise InvalidInput(f"Give the group a name of at most {NAME_MAX} characters.", field="name")
    if not 0 <= terms.grace_seconds <= GRACE_SECONDS_MAX:
        raise InvalidInput("A grace lasts up to a day.", field="grace_minutes")
    if not 0 <= terms.lost_gpu_seconds_max <= LOST_GPU_HOURS_MAX * 3600:
        words = f"Say how much work may be lost, up to {LOST_GPU_HOURS_MAX:,} GPU-hours, or 0 for none."
        raise InvalidInput(words, field="lost_gpu_hours")
    known = quotas.of_pool(session, pool, lock=True)
    others = select(QuotaGroup.id).where(QuotaGroup.name == name, QuotaGroup.pool_id != pool.id, quotas.LIVING)
    if session.scalar(others) is not None:
        raise InvalidInput(f"Another pool's group is called “{name}”.", field="name")
    before = _terms(known) if known is not None else None
    row = known or QuotaGroup(id=new_id(), pool=pool)
    row.name, row.grace_seconds, row.lost_gpu_seconds_max = name, terms.grace_seconds, terms.lost_gpu_seconds_max
    row.reason, row.set_by_id, row.set_at = said, actor.id, now
    add_first(session, row, f"terms for {pool.name}")
    audit.record(session, "quota_group.set", row, actor=actor, at=now, reason=said, before=before, **_terms(row))
    return row


def set_share(
    session: Session, group: QuotaGroup, project: Project, quota: Quota, *, reason: str, actor: Person, now: datetime
) -> QuotaShare | None:
    """From the scheduler's next look on, a project owns so much of the group's pool. With nothing of its own it is no member.

    Raises:
        NotAllowed: the actor is no programme officer.
        InvalidInput: below zero, more lent than owned, far more borrowed than there is, or no reason.
        PoolTooSmall: it would own more than before, and others own too much of the pool.
        QuotaGroupEnded: somebody ended the group meanwhile.
    """
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    said = _said(reason)
    _require_sense(quota)
    _lock(session, group)
    row = session.get(QuotaShare, (group.id, project.id), populate_existing=True)
    owned = sum(share.nominal for share in quotas.shares(session, group) if share.project_id != project.id)
    had = row.nominal if row is not None else 0
    if quota.nominal > had and owned + quota.nominal > group.pool.devices:
        raise PoolTooSmall(group.pool, owned, quota.nominal)
    before = {"nominal": row.nominal, "lends": row.lends, "borrows": row.borrows} if row is not None else None
    now_has = {"nominal": quota.nominal, "lends": quota.lends, "borrows": quota.borrows}
    audit.record(
        session, "quota_group.share_set", group, actor=actor, at=now, reason=said, project=project.slug, before=before, **now_has
    )
    if not quota.nominal:
        if row is not None:
            session.delete(row)
        session.flush()
        return None
    if row is None:
        row = QuotaShare(group_id=group.id, project=project)
        session.add(row)
    row.nominal, row.lends, row.borrows = quota.nominal, quota.lends, quota.borrows
    row.reason, row.set_by_id, row.set_at = said, actor.id, now
    session.flush()
    return row


def end_group(session: Session, group: QuotaGroup, *, reason: str, actor: Person, now: datetime) -> None:
    """From the scheduler's next look on nobody owns anything of the pool. Who was asked to leave may stay; shares are kept.

    Raises:
        NotAllowed: the actor is no programme officer.
        InvalidInput: no reason.
        QuotaGroupEnded: somebody ended it meanwhile.
    """
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    said = _said(reason)
    _lock(session, group)
    group.ended_at, group.ended_by_id, group.end_reason = now, actor.id, said
    owned = {share.project.slug: share.nominal for share in quotas.shares(session, group)}
    session.flush()
    audit.record(session, "quota_group.ended", group, actor=actor, at=now, reason=said, owned=owned)
    for notice in quotas.asked_in(session, group.pool):
        reclaim.spare(session, notice.attempt.job_id, why=reclaim.GROUP_ENDED, now=now)


def _lock(session: Session, group: QuotaGroup) -> None:
    """Whoever changes a group waits for each other."""
    if quotas.of_pool(session, group.pool, lock=True) is not group:
        raise QuotaGroupEnded(f"The quota group “{group.name}” was ended. Set terms for pool {group.pool.name} anew.")


def _require_sense(quota: Quota) -> None:
    if quota.nominal < 0:
        raise InvalidInput("A project owns some devices, or 0 for none.", field="nominal")
    if quota.lends is not None and not 0 <= quota.lends <= quota.nominal:
        raise InvalidInput("It lends from 0 to all of its own; leave it empty for all.", field="lends")
    if quota.borrows is not None and not 0 <= quota.borrows <= BORROWS_MAX:
        raise InvalidInput(f"It borrows 0 to {BORROWS_MAX:,}; leave it empty for whatever the others lend.", field="borrows")


def _said(reason: str) -> str:
    said = reason.strip()
    if not said:
        raise InvalidInput("Say why, for everybody who shares the GPUs.", field="reason")
    return said


def _terms(row: QuotaGroup) -> dict[str, object]:
    return {"name": row.name, "grace_seconds": row.grace_seconds, "lost_gpu_seconds_max": row.lost_gpu_seconds_max}
