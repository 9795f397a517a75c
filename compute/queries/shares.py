"""How large a share of the turns each project gets."""

from collections.abc import Iterable, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from compute.models import ComputeGrant, ProjectWeight
from core.identity.models import Project


def weights(session: Session, project_ids: Iterable[UUID]) -> dict[UUID, int]:
    """The weights that were set; the other projects weigh 1."""
    rows = session.execute(
        select(ProjectWeight.project_id, ProjectWeight.weight).where(ProjectWeight.project_id.in_(list(project_ids)))
    )
    return {row.project_id: row.weight for row in rows}


def all_weights(session: Session) -> Sequence[ProjectWeight]:
    """Every weight that was set, by the names of the projects."""
    return session.scalars(
        select(ProjectWeight).join(ProjectWeight.project).options(joinedload(ProjectWeight.set_by)).order_by(Project.name)
    ).all()


def sharing(session: Session) -> Sequence[Project]:
    """The projects that take turns: those that were ever granted GPU time or asked for it, by name."""
    return session.scalars(
        select(Project).where(Project.id.in_(select(ComputeGrant.project_id))).order_by(Project.name, Project.id)
    ).all()
