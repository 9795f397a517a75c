"""Priority classes: naming them, submitting with one, and giving one to a job that waits."""

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from compute import policies
from compute.models import RANK_MAX, Job, JobStatus, PriorityClass, PriorityUse
from compute.queries import jobs, priorities
from core import audit
from core.db import new_id
from core.db.firsts import add_first
from core.errors import DomainError, InvalidInput, NotAllowed
from core.identity import access
from core.identity.models import Person, Project, Role

ORDINARY = "ordinary"
URGENT_SCOPE = "jobs:urgent"
"""What a token needs besides, so that a program may use what is for maintainers."""
REASON_MAX = 300


class PriorityUsedUp(DomainError):
    """The project's jobs of this month may use no more GPU time with this priority."""

    code = "priority_used_up"


class JobDoesNotWait(DomainError):
    """A priority says who starts first; this job has started or ended."""

    code = "job_does_not_wait"


@dataclass(frozen=True, slots=True)
class NewClass:
    """What an officer says of a class."""

    slug: str
    name: str
    rank: int
    use: PriorityUse
    needs_reason: bool
    month_ticks: int | None
    is_open: bool = True


def set_class(session: Session, new: NewClass, *, actor: Person, now: datetime) -> PriorityClass:
    """Name a class, or say of a known one what holds from now on. Jobs that wait with it have the new rank at once.

    Raises:
        NotAllowed: the actor is no programme officer.
        InvalidInput: a name, rank or amount that makes no sense.
        MadeMeanwhile: somebody else named it at the same moment.
    """
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    _require_sense(new)
    known = next((each for each in priorities.classes(session) if each.slug == new.slug), None)
    before = _said(known) if known is not None else None
    row = known or PriorityClass(id=new_id(), slug=new.slug)
    row.name, row.rank, row.use, row.needs_reason = new.name.strip(), new.rank, new.use, new.needs_reason
    row.month_ticks, row.is_open, row.set_by_id, row.set_at = new.month_ticks, new.is_open, actor.id, now
    add_first(session, row, f"“{new.slug}”")
    audit.record(session, "priority_class.set", row, actor=actor, at=now, before=before, after=_said(row))
    return row


def choose(
    session: Session,
    project: Project,
    submitter: Person | None,
    *,
    slug: str | None,
    reason: str | None,
    ticks: int,
    as_maintainer: bool,
    now: datetime,
) -> PriorityClass | None:
    """The class a job is submitted with; none: ordinary. `ticks`: reference ticks that it may use at most.

    `as_maintainer`: a maintainer submits it, or a program that they let speak for them as one; not any program of theirs, which
    may run anybody's pull request.

    Raises:
        InvalidInput: there is no such class, it is closed, or it asks for a reason.
        NotAllowed: it is for others.
        PriorityUsedUp: the project's month has too little left; the message says how much.
    """
    if not slug or slug == ORDINARY:
        if reason and reason.strip():
            raise InvalidInput("An ordinary job needs no reason; choose a priority, or leave the reason empty.", field="priority")
        return None
    row = priorities.named(session, slug, lock=True)
    _require_open(row, reason)
    if not may_use(session, row, project, submitter, now=now):
        whom = "maintainers of the project" if row.use is PriorityUse.MAINTAINERS else "programme officers, who give it to jobs"
        raise NotAllowed(f"“{row.name}” is for {whom}.")
    if row.use is PriorityUse.MAINTAINERS and submitter is not None and not as_maintainer:
        raise NotAllowed(
            f"“{row.name}” is for maintainers of the project, and this token does not speak for one. Submit the job on the page, "
            f"or with a token that has the scope “{URGENT_SCOPE}”; don't give that one to a CI that runs anybody's pull request."
        )
    if row.month_ticks is not None:
        used = priorities.used_this_month(session, row, project.id, now=now)
        if used + ticks > row.month_ticks:
            raise PriorityUsedUp(
                f"This job may use {policies.say_gpu_time(ticks)}. Of the {policies.say_gpu_time(row.month_ticks)} that "
                f"{project.name} may use as “{row.name}” in a month, {policies.say_gpu_time(max(0, row.month_ticks - used))} "
                "are left. Submit it as an ordinary job, or declare less time.",
                field="priority",
            )
    return row


def may_use(session: Session, row: PriorityClass, project: Project, person: Person | None, *, now: datetime) -> bool:
    """Whether somebody who may submit for a project may do so with this class."""
    if row.use is PriorityUse.MAINTAINERS:
        return person is None or access.has_role(session, person, Role.MAINTAINER, project_id=project.id, on=now.date())
    return row.use is PriorityUse.EVERYBODY


def give(session: Session, job: Job, slug: str, *, reason: str, actor: Person, now: datetime) -> None:
    """Give a waiting job a class, or make it ordinary again. It costs its project nothing of its month.

    Raises:
        NotAllowed: the actor is no programme officer.
        InvalidInput: no reason, or no such class.
        JobDoesNotWait: it has started or ended.
    """
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    said = reason.strip()
    if not said:
        raise InvalidInput("Say why, for everybody whom it passes.", field="reason")
    row = None if slug == ORDINARY else priorities.named(session, slug)
    if row is not None:
        _require_open(row, said)
    job = jobs.locked(session, job.id)
    if job.status is not JobStatus.QUEUED:
        raise JobDoesNotWait("Only a job that waits can get a priority.", field="priority")
    before = job.priority.slug if job.priority else ORDINARY
    job.priority, job.priority_reason, job.priority_ticks = row, said if row is not None else None, None
    session.flush()
    audit.record(session, "job.priority_given", job, actor=actor, at=now, reason=said, priority=slug, before=before)


def _require_open(row: PriorityClass, reason: str | None) -> None:
    if not row.is_open:
        raise InvalidInput(f"“{row.name}” is closed; choose another priority.", field="priority")
    if row.needs_reason and not (reason or "").strip():
        raise InvalidInput(f"Say why this job is “{row.name}”, for everybody whom it passes.", field="priority_reason")
    if len(reason or "") > REASON_MAX:
        raise InvalidInput(f"Keep the reason under {REASON_MAX} characters.", field="priority_reason")


def _require_sense(new: NewClass) -> None:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", new.slug) or new.slug == ORDINARY:
        raise InvalidInput("A short name is made of a-z, 0-9 and dashes, and is not “ordinary”.", field="slug")
    if not new.name.strip():
        raise InvalidInput("Give it a name.", field="name")
    if new.rank == 0 or abs(new.rank) > RANK_MAX:
        raise InvalidInput(f"A rank is from -{RANK_MAX} to {RANK_MAX}; 0 is what ordinary jobs have.", field="rank")
    if new.month_ticks is not None and new.month_ticks < 1:
        raise InvalidInput("Say how many GPU-hours a month, or leave it empty.", field="month_hours")
    if new.rank > 0 and new.use is not PriorityUse.OFFICERS and new.month_ticks is None:
        raise InvalidInput(
            "Say how many GPU-hours a month a project may use with it; else everything would go before ordinary jobs.",
            field="month_hours",
        )


def _said(row: PriorityClass) -> dict[str, object]:
    """A class in the words of the audit trail."""
    return {
        "name": row.name,
        "rank": row.rank,
        "use": str(row.use),
        "needs_reason": row.needs_reason,
        "month_ticks": row.month_ticks,
        "is_open": row.is_open,
    }
