"""What is asked once more when a start is handed to its executor.

A start is decided and held first, and handed over by a task of its own: a moment later, or minutes later when many wait or the
executor does not answer. What must last as long as the job is counted again from that moment; meanwhile somebody may have planned
maintenance, too. What no longer fits goes back into the line, and nothing is lost but the time.
"""

from datetime import datetime

from sqlalchemy.orm import Session

from compute.models import JobAttempt, PoolStatus
from compute.queries import attempts, hosts, snapshot, windows


def obstacle(session: Session, attempt: JobAttempt, *, now: datetime) -> str | None:
    """Why an attempt can't be handed over any more, in a sentence; None: it can. To be asked with its pool locked."""
    return _in_its_place(session, attempt) or _in_its_time(session, attempt, now)


def _in_its_place(session: Session, attempt: JobAttempt) -> str | None:
    """The pool and the host may be others than they were when the job was chosen for them."""
    pool = attempt.pool
    if not snapshot.trusts(pool, attempt.job):
        return f"Pool {pool.name} takes reviewed code only, since after this job was chosen for it."
    if pool.status is not PoolStatus.OPEN:
        return f"Pool {pool.name} is {pool.status} since after this job was chosen for it, and starts nothing."
    left = hosts.free(session, [pool]).get((pool.id, attempt.host or hosts.THE_ONE))
    if left is None:
        return f"Host {attempt.host} of pool {pool.name} is out of service since after this job was chosen for it."
    if left < 0:
        where = f"Host {attempt.host} of pool {pool.name}" if attempt.host else f"Pool {pool.name}"
        return f"{where} got smaller since this job was chosen for it: it lacks {-left} devices."
    return None


def _in_its_time(session: Session, attempt: JobAttempt, now: datetime) -> str | None:
    """What must last as long as the job."""
    ends_by = attempts.handed_over_by(attempt, now)
    late = f"Handed over at {now:%H:%M} UTC it could run until {ends_by:%Y-%m-%d %H:%M} UTC"
    # Whoever ends an offer early writes its new end here, see offers.take_back.
    if ends_by > attempt.ends_before:
        return f"{late}; its grant or an offer it draws on ends at {attempt.ends_before:%Y-%m-%d %H:%M} UTC."
    time = windows.time_beside(session, attempt, now=now)
    room = time.room_for(attempt.job.project_id, attempt.reservation_id, now, ends_by)
    if attempt.gpus > room:
        needed = f"{attempt.gpus} × {attempt.flavor.slug}"
        planned = f"what is planned for pool {attempt.pool.name}"
        return f"{late}; {planned} leaves {max(0, room)} of the {needed} it needs until then."
    return None
