"""Announcing rounds, and opening, closing and deciding them."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit
from core.errors import DomainError, InvalidInput
from core.identity.models import Person
from grants import queries
from grants.models import ProgrammeStatus, Round, RoundStatus


class RoundHasUndecided(DomainError):
    """Applications of the round still wait for their decision."""

    code = "round_has_undecided"


def plan_round(
    session: Session,
    programme_id: UUID,
    *,
    name: str,
    opens_on: date,
    closes_on: date | None,
    decides_on: date | None,
    actor: Person,
    now: datetime,
    theme: str = "",
    grants_max: int | None = None,
) -> Round:
    """Announce a round. It opens and closes by itself on its days; without a closing day it is rolling.

    Raises:
        NotAllowed: not the programme's officer.
        InvalidInput: no name, or days out of order.
    """
    programme = queries.locked_programme(session, programme_id)
    queries.require_officer(session, programme, actor, on=now.date())
    if not name.strip():
        raise InvalidInput("Give the round a name, such as “Spring 2027”.", field="name")
    if closes_on is not None and closes_on < opens_on:
        raise InvalidInput("A round closes on or after the day it opens.", field="closes_on")
    if decides_on is not None and decides_on < (closes_on or opens_on):
        raise InvalidInput("A round is decided after its last day for applications.", field="decides_on")
    if grants_max is not None and grants_max < 1:
        raise InvalidInput("A round makes at least one grant; leave this empty for no limit.", field="grants_max")
    number = 1 + (session.scalar(select(func.max(Round.number)).where(Round.programme_id == programme.id)) or 0)
    round_ = Round(
        programme_id=programme.id,
        number=number,
        name=name.strip(),
        theme=theme.strip(),
        status=RoundStatus.PLANNED,
        opens_on=opens_on,
        closes_on=closes_on,
        decides_on=decides_on,
        grants_max=grants_max,
        created_at=now,
    )
    session.add(round_)
    session.flush()
    session.refresh(round_, ["programme"])
    audit.record(session, "round.planned", round_, actor=actor, at=now)
    if programme.status is ProgrammeStatus.RUNNING and opens_on <= now.date():
        move_round(session, round_.id, to=RoundStatus.OPEN, actor=actor, now=now)
    return round_


def move_round(session: Session, round_id: UUID, *, to: RoundStatus, actor: Person | None, now: datetime) -> Round:
    """Open, close, decide or cancel a round; the clock does the first two by itself (then without an actor).

    Raises:
        NotAllowed: not the programme's officer.
        IllegalTransition: the round has no such step from where it is.
        RoundHasUndecided: applications still wait for a decision.
    """
    round_ = queries.locked_round(session, round_id)
    if actor is not None:
        queries.require_officer(session, round_.programme, actor, on=now.date())
    if to is RoundStatus.DECIDED:
        waiting = queries.undecided_count(session, round_.id)
        if waiting:
            raise RoundHasUndecided(
                f"{waiting} {'application waits' if waiting == 1 else 'applications wait'} for a decision in this round.",
                waiting=waiting,
            )
    round_.advance(to)
    audit.record(session, f"round.{to.value}", round_, actor=actor, at=now)
    session.flush()
    return round_


def keep_rounds(session: Session, *, now: datetime) -> list[Round]:
    """Open the rounds whose first day has come and close those whose last day is over. Returns those that moved."""
    moved = []
    today = now.date()
    for round_id, status, closes_on in queries.rounds_to_move(session, on=today):
        step = RoundStatus.OPEN if status is RoundStatus.PLANNED else RoundStatus.CLOSED
        moved.append(move_round(session, round_id, to=step, actor=None, now=now))
        if step is RoundStatus.OPEN and closes_on is not None and closes_on < today:
            move_round(session, round_id, to=RoundStatus.CLOSED, actor=None, now=now)
    return moved
