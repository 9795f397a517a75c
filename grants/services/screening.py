"""Screening: knock-out checks, answered by an officer, before anybody spends time on a review."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit
from core.errors import InvalidInput
from core.identity.models import Person
from grants import queries
from grants.models import Application, ApplicationOutcome, ApplicationStatus, ScreeningAnswer
from grants.services.applications import close_undecided


@dataclass(frozen=True)
class Answer:
    """How an application stands to one check."""

    passed: bool
    reason: str = ""


def screen(
    session: Session, application_id: UUID, *, answers: Mapping[UUID, Answer], officer: Person, now: datetime
) -> Application:
    """Answer every knock-out check. One failed check ends the application, with the reason its applicant reads.

    Raises:
        NotAllowed: not the programme's officer.
        InvalidInput: a check without an answer, or a failed one without a reason.
        IllegalTransition: the application is not waiting to be screened.
    """
    application = queries.locked_application(session, application_id)
    queries.require_uninvolved_officer(session, application, officer, on=now.date())
    application.advance(ApplicationStatus.SCREENED)
    for check in application.programme.checks:
        answer = answers.get(check.id)
        if answer is None:
            raise InvalidInput(f"Answer “{check.label}”.", field=f"check_{check.id.hex}")
        if not answer.passed and not answer.reason.strip():
            raise InvalidInput(f"Say why “{check.label}” fails; the applicant reads it.", field=f"reason_{check.id.hex}")
        application.screening.append(
            ScreeningAnswer(
                check_id=check.id,
                passed=answer.passed,
                reason=answer.reason.strip(),
                answered_by_id=officer.id,
                answered_at=now,
            )
        )
    failed = [check.label for check in application.programme.checks if not answers[check.id].passed]
    application.updated_at = now
    audit.record(session, "application.screened", application, actor=officer, at=now, failed=failed)
    if failed:
        close_undecided(application, ApplicationOutcome.SCREENED_OUT, now)
        audit.record(session, "application.screened_out", application, actor=officer, at=now, reason="; ".join(failed))
    session.flush()
    return application
