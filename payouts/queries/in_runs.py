"""Reads of runs, and what they come to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from core.db import among
from core.errors import NotFound
from core.identity.models import Person
from core.money import Money
from payouts.models import (
    Payout,
    PayoutStatus,
    Run,
    RunApproval,
    RunStatus,
)


def runs() -> Select[Run]:
    """Runs, for a keyset page."""
    return select(Run).options(joinedload(Run.prepared_by))


def run(session: Session, run_id: UUID) -> Run:
    """One run with its lines and approvals.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.scalars(
        select(Run)
        .where(Run.id == run_id)
        .options(
            joinedload(Run.prepared_by),
            selectinload(Run.payouts).selectinload(Payout.recipient),
            selectinload(Run.payouts).selectinload(Payout.destination),
            selectinload(Run.payouts).selectinload(Payout.attempts),
            selectinload(Run.approvals).joinedload(RunApproval.approver),
        )
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such run.")
    return found


def run_by_number(session: Session, number: int) -> Run:
    """The run people call “Run <number>”, without its lines.

    Raises:
        NotFound: there is none of this number.
    """
    found = session.scalars(runs().where(Run.number == number)).one_or_none()
    if found is None:
        raise NotFound(f"There is no run {number}; `pledgeworks payouts run list` shows those there are.")
    return found


@dataclass(frozen=True)
class RunTotals:
    """A run in numbers."""

    lines: int
    total: Money
    by_status: Mapping[PayoutStatus, int]
    paid: Money


def run_totals(session: Session, run: Run) -> RunTotals:
    rows = session.execute(
        select(Payout.status, func.count(), func.sum(Payout.amount_minor)).where(Payout.run_id == run.id).group_by(Payout.status)
    ).all()
    return RunTotals(
        lines=sum(count for _, count, _ in rows),
        total=Money(sum(int(amount) for _, _, amount in rows), run.currency),
        by_status={status: count for status, count, _ in rows},
        paid=Money(sum(int(amount) for status, _, amount in rows if status is PayoutStatus.PAID), run.currency),
    )


def first_time(session: Session, lines: Sequence[Payout]) -> set[UUID]:
    """The payouts whose destination has never been paid before: those an approver should look at twice."""
    places = {line.destination_id for line in lines if line.destination_id is not None}
    paid = set(
        session.scalars(
            select(Payout.destination_id).where(among(Payout.destination_id, places), Payout.paid_at.is_not(None)).distinct()
        )
    )
    return {line.id for line in lines if line.destination_id not in paid}


def sending_runs(session: Session) -> Sequence[UUID]:
    return session.scalars(select(Run.id).where(Run.status == RunStatus.SENDING).order_by(Run.number)).all()


def runs_to_approve(session: Session, person: Person) -> int:
    """How many drafts wait for an approval this person could give."""
    given = select(RunApproval.id).where(
        RunApproval.run_id == Run.id, RunApproval.approver_id == person.id, RunApproval.voided_at.is_(None)
    )
    query = select(func.count()).select_from(Run)
    return session.scalar(query.where(Run.status == RunStatus.DRAFT, Run.prepared_by_id != person.id, ~given.exists())) or 0
