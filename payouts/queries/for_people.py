"""Reads of what needs people."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session, joinedload, selectinload

from core.errors import NotFound
from payouts.models import (
    Alarm,
    AttemptState,
    Payout,
    PayoutAttempt,
    PayoutStatus,
    Resolution,
)


def attempts_for_people(session: Session) -> Sequence[PayoutAttempt]:
    """Unknown attempts and those on the people's desk, the longest waiting first."""
    return session.scalars(
        select(PayoutAttempt)
        .where(PayoutAttempt.state.in_([AttemptState.UNKNOWN, AttemptState.HUMAN]))
        .options(
            joinedload(PayoutAttempt.payout).joinedload(Payout.recipient),
            joinedload(PayoutAttempt.payout).joinedload(Payout.destination),
            joinedload(PayoutAttempt.payout).joinedload(Payout.run),
            selectinload(PayoutAttempt.resolutions).joinedload(Resolution.evidence),
            selectinload(PayoutAttempt.resolutions).joinedload(Resolution.proposed_by),
        )
        .order_by(PayoutAttempt.changed_at)
        .limit(500)
    ).all()


def returns_for_people(session: Session) -> Sequence[Resolution]:
    """Findings about money that came back, waiting for their second person."""
    return session.scalars(
        select(Resolution)
        .join(PayoutAttempt, PayoutAttempt.id == Resolution.attempt_id)
        .where(Resolution.decided_at.is_(None), PayoutAttempt.state == AttemptState.ACCEPTED)
        .options(
            joinedload(Resolution.attempt).joinedload(PayoutAttempt.payout).joinedload(Payout.recipient),
            joinedload(Resolution.evidence),
            joinedload(Resolution.proposed_by),
        )
        .order_by(Resolution.proposed_at)
    ).all()


def refused(session: Session) -> Sequence[Payout]:
    """Reserved payouts whose last attempt failed: a person tries again, takes back, or cancels."""
    live = select(PayoutAttempt.id).where(PayoutAttempt.payout_id == Payout.id, PayoutAttempt.state != AttemptState.FAILED)
    return session.scalars(
        select(Payout)
        .where(Payout.status == PayoutStatus.RESERVED, ~live.exists())
        .options(joinedload(Payout.recipient), selectinload(Payout.attempts))
        .order_by(Payout.id)
        .limit(500)
    ).all()


def attempt(session: Session, attempt_id: UUID) -> PayoutAttempt:
    """One attempt.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.get(PayoutAttempt, attempt_id, options=[joinedload(PayoutAttempt.payout)])
    if found is None:
        raise NotFound("There is no such attempt.")
    return found


def open_alarms(session: Session) -> Sequence[Alarm]:
    return session.scalars(select(Alarm).where(Alarm.closed_at.is_(None)).order_by(Alarm.raised_at)).all()


def count_for_people(session: Session) -> int:
    """Attempts on the people's desk, and findings about returned money that wait for a second person."""
    human = select(func.count()).select_from(PayoutAttempt).where(PayoutAttempt.state == AttemptState.HUMAN)
    returned = (
        select(func.count())
        .select_from(Resolution)
        .join(PayoutAttempt, PayoutAttempt.id == Resolution.attempt_id)
        .where(Resolution.decided_at.is_(None), PayoutAttempt.state == AttemptState.ACCEPTED)
    )
    return (session.scalar(human) or 0) + (session.scalar(returned) or 0)
