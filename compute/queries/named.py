"""Projects and flavors by the short names that people type."""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from compute.models import Flavor
from core.errors import InvalidInput, NotFound
from core.identity.models import Project


def project_named(session: Session, slug: str) -> Project:
    """A project by its slug.

    Raises:
        NotFound: there is none.
    """
    project = session.scalars(select(Project).where(Project.slug == slug)).first()
    if project is None:
        raise NotFound(f"There is no project “{slug}”.")
    return project


def flavors_named(session: Session, preferred: str, alternatives: Sequence[str]) -> list[Flavor]:
    """The flavors a job accepts by their slugs, the one it prefers first.

    Raises:
        InvalidInput: there is none of this name, or one is named twice.
    """
    flavors = [flavor_named(session, slug) for slug in (preferred, *alternatives)]
    if len(set(flavors)) < len(flavors):
        raise InvalidInput("Name each kind of accelerator once.", field="alternatives")
    return flavors


def flavor_named(session: Session, slug: str) -> Flavor:
    """A flavor by its slug.

    Raises:
        InvalidInput: there is none; the message lists those there are.
    """
    flavor = session.scalars(select(Flavor).where(Flavor.slug == slug)).first()
    if flavor is None:
        known = ", ".join(session.scalars(select(Flavor.slug).order_by(Flavor.slug)))
        raise InvalidInput(f"There is no flavor “{slug[:40]}” here. There is: {known or 'none yet'}.", field="flavor")
    return flavor
