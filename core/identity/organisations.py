"""Organisations and projects: making and finding them."""

import re
import unicodedata
from collections.abc import Collection, Sequence
from datetime import date, datetime

from sqlalchemy import bindparam, exists, select
from sqlalchemy.orm import Session, lazyload

from core import audit
from core.errors import DomainError, InvalidInput, NotFound
from core.identity.models import Organisation, OrganisationRole, OrganisationRoleRow, Person, Project


class SlugTaken(DomainError):
    """Another one has this short name in its address."""

    code = "slug_taken"
    field = "slug"


def create(
    session: Session,
    *,
    name: str,
    slug: str | None = None,
    roles: Collection[OrganisationRole],
    url: str | None = None,
    country: str | None = None,
    is_demo: bool = False,
    actor: Person | None,
    now: datetime,
) -> Organisation:
    """A new organisation with what it does here.

    Raises:
        InvalidInput: the name, short name, web address or country can't be used.
        SlugTaken: the short name is in use.
    """
    chosen = _free_slug(session, Organisation, slug, name)
    organisation = Organisation(
        slug=chosen,
        name=name.strip(),
        url=clean_url(url),
        country=_clean_country(country),
        is_demo=is_demo,
        created_at=now,
        roles=[OrganisationRoleRow(role=role, from_on=now.date(), until_on=None) for role in sorted(set(roles))],
    )
    session.add(organisation)
    session.flush()
    audit.record(session, "organisation.created", organisation, actor=actor, at=now)
    return organisation


def change(
    session: Session,
    organisation: Organisation,
    *,
    name: str,
    url: str | None,
    country: str | None,
    roles: Collection[OrganisationRole],
    actor: Person,
    now: datetime,
) -> None:
    """Change an organisation's facts; roles that are not among `roles` any more end today."""
    organisation.name = name.strip()
    organisation.url, organisation.country = clean_url(url), _clean_country(country)
    current = {row.role: row for row in organisation.roles if row.until_on is None}
    for role in sorted(set(roles) - current.keys()):
        organisation.roles.append(OrganisationRoleRow(role=role, from_on=now.date(), until_on=None))
    for role in current.keys() - set(roles):
        row = current[role]
        if row.from_on < now.date():
            row.until_on = now.date()
        else:  # begun today by mistake: a role of no day is no history
            organisation.roles.remove(row)
            session.delete(row)
    audit.record(session, "organisation.changed", organisation, actor=actor, at=now)


def create_project(
    session: Session,
    *,
    name: str,
    slug: str | None = None,
    summary: str | None = None,
    url: str | None = None,
    repository_url: str | None = None,
    licences: Sequence[str] = (),
    parent: Organisation | None = None,
    is_demo: bool = False,
    actor: Person | None,
    now: datetime,
) -> Project:
    """A new project.

    Raises:
        InvalidInput: the name, short name or an address can't be used.
        SlugTaken: the short name is in use.
    """
    project = Project(
        slug=_free_slug(session, Project, slug, name),
        name=name.strip(),
        summary=summary,
        url=clean_url(url),
        repository_url=clean_url(repository_url, field="repository_url"),
        licences=list(licences),
        parent_id=parent.id if parent else None,
        is_demo=is_demo,
        created_at=now,
    )
    session.add(project)
    session.flush()
    audit.record(session, "project.created", project, actor=actor, at=now)
    return project


def by_slug(session: Session, slug: str) -> Organisation:
    """The organisation of this short name.

    Raises:
        NotFound: there is none.
    """
    found = session.scalars(select(Organisation).where(Organisation.slug == slug)).first()
    if found is None:
        raise NotFound(f"There is no organisation “{slug}”.")
    return found


def project_by_slug(session: Session, slug: str) -> Project:
    """The project of this short name.

    Raises:
        NotFound: there is none.
    """
    found = session.scalars(select(Project).where(Project.slug == slug)).first()
    if found is None:
        raise NotFound(f"There is no project “{slug}”.")
    return found


def project_with_parent(session: Session, slug: str) -> tuple[Project, Organisation | None]:
    """The project of this short name, and the organisation it belongs to.

    Raises:
        NotFound: there is no such project.
    """
    found = session.execute(_WITH_PARENT, {"slug": slug}).first()
    if found is None:
        raise NotFound(f"There is no project “{slug}”.")
    return found[0], found[1]


# Built once, and without the parent's roles: a project's page is what is asked for most.
_WITH_PARENT = (
    select(Project, Organisation)
    .outerjoin(Organisation, Organisation.id == Project.parent_id)
    .where(Project.slug == bindparam("slug"))
    .options(lazyload(Organisation.roles))
)


def current_roles(organisation: Organisation, *, on: date) -> list[OrganisationRole]:
    """What the organisation does on a day."""
    return sorted(row.role for row in organisation.roles if row.from_on <= on and (row.until_on is None or row.until_on > on))


def slug_of(name: str) -> str:
    """A short name for addresses: `Sequoia Capital` → `sequoia-capital`."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", ascii_only).strip("-")[:60].strip("-")


def clean_url(url: str | None, *, field: str = "url") -> str | None:
    """A web address that may be linked to.

    Raises:
        InvalidInput: not http or https, or not an address.
    """
    text = (url or "").strip()
    if not text:
        return None
    if not re.fullmatch(r"https?://[^\s/@?#]+\.[^\s@?#]+[^\s]*", text) or len(text) > 500:
        raise InvalidInput(f"“{text[:80]}” is not a web address; write it like https://example.org.", field=field)
    return text


def _clean_country(country: str | None) -> str | None:
    text = (country or "").strip().upper()
    if text and not re.fullmatch("[A-Z]{2}", text):
        raise InvalidInput("Use the two letters of ISO 3166, such as DE or US.", field="country")
    return text or None


def _free_slug(session: Session, table: type[Organisation] | type[Project], slug: str | None, name: str) -> str:
    if not name.strip():
        raise InvalidInput("Enter a name.", field="name")
    chosen = slug or slug_of(name)
    if not re.fullmatch("[a-z0-9]+(-[a-z0-9]+)*", chosen) or len(chosen) > 60:
        raise InvalidInput("Use lower-case letters, digits and single hyphens, at most 60.", field="slug")
    if session.scalar(select(exists().where(table.slug == chosen))):
        raise SlugTaken(f"The short name “{chosen}” is in use; choose another.")
    return chosen
