"""Reads of grants, instalments, paperwork and reports."""

from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Select, exists, func, or_, select
from sqlalchemy.orm import Session

from core.audit import Event
from core.errors import NotAllowed, NotFound
from core.identity.models import Person
from grants.models import (
    Application,
    ApplicationStatus,
    Grant,
    GrantStatus,
    Instalment,
    InstalmentStatus,
    PaperworkItem,
    PaperworkStatus,
    Report,
    ReportStatus,
)
from grants.queries.roles import maintains, projects_maintained_by, require_officer
from payouts.models import Recipient, RecipientKind


def grant(session: Session, grant_id: UUID) -> Grant:
    """A grant.

    Raises:
        NotFound: none of this id.
    """
    found = session.get(Grant, grant_id)
    if found is None:
        raise NotFound("There is no such grant.")
    return found


def locked_grant(session: Session, grant_id: UUID) -> Grant:
    """A grant with its row locked: everything about one grant happens in turn.

    Raises:
        NotFound: none of this id.
    """
    found = session.scalars(
        select(Grant).where(Grant.id == grant_id).with_for_update(of=Grant).execution_options(populate_existing=True)
    ).first()
    if found is None:
        raise NotFound("There is no such grant.")
    session.refresh(found, ["instalments", "paperwork"])
    return found


def own_grant(session: Session, grant_id: UUID, person: Person, *, on: date, lock: bool = False) -> Grant:
    """A grant of a project the person maintains, or that the person applied for.

    Raises:
        NotFound: none of this id, or somebody else's.
    """
    found = locked_grant(session, grant_id) if lock else grant(session, grant_id)
    if not receives(session, found, person, on=on):
        raise NotFound("There is no such grant of yours.")
    return found


def receives(session: Session, grant: Grant, person: Person, *, on: date) -> bool:
    """Whether the person stands on the receiving side of a grant."""
    applied = grant.application is not None and grant.application.applicant_id == person.id
    return applied or maintains(session, person, grant.project_id, on=on)


def require_other_side(session: Session, grant: Grant, officer: Person, *, on: date) -> None:
    """Refuse anybody who does not run the grant's programme, or who is paid by the grant.

    Raises:
        NotAllowed: no officer of the programme, or one on the receiving side.
    """
    require_officer(session, grant.programme, officer, on=on)
    if receives(session, grant, officer, on=on):
        raise NotAllowed("This grant is yours, or of a project you maintain; another officer decides about its money.")


def own_grants(session: Session, person: Person, *, on: date) -> list[Grant]:
    """Every grant of projects the person maintains or applied for, newest first."""
    projects = [project.id for project in projects_maintained_by(session, person, on=on)]
    return list(
        session.scalars(
            select(Grant)
            .outerjoin(Grant.application)
            .where(or_(Grant.project_id.in_(projects), Application.applicant_id == person.id))
            .order_by(Grant.awarded_on.desc(), Grant.id)
        ).unique()
    )


def grants_of_programme(session: Session, programme_id: UUID) -> list[Grant]:
    """Every grant a programme made, newest first."""
    return list(
        session.scalars(
            select(Grant).where(Grant.programme_id == programme_id).order_by(Grant.awarded_on.desc(), Grant.id.desc())
        ).unique()
    )


def grants_of_project(session: Session, project_id: UUID) -> list[Grant]:
    """Every grant a project was given, newest first."""
    return list(
        session.scalars(select(Grant).where(Grant.project_id == project_id).order_by(Grant.awarded_on.desc(), Grant.id)).unique()
    )


def grant_of_application(session: Session, application_id: UUID) -> Grant | None:
    return session.scalars(select(Grant).where(Grant.application_id == application_id)).first()


def locked_instalment(session: Session, instalment_id: UUID) -> Instalment:
    """An instalment, with its grant locked.

    Raises:
        NotFound: none of this id.
    """
    grant_id = session.scalar(select(Instalment.grant_id).where(Instalment.id == instalment_id))
    if grant_id is None:
        raise NotFound("There is no such instalment.")
    return next(part for part in locked_grant(session, grant_id).instalments if part.id == instalment_id)


def locked_instalment_of_payout(session: Session, payout_id: UUID) -> Instalment | None:
    """The instalment that waits for, or was paid by, this payout; with its grant locked."""
    instalment_id = session.scalar(select(Instalment.id).where(Instalment.payout_id == payout_id))
    if instalment_id is None:
        return None
    part = locked_instalment(session, instalment_id)
    session.refresh(part, ["payout"])
    return part


def grants_with_due_parts(session: Session, *, on: date) -> list[UUID]:
    """Running grants with a planned part whose day has come."""
    return list(
        session.scalars(
            select(Grant.id)
            .where(
                Grant.status.in_([GrantStatus.ACTIVE, GrantStatus.SUSPENDED]),
                exists().where(
                    Instalment.grant_id == Grant.id,
                    Instalment.status == InstalmentStatus.PLANNED,
                    Instalment.due_on <= on,
                ),
            )
            .order_by(Grant.id)
        )
    )


