"""Who may do what: questions about dated roles. Every right is a membership row; docs/reference/roles.md lists them.

- A role on the platform (a row with neither organisation nor project) counts everywhere.
- An owner of an organisation has every role of that organisation, and of the projects it is the parent of.
- A role in an organisation counts for the projects it is the parent of.
- An administrator may read everything, manage people and programmes, and replaces no second person: no finance, no
  approval, no review without the role itself.
- An auditor of the platform may read everything and change nothing.
"""

from collections.abc import Iterable, Sequence
from datetime import date
from typing import NoReturn
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session

from core.errors import NotAllowed
from core.identity.models import Membership, Organisation, Person, Project, Role

ADMIN_ROLES = frozenset({Role.PROGRAMME_OFFICER})
"""What an administrator may do without a row of its own."""


def has_role(
    session: Session,
    person: Person,
    role: Role,
    *,
    organisation_id: UUID | None = None,
    project_id: UUID | None = None,
    on: date,
) -> bool:
    """Does the person hold this role, on this day, in this scope (with neither: on the platform itself)?"""
    if person.is_admin and role in ADMIN_ROLES:
        return True
    return bool(
        session.scalar(
            select(
                exists().where(
                    Membership.person_id == person.id,
                    Membership.role.in_({role, Role.OWNER}),
                    is_current(on),
                    _in_scope(organisation_id, project_id),
                )
            )
        )
    )


def may_read(
    session: Session,
    person: Person,
    role: Role,
    *,
    organisation_id: UUID | None = None,
    project_id: UUID | None = None,
    on: date,
) -> bool:
    """May the person see what this role sees? Administrators and auditors see everything."""
    return (
        person.is_admin
        or has_role(session, person, role, organisation_id=organisation_id, project_id=project_id, on=on)
        or has_role(session, person, Role.AUDITOR, organisation_id=organisation_id, project_id=project_id, on=on)
    )


def require_role(
    session: Session,
    person: Person,
    role: Role,
    *,
    organisation_id: UUID | None = None,
    project_id: UUID | None = None,
    on: date,
    reading: bool = False,
) -> None:
    """Refuse whoever lacks the role; with `reading`, let administrators and auditors through.

    Raises:
        NotAllowed: the person lacks the role.
    """
    ask = may_read if reading else has_role
    if not ask(session, person, role, organisation_id=organisation_id, project_id=project_id, on=on):
        refuse([role])


def refuse(roles: Iterable[Role]) -> NoReturn:
    """Say which role is missing and who can give it.

    Raises:
        NotAllowed: always.
    """
    names = list(roles)
    words = " or ".join(f"“{role.replace('_', ' ')}”" for role in names)
    raise NotAllowed(
        f"This needs the role {words}. An owner of the organisation or an administrator can give it to you.",
        roles=[str(role) for role in names],
    )


def organisations_with_role(session: Session, person: Person, role: Role, *, on: date) -> Sequence[Organisation]:
    """The organisations in which the person holds this role by a row of the organisation itself, by name.

    A role on the platform reaches every organisation, but makes none of them the person's own.
    """
    return session.scalars(
        select(Organisation)
        .where(
            exists().where(
                Membership.organisation_id == Organisation.id,
                Membership.person_id == person.id,
                Membership.role.in_({role, Role.OWNER}),
                is_current(on),
            )
        )
        .order_by(Organisation.name, Organisation.id)
    ).all()


def projects_with_role(session: Session, person: Person, role: Role, *, on: date) -> Sequence[Project]:
    """The projects in which the person holds this role, by a row of the project or of its parent organisation, by name."""
    return session.scalars(
        select(Project)
        .where(
            exists().where(
                or_(Membership.project_id == Project.id, Membership.organisation_id == Project.parent_id),
                Membership.person_id == person.id,
                Membership.role.in_({role, Role.OWNER}),
                is_current(on),
            )
        )
        .order_by(Project.name, Project.id)
    ).all()


def people_with_role(
    session: Session, role: Role, *, organisation_id: UUID | None = None, project_id: UUID | None = None, on: date
) -> Sequence[Person]:
    """Everybody who may act in this role in this scope, by name: whom to ask, whom to offer as a reviewer."""
    return session.scalars(
        select(Person)
        .where(
            Person.disabled_at.is_(None),
            exists().where(
                Membership.person_id == Person.id,
                Membership.role.in_({role, Role.OWNER}),
                is_current(on),
                _in_scope(organisation_id, project_id),
            ),
        )
        .order_by(Person.name, Person.id)
    ).all()


def is_current(on: date) -> ColumnElement[bool]:
    """Memberships in force on a day. The day they end is the first day without."""
    return and_(Membership.from_on <= on, or_(Membership.until_on.is_(None), Membership.until_on > on))


def _in_scope(organisation_id: UUID | None, project_id: UUID | None) -> ColumnElement[bool]:
    scopes: list[ColumnElement[bool]] = [and_(Membership.organisation_id.is_(None), Membership.project_id.is_(None))]
    if organisation_id is not None:
        scopes.append(Membership.organisation_id == organisation_id)
    if project_id is not None:
        scopes.append(Membership.project_id == project_id)
        parent = select(Project.parent_id).where(Project.id == project_id).scalar_subquery()
        scopes.append(Membership.organisation_id == parent)
    return or_(*scopes)
