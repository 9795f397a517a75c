"""Priority classes, and how much of a month's amount a project has used."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import case, func, select
from sqlalchemy.orm import Session, joinedload

from compute.models import Job, JobAttempt, PriorityClass, UsageRecord
from core.errors import InvalidInput


def classes(session: Session) -> Sequence[PriorityClass]:
    """All classes, the highest rank first."""
    query = select(PriorityClass).options(joinedload(PriorityClass.set_by))
    return session.scalars(query.order_by(PriorityClass.rank.desc(), PriorityClass.slug)).all()


def named(session: Session, slug: str, *, lock: bool = False) -> PriorityClass:
    """A class by its slug; with `lock` nobody else counts on its month until the end of the transaction.

    Raises:
        InvalidInput: there is none; the message lists those there are.
    """
    query = select(PriorityClass).where(PriorityClass.slug == slug)
    if lock:
        query = query.with_for_update(of=PriorityClass).execution_options(populate_existing=True)
    found = session.scalars(query).first()
    if found is None:
        known = ", ".join(each.slug for each in classes(session) if each.is_open)
        raise InvalidInput(
            f"There is no priority “{slug[:40]}”. There is: ordinary{', ' if known else ''}{known}.", field="priority"
        )
    return found


def used_this_month(session: Session, priority: PriorityClass, project_id: UUID, *, now: datetime) -> int:
    """Reference ticks of the jobs a project submitted with it since the first of the month, midnight UTC.

    Of a job that has ended what it used, of another what it may use at most.
    """
    month = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    used = (
        select(func.coalesce(func.sum(UsageRecord.reference_ticks), 0))
        .join(JobAttempt, JobAttempt.id == UsageRecord.attempt_id)
        .where(JobAttempt.job_id == Job.id)
        .scalar_subquery()
    )
    total = session.scalar(
        select(func.coalesce(func.sum(case((Job.finished_at.is_(None), Job.priority_ticks), else_=used)), 0)).where(
            Job.project_id == project_id,
            Job.priority_id == priority.id,
            Job.priority_ticks.is_not(None),
            Job.submitted_at >= month,
        )
    )
    return int(total or 0)
