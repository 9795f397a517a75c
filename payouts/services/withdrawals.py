"""Undoing before money moves: cancel a payout, take it back to be approved anew, or allow another try."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit, ledger
from core.errors import DomainError, InvalidInput, NotFound
from core.identity.models import Person
from payouts.models import AttemptFailure, AttemptState, Payout, PayoutAttempt, PayoutStatus, RunStatus
from payouts.services import records, runs, sending
from payouts.services.requests import tell
from payouts.services.runs import back_to_draft


class MayStillBePaid(DomainError):
    """An attempt of this payout may have moved money, or still will."""

    code = "may_still_be_paid"


def cancel(session: Session, payout_id: UUID, *, actor: Person, reason: str, now: datetime) -> Payout:
    """It is not owed any more. Whoever owed it is told; the same obligation may be asked for again later.

    Raises:
        MayStillBePaid: an attempt may have moved money; find out first.
        IllegalTransition: it was paid already.
        InvalidInput: without a reason.
    """
    if not reason.strip():
        raise InvalidInput("Say why it is not owed any more.", field="reason")
    payout = _stopped(session, payout_id, actor=actor, now=now)
    _leave_unsent_run(session, payout, actor=actor, now=now)
    _void_hold(session, payout, now=now)
    payout.advance(PayoutStatus.CANCELLED)
    payout.is_canary, payout.blocked_reason, payout.reserved_at = False, None, None
    session.flush()
    audit.record(session, "payout.cancelled", payout, actor=actor, at=now, reason=reason.strip())
    tell(session, payout, now=now)
    if payout.run_id is not None:
        sending.close_if_finished(session, payout.run_id, now=now)
    return payout


def take_back(session: Session, payout_id: UUID, *, actor: Person, reason: str, now: datetime) -> Payout:
    """Make an approved or reserved payout a draft again, so that it can be approved anew, for instance to another place.

    Raises:
        MayStillBePaid: an attempt may have moved money; find out first.
        IllegalTransition: it was paid, or is a draft.
        InvalidInput: without a reason.
    """
    if not reason.strip():
        raise InvalidInput("Say why it is taken back.", field="reason")
    payout = _stopped(session, payout_id, actor=actor, now=now)
    run_id = payout.run_id
    _leave_unsent_run(session, payout, actor=actor, now=now)
    if payout.status is not PayoutStatus.DRAFT:
        _void_hold(session, payout, now=now)
        back_to_draft(payout)
        runs.leave(payout)
        payout.reserved_at, payout.carried_minor = None, 0
        session.flush()
    audit.record(session, "payout.taken_back", payout, actor=actor, at=now, reason=reason.strip(), run=str(run_id))
    if run_id is not None:
        sending.close_if_finished(session, run_id, now=now)
    return payout


def try_again(session: Session, payout_id: UUID, *, actor: Person, reason: str, now: datetime) -> Payout:
    """Allow one more attempt after one that certainly moved no money, to the same approved place.

    Raises:
        MayStillBePaid: the last attempt is not known to have failed.
        InvalidInput: without a reason.
    """
    if not reason.strip():
        raise InvalidInput("Say what was put right, so that another try makes sense.", field="reason")
    payout = _locked(session, payout_id)
    if payout.status is not PayoutStatus.RESERVED or payout.live_attempt is not None:
        raise MayStillBePaid("Only a payout whose last attempt failed for certain is tried again.")
    payout.attempts_allowed = len(payout.attempts) + 1
    audit.record(session, "payout.retried", payout, actor=actor, at=now, reason=reason.strip())
    sending.wake(session, [payout.id], now=now)
    return payout


def _locked(session: Session, payout_id: UUID) -> Payout:
    payout = session.scalars(
        select(Payout).where(Payout.id == payout_id).with_for_update(of=Payout).execution_options(populate_existing=True)
    ).one_or_none()
    if payout is None:
        raise NotFound("There is no such payout.")
    session.refresh(payout, ["attempts"])
    return payout


def _stopped(session: Session, payout_id: UUID, *, actor: Person, now: datetime) -> Payout:
    """The payout under lock, with no attempt that may pay it: one that certainly never left is withdrawn."""
    payout = session.get(Payout, payout_id)
    if payout is not None and payout.run_id is not None:
        runs.lock(session, payout.run_id)  # run before payout, as everywhere
    payout = _locked(session, payout_id)
    live = payout.live_attempt
    if live is None or payout.status not in {PayoutStatus.APPROVED, PayoutStatus.RESERVED}:
        return payout
    session.refresh(live, with_for_update={"of": PayoutAttempt})
    leased = live.lease_until is not None and now < live.lease_until
    if live.state is not AttemptState.SENDING or live.sends != live.declined or leased:
        raise MayStillBePaid(
            "An attempt of this payout may still pay it. Wait until it is known what became of it; "
            "if the rail can't tell, two people find out under Payouts → Unknown."
        )
    records.failed(session, payout, live, AttemptFailure.WITHDRAWN, f"Taken back by {actor.name} before it left.", now=now)
    session.flush()
    return payout


def _leave_unsent_run(session: Session, payout: Payout, *, actor: Person, now: datetime) -> None:
    """A line of a run that is not on its way leaves it, and the approvals of that run are void."""
    run = payout.run
    if run is not None and run.status in {RunStatus.DRAFT, RunStatus.APPROVED}:
        runs.remove_line(session, run.id, payout.id, actor=actor, now=now)
        session.flush()


def _void_hold(session: Session, payout: Payout, *, now: datetime) -> None:
    if payout.status is PayoutStatus.RESERVED:
        ledger.void(session, key=f"void:{payout.hold_key}", hold_key=payout.hold_key, at=now)
