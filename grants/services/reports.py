"""Reports of recipients, and the gates they open."""

from collections.abc import Sequence
from datetime import datetime
from typing import IO
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit, files
from core.errors import DomainError, InvalidInput, NotFound
from core.identity.models import Person
from grants import queries
from grants.models import GrantStatus, Instalment, Report, ReportAttachment, ReportStatus
from grants.services import instalments

BODY_CHARACTERS_MAX = 20_000
ATTACHMENTS_MAX = 10


class AlreadyReported(DomainError):
    """A report for this instalment is waiting or accepted."""

    code = "already_reported"


class NothingToReport(DomainError):
    """The grant has not begun, or is over."""

    code = "nothing_to_report"


def submit(
    session: Session,
    grant_id: UUID,
    *,
    person: Person,
    body: str,
    now: datetime,
    instalment_id: UUID | None = None,
    attachments: Sequence[tuple[str, IO[bytes]]] = (),
) -> Report:
    """Report on a grant: for one of its instalments, or on the whole.

    Raises:
        NotFound: no grant of this id of this person, or no such instalment.
        NothingToReport: the grant has not begun or was terminated.
        AlreadyReported: a report for this instalment waits or is accepted.
        InvalidInput: no text, too long, too many files, or a file that isn't taken.
    """
    grant = queries.own_grant(session, grant_id, person, on=now.date(), lock=True)
    if grant.status not in {GrantStatus.ACTIVE, GrantStatus.SUSPENDED, GrantStatus.COMPLETED}:
        raise NothingToReport(f"This grant is {grant.status.replace('_', ' ')}; reports belong to running grants.")
    if not body.strip():
        raise InvalidInput("Write what was done, and what it changed.", field="body")
    if len(body) > BODY_CHARACTERS_MAX:
        raise InvalidInput(f"At most {BODY_CHARACTERS_MAX:,} characters; attach what is longer.", field="body")
    if len(attachments) > ATTACHMENTS_MAX:
        raise InvalidInput(f"A report takes {ATTACHMENTS_MAX} files.", field="attachments")
    part = _part(grant.instalments, instalment_id) if instalment_id else None
    if part is not None and queries.current_report(session, part) is not None:
        raise AlreadyReported(f"There is already a report for instalment {part.number}.")
    report = Report(
        grant_id=grant.id,
        instalment_id=instalment_id,
        body=body.strip(),
        submitted_by_id=person.id,
        submitted_at=now,
        status=ReportStatus.SUBMITTED,
    )
    session.add(report)
    for name, stream in attachments:
        report.attachments.append(
            ReportAttachment(file=files.store(session, stream, name=name, uploaded_by_id=person.id, now=now))
        )
    session.flush()
    audit.record(session, "report.submitted", report, actor=person, at=now, instalment=part.number if part else None)
    return report


def accept(session: Session, report_id: UUID, *, officer: Person, now: datetime, note: str = "") -> Report:
    """Accept a report. If an instalment waits for it, its gate opens.

    Raises:
        NotFound, NotAllowed: no such report, or not the programme's officer.
        IllegalTransition: answered before.
    """
    report = queries.locked_report(session, report_id)
    queries.require_other_side(session, report.grant, officer, on=now.date())
    report.advance(ReportStatus.ACCEPTED)
    report.closed_at, report.note = now, note.strip()
    session.flush()
    audit.record(session, "report.accepted", report, actor=officer, at=now, reason=note.strip() or None)
    if report.instalment is not None:
        instalments.open_gate(session, report.instalment, now=now)
    session.flush()
    return report


def send_back(session: Session, report_id: UUID, *, officer: Person, note: str, now: datetime) -> Report:
    """Ask for another report, saying what is missing.

    Raises:
        NotFound, NotAllowed: no such report, or not the programme's officer.
        InvalidInput: no note.
        IllegalTransition: answered before.
    """
    report = queries.locked_report(session, report_id)
    queries.require_other_side(session, report.grant, officer, on=now.date())
    if not note.strip():
        raise InvalidInput("Say what is missing; the recipient writes the next report from it.", field="note")
    report.advance(ReportStatus.SENT_BACK)
    report.closed_at, report.note = now, note.strip()
    audit.record(session, "report.sent_back", report, actor=officer, at=now, reason=note.strip())
    session.flush()
    return report


def _part(parts: Sequence[Instalment], instalment_id: UUID) -> Instalment:
    for part in parts:
        if part.id == instalment_id:
            return part
    raise NotFound("This grant has no such instalment.")
