"""Limiting how much a project, a person, or everybody may have running at a time."""

from datetime import datetime

from sqlalchemy.orm import Session

from compute.models import RUN_LIMIT_MAX, RunLimit
from compute.queries import run_limits
from compute.scheduling import Limit
from core import audit
from core.db import new_id
from core.db.firsts import add_first
from core.errors import DomainError, InvalidInput, NotFound
from core.identity import access
from core.identity.models import Person, Project, Role

Whose = Project | Person | None
"""A project, a person in all projects together, or everybody who has no limit of their own."""


class OverLimit(DomainError):
    """The job alone is more than its project or its submitter may have running at a time."""

    code = "over_run_limit"


def set_limit(session: Session, whose: Whose, limit: Limit, *, reason: str, actor: Person, now: datetime) -> RunLimit:
    """From the scheduler's next look on, no more starts than this leaves room for. What runs goes on.

    Raises:
        NotAllowed: the actor is no programme officer.
        InvalidInput: below 1, too large, or without a reason.
        MadeMeanwhile: somebody else set the first one at the same moment.
    """
    said = _required(session, reason, actor, now)
    for field, value in (("jobs", limit.jobs), ("gpus", limit.gpus)):
        if value is not None and not 1 <= value <= RUN_LIMIT_MAX:
            raise InvalidInput(f"A limit is a whole number from 1 to {RUN_LIMIT_MAX:,}; leave it empty for none.", field=field)
    known = _of(session, whose)
    before = None if known is None else {"jobs": known.jobs, "gpus": known.gpus}
    row = known or RunLimit(
        id=new_id(),
        project=whose if isinstance(whose, Project) else None,
        person=whose if isinstance(whose, Person) else None,
    )
    row.jobs, row.gpus, row.reason, row.set_by_id, row.set_at = limit.jobs, limit.gpus, said, actor.id, now
    add_first(session, row, "this limit")
    audit.record(
        session,
        "run_limit.set",
        whose if whose is not None else row,
        actor=actor,
        at=now,
        reason=said,
        jobs=limit.jobs,
        gpus=limit.gpus,
        before=before,
    )
    return row


def lift(session: Session, whose: Whose, *, reason: str, actor: Person, now: datetime) -> None:
    """Take a limit away. For a person what holds for everybody holds again.

    Raises:
        NotAllowed: the actor is no programme officer.
        InvalidInput: no reason.
        NotFound: there is no such limit.
    """
    said = _required(session, reason, actor, now)
    row = _of(session, whose)
    if row is None:
        raise NotFound("There is no such limit.")
    before = {"jobs": row.jobs, "gpus": row.gpus}
    session.delete(row)
    session.flush()
    audit.record(
        session, "run_limit.lifted", whose if whose is not None else row, actor=actor, at=now, reason=said, before=before
    )


def require_within(session: Session, project: Project, submitter: Person | None, gpus: int) -> None:
    """Refuse a job that could never start, however little else runs.

    Raises:
        OverLimit: it asks for more GPUs than its project or its submitter may have at a time.
    """
    limits = run_limits.holding(session, [project.id], [submitter.id] if submitter else [])
    people = [(submitter.name, limits.of_person(submitter.id))] if submitter is not None else []
    for name, limit in [(project.name, limits.of_project(project.id)), *people]:
        if limit.gpus is not None and gpus > limit.gpus:
            raise OverLimit(
                f"{name} may have {limit.gpus} GPUs at a time; this job asks for {gpus}. Ask for fewer, "
                "or ask a programme officer to raise the limit.",
                field="gpus",
            )


def _required(session: Session, reason: str, actor: Person, now: datetime) -> str:
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    if not reason.strip():
        raise InvalidInput("Say why, for everybody who has to wait because of it.", field="reason")
    return reason.strip()


def _of(session: Session, whose: Whose) -> RunLimit | None:
    return run_limits.found(
        session,
        project_id=whose.id if isinstance(whose, Project) else None,
        person_id=whose.id if isinstance(whose, Person) else None,
        lock=True,
    )
