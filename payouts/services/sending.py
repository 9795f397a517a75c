"""A run on its way: canary first, then the others, and done when the last line ended."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import ARRAY, Text, and_, any_, bindparam, func, literal, or_, select, text, update
from sqlalchemy.orm import Session, joinedload

from core import audit, tasks
from core.identity.models import Person
from core.tasks import TaskRow, TaskStatus
from payouts.models import AttemptState, Payout, PayoutAttempt, PayoutStatus, Run, RunStatus
from payouts.policies import Rules, Step, next_step
from payouts.rails.base import Rail
from payouts.services.claims import Wait, known
from payouts.services.runs import lock


@dataclass(frozen=True)
class SendPayout(tasks.Task):
    """Take a payout as far as it goes now."""

    kind: ClassVar[str] = "payouts.send"
    payout_id: UUID


def send(session: Session, run_id: UUID, *, sender: Person, rails: Mapping[str, Rail], now: datetime) -> Run:
    """Let an approved run go: its first payout on each automatic rail alone, the others once that one is accepted.

    Raises:
        IllegalTransition: the run is not approved.
    """
    run = lock(session, run_id)
    run.advance(RunStatus.SENDING)
    run.sent_by_id, run.sent_at = sender.id, now
    lines = session.scalar(select(func.count()).select_from(Payout).where(Payout.run_id == run_id))
    audit.record(session, "run.sending", run, actor=sender, at=now, lines=lines)
    session.flush()
    release_lines(session, run, rails=rails, now=now)
    return run


def release_lines(session: Session, run: Run, *, rails: Mapping[str, Rail], now: datetime) -> None:
    """Choose canaries where one is missing and enqueue every line whose turn it is. Doing it again does no harm.

    A run that is not being sent has no line whose turn it is: nothing happens. The caller has the run's lock.
    """
    if run.status is not RunStatus.SENDING:
        return
    waiting = select(Payout.id).where(Payout.run_id == run.id, Payout.status == PayoutStatus.APPROVED)
    for name in session.scalars(waiting.with_only_columns(Payout.rail).distinct().order_by(Payout.rail)).all():
        mine = waiting.where(Payout.rail == name)
        rail = rails.get(name or "")
        if rail is None or not rail.capabilities.needs_person:
            canary = _canary(session, run, name)
            if canary.paid_at is None:
                mine = mine.where(Payout.id == canary.id)
        wake(session, session.scalars(mine).all(), now=now)


def _canary(session: Session, run: Run, rail: str | None) -> Payout:
    """The line that goes first on a rail on which lines wait."""
    lines = select(Payout).where(Payout.run_id == run.id, Payout.rail == rail)
    known = session.scalars(lines.where(Payout.is_canary).execution_options(populate_existing=True)).one_or_none()
    if known is not None:
        return known
    # The smallest amount goes first: it is the least to lose if the rail is wired up wrongly.
    smallest = lines.where(Payout.status == PayoutStatus.APPROVED).order_by(Payout.amount_minor, Payout.obligation).limit(1)
    chosen = session.scalars(smallest).one()
    chosen.is_canary = True
    session.flush()
    return chosen


def look_after(session: Session, run_id: UUID, *, rails: Mapping[str, Rail], now: datetime) -> None:
    """Put a task behind every line that a machine can carry further, and close the run if there is none left."""
    run = lock(session, run_id)
    if run.status is not RunStatus.SENDING:
        return
    release_lines(session, run, rails=rails, now=now)
    attempts = select(PayoutAttempt).where(PayoutAttempt.payout_id == Payout.id)
    live = attempts.where(PayoutAttempt.state != AttemptState.FAILED)
    by_machine = attempts.where(PayoutAttempt.state.in_([AttemptState.SENDING, AttemptState.UNKNOWN]))
    made = attempts.with_only_columns(func.count()).scalar_subquery()
    stranded = session.scalars(
        select(Payout.id).where(
            Payout.run_id == run_id,
            Payout.status == PayoutStatus.RESERVED,
            Payout.rail.in_([name for name, rail in rails.items() if not rail.capabilities.needs_person]),
            or_(by_machine.exists(), and_(~live.exists(), made < Payout.attempts_allowed)),
        )
    ).all()
    wake(session, stranded, now=now)
    close_if_finished(session, run_id, now=now)


def after_step(session: Session, payout_id: UUID, *, rails: Mapping[str, Rail], rules: Rules, now: datetime) -> Wait:
    """After a step about a payout: release the others if it was their canary, close the run, say when to come back."""
    known_of = select(Payout.status, Payout.run_id, Payout.is_canary, Payout.paid_at).where(Payout.id == payout_id)
    line = session.execute(known_of).one()
    if line.run_id is not None and line.is_canary and line.paid_at is not None:
        release_lines(session, lock(session, line.run_id), rails=rails, now=now)
    if line.run_id is not None:
        close_if_finished(session, line.run_id, now=now)
    if line.status is not PayoutStatus.RESERVED:
        return Wait(None, f"It is {line.status}.")
    payout = session.get_one(Payout, payout_id, populate_existing=True, options=[joinedload(Payout.attempts)])
    attempt = payout.live_attempt
    if attempt is None:
        again = len(payout.attempts) < payout.attempts_allowed
        return Wait(now if again else None, "The last attempt failed.")
    rail = rails.get(attempt.rail)
    if rail is None or rail.capabilities.needs_person:
        return Wait(None, "Waits for people.")
    todo = next_step(known(attempt), rail.capabilities, rules, now)
    return Wait(None if todo.step in {Step.NOTHING, Step.PEOPLE} else todo.until or now, "There is more to do.")


def close_if_finished(session: Session, run_id: UUID, *, now: datetime) -> None:
    """A run is done when none of its lines is on its way."""
    if session.scalar(_UNFINISHED, {"run_id": run_id}) is not None:
        return
    run = lock(session, run_id)
    if run.status is RunStatus.SENDING and session.scalar(_UNFINISHED, {"run_id": run_id}) is None:
        run.advance(RunStatus.DONE)
        run.finished_at = now
        audit.record(session, "run.done", run, actor=None, at=now)


# Words, not parameters: once the driver prepares the statement, the server can't match parameters to the index.
_UNFINISHED = (
    select(Payout.id).where(Payout.run_id == bindparam("run_id"), text("payout.status IN ('approved', 'reserved')")).limit(1)
)


def look_sooner(session: Session, *, now: datetime, rails: Collection[str] = (), payout_id: UUID | None = None) -> int:
    """Look now at payments that a rail has and somebody there goes on with, of these rails or this one. Returns how many.

    It is early only for the pause between two looks; a look too soon after the send to be believed still waits.
    """
    waiting = (
        select(PayoutAttempt)
        .where(
            PayoutAttempt.state == AttemptState.UNKNOWN,
            PayoutAttempt.at_rail,
            PayoutAttempt.not_before > now,
            PayoutAttempt.payout_id == payout_id if payout_id is not None else PayoutAttempt.rail.in_(rails),
        )
        .with_for_update(of=PayoutAttempt, skip_locked=True)
    )
    found = session.scalars(waiting).all()
    for attempt in found:
        attempt.not_before = None
    session.flush()
    ids = [str(attempt.payout_id) for attempt in found]
    session.execute(
        update(TaskRow)
        .where(
            TaskRow.kind == SendPayout.kind,
            TaskRow.status == TaskStatus.READY,
            TaskRow.arguments["payout_id"].astext.in_(ids),
        )
        .values(run_at=now)
    )
    wake(session, [attempt.payout_id for attempt in found], now=now)
    return len(found)


def wake(session: Session, payout_ids: Collection[UUID], *, now: datetime) -> None:
    """Put a task behind each of these payouts that has none. A second one would do no harm, only noise."""
    ids = [str(payout_id) for payout_id in payout_ids]
    if not ids:
        return
    payout_id = TaskRow.arguments["payout_id"].astext
    cared_for = set(
        session.scalars(
            select(payout_id).where(
                TaskRow.kind == SendPayout.kind,
                TaskRow.status.in_([TaskStatus.READY, TaskStatus.RUNNING]),
                payout_id == any_(literal(ids, ARRAY(Text))),
            )
        )
    )
    tasks.enqueue_many(session, [(SendPayout(UUID(each)), each) for each in ids if each not in cared_for], now=now)
