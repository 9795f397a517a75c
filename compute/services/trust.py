"""Where jobs come from, and whose code a pool runs."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime

from sqlalchemy.orm import Session

from compute.models import Origin, Pool, Trust
from compute.policies.trust import runs_own_program, same_repository
from core import audit
from core.errors import InvalidInput
from core.identity import access
from core.identity.models import Person, Project, Role


def origin_of(
    session: Session,
    project: Project,
    present: Person | None,
    *,
    repository: str | None,
    command: str,
    environment: Mapping[str, str],
    on: date,
) -> Origin:
    """Where a job comes from: by the roles and the repository that the platform knows, whatever the submitter says of it.

    `present`: who submits it in person; none for a program with somebody's token, which may run anybody's pull request.
    """
    if present is not None and access.has_role(session, present, Role.MAINTAINER, project_id=project.id, on=on):
        return Origin.MAINTAINER
    as_it_is_there = same_repository(repository, project.repository_url) and runs_own_program(command) and not environment
    return Origin.REPOSITORY if as_it_is_there else Origin.ELSEWHERE


def set_trust(
    session: Session,
    pool: Pool,
    trust: Trust,
    *,
    reviewed_refs: Sequence[str],
    reason: str,
    actor: Person,
    now: datetime,
) -> None:
    """From now on, only such code is handed to the pool. What runs there may finish; what was not handed over goes elsewhere.

    `reviewed_refs`: patterns of branches whose code counts as reviewed there; none: only what maintainers submit.

    Raises:
        NotAllowed: the actor is no programme officer.
        InvalidInput: without a reason.
    """
    access.require_role(session, actor, Role.PROGRAMME_OFFICER, on=now.date())
    said = reason.strip()
    if not said:
        raise InvalidInput("Say why, for those whose jobs it concerns.", field="reason")
    session.refresh(pool, with_for_update={"of": Pool})
    before, refs_before = pool.trust, list(pool.reviewed_refs)
    pool.trust, pool.reviewed_refs = trust, list(reviewed_refs)
    session.flush()
    audit.record(
        session, "pool.trust_set", pool, actor=actor, at=now, reason=said, trust=trust.value, before=before.value,
        reviewed_refs=list(reviewed_refs), reviewed_refs_before=refs_before,
    )  # fmt: skip
