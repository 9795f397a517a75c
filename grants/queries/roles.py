"""Who stands how to a programme, an application, a grant. Every right is a membership row; see core.identity.access."""

from datetime import date
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from core.errors import NotAllowed
from core.identity import access
from core.identity.models import Organisation, Person, Project, Role
from grants.models import Application, Programme


def has_programme_role(session: Session, programme: Programme, person: Person, role: Role, *, on: date) -> bool:
    """Whether the person has a role for the programme's organisation or for the whole platform."""
    return access.has_role(session, person, role, organisation_id=programme.organisation_id, on=on)


def is_officer(session: Session, programme: Programme, person: Person, *, on: date) -> bool:
    """Whether the person runs the programme."""
    return has_programme_role(session, programme, person, Role.PROGRAMME_OFFICER, on=on)


def may_look(session: Session, programme: Programme, person: Person, *, on: date) -> bool:
    """Whether the person may see what the programme's officers see."""
    return access.may_read(session, person, Role.PROGRAMME_OFFICER, organisation_id=programme.organisation_id, on=on)


def is_any_officer(session: Session, person: Person, *, on: date) -> bool:
    """Whether the person is an officer of the platform or of an organisation that has a programme.

    An organisation alone makes nobody an officer: whoever asks to join the pledge owns one.
    """
    if access.has_role(session, person, Role.PROGRAMME_OFFICER, on=on):
        return True
    own = [one.id for one in access.organisations_with_role(session, person, Role.PROGRAMME_OFFICER, on=on)]
    return bool(session.scalar(select(exists().where(Programme.organisation_id.in_(own)))))


def require_officer(session: Session, programme: Programme, person: Person, *, on: date) -> None:
    """Refuse anybody who does not run the programme.

    Raises:
        NotAllowed: the person is no officer of it.
    """
    if not is_officer(session, programme, person, on=on):
        raise NotAllowed(
            f"Only programme officers of {programme.organisation.name} may do this; an owner of it can give that role."
        )


def is_member(session: Session, programme: Programme, person: Person, *, on: date) -> bool:
    """Whether the person sits on the programme's committee: as a reviewer or as an officer, by a role of its own."""
    return not person.disabled_at and any(
        person.id
        in {member.id for member in access.people_with_role(session, role, organisation_id=programme.organisation_id, on=on)}
        for role in (Role.REVIEWER, Role.PROGRAMME_OFFICER)
    )


def committee(session: Session, programme: Programme, *, on: date) -> list[Person]:
    """Everybody who may review or decide in a programme, by name."""
    people = {
        person.id: person
        for role in (Role.REVIEWER, Role.PROGRAMME_OFFICER)
        for person in access.people_with_role(session, role, organisation_id=programme.organisation_id, on=on)
    }
    return sorted(people.values(), key=lambda person: (person.name, str(person.id)))


def reviewers(session: Session, programme: Programme, *, on: date) -> list[Person]:
    """Everybody who can be asked for a review, by name."""
    return list(access.people_with_role(session, Role.REVIEWER, organisation_id=programme.organisation_id, on=on))


def projects_maintained_by(session: Session, person: Person, *, on: date) -> list[Project]:
    """The projects a person maintains, by name."""
    return list(access.projects_with_role(session, person, Role.MAINTAINER, on=on))


def maintains(session: Session, person: Person, project_id: UUID | None, *, on: date) -> bool:
    """Whether the person maintains this project, by a row of the project or of its parent organisation."""
    return project_id is not None and any(project.id == project_id for project in projects_maintained_by(session, person, on=on))


def writes_application(session: Session, application: Application, person: Person, *, on: date) -> bool:
    """Whether the person stands on the applicant's side."""
    return application.applicant_id == person.id or maintains(session, person, application.project_id, on=on)


def all_organisations(session: Session) -> list[Organisation]:
    """Every organisation by name, to choose from."""
    return list(session.scalars(select(Organisation).order_by(Organisation.name, Organisation.id)))


def all_projects(session: Session) -> list[Project]:
    """Every project by name, to choose from."""
    return list(session.scalars(select(Project).order_by(Project.name, Project.id)))
