"""From a project's request to hours it may use."""

from datetime import datetime

from sqlalchemy.orm import Session

from compute import policies
from compute.models import ComputeGrant, GrantStatus
from compute.queries import overview
from compute.services import books
from core import audit
from core.db import new_id
from core.errors import DomainError, InvalidInput
from core.identity.models import Person, Project


class OwnRequest(DomainError):
    """Nobody decides what they asked for themselves."""

    code = "own_request"


def request(
    session: Session,
    project: Project,
    *,
    title: str,
    purpose: str,
    ticks: int,
    starts_at: datetime,
    expires_at: datetime,
    requested_by: Person | None,
    now: datetime,
    grant_reference: str | None = None,
    source: str | None = None,
    is_demo: bool = False,
) -> ComputeGrant:
    """Ask for reference GPU-hours until a date.

    Raises:
        InvalidInput: nothing asked for, no purpose, or a window that is empty, over or years ahead.
    """
    if ticks <= 0:
        raise InvalidInput("Ask for more than zero GPU-hours.", field="gpu_hours")
    if not purpose.strip():
        raise InvalidInput("Say what the hours are for.", field="purpose")
    if expires_at <= max(starts_at, now):
        raise InvalidInput("The grant must end after it starts, and in the future.", field="expires_at")
    if expires_at > now + policies.AHEAD_MAX:
        raise InvalidInput("The grant must end within ten years.", field="expires_at")
    grant = ComputeGrant(
        id=new_id(),
        project_id=project.id,
        project=project,
        title=title.strip() or f"GPU time for {project.name}",
        purpose=purpose.strip(),
        requested_ticks=ticks,
        starts_at=starts_at,
        expires_at=expires_at,
        grant_reference=grant_reference,
        source=source,
        status_at=now,
        requested_by_id=requested_by.id if requested_by else None,
        is_demo=is_demo,
        created_at=now,
    )
    session.add(grant)
    session.flush()
    audit.record(session, "compute_grant.requested", grant, actor=requested_by, at=now)
    return grant


def review(session: Session, grant: ComputeGrant, *, note: str, reviewer: Person, now: datetime) -> ComputeGrant:
    """Write down what a reviewer thinks of a request.

    Raises:
        OwnRequest: the reviewer asked for it.
        InvalidInput: no note.
        IllegalTransition: somebody else decided it meanwhile.
    """
    grant = overview.locked_grant(session, grant.id)
    _require_other(grant, reviewer, "review")
    if not note.strip():
        raise InvalidInput("Say what you think of the request.", field="note")
    grant.advance(GrantStatus.REVIEWED, now)
    grant.reviewed_by_id, grant.review_note = reviewer.id, note.strip()
    audit.record(session, "compute_grant.reviewed", grant, actor=reviewer, at=now, reason=note.strip())
    return grant


def approve(
    session: Session, grant: ComputeGrant, *, ticks: int | None = None, note: str = "", decided_by: Person, now: datetime
) -> ComputeGrant:
    """Grant the hours asked for, or another amount with a reason. The grant is active from its start on.

    Raises:
        OwnRequest: the decider asked for it.
        InvalidInput: another amount without a note.
        IllegalTransition: somebody else decided it meanwhile.
    """
    grant = overview.locked_grant(session, grant.id)
    _require_other(grant, decided_by, "decide")
    granted = grant.requested_ticks if ticks is None else ticks
    if granted <= 0:
        raise InvalidInput("Grant more than zero GPU-hours, or decline.", field="gpu_hours")
    if granted != grant.requested_ticks and not note.strip():
        raise InvalidInput("Say why the amount differs from the request.", field="note")
    grant.advance(GrantStatus.APPROVED, now)
    grant.granted_ticks, grant.decided_by_id, grant.decided_at = granted, decided_by.id, now
    grant.decision_note = note.strip() or None
    audit.record(session, "compute_grant.approved", grant, actor=decided_by, at=now, reason=grant.decision_note)
    if grant.starts_at <= now:
        activate(session, grant, now=now)
    return grant


def decline(session: Session, grant: ComputeGrant, *, note: str, decided_by: Person, now: datetime) -> ComputeGrant:
    """Refuse a request, and say why.

    Raises:
        OwnRequest: the decider asked for it.
        InvalidInput: no note.
        IllegalTransition: somebody else decided it meanwhile.
    """
    grant = overview.locked_grant(session, grant.id)
    _require_other(grant, decided_by, "decide")
    if not note.strip():
        raise InvalidInput("Tell the project why.", field="note")
    grant.advance(GrantStatus.DECLINED, now)
    grant.decided_by_id, grant.decided_at, grant.decision_note = decided_by.id, now, note.strip()
    audit.record(session, "compute_grant.declined", grant, actor=decided_by, at=now, reason=note.strip())
    return grant


def activate(session: Session, grant: ComputeGrant, *, now: datetime) -> None:
    """Put an approved grant's hours into the ledger; jobs may draw on it from here on."""
    grant.advance(GrantStatus.ACTIVE, now)
    books.record_promise(session, grant, at=now)
    session.flush()
    audit.record(session, "compute_grant.activated", grant, actor=None, at=now)


def _require_other(grant: ComputeGrant, person: Person, verb: str) -> None:
    if grant.requested_by_id == person.id:
        raise OwnRequest(f"You asked for this grant; somebody else has to {verb} it.")
