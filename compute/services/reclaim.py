"""GPUs that are given back: who is asked to leave, who may stay after all, and whose grace is over.

Each step is one short transaction that may be taken again. What was asked is in the tables: a scheduler that is killed anywhere
goes on with it, in whichever process, and asks nobody a second time.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy.orm import Session

from compute import scheduling
from compute.executors.base import Stop
from compute.models import JobAttempt, JobStatus, ReclaimNotice
from compute.queries import attempts, jobs, quotas
from compute.services.attempts import ask_to_stop
from core import audit, mail, tasks
from core.config import settings
from core.db import new_id
from core.identity.models import Person

BY_ITSELF = "The GPUs became free without it, or nobody needs them any more."
GROUP_ENDED = "The quota group was ended: nobody owns these GPUs any more."


@dataclass(frozen=True)
class MailNotice(tasks.Task):
    """Tell the submitter of a job that it is asked to leave."""

    kind: ClassVar[str] = "compute.mail_reclaim_notice"
    notice_id: UUID


def ask(session: Session, leave: scheduling.Leave, *, now: datetime) -> ReclaimNotice | None:
    """Give notice to a running job; None if it ended meanwhile, is being stopped, or was asked already."""
    attempt = _locked(session, leave.job_id)
    if attempt is None or attempt.stop is not None or quotas.notice_of(session, attempt) is not None:
        return None
    row = ReclaimNotice(
        id=new_id(),
        attempt=attempt,
        for_job=jobs.get(session, leave.needed_for),
        asked_at=now,
        leaves_at=max(now, datetime.fromtimestamp(leave.at, UTC)),
        lost_gpu_seconds=leave.lost_gpu_seconds,
    )
    session.add(row)
    session.flush()
    audit.record(
        session,
        "job.asked_to_leave",
        attempt.job,
        actor=None,
        at=now,
        reason=sentence(row),
        attempt=attempt.number,
        needed_for=str(row.for_job_id),
        leaves_at=row.leaves_at.isoformat(),
        lost_gpu_seconds=row.lost_gpu_seconds,
    )
    if mail.is_configured() and attempt.job.submitted_by_id is not None:
        tasks.enqueue(session, MailNotice(row.id), now=now)
    return row


def spare(session: Session, job_id: UUID, *, why: str = BY_ITSELF, now: datetime) -> None:
    """It may stay, unless its executor was told to end it already."""
    attempt = _locked(session, job_id)
    row = quotas.notice_of(session, attempt) if attempt is not None else None
    if row is not None and row.stopped_at is None:
        _take_back(session, row, why, now=now)


def end_graces(session: Session, *, now: datetime) -> int:
    """Have those whose grace is over stopped, as long as the job that needs the GPUs still waits; tell how many."""
    stopped = 0
    for due in quotas.due(session, now):
        attempt = attempts.locked(session, due.attempt_id)
        session.refresh(due, with_for_update={"of": ReclaimNotice})
        if attempt.settled_at is not None or due.spared_at is not None or due.stopped_at is not None:
            continue
        if due.for_job.status is not JobStatus.QUEUED:
            _take_back(session, due, "The job that needed the GPUs waits no more.", now=now)
            continue
        if quotas.of_pool(session, attempt.pool) is None:  # asked by a turn that did not know that its group was ended
            _take_back(session, due, GROUP_ENDED, now=now)
            continue
        due.stopped_at = now
        session.flush()
        ask_to_stop(session, attempt, Stop.EVICTED, f"It gave its GPUs back: {_owner(due)}", now=now)
        stopped += 1
    return stopped


def sentence(row: ReclaimNotice) -> str:
    """What the one who is asked reads."""
    return (
        f"It is asked to leave by {row.leaves_at:%Y-%m-%d %H:%M} UTC: {_owner(row)} "
        "If it has not ended by then, it is stopped, credited back in full and queued again at its old place."
    )


def asked_to_leave(session: Session, attempt: JobAttempt | None) -> str | None:
    """What a running job was asked, in words for its page; None if nothing."""
    row = quotas.notice_of(session, attempt) if attempt is not None and attempt.settled_at is None else None
    return sentence(row) if row is not None else None


def letter(session: Session, task: MailNotice) -> mail.Letter:
    """What its submitter is mailed."""
    row = session.get_one(ReclaimNotice, task.notice_id)
    job = row.attempt.job
    person = session.get_one(Person, job.submitted_by_id)
    return mail.Letter(
        key=f"reclaim-{row.id}",
        to=person.email,
        subject=f"{job.name} is asked to leave by {row.leaves_at:%H:%M} UTC",
        text=f"{job.name} runs on borrowed GPUs. {sentence(row)}\n\n{settings().base_url}/compute/jobs/{job.id}\n",
        written_at=row.asked_at,
    )


def _owner(row: ReclaimNotice) -> str:
    job = row.for_job
    pool = row.attempt.pool
    what = f"a whole host of {pool.flavor.slug}" if job.exclusive else f"{job.gpus} × {pool.flavor.slug}"
    return f"{job.project.name} owns {what} in pool {pool.name} that its job “{job.name}” waits for."


def _take_back(session: Session, row: ReclaimNotice, why: str, *, now: datetime) -> None:
    row.spared_at = now
    session.flush()
    audit.record(session, "job.may_stay", row.attempt.job, actor=None, at=now, reason=why, attempt=row.attempt.number)


def _locked(session: Session, job_id: UUID) -> JobAttempt | None:
    """The attempt that runs now, if any."""
    attempt = attempts.open_of_job(session, jobs.locked(session, job_id))
    return attempts.locked(session, attempt.id) if attempt is not None else None
