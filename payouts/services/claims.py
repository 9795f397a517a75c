"""T1, the claim: in one short transaction decide whose turn it is, hold the money, and write down what will be sent.

Nothing here talks to a rail. When the transaction commits, the key, the frozen parameters and the lease exist; when it
does not, nothing does.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID, uuid4

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, joinedload, selectinload

from core import audit, ledger
from core.db import new_id
from core.errors import DomainError, NotFound
from payouts import queries
from payouts.models import (
    AttemptState,
    Payout,
    PayoutAttempt,
    PayoutStatus,
    RunStatus,
)
from payouts.policies import Known, Next, Rules, Step, line_hash, next_step, reference
from payouts.rails.base import Capabilities, Instruction, Rail
from payouts.services import cash, controls, documents, fitting, readiness

TURN_PAUSE = timedelta(seconds=2)
UNANSWERED_PAUSE = timedelta(minutes=1)
_WITH_PAYEE = (joinedload(Payout.recipient), joinedload(Payout.destination))


class NotAsApproved(DomainError):
    """What would be sent is not what was approved."""

    code = "not_as_approved"


class WaitsForCanary(DomainError):
    """The first payout of its run on this rail has not been accepted yet."""

    code = "waits_for_canary"


class WaitsForTurn(DomainError):
    """The rail takes one payment at a time, and another is on its way or has no answer yet."""

    code = "waits_for_turn"

    def __init__(self, message: str, *, until: datetime) -> None:
        super().__init__(message)
        self.until = until


class RailMissing(DomainError):
    """The payout's rail is not part of this installation."""

    code = "rail_missing"


@dataclass(frozen=True)
class Wait:
    """Nothing to do now. `until` is None if this worker has nothing to come back for."""

    until: datetime | None
    reason: str


@dataclass(frozen=True)
class Claim:
    """The right to do one step about one attempt, until the lease ends or another token replaces ours."""

    payout_id: UUID
    attempt_id: UUID
    token: UUID
    step: Step
    lease_until: datetime
    instruction: Instruction
    rail: str
    sends: int


def claim(session: Session, payout_id: UUID, *, rails: Mapping[str, Rail], rules: Rules, now: datetime) -> Claim | Wait:
    """Take the next step of a payout under lease, reserving its money first if that has not happened.

    Raises:
        DomainError: a rule holds the payout back (limit, shortfall, stopped rail, changed destination, canary); roll back.
    """
    # The attempts come with a statement of their own: what is joined was read before the lock was there.
    payout = session.scalars(
        select(Payout)
        .where(Payout.id == payout_id)
        .options(joinedload(Payout.run), *_WITH_PAYEE, selectinload(Payout.attempts))
        .with_for_update(skip_locked=True, of=Payout)
    ).one_or_none()
    if payout is None:
        if session.scalar(select(Payout.id).where(Payout.id == payout_id)) is None:
            raise NotFound("There is no such payout.")
        return Wait(now + rules.lease, "Another worker is at it.")
    if payout.status is PayoutStatus.APPROVED:
        require_turn(session, payout)
        attempt = reserve(session, payout, rails=rails, now=now)
        payout.advance(PayoutStatus.RESERVED)
    elif payout.status is PayoutStatus.RESERVED:
        live = payout.live_attempt
        if live is None and len(payout.attempts) >= payout.attempts_allowed:
            return Wait(None, "The last attempt failed; a person decides whether to try again.")
        attempt = live or _next_attempt(session, payout, rails=rails, now=now)
    else:
        return Wait(None, f"It is {payout.status}.")
    payout.blocked_reason = None
    return _take(session, attempt, rails=rails, rules=rules, now=now)


def reserve(session: Session, payout: Payout, *, rails: Mapping[str, Rail], now: datetime) -> PayoutAttempt:
    """Check every limit under lock, hold the amount in the ledger, and write down the first attempt.

    Also what a dry run does, in a transaction that is rolled back.
    """
    rail = _rail(payout, rails)
    controls.require_running(session, rail.name)
    readiness.require(session, payout.recipient_id, payout.destination_id, now=now)
    controls.lock_limits(session, payout.currency)
    for usage in controls.usages(session, payout, now=now):
        usage.require()
    documents.require(session, payout, rail, now=now)
    fitting.divide(session, payout, rail, now=now)
    payout.cash_account = cash.ensure(session, rail, payout.currency)
    payout.holds += 1
    try:
        ledger.hold(
            session,
            key=payout.hold_key,
            kind="payout.hold",
            legs=fitting.legs(session, payout),
            at=now,
            memo=payout.memo,
            refs={"payout": str(payout.id)},
        )
    except ledger.InsufficientFunds as short:
        raise cash.in_words(short, rail, payout) from short
    payout.reserved_at = now
    audit.record(session, "payout.reserved", payout, actor=None, at=now, amount=str(payout.money), **_carried(payout))
    return _new_attempt(session, payout, rail, now=now)


