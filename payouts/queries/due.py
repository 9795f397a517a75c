"""Reads of payouts: what is due, what one is, and what has not ended."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from core.errors import NotFound
from core.money import Money
from payouts.models import (
    Payout,
    PayoutAttempt,
    PayoutStatus,
    Resolution,
    Run,
    RunStatus,
)


@dataclass(frozen=True)
class Filter:
    """Which payouts of the console."""

    status: PayoutStatus | None = None
    rail: str | None = None
    currency: str | None = None
    due_by: date | None = None
    free: bool = False
    """Only drafts that are in no run yet."""


def payouts(wanted: Filter) -> Select[Payout]:
    """Payouts, for a keyset page."""
    query = select(Payout).options(joinedload(Payout.recipient), joinedload(Payout.destination), joinedload(Payout.run))
    if wanted.status is not None:
        query = query.where(Payout.status == wanted.status)
    if wanted.rail:
        query = query.where(Payout.rail == wanted.rail)
    if wanted.currency:
        query = query.where(Payout.currency == wanted.currency)
    if wanted.due_by is not None:
        query = query.where(Payout.due_on <= wanted.due_by)
    if wanted.free:
        query = query.where(Payout.status == PayoutStatus.DRAFT, Payout.run_id.is_(None))
    return query


def due_totals(session: Session, *, on: date) -> list[tuple[Money, int]]:
    """What is due and in no run yet, per currency: (sum, number)."""
    rows = session.execute(
        select(Payout.currency, func.sum(Payout.amount_minor), func.count())
        .where(Payout.status == PayoutStatus.DRAFT, Payout.run_id.is_(None), Payout.due_on <= on)
        .group_by(Payout.currency)
        .order_by(Payout.currency)
    )
    return [(Money(int(total), currency), count) for currency, total, count in rows]


def waiting_in_runs(session: Session) -> Mapping[tuple[str, str], Money]:
    """What lines of runs that are not reserved yet come to, by rail and currency."""
    rows = session.execute(
        select(Payout.rail, Payout.currency, func.sum(Payout.amount_minor))
        .where(Payout.run_id.is_not(None), Payout.status.in_([PayoutStatus.DRAFT, PayoutStatus.APPROVED]))
        .group_by(Payout.rail, Payout.currency)
    )
    return {(rail or "", currency): Money(int(total), currency) for rail, currency, total in rows}


def counts_by_status(session: Session) -> Mapping[PayoutStatus, int]:
    rows = session.execute(select(Payout.status, func.count()).group_by(Payout.status))
    found = {status: count for status, count in rows}  # noqa: C416 - rows are no pairs to mypy
    return {status: found.get(status, 0) for status in PayoutStatus}


def payout(session: Session, payout_id: UUID) -> Payout:
    """One payout with all that its page shows.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.scalars(
        select(Payout)
        .where(Payout.id == payout_id)
        .options(
            joinedload(Payout.recipient),
            joinedload(Payout.destination),
            joinedload(Payout.run),
            selectinload(Payout.attempts).selectinload(PayoutAttempt.resolutions).joinedload(Resolution.evidence),
        )
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such payout.")
    return found


def canary_before(session: Session, payout: Payout) -> Payout | None:
    """The first payout on the rail of a line's run, while it is another one and not accepted yet."""
    return session.scalars(
        select(Payout).where(
            Payout.run_id == payout.run_id,
            Payout.rail == payout.rail,
            Payout.is_canary,
            Payout.paid_at.is_(None),
            Payout.id != payout.id,
        )
    ).first()


def unfinished(session: Session, run_id: UUID | None = None) -> Sequence[UUID]:
    """Payouts of running runs that a worker may be able to carry further, in their order."""
    query = (
        select(Payout.id)
        .join(Run, Run.id == Payout.run_id)
        .where(Run.status == RunStatus.SENDING, Payout.status.in_([PayoutStatus.APPROVED, PayoutStatus.RESERVED]))
        .order_by(Payout.is_canary.desc(), Payout.id)
    )
    return session.scalars(query if run_id is None else query.where(Run.id == run_id)).all()
