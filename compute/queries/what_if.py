"""What-if questions and their answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from compute.models import Flavor, Pool, PoolStatus, WhatIf, WhatIfStatus
from compute.simulation.what_if import ANSWER, Answer
from core.errors import NotFound
from core.identity.models import Project
from core.units import format_seconds

SILENCE = timedelta(minutes=15)
"""Longer than a worker's lease, the replay's time and a second try together: nobody works on it any more."""

REPLAY_MAX = timedelta(minutes=3)
"""Longer than a replay may take: what runs since before has lost its worker."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with what it says."""

    row: WhatIf
    words: Sequence[str]
    answer: Answer | None
    names: dict[str, str]
    """Of the answer's projects, by slug."""
    silent: bool
    """Open for so long that nobody works on it."""


def locked(session: Session, what_if_id: UUID) -> WhatIf:
    """One question, locked until the end of the transaction.

    Raises:
        NotFound: there is none of this id.
    """
    query = select(WhatIf).where(WhatIf.id == what_if_id).with_for_update(of=WhatIf).execution_options(populate_existing=True)
    found = session.scalars(query).first()
    if found is None:
        raise NotFound(f"There is no what-if {what_if_id}.")
    return found


def asked(session: Session, what_if_id: UUID, *, now: datetime) -> Asked:
    """One question and what became of it.

    Raises:
        NotFound: there is none of this id.
    """
    row = session.get(WhatIf, what_if_id)
    if row is None:
        raise NotFound(f"There is no what-if {what_if_id}.")
    answer = ANSWER.validate_python(row.answer) if row.answer is not None else None
    slugs = [line.project for line in answer.projects] if answer else []
    names = {row.slug: row.name for row in session.execute(select(Project.slug, Project.name).where(Project.slug.in_(slugs)))}
    # Behind others it may wait long, and is not forgotten.
    behind = row.status is WhatIfStatus.WAITING and other_runs(session, row.id, now=now)
    silent = row.open and now - row.status_at > SILENCE and not behind
    return Asked(row, words(row), answer, names, silent=silent)


def other_runs(session: Session, what_if_id: UUID, *, now: datetime) -> bool:
    """Whether another question is being replayed."""
    running = select(WhatIf.id).where(
        WhatIf.id != what_if_id, WhatIf.status == WhatIfStatus.RUNNING, WhatIf.status_at > now - REPLAY_MAX
    )
    return session.scalars(running.limit(1)).first() is not None


def newest(session: Session, *, limit: int = 20) -> Sequence[WhatIf]:
    """The latest questions, newest first."""
    return session.scalars(select(WhatIf).order_by(WhatIf.asked_at.desc(), WhatIf.id.desc()).limit(limit)).all()


def flavors(session: Session) -> Sequence[Flavor]:
    """Kinds of accelerators that an open pool has, by name."""
    return session.scalars(
        select(Flavor).where(Flavor.id.in_(select(Pool.flavor_id).where(Pool.status == PoolStatus.OPEN))).order_by(Flavor.name)
    ).all()


def devices(session: Session, flavor: Flavor) -> int:
    """How many devices of a kind the open pools have."""
    query = select(func.coalesce(func.sum(Pool.devices), 0)).where(Pool.flavor_id == flavor.id, Pool.status == PoolStatus.OPEN)
    return int(session.scalar(query) or 0)


def words(row: WhatIf) -> list[str]:
    """The change in words."""
    said = []
    more = row.gpus_after - row.gpus_before
    if more:
        said.append(
            f"{abs(more)} × {row.flavor.name} {'more' if more > 0 else 'fewer'}: {row.gpus_after} instead of {row.gpus_before}"
        )
    if row.wall_seconds_max is not None:
        said.append(f"no job longer than {format_seconds(row.wall_seconds_max)}")
    if row.project is not None:
        said.append(f"{row.project.name} weighs {row.weight_after}")
    if row.limit_jobs is not None or row.limit_gpus is not None:
        whose = row.limit_project.name if row.limit_project is not None else "each project"
        counts = (("job", row.limit_jobs), ("GPU", row.limit_gpus))
        most = " and ".join(f"{count:,} {noun}{'s' * (count != 1)}" for noun, count in counts if count is not None)
        said.append(f"{whose} runs at most {most} at a time")
    return said
