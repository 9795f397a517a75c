"""Writing, submitting and withdrawing an application."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import IO, Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit, files
from core.errors import DomainError, InvalidInput, NotFound
from core.identity.models import Membership, Person, Project, Role
from core.money import Money
from grants import policies, queries
from grants.models import (
    Application,
    ApplicationAttachment,
    ApplicationOutcome,
    ApplicationStatus,
    PayeeWish,
    Programme,
)

ATTACHMENTS_MAX = 10
URL = re.compile(r"https?://[^\s/@]+\.[^\s@]+", re.IGNORECASE)


class RoundNotOpen(DomainError):
    """The round takes no applications today."""

    code = "round_not_open"


class NotADraft(DomainError):
    """Only drafts are written to; what is submitted stays as it was read."""

    code = "not_a_draft"


class DraftChanged(DomainError):
    """Somebody else, or another window, saved the draft after this one was opened."""

    code = "draft_changed"


class IncompleteApplication(DomainError):
    """Something is missing or outside the rules; `details["fields"]` says what, field by field."""

    code = "incomplete_application"
    status = 422


class AlreadyApplied(DomainError):
    """The project's earlier request to this round is still undecided."""

    code = "already_applied"


class TooManyAttachments(DomainError):
    code = "too_many_attachments"
    status = 422
    field = "file"


@dataclass(frozen=True, slots=True)
class OpenedForm:
    """The form a draft is saved from: a random word of its own, and the `updated_at` that it showed."""

    word: str
    seen_at: datetime


@dataclass(frozen=True, kw_only=True)
class Draft:
    """All that the form of an application holds, complete or not."""

    project_name: str = ""
    project_url: str = ""
    repository_url: str = ""
    licences: tuple[str, ...] = ()
    summary: str = ""
    use_of_funds: str = ""
    plan: str = ""
    team: str = ""
    payee: PayeeWish | None = None
    payee_name: str = ""
    conflicts: str = ""
    months: int | None = None
    requested: Money | None = None
    answers: Mapping[str, str] = field(default_factory=dict)


def start_draft(
    session: Session,
    *,
    round_id: UUID,
    applicant: Person,
    now: datetime,
    project_id: UUID | None = None,
    draft: Draft | None = None,
) -> Application:
    """Begin an application to an open round, for a project the applicant maintains or for one yet to be registered.

    Raises:
        NotFound: no such round, or its programme is not public.
        RoundNotOpen: the round takes no applications today.
        NotFound: no project of this id that the applicant maintains.
    """
    round_ = queries.public_round(session, round_id)
    if not round_.takes_applications(now.date()):
        raise RoundNotOpen(_why_closed(round_, now), round=round_.name)
    project = queries.maintained_project(session, project_id, applicant, on=now.date()) if project_id else None
    application = Application(
        round_id=round_.id,
        programme_id=round_.programme_id,
        applicant_id=applicant.id,
        project_id=project.id if project else None,
        currency=round_.programme.currency,
        created_at=now,
        updated_at=now,
        is_demo=round_.programme.is_demo,
    )
    if project:
        application.project_name, application.project_url = project.name, project.url or ""
        application.repository_url, application.licences = project.repository_url or "", list(project.licences)
    session.add(application)
    session.flush()
    if draft:
        _write(application, draft)
    audit.record(session, "application.started", application, actor=applicant, at=now)
    return application


def save_draft(
    session: Session, application_id: UUID, *, person: Person, draft: Draft, now: datetime, form: OpenedForm | None = None
) -> Application:
    """Keep what was typed so far; nothing need be complete.

    Raises:
        NotFound: no application of this id that the person may write.
        NotADraft: it was submitted or withdrawn.
        DraftChanged: it was saved from another form since this one was opened.
        InvalidInput: a text is longer than its field, or the amount is in another currency.
    """
    application = queries.own_application(session, application_id, person, on=now.date(), lock=True)
    require_draft(application)
    if form is not None and application.updated_at != form.seen_at and application.saved_from != form.word:
        raise DraftChanged(
            f"This draft was saved elsewhere at {application.updated_at:%H:%M:%S} UTC, after you opened it. What you typed is "
            "still here: save again to put it in place of that, or open the draft anew to see the other version."
        )
    _write(application, draft)
    application.updated_at, application.saved_from = now, form.word if form else ""
    session.flush()
    return application


