"""Setting how large a share of the turns a project gets."""

from datetime import datetime

from sqlalchemy.orm import Session

from compute.models import WEIGHT_MAX, ProjectWeight
from core import audit
from core.errors import InvalidInput
from core.identity import access
from core.identity.models import Person, Project, Role


def set_weight(session: Session, project: Project, weight: int, *, reason: str, actor: Person, now: datetime) -> ProjectWeight:
    """From the scheduler's next look on, a project's share of the turns is in proportion to `weight`.

    Raises:
        NotAllowed: the actor is no programme officer.
        InvalidInput: below 1, too large, or without a reason.
    """
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    if not 1 <= weight <= WEIGHT_MAX:
        raise InvalidInput(f"A weight is a whole number from 1 to {WEIGHT_MAX:,}; 1 is what every project has.", field="weight")
    said = reason.strip()
    if not said:
        raise InvalidInput("Say why, for everybody who shares the GPUs.", field="reason")
    row = session.get(ProjectWeight, project.id, with_for_update={"of": ProjectWeight})
    before = row.weight if row is not None else 1
    if row is None:
        row = ProjectWeight(project_id=project.id, project=project)
        session.add(row)
    row.weight, row.reason, row.set_by_id, row.set_at = weight, said, actor.id, now
    session.flush()
    audit.record(session, "project.weight_set", project, actor=actor, at=now, reason=said, weight=weight, before=before)
    return row
