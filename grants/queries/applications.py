"""Reads of applications."""

from datetime import date
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.identity.models import Person, Project
from grants.models import UNDECIDED, Application, ApplicationStatus
from grants.queries.roles import is_member, may_look, projects_maintained_by, writes_application


def maintained_project(session: Session, project_id: UUID, person: Person, *, on: date) -> Project:
    """One project that the person maintains.

    Raises:
        NotFound: none of this id, or maintained by others.
    """
    for project in projects_maintained_by(session, person, on=on):
        if project.id == project_id:
            return project
    raise NotFound("You maintain no such project here.")


def own_application(session: Session, application_id: UUID, person: Person, *, on: date, lock: bool = False) -> Application:
    """An application the person wrote, or one of a project the person maintains.

    Raises:
        NotFound: none of this id, or somebody else's.
    """
    found = locked_application(session, application_id) if lock else session.get(Application, application_id)
    if found is None or not writes_application(session, found, person, on=on):
        raise NotFound("There is no such application of yours.")
    return found


def own_applications(session: Session, person: Person, *, on: date) -> list[Application]:
    """Every application the person wrote or whose project the person maintains, newest first."""
    projects = [project.id for project in projects_maintained_by(session, person, on=on)]
    return list(
        session.scalars(
            select(Application)
            .where(or_(Application.applicant_id == person.id, Application.project_id.in_(projects)))
            .order_by(Application.updated_at.desc(), Application.id)
        ).unique()
    )


def application(session: Session, application_id: UUID) -> Application:
    """An application that was handed in.

    Raises:
        NotFound: none of this id, or still a draft, which is its applicant's alone.
    """
    found = session.get(Application, application_id)
    if found is None or found.submitted_at is None:
        raise NotFound("There is no such application.")
    return found


def locked_application(session: Session, application_id: UUID) -> Application:
    """An application, its row locked until the transaction ends.

    Raises:
        NotFound: none of this id.
    """
    found = session.scalars(
        select(Application)
        .where(Application.id == application_id)
        .with_for_update(of=Application)
        .execution_options(populate_existing=True)
    ).first()
    if found is None:
        raise NotFound("There is no such application.")
    return found


def undecided_request(session: Session, application: Application) -> Application | None:
    """Another request of the same project to the same round that has no ending yet."""
    return session.scalars(
        select(Application).where(
            Application.round_id == application.round_id,
            Application.project_id == application.project_id,
            Application.id != application.id,
            Application.status.in_(UNDECIDED),
        )
    ).first()


def undecided_count(session: Session, round_id: UUID) -> int:
    """How many applications of a round have no ending yet."""
    return session.scalar(select(func.count()).where(Application.round_id == round_id, Application.status.in_(UNDECIDED))) or 0


def submitted_applications(session: Session, programme_id: UUID) -> list[Application]:
    """Everything a programme was handed, withdrawn included, newest round first, then by when it came."""
    return sorted(
        session.scalars(
            select(Application).where(Application.programme_id == programme_id, Application.submitted_at.is_not(None))
        ).unique(),
        key=lambda a: (-a.round.number, a.submitted_at, a.id),
    )


def is_applied_to(session: Session, programme_id: UUID) -> bool:
    """Whether anybody handed in an application to the programme."""
    return (
        session.scalars(
            select(Application.id)
            .where(Application.programme_id == programme_id, Application.status != ApplicationStatus.DRAFT)
            .limit(1)
        ).first()
        is not None
    )


def may_work_on(session: Session, application: Application, person: Person, *, on: date) -> bool:
    """Whether the person may open the committee's page of an application."""
    if writes_application(session, application, person, on=on):
        return False  # whatever else they are here: what the committee writes about one's own request is not for oneself
    return may_look(session, application.programme, person, on=on) or is_member(session, application.programme, person, on=on)
