"""Look at what runs: note what it does, notice what does nothing, stop it only where the pool's rule says so."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy import select
from sqlalchemy.orm import Session

from compute.executors.base import Activity, Executor, ExecutorError, SeesActivity, Stop
from compute.models import AttemptActivity, AttemptStatus, IdleRule, JobAttempt, Pool
from compute.policies import idle
from compute.policies.idle import Look, Stretch
from compute.queries import activity as looks
from compute.queries import attempts
from compute.services.attempts import ask_to_stop
from core import audit
from core.db import new_id
from core.errors import InvalidInput
from core.identity.models import Person

Sessions = Callable[[], AbstractContextManager[Session]]

IDLE_MINUTES = range(5, 24 * 60 + 1)

log = structlog.get_logger()


def look_around(sessions: Sessions, executors: Mapping[str, Executor], *, now: datetime) -> None:
    """Look once at everything that runs where an executor can tell what it does. Each look is a transaction of its own."""
    with sessions() as session:
        going_on = JobAttempt.status == AttemptStatus.RUNNING, JobAttempt.stop.is_(None)
        running = session.scalars(select(JobAttempt).where(*going_on).order_by(JobAttempt.id)).all()
        wanted = [(attempt.id, executors.get(attempt.pool.executor)) for attempt in running]
    for attempt_id, executor in wanted:
        if not isinstance(executor, SeesActivity):
            continue  # pages say that it is not measured
        try:
            found = executor.activity(attempt_id)
        except ExecutorError as error:
            log.warning("compute.activity_unknown", attempt=str(attempt_id), reason=error.message)
            continue
        if found is not None:
            with sessions() as session:
                note(session, attempt_id, found, now=now)


def note(session: Session, attempt_id: UUID, found: Activity, *, now: datetime) -> AttemptActivity | None:
    """Keep a look. The first that makes the stretch long enough is told once; a busy look ends the stretch."""
    attempt = attempts.locked(session, attempt_id)
    if attempt.status is not AttemptStatus.RUNNING or attempt.stop is not None:
        return None
    row = session.scalars(select(AttemptActivity).where(AttemptActivity.attempt_id == attempt_id)).one_or_none()
    before = looks.look_of(row) if row is not None else None
    look = Look(now, found.has_gpus, found.gpu_percent, found.cpu_seconds)
    if row is None:
        row = AttemptActivity(id=new_id(), attempt_id=attempt_id, attempt=attempt)
        session.add(row)
    stretch = idle.stretch(_stretch(row), before.at if before else None, look, idle.seen(before, look))
    share = idle.cpu_share(before, look)
    row.looked_at, row.has_gpus, row.gpu_percent = now, found.has_gpus, found.gpu_percent
    row.cpu_milliseconds = None if found.cpu_seconds is None else round(found.cpu_seconds * 1000)
    row.cpu_millicores = None if share is None else round(share * 1000)
    row.idle_since, row.idle_looks = (stretch.since, stretch.looks) if stretch else (None, 0)
    _tell(session, attempt, row, stretch, now=now)
    session.flush()
    return row


def set_rule(session: Session, pool: Pool, *, minutes: int, rule: IdleRule, actor: Person, now: datetime) -> None:
    """Say after how long jobs of a pool count as idle holding, and what happens then.

    Raises:
        InvalidInput: shorter than looks can tell, or longer than a day.
    """
    if minutes not in IDLE_MINUTES:
        raise InvalidInput(f"Say between {IDLE_MINUTES.start} minutes and a day ({IDLE_MINUTES.stop - 1}).", field="minutes")
    pool.idle_minutes, pool.idle_rule = minutes, rule
    audit.record(session, "pool.idle_rule_set", pool, actor=actor, at=now, minutes=minutes, rule=rule.value)


def _stretch(row: AttemptActivity) -> Stretch | None:
    return Stretch(row.idle_since, row.idle_looks) if row.idle_since is not None else None


def _tell(session: Session, attempt: JobAttempt, row: AttemptActivity, stretch: Stretch | None, *, now: datetime) -> None:
    pool = attempt.pool
    if stretch is None or not stretch.holds(now, timedelta(minutes=pool.idle_minutes)):
        if row.noticed_at is not None:
            row.noticed_at = None
            audit.record(session, "job.idle_ended", attempt.job, actor=None, at=now, attempt=attempt.number)
        return
    if row.noticed_at is not None:
        return
    row.noticed_at = now
    sentence = looks.idle_sentence(attempt, stretch.since, now, stretch.looks)
    audit.record(session, "job.idle_noticed", attempt.job, actor=None, at=now, reason=sentence, attempt=attempt.number)
    if pool.idle_rule is IdleRule.STOP:
        reason = f"{sentence} Pool {pool.name} stops such jobs after {pool.idle_minutes} minutes."
        ask_to_stop(session, attempt, Stop.CANCELLED, reason, now=now)