def lapsed_offers(session: Session, *, on: date) -> list[UUID]:
    """Offers whose last day is over."""
    return list(
        session.scalars(
            select(Grant.id).where(Grant.status == GrantStatus.OFFERED, Grant.offer_expires_on < on).order_by(Grant.id)
        )
    )


def finished_grants(session: Session, *, on: date) -> list[UUID]:
    """Active grants that are paid in full and whose time is over."""
    return list(
        session.scalars(
            select(Grant.id)
            .where(
                Grant.status == GrantStatus.ACTIVE,
                or_(Grant.ends_on.is_(None), Grant.ends_on <= on),
                ~exists().where(Instalment.grant_id == Grant.id, Instalment.status != InstalmentStatus.PAID),
            )
            .order_by(Grant.id)
        )
    )


def locked_paperwork(session: Session, item_id: UUID) -> PaperworkItem:
    """A document, with its grant locked.

    Raises:
        NotFound: none of this id.
    """
    grant_id = session.scalar(select(PaperworkItem.grant_id).where(PaperworkItem.id == item_id))
    if grant_id is None:
        raise NotFound("There is no such document.")
    return next(item for item in locked_grant(session, grant_id).paperwork if item.id == item_id)


def locked_report(session: Session, report_id: UUID) -> Report:
    """A report, with its grant locked.

    Raises:
        NotFound: none of this id.
    """
    found = session.get(Report, report_id)
    if found is None:
        raise NotFound("There is no such report.")
    locked_grant(session, found.grant_id)
    session.refresh(found)
    return found


def current_report(session: Session, part: Instalment) -> Report | None:
    """The report of an instalment that waits or is accepted."""
    return session.scalars(
        select(Report).where(Report.instalment_id == part.id, Report.status.in_([ReportStatus.SUBMITTED, ReportStatus.ACCEPTED]))
    ).first()


def has_accepted_report(session: Session, part: Instalment) -> bool:
    found = current_report(session, part)
    return found is not None and found.status is ReportStatus.ACCEPTED


def recipient_of_host(session: Session, organisation_id: UUID) -> Recipient | None:
    """The payouts recipient of a fiscal host."""
    return session.scalars(
        select(Recipient)
        .where(Recipient.organisation_id == organisation_id, Recipient.kind == RecipientKind.FISCAL_HOST)
        .order_by(Recipient.created_at)
        .limit(1)
    ).first()


def recipient_of_person(session: Session, person_id: UUID, name: str, country: str) -> Recipient | None:
    """The payouts recipient of a person under a name in a country."""
    return session.scalars(
        select(Recipient)
        .where(
            Recipient.person_id == person_id,
            Recipient.kind == RecipientKind.PERSON,
            Recipient.name == name,
            Recipient.country == country,
        )
        .order_by(Recipient.created_at)
        .limit(1)
    ).first()


def waiting_for_officer(session: Session, programme_id: UUID) -> dict[str, int]:
    """What waits for a programme's officers, in words, and how much of it."""

    def count(statement: Select[int]) -> int:
        return session.scalar(statement) or 0

    of_grant = Grant.programme_id == programme_id
    running = select(func.count()).select_from(Instalment).join(Instalment.grant)
    return {
        "applications to screen": count(
            select(func.count()).where(
                Application.programme_id == programme_id, Application.status == ApplicationStatus.SUBMITTED
            )
        ),
        "applications to decide": count(
            select(func.count()).where(
                Application.programme_id == programme_id, Application.status == ApplicationStatus.SHORTLISTED
            )
        ),
        "instalments to approve": count(
            running.where(of_grant, Instalment.status == InstalmentStatus.RELEASED, Grant.status == GrantStatus.ACTIVE)
        ),
        "payments that came back": count(running.where(of_grant, Instalment.status == InstalmentStatus.RETURNED)),
        "reports to read": count(
            select(func.count()).select_from(Report).join(Report.grant).where(of_grant, Report.status == ReportStatus.SUBMITTED)
        ),
        "documents to check": count(
            select(func.count())
            .select_from(PaperworkItem)
            .join(PaperworkItem.grant)
            .where(of_grant, PaperworkItem.status == PaperworkStatus.RECEIVED)
        ),
    }


@dataclass(frozen=True)
class Happened:
    """One event of a grant or of a part of it, as a timeline shows it."""

    at: datetime
    verb: str
    actor_name: str
    reason: str | None


def grant_history(session: Session, grant: Grant, *, limit: int = 60) -> list[Happened]:
    """What happened to a grant, its instalments, documents and reports, newest first."""
    names = {grant.id: ""}
    names |= {part.id: f"{part.name}: " for part in grant.instalments}
    names |= {item.id: f"{item.name}: " for item in grant.paperwork}
    names |= {
        report.id: f"Report on {report.instalment.name if report.instalment else 'the whole'}: " for report in grant.reports
    }
    events = session.scalars(
        select(Event).where(Event.object_id.in_(names)).order_by(Event.at.desc(), Event.id.desc()).limit(limit)
    )
    return [
        Happened(event.at, f"{names[event.object_id]}{event.verb.rsplit('.', 1)[-1]}", event.actor_name, event.reason)
        for event in events
    ]