def attach(
    session: Session, application_id: UUID, *, person: Person, stream: IO[bytes], name: str, now: datetime
) -> ApplicationAttachment:
    """Add a file to a draft.

    Raises:
        NotFound, NotADraft: as `save_draft`.
        TooManyAttachments: there are already as many as an application may have.
        InvalidInput: the file is empty, too large or of a kind that isn't taken.
    """
    application = queries.own_application(session, application_id, person, on=now.date(), lock=True)
    require_draft(application)
    if len(application.attachments) >= ATTACHMENTS_MAX:
        raise TooManyAttachments(f"An application takes {ATTACHMENTS_MAX} files; remove one first.")
    stored = files.store(session, stream, name=name, uploaded_by_id=person.id, now=now)
    attachment = ApplicationAttachment(application_id=application.id, file=stored, added_at=now)
    application.attachments.append(attachment)
    application.updated_at = now
    session.flush()
    return attachment


def detach(session: Session, application_id: UUID, attachment_id: UUID, *, person: Person, now: datetime) -> None:
    """Take a file off a draft. The stored file itself stays, as every file does.

    Raises:
        NotFound: no such draft of this person, or no such attachment on it.
        NotADraft: it was submitted or withdrawn.
    """
    application = queries.own_application(session, application_id, person, on=now.date(), lock=True)
    require_draft(application)
    attachment = next((a for a in application.attachments if a.id == attachment_id), None)
    if attachment is None:
        raise NotFound("This application has no such file.")
    application.attachments.remove(attachment)
    session.delete(attachment)
    application.updated_at = now
    session.flush()


def allow_exception(session: Session, application_id: UUID, *, officer: Person, reason: str, now: datetime) -> Application:
    """Let a draft ask for an amount outside the programme's request rule.

    Raises:
        NotFound, NotAllowed: no such application, or not this programme's officer.
        NotADraft: it was submitted or withdrawn.
        InvalidInput: no reason.
    """
    application = queries.locked_application(session, application_id)
    queries.require_uninvolved_officer(session, application, officer, on=now.date())
    require_draft(application)
    if not reason.strip():
        raise InvalidInput("Say why this request may be outside the rule; the reason is published with a grant.", field="reason")
    application.exception_reason, application.exception_by_id = reason.strip(), officer.id
    audit.record(session, "application.exception_allowed", application, actor=officer, at=now, reason=reason.strip())
    session.flush()
    return application


def submit(session: Session, application_id: UUID, *, person: Person, now: datetime) -> Application:
    """Hand a complete draft to the programme. A project the platform doesn't know yet is registered, with its applicant as
    maintainer.

    Raises:
        NotFound, NotADraft: as `save_draft`.
        RoundNotOpen: the round closed meanwhile; the draft stays.
        IncompleteApplication: something is missing or outside the rules, all of it named.
        AlreadyApplied: an earlier request of this project to this round is still undecided.
    """
    application = queries.own_application(session, application_id, person, on=now.date(), lock=True)
    require_draft(application)
    if not application.round.takes_applications(now.date()):
        raise RoundNotOpen(_why_closed(application.round, now), round=application.round.name)
    missing = policies.missing_for_submission(application, application.programme.questions) | _bad_addresses(application)
    if missing:
        raise IncompleteApplication("This application is not complete: " + " ".join(missing.values()), fields=missing)
    if application.project_id is None:
        application.project = _register_project(session, application, now)
        session.flush()
    _require_first_request(session, application)
    application.advance(ApplicationStatus.SUBMITTED)
    application.submitted_at = application.updated_at = now
    audit.record(session, "application.submitted", application, actor=person, at=now)
    session.flush()
    return application


def withdraw(session: Session, application_id: UUID, *, person: Person, now: datetime, reason: str = "") -> Application:
    """Take an application back, as long as it is undecided.

    Raises:
        NotFound: no application of this id that the person may write.
        IllegalTransition: it is decided or withdrawn already.
    """
    application = queries.own_application(session, application_id, person, on=now.date(), lock=True)
    application.advance(ApplicationStatus.WITHDRAWN)
    application.withdrawn_at = application.updated_at = now
    audit.record(session, "application.withdrawn", application, actor=person, at=now, reason=reason.strip() or None)
    session.flush()
    return application


def close_undecided(application: Application, outcome: ApplicationOutcome, now: datetime) -> None:
    """Give an application its ending. For the services that screen and decide."""
    application.advance(ApplicationStatus.DECIDED)
    application.outcome, application.decided_at, application.updated_at = outcome, now, now


