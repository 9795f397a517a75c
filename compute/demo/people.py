"""Organisations, projects and who submits for them; other domains' demos may have made them before."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.db import new_id
from core.identity.models import Membership, Organisation, OrganisationRole, OrganisationRoleRow, Person, Project, Role


def organisation(session: Session, slug: str, name: str, role: OrganisationRole, at: datetime) -> Organisation:
    """An organisation with this role, made if there is none."""
    found = session.scalars(select(Organisation).where(Organisation.slug == slug)).first()
    if found is None:
        found = Organisation(id=new_id(), slug=slug, name=name, is_demo=True, created_at=at)
        session.add(found)
        session.flush()
    if role not in {row.role for row in found.roles}:
        session.add(OrganisationRoleRow(id=new_id(), organisation_id=found.id, role=role, from_on=at.date()))
        session.flush()
        session.refresh(found)
    return found


def project_of(
    session: Session, slug: str, name: str, repository: str | None, host: Organisation | None, at: datetime
) -> Project:
    """A project with this host, made if there is none."""
    found = session.scalars(select(Project).where(Project.slug == slug)).first()
    if found is None:
        found = Project(id=new_id(), slug=slug, name=name, repository_url=repository, is_demo=True, created_at=at)
        session.add(found)
    if host is not None and found.parent_id is None:
        found.parent_id = host.id
    session.flush()
    return found


def submitter_of(session: Session, project: Project, person: Person, at: datetime) -> None:
    """Let this person submit for the project, once."""
    known = session.scalars(
        select(Membership).where(Membership.project_id == project.id, Membership.person_id == person.id)
    ).first()
    if known is None:
        session.add(
            Membership(id=new_id(), person_id=person.id, project_id=project.id, role=Role.COMPUTE_SUBMITTER, from_on=at.date())
        )
        session.flush()
