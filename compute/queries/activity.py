"""What running attempts were seen doing, and which hold devices and do nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload

from compute.models import AttemptActivity, AttemptStatus, Job, JobAttempt
from compute.policies import idle
from core.units import format_seconds


@dataclass(frozen=True, slots=True)
class Shown:
    """What a page says of a running attempt."""

    attempt: JobAttempt
    sentence: str
    idle: bool
    """Whether it is idle holding."""
    advice: str
    look: AttemptActivity | None = None
    """The newest look; none: nobody looked yet, or nobody can."""


def of_attempt(session: Session, attempt: JobAttempt | None) -> Shown | None:
    """What a running attempt was seen doing; none if it does not run."""
    if attempt is None or attempt.status is not AttemptStatus.RUNNING:
        return None
    row = session.scalars(select(AttemptActivity).where(AttemptActivity.attempt_id == attempt.id)).one_or_none()
    return shown(attempt, row)


def holding(session: Session, *, submitter_id: UUID | None = None) -> list[Shown]:
    """Every running attempt that holds devices and does nothing, longest first; of one submitter if asked."""
    query = (
        select(AttemptActivity)
        .join(JobAttempt, JobAttempt.id == AttemptActivity.attempt_id)
        .join(Job, Job.id == JobAttempt.job_id)
        .where(AttemptActivity.noticed_at.is_not(None), JobAttempt.status == AttemptStatus.RUNNING)
        .options(joinedload(AttemptActivity.attempt))
        .order_by(AttemptActivity.idle_since)
    )
    if submitter_id is not None:
        query = query.where(Job.submitted_by_id == submitter_id)
    return [shown(row.attempt, row) for row in session.scalars(query)]


def holding_jobs() -> Select[UUID]:
    """The ids of running jobs that hold devices and do nothing, to choose among jobs by."""
    return (
        select(JobAttempt.job_id)
        .join(AttemptActivity, AttemptActivity.attempt_id == JobAttempt.id)
        .where(AttemptActivity.noticed_at.is_not(None), JobAttempt.status == AttemptStatus.RUNNING)
    )


def newest(session: Session, attempts: Sequence[JobAttempt]) -> dict[UUID, AttemptActivity]:
    """The newest look at each of these attempts."""
    rows = session.scalars(select(AttemptActivity).where(AttemptActivity.attempt_id.in_([attempt.id for attempt in attempts])))
    return {row.attempt_id: row for row in rows}


def look_of(row: AttemptActivity) -> idle.Look:
    """A row as the rules take it."""
    cpu = None if row.cpu_milliseconds is None else row.cpu_milliseconds / 1000
    return idle.Look(row.looked_at, row.has_gpus, row.gpu_percent, cpu)


def shown(attempt: JobAttempt, row: AttemptActivity | None) -> Shown:
    """A look in words."""
    if row is None:
        return Shown(attempt, "What its devices do is not measured: nobody looked yet, or its executor does not say.", False, "")
    cpu = None if row.cpu_millicores is None else row.cpu_millicores / 1000
    if row.noticed_at is not None and row.idle_since is not None:
        sentence = idle_sentence(attempt, row.idle_since, row.looked_at, row.idle_looks)
        return Shown(attempt, sentence, True, idle.advice(has_gpus=row.has_gpus, cpu=cpu), row)
    when = f"at the last look, {row.looked_at:%H:%M} UTC."
    if not row.has_gpus:
        words = "What its processes do is not measured yet" if cpu is None else f"Its processes used {cpu:.2f} cores"
        return Shown(attempt, f"{words} {when}", False, "", row)
    words = "How busy its GPUs are is not measured here" if row.gpu_percent is None else f"Its GPUs: {row.gpu_percent} % busy"
    processes = "" if cpu is None else f"; its processes used {cpu:.2f} cores"
    return Shown(attempt, f"{words}{processes} {when}", False, "", row)


def idle_sentence(attempt: JobAttempt, since: datetime, until: datetime, looks: int) -> str:
    """That an attempt holds devices and does nothing."""
    lasted = format_seconds((until - since).total_seconds())
    return f"It holds {attempt.gpus} × {attempt.flavor.name}, which have done nothing for {lasted} ({looks} looks in a row)."
