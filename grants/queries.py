"""Reads of `grants`: rows for services (locked where they are changed) and lists for pages."""

from datetime import date
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from core.errors import NotAllowed, NotFound
from core.identity.models import Membership, Person, Project, Role
from grants.models import UNDECIDED, Application, Programme, ProgrammeStatus, Round


def programme(session: Session, slug: str) -> Programme:
    """A programme the public may see.

    Raises:
        NotFound: none of this slug, or still being set up.
    """
    found = session.scalars(select(Programme).where(Programme.slug == slug)).first()
    if found is None or found.status is ProgrammeStatus.DRAFT:
        raise NotFound(f"There is no programme “{slug}”.")
    return found


def public_round(session: Session, round_id: UUID) -> Round:
    """A round of a public programme.

    Raises:
        NotFound: none of this id.
    """
    found = session.get(Round, round_id)
    if found is None or found.programme.status is ProgrammeStatus.DRAFT:
        raise NotFound("There is no such round.")
    return found


def open_rounds(session: Session, *, on: date) -> list[Round]:
    """The rounds one can apply to on a day, soonest closing first, rolling ones last."""
    rounds = session.scalars(select(Round).join(Round.programme).where(Programme.status == ProgrammeStatus.RUNNING)).unique()
    return sorted(
        (round_ for round_ in rounds if round_.takes_applications(on)),
        key=lambda r: (r.closes_on or date.max, r.programme.name, r.number),
    )


def projects_maintained_by(session: Session, person: Person, *, on: date) -> list[Project]:
    """The projects a person maintains, by name."""
    return list(
        session.scalars(
            select(Project)
            .join(Membership, Membership.project_id == Project.id)
            .where(Membership.person_id == person.id, Membership.role.in_([Role.MAINTAINER, Role.OWNER]), _current(on))
            .order_by(Project.name)
        ).unique()
    )


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
    if found is not None and (
        found.applicant_id == person.id
        or any(project.id == found.project_id for project in projects_maintained_by(session, person, on=on))
    ):
        return found
    raise NotFound("There is no such application of yours.")


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


def is_officer(session: Session, programme: Programme, person: Person, *, on: date) -> bool:
    """Whether the person runs the programme: its organisation's officer or owner, or an officer of the whole platform."""
    return has_programme_role(session, programme, person, Role.PROGRAMME_OFFICER, on=on)


def require_officer(session: Session, programme: Programme, person: Person, *, on: date) -> None:
    """Refuse anybody who does not run the programme.

    Raises:
        NotAllowed: the person is no officer of it.
    """
    if not is_officer(session, programme, person, on=on):
        raise NotAllowed(f"Only programme officers of {programme.organisation.name} may do this.")


def has_programme_role(session: Session, programme: Programme, person: Person, role: Role, *, on: date) -> bool:
    """Whether the person has a role for the programme's organisation (its owners have every one) or for the platform."""
    return (
        session.scalars(
            select(Membership.id)
            .where(
                Membership.person_id == person.id,
                _current(on),
                or_(
                    (Membership.organisation_id == programme.organisation_id) & Membership.role.in_([role, Role.OWNER]),
                    (Membership.organisation_id.is_(None) & Membership.project_id.is_(None)) & (Membership.role == role),
                ),
            )
            .limit(1)
        ).first()
        is not None
    )


def _current(on: date) -> ColumnElement[bool]:
    return (Membership.from_on <= on) & or_(Membership.until_on.is_(None), Membership.until_on >= on)
