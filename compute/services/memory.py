"""What the scheduler remembers between turns, kept in the database: read by whoever builds a core, written by each turn."""

import json
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from compute import scheduling
from compute.models import SchedulerMemory, SchedulerTurn


def number(session: Session) -> int:
    """How many turns were taken."""
    return session.scalar(select(SchedulerTurn.number)) or 0


def load(session: Session) -> scheduling.Memory:
    """As the last turn left it."""
    turn = session.execute(select(SchedulerTurn.ideal_at, SchedulerTurn.gpus)).first()
    if turn is None:
        return scheduling.Memory()
    table = SchedulerMemory.__table__
    rows = session.execute(select(*table.columns).order_by(table.c.project_id))
    projects = {
        row.project_id: scheduling.ProjectMemory(
            row.weight,
            row.past,
            row.settled_at,
            row.rate,
            row.factor,
            scheduling.IdealShare(row.fared, row.demand, tuple(_job(fields) for fields in row.jobs)),
        )
        for row in rows
    }
    return scheduling.Memory(turn.ideal_at, turn.gpus, projects)


def keep(session: Session, memory: scheduling.Memory, *, turn: int) -> bool:
    """Write what changed at a turn. False, and nothing is written: another took that turn meanwhile."""
    taken = session.execute(_TURN, {"turn": turn, "ideal_at": memory.ideal_at, "gpus": memory.gpus}).first()
    if taken is None:
        return False
    if memory.projects:
        rows = [
            (project_id, m.weight, m.past, m.settled_at, m.rate, m.factor, m.ideal.fared, m.ideal.demand, _jobs(m.ideal.jobs))
            for project_id, m in memory.projects.items()
        ]
        session.execute(_KEEP, dict(zip(_COLUMNS, map(list, zip(*rows, strict=True)), strict=True)))
    return True


def _jobs(jobs: Sequence[scheduling.IdealJob]) -> str:
    return json.dumps(
        [(str(e.job), e.entered_at, e.gpus, e.left, e.expected_seconds, e.run_seconds, e.ended_at, e.ideally_at) for e in jobs]
    )


def _job(fields: list[object]) -> scheduling.IdealJob:
    job, *rest = fields
    return scheduling.IdealJob(UUID(str(job)), *rest)  # type: ignore[arg-type]  # as _jobs wrote them


# Whoever comes second waits for the first here, and then finds that the turn is taken.
_TURN = text("""
    INSERT INTO scheduler_turn (id, number, ideal_at, gpus) VALUES (1, :turn, :ideal_at, :gpus)
    ON CONFLICT (id) DO UPDATE SET number = excluded.number, ideal_at = excluded.ideal_at, gpus = excluded.gpus
    WHERE scheduler_turn.number = excluded.number - 1
    RETURNING number
""")

_COLUMNS = ("projects", "weights", "pasts", "settled", "rates", "factors", "fared", "demands", "jobs")

_KEEP = text("""
    INSERT INTO scheduler_memory (project_id, weight, past, settled_at, rate, factor, fared, demand, jobs)
    SELECT f.project_id, f.weight, f.past, f.settled_at, f.rate, f.factor, f.fared, f.demand, CAST(f.jobs AS jsonb)
    FROM unnest(
        CAST(:projects AS uuid[]), CAST(:weights AS bigint[]), CAST(:pasts AS float8[]), CAST(:settled AS bigint[]),
        CAST(:rates AS bigint[]), CAST(:factors AS float8[]), CAST(:fared AS float8[]), CAST(:demands AS float8[]),
        CAST(:jobs AS text[])
    ) AS f (project_id, weight, past, settled_at, rate, factor, fared, demand, jobs)
    ON CONFLICT (project_id) DO UPDATE SET
        weight = excluded.weight, past = excluded.past, settled_at = excluded.settled_at, rate = excluded.rate,
        factor = excluded.factor, fared = excluded.fared, demand = excluded.demand, jobs = excluded.jobs
""")