def _carried(payout: Payout) -> dict[str, str]:
    return {"carried": str(payout.carried)} if payout.carried_minor else {}


def require_turn(session: Session, payout: Payout) -> None:
    """Its run is being sent, and the canary of its rail came through.

    Raises:
        NotAsApproved: the run is not being sent, or the line is not the one that was approved.
        WaitsForCanary: the first payout on this rail is not accepted yet.
    """
    run = payout.run
    if run is None or run.status is not RunStatus.SENDING:
        raise NotAsApproved("The run of this payout is not being sent.")
    if line_hash(payout) != payout.approved_line_hash:
        raise NotAsApproved(
            "This payout is not what was approved any more (recipient or destination changed); take it back and approve it anew."
        )
    canary = queries.canary_before(session, payout)
    if canary is not None:
        raise WaitsForCanary(
            f"Waits until the first payout of this run on the rail “{payout.rail}” ({canary.recipient.name}) is accepted."
        )


def mark_sent(session: Session, claimed: Claim, *, capabilities: Capabilities, now: datetime) -> bool:
    """T1b: count a send before it happens, if the lease is still ours. False if it is not.

    Raises:
        RailStopped: the kill switch is on; nothing was counted.
        DestinationNotReady, PayeeHeld: the payee was held, or the destination taken out of use, since the claim.
        WaitsForTurn: the rail takes one at a time, and it is another's turn; nothing was counted.
    """
    require_going_on(session, claimed, now=now)
    if capabilities.one_at_a_time:
        _require_alone(session, claimed, capabilities, now=now)
    counted = session.execute(
        update(PayoutAttempt)
        .where(
            PayoutAttempt.id == claimed.attempt_id,
            PayoutAttempt.lease_token == claimed.token,
            PayoutAttempt.lease_until > now,
            PayoutAttempt.state.in_([AttemptState.SENDING, AttemptState.UNKNOWN]),
        )
        .values(sends=PayoutAttempt.sends + 1, sent_at=now)
        .returning(PayoutAttempt.id)
    )
    return counted.first() is not None


def require_going_on(session: Session, claimed: Claim, *, now: datetime) -> None:
    """Nothing keeps us from doing what brings this payment further.

    Raises:
        RailStopped: the kill switch is on.
        DestinationNotReady, PayeeHeld: the payee was held, or the destination taken out of use, since the claim.
    """
    controls.require_running(session, claimed.rail)
    payee = session.execute(select(Payout.recipient_id, Payout.destination_id).where(Payout.id == claimed.payout_id)).one()
    readiness.require(session, payee.recipient_id, payee.destination_id, now=now)


def _require_alone(session: Session, claimed: Claim, capabilities: Capabilities, *, now: datetime) -> None:
    """Nothing else is in flight on this rail, and nothing unanswered went to this destination.

    A send is in flight from T1b, whose commit ends this lock, until its answer is recorded or no call can last any longer: while
    its lease lasts it may still begin. So of two workers that come at once the second sees the first one's send.
    """
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"payouts.turn:{claimed.rail}", 0))))
    others = session.scalars(
        select(PayoutAttempt).where(
            PayoutAttempt.rail == claimed.rail,
            PayoutAttempt.id != claimed.attempt_id,
            PayoutAttempt.state.in_([AttemptState.SENDING, AttemptState.UNKNOWN]),
            PayoutAttempt.sends > PayoutAttempt.declined,
        )
    ).all()
    for other in others:
        assert other.sent_at is not None, "what was sent has a time"
        if now < max(other.sent_at + capabilities.timeout, other.lease_until or other.sent_at):
            raise WaitsForTurn("Another payment is on its way, and this rail takes one at a time.", until=now + TURN_PAUSE)
    if any(other.parameters["destination"] == dict(claimed.instruction.destination) for other in others):
        raise WaitsForTurn(
            "An earlier payment to this destination has no answer yet; this one waits until it is known what became of it.",
            until=now + UNANSWERED_PAUSE,
        )