def draft_of(application: Application) -> Draft:
    """What an application says now, to be changed in part."""
    return Draft(
        **{name: getattr(application, name) for name in policies.APPLICATION_FIELDS},
        licences=tuple(application.licences),
        payee=application.payee,
        months=application.months,
        requested=application.requested,
        answers=dict(application.answers),
    )


def _write(application: Application, draft: Draft) -> None:
    for name, (words, longest) in policies.APPLICATION_FIELDS.items():
        text = str(getattr(draft, name)).replace("\0", "").strip()
        if len(text) > longest:
            raise InvalidInput(f"At most {longest:,} characters for {words}; this has {len(text):,}.", field=name)
        setattr(application, name, text)
    if draft.requested is not None and draft.requested.currency != application.currency:
        raise InvalidInput(f"This programme grants in {application.currency}.", field="requested")
    if draft.requested is not None and draft.requested.amount_minor <= 0:
        raise InvalidInput("Ask for an amount above zero.", field="requested")
    if draft.months is not None and not 1 <= draft.months <= 60:
        raise InvalidInput("The work takes 1 to 60 months.", field="months")
    application.requested_minor = draft.requested.amount_minor if draft.requested else None
    application.licences, application.months, application.payee = list(draft.licences), draft.months, draft.payee
    application.answers = _answers(application.programme, draft.answers)


def _answers(programme: Programme, given: Mapping[str, str]) -> dict[str, str]:
    """The answers to questions the programme asks, and no others."""
    answers = {}
    for question in programme.questions:
        text = str(given.get(question.key, "")).replace("\0", "").strip()
        if len(text) > question.characters_max:
            raise InvalidInput(
                f"At most {question.characters_max:,} characters for “{question.label}”; this has {len(text):,}.",
                field=f"answers.{question.key}",
            )
        if text:
            answers[question.key] = text
    return answers


def require_draft(application: Application) -> None:
    """Refuse to write to what is with the programme.

    Raises:
        NotADraft: it was submitted or withdrawn.
    """
    if application.status is not ApplicationStatus.DRAFT:
        raise NotADraft(
            f"This application is {application.status.replace('_', ' ')} and can't be changed any more.",
            current=str(application.status),
        )


def _bad_addresses(application: Application) -> dict[str, str]:
    """Addresses that are no web addresses. Only looked at here: a draft may hold half a one."""
    return {
        name: f"Write {policies.APPLICATION_FIELDS[name][0]} like https://example.org/project."
        for name in ("project_url", "repository_url")
        if getattr(application, name) and not URL.fullmatch(getattr(application, name))
    }


def _require_first_request(session: Session, application: Application) -> None:
    other = queries.undecided_request(session, application)
    if other is not None:
        raise AlreadyApplied(
            f"{application.title} already has a request before this round, {other.status.replace('_', ' ')}. "
            "Withdraw that one first, or wait for its decision.",
            application=str(other.id),
        )


def _register_project(session: Session, application: Application, now: datetime) -> Project:
    project = Project(
        slug=_free_slug(session, application.project_name),
        name=application.project_name,
        summary=application.summary.split("\n", 1)[0][:300],
        url=application.project_url or None,
        repository_url=application.repository_url or None,
        licences=list(application.licences),
        is_demo=application.is_demo,
        created_at=now,
    )
    session.add(project)
    session.flush()
    session.add(Membership(person_id=application.applicant_id, project_id=project.id, role=Role.MAINTAINER, from_on=now.date()))
    audit.record(session, "project.registered", project, actor=application.applicant, at=now)
    return project


def _free_slug(session: Session, name: str) -> str:
    """The name in lower-case letters, digits and dashes; numbered if another project has that."""
    base = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:80].strip("-") or "project"
    taken = set(session.scalars(select(Project.slug).where(Project.slug.like(f"{base}%"))))
    slug, number = base, 2
    while slug in taken:
        slug, number = f"{base}-{number}", number + 1
    return slug


def _why_closed(round_: Any, now: datetime) -> str:
    if round_.opens_on > now.date():
        return f"{round_.programme.name}, {round_.name}, opens on {round_.opens_on:%-d %b %Y}."
    if round_.closes_on and round_.closes_on < now.date():
        return f"{round_.programme.name}, {round_.name}, took applications until {round_.closes_on:%-d %b %Y}."
    return f"{round_.programme.name}, {round_.name}, is {round_.status} and takes no applications."
