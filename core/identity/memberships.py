"""Giving and ending roles, by owners within their organisation and by administrators everywhere."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session, joinedload

from core import audit
from core.errors import DomainError, NotAllowed, NotFound
from core.identity import access
from core.identity.models import Membership, Organisation, Person, Project, Role


class RoleHeldAlready(DomainError):
    """The person holds exactly this role here already."""

    code = "role_held"


class LastOwner(DomainError):
    """An organisation keeps at least one owner, or nobody could give its roles."""

    code = "last_owner"


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a role counts: in one organisation, in one project, or (with neither) on the platform."""

    organisation: Organisation | None = None
    project: Project | None = None

    @property
    def organisation_id(self) -> UUID | None:
        return self.organisation.id if self.organisation else None

    @property
    def project_id(self) -> UUID | None:
        return self.project.id if self.project else None

    def __str__(self) -> str:
        if self.organisation:
            return self.organisation.name
        return self.project.name if self.project else "the platform"


PLATFORM = Scope()


def may_manage(session: Session, person: Person, scope: Scope, *, on: date) -> bool:
    """Owners manage their organisation's and project's roles; administrators manage all."""
    return person.is_admin or access.has_role(
        session, person, Role.OWNER, organisation_id=scope.organisation_id, project_id=scope.project_id, on=on
    )


def give(session: Session, person: Person, role: Role, scope: Scope, *, actor: Person | None, now: datetime) -> Membership:
    """Give a role from today on. `actor` is none on the command line and in the demo.

    Raises:
        NotAllowed: the actor manages no roles here.
        RoleHeldAlready: the person has it.
    """
    _require_manager(session, actor, scope, on=now.date())
    held = session.scalar(
        select(
            exists().where(
                Membership.person_id == person.id,
                Membership.role == role,
                Membership.organisation_id.is_not_distinct_from(scope.organisation_id),
                Membership.project_id.is_not_distinct_from(scope.project_id),
                Membership.until_on.is_(None),
            )
        )
    )
    if held:
        raise RoleHeldAlready(f"{person.name} is {role.replace('_', ' ')} of {scope} already.")
    row = Membership(
        person=person,
        organisation_id=scope.organisation_id,
        project_id=scope.project_id,
        role=role,
        from_on=now.date(),
        until_on=None,
    )
    session.add(row)
    session.flush()
    audit.record(session, "membership.given", row, actor=actor, at=now, role=str(role), scope=str(scope))
    return row


def end(session: Session, membership: Membership, *, actor: Person, now: datetime) -> None:
    """End a role today: from this moment it counts no more, and the row stays as history.

    Raises:
        NotAllowed: the actor manages no roles here.
        NotFound: it has ended already.
        LastOwner: nobody would be left to manage the organisation.
    """
    scope = Scope(membership.organisation, membership.project)
    _require_manager(session, actor, scope, on=now.date())
    if membership.until_on is not None:
        raise NotFound("This role has ended already.")
    if membership.role is Role.OWNER and scope.organisation and not actor.is_admin and _is_last_owner(session, membership):
        raise LastOwner(f"{scope} needs an owner; give somebody else the role first.")
    membership.until_on = now.date()
    audit.record(session, "membership.ended", membership, actor=actor, at=now, role=str(membership.role), scope=str(scope))


def in_scope(session: Session, scope: Scope) -> Sequence[Membership]:
    """The roles held here, current ones first, by name."""
    return session.scalars(
        select(Membership)
        .join(Membership.person)
        .options(joinedload(Membership.person))
        .where(
            Membership.organisation_id.is_not_distinct_from(scope.organisation_id),
            Membership.project_id.is_not_distinct_from(scope.project_id),
        )
        .order_by(Membership.until_on.is_not(None), Person.name, Membership.role, Membership.id)
    ).all()


def of_person(session: Session, person: Person) -> Sequence[Membership]:
    """Every role a person holds or held, current ones first."""
    return session.scalars(
        select(Membership)
        .options(joinedload(Membership.organisation), joinedload(Membership.project))
        .where(Membership.person_id == person.id)
        .order_by(Membership.until_on.is_not(None), Membership.from_on.desc(), Membership.id)
    ).all()


def _require_manager(session: Session, actor: Person | None, scope: Scope, *, on: date) -> None:
    if actor is not None and not may_manage(session, actor, scope, on=on):
        raise NotAllowed(f"Only an owner of {scope} or an administrator gives and ends roles here.")


def _is_last_owner(session: Session, membership: Membership) -> bool:
    return not session.scalar(
        select(
            exists().where(
                Membership.organisation_id == membership.organisation_id,
                Membership.role == Role.OWNER,
                Membership.until_on.is_(None),
                Membership.id != membership.id,
            )
        )
    )