def release(session: Session, claimed: Claim, *, not_before: datetime | None = None) -> None:
    """Give the lease back without having done anything."""
    session.execute(
        update(PayoutAttempt)
        .where(PayoutAttempt.id == claimed.attempt_id, PayoutAttempt.lease_token == claimed.token)
        .values(lease_token=None, lease_until=None, not_before=func.coalesce(not_before, PayoutAttempt.not_before))
    )


def known(attempt: PayoutAttempt) -> Known:
    """The part of an attempt that the rules look at."""
    return Known(
        state=attempt.state,
        sends=attempt.sends,
        declined=attempt.declined,
        created_at=attempt.created_at,
        sent_at=attempt.sent_at,
        not_before=attempt.not_before,
        lease_until=attempt.lease_until,
        at_rail=attempt.at_rail,
    )


def _next_attempt(session: Session, payout: Payout, *, rails: Mapping[str, Rail], now: datetime) -> PayoutAttempt:
    """Another attempt under the same hold, with a new key: the last one certainly moved no money."""
    rail = _rail(payout, rails)
    controls.require_running(session, rail.name)
    require_turn(session, payout)
    readiness.require(session, payout.recipient_id, payout.destination_id, now=now)
    return _new_attempt(session, payout, rail, now=now)


def _new_attempt(session: Session, payout: Payout, rail: Rail, *, now: datetime) -> PayoutAttempt:
    no = len(payout.attempts) + 1
    assert payout.destination is not None
    instruction = Instruction(
        reference=reference(payout.id, no),
        money=payout.leaving,
        recipient=payout.recipient.name,
        country=payout.recipient.country,
        destination=payout.destination.details,
        memo=payout.memo,
        begun_at=now,
    )
    by_hand = rail.capabilities.needs_person and not rail.capabilities.in_files
    attempt = PayoutAttempt(
        id=new_id(),
        payout_id=payout.id,
        no=no,
        rail=rail.name,
        idem_key=instruction.reference,
        parameters=instruction.parameters(),
        state=AttemptState.HUMAN if by_hand else AttemptState.SENDING,
        sends=0,
        declined=0,
        lookups=0,
        created_at=now,
        changed_at=now,
        detail="Waits for a person to pay it and to bring evidence." if by_hand else None,
    )
    payout.attempts.append(attempt)
    audit.record(session, "payout.attempt_started", payout, actor=None, at=now, no=no, rail=rail.name, key=attempt.idem_key)
    return attempt


def _take(session: Session, attempt: PayoutAttempt, *, rails: Mapping[str, Rail], rules: Rules, now: datetime) -> Claim | Wait:
    rail = rails.get(attempt.rail)
    if rail is None:
        return Wait(None, f"The rail “{attempt.rail}” is not part of this installation.")
    capabilities = rail.capabilities
    payee = attempt.payout.recipient_id, attempt.payout.destination_id
    if attempt.sends > attempt.declined and readiness.why_not(session, *payee, now=now) is not None:
        # Sending the same key again would pay if the first send never arrived; a look-up finds out as well, and pays nothing.
        capabilities = replace(capabilities, idempotent=False)
    todo: Next = next_step(known(attempt), capabilities, rules, now)
    if todo.step is Step.WAIT:
        return Wait(todo.until, "Too early to conclude anything.")
    if todo.step in {Step.NOTHING, Step.PEOPLE}:
        return Wait(None, "It ended." if todo.step is Step.NOTHING else "Waits for people.")
    if todo.step is Step.LOOK_UP:
        if attempt.state is AttemptState.SENDING:  # its worker died after counting the send
            attempt.advance(AttemptState.UNKNOWN, at=now, detail="The worker that sent it never came back.")
        attempt.lookups += 1
    attempt.lease_token, attempt.lease_until, attempt.not_before = uuid4(), now + rules.lease, None
    return Claim(
        payout_id=attempt.payout_id,
        attempt_id=attempt.id,
        token=attempt.lease_token,
        step=todo.step,
        lease_until=attempt.lease_until,
        instruction=Instruction.from_parameters(attempt.parameters),
        rail=attempt.rail,
        sends=attempt.sends,
    )


def _rail(payout: Payout, rails: Mapping[str, Rail]) -> Rail:
    rail = rails.get(payout.rail or "")
    if rail is None:
        raise RailMissing(f"The rail “{payout.rail}” is not part of this installation; take the payout back and choose another.")
    return rail
