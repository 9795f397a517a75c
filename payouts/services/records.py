"""T2, the record: what became of a step, in one commit with the ledger and the payout. Recording twice changes nothing.

A truth told by a rail is always taken, lease or not: whoever was thought dead may still bring a receipt.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit, ledger
from core.money import Money
from payouts.models import AttemptFailure, AttemptState, Payout, PayoutAttempt, PayoutStatus
from payouts.policies import Finding, Rules, judge
from payouts.rails.base import Capabilities, NotNow, NotYet, RailError, Receipt, Refused, SaidNo
from payouts.services import controls
from payouts.services.claims import Claim
from payouts.services.requests import tell


def locked(session: Session, attempt_id: UUID) -> tuple[Payout, PayoutAttempt]:
    """Payout and attempt, both locked, the payout first as everywhere."""
    payout = session.scalars(
        select(Payout)
        .join(PayoutAttempt, PayoutAttempt.payout_id == Payout.id)
        .where(PayoutAttempt.id == attempt_id)
        .with_for_update(of=Payout)
        .execution_options(populate_existing=True)
    ).one()
    attempt = session.scalars(
        select(PayoutAttempt)
        .where(PayoutAttempt.id == attempt_id)
        .with_for_update(of=PayoutAttempt)
        .execution_options(populate_existing=True)
    ).one()
    return payout, attempt


def accepted(session: Session, attempt_id: UUID, receipt: Receipt, *, now: datetime) -> None:
    """The rail has it: attempt, ledger and payout in one commit."""
    payout, attempt = locked(session, attempt_id)
    if attempt.state is AttemptState.ACCEPTED and attempt.remote_id == receipt.remote_id:
        return
    if attempt.state in {AttemptState.ACCEPTED, AttemptState.FAILED}:
        before = f"accepted as {attempt.remote_id}" if attempt.remote_id else f"given up as {attempt.failure}"
        controls.raise_alarm(
            session, payout,
            f"Attempt {attempt.no} was {before}, and the rail now also knows it as {receipt.remote_id}: it may be paid twice.",
            now=now,
        )  # fmt: skip
        return
    taken_by = session.scalars(
        select(PayoutAttempt).where(PayoutAttempt.rail == attempt.rail, PayoutAttempt.remote_id == receipt.remote_id)
    ).one_or_none()
    if taken_by is not None or receipt.money != attempt.money:
        problem = (
            f"belongs to {taken_by.idem_key} already"
            if taken_by is not None
            else f"is over {receipt.money} instead of {attempt.money}"
        )
        to_people(session, payout, attempt, f"The rail answered with {receipt.remote_id}, which {problem}.", now=now, alarm=True)
        return
    settle(session, payout, attempt, receipt, now=now)


def settle(session: Session, payout: Payout, attempt: PayoutAttempt, receipt: Receipt, *, now: datetime) -> None:
    """Mark paid and settle the hold. The ledger key exists once per payout, whatever happens."""
    attempt.advance(AttemptState.ACCEPTED, at=now, remote_id=receipt.remote_id)
    attempt.fee_minor, attempt.cost_minor = _told(attempt, receipt.fee, most=attempt.money), _told(attempt, receipt.cost)
    ledger.settle(session, key=payout.settle_key, amounts=None, at=now, hold_key=payout.hold_key)
    payout.advance(PayoutStatus.PAID)
    payout.paid_at, payout.blocked_reason = now, None
    audit.record(session, "payout.paid", payout, actor=None, at=now, remote_id=receipt.remote_id, attempt=attempt.no)
    tell(session, payout, now=now)


def _told(attempt: PayoutAttempt, amount: Money | None, *, most: Money | None = None) -> int | None:
    """A price the rail told, if it can be one: in the payment's currency, not negative, and from the payee not more than it."""
    if amount is None or amount.currency != attempt.money.currency or amount < Money(0, amount.currency):
        return None
    return None if most is not None and amount > most else amount.amount_minor


def answered(session: Session, claimed: Claim, error: Exception, *, now: datetime) -> None:
    """A send that brought no receipt."""
    payout, attempt = locked(session, claimed.attempt_id)
    ours = attempt.lease_token == claimed.token
    match error:
        case Refused():
            _refused(session, payout, attempt, error, ours=ours, now=now)
        case NotNow():
            # Counted even if the lease is gone: the send it answers certainly did nothing.
            attempt.declined += 1
            if ours:
                attempt.lease_token = attempt.lease_until = None
                attempt.not_before, attempt.detail = now + error.retry_after, str(error)
        case SaidNo():
            attempt.said_no = str(error)[:500]
            if ours:
                _without_answer(session, payout, attempt, str(error)[:500], now=now)
        case NotYet():
            attempt.at_rail = True
            if ours:
                _without_answer(session, payout, attempt, str(error)[:500], now=now)
                attempt.not_before = now + error.look_again
        case RailError(permanent=True):
            if ours:
                to_people(session, payout, attempt, str(error), now=now, alarm=True)
        case _:
            if ours:
                _without_answer(session, payout, attempt, f"{error}"[:500] or type(error).__name__, now=now)


def looked_up(
    session: Session, claimed: Claim, found: Sequence[Receipt], *, capabilities: Capabilities, rules: Rules, now: datetime
) -> None:
    """What a look-up after quiescence showed."""
    payout, attempt = locked(session, claimed.attempt_id)
    finding = judge(found, attempt.money, capabilities)
    if finding is Finding.ACCEPTED:
        accepted(session, attempt.id, found[0], now=now)
        return
    if attempt.lease_token != claimed.token or attempt.state is not AttemptState.UNKNOWN:
        return  # somebody else found out meanwhile
    assert attempt.sent_at is not None, "what is looked up was sent"
    quiet = attempt.sent_at + rules.quiet_after(capabilities)
    if attempt.at_rail and now < quiet and finding is not Finding.CONTRADICTION:
        attempt.lease_token, attempt.lease_until, attempt.not_before = None, None, quiet
    elif finding is Finding.ABSENT and attempt.at_rail:
        to_people(session, payout, attempt, "The rail had it, and does not know it any more.", now=now, alarm=True)
    elif finding is Finding.ABSENT and attempt.said_no:
        failed(session, payout, attempt, AttemptFailure.REFUSED, f"{attempt.said_no} The rail does not know it.", now=now)
        tell(session, payout, now=now, status="failed")
    elif finding is Finding.ABSENT:
        failed(session, payout, attempt, AttemptFailure.ABSENT, "The rail does not know it, and would by now.", now=now)
        if len(payout.attempts) < rules.attempts_max:
            payout.attempts_allowed = max(payout.attempts_allowed, len(payout.attempts) + 1)
    elif finding is Finding.PEOPLE:
        to_people(session, payout, attempt, "The rail can't prove that it did nothing.", now=now)
    else:
        listed = ", ".join(f"{receipt.remote_id} ({receipt.money})" for receipt in found)
        to_people(session, payout, attempt, f"The rail knows this reference as {listed}.", now=now, alarm=True)


def not_looked_up(session: Session, claimed: Claim, error: Exception, *, pause: timedelta, now: datetime) -> None:
    """The look-up brought no list: the rail said no for good, or nothing new is known and it is made again."""
    payout, attempt = locked(session, claimed.attempt_id)
    if attempt.lease_token != claimed.token:
        return
    if isinstance(error, Refused) and attempt.state is AttemptState.UNKNOWN and not error.stops_rail:
        failed(session, payout, attempt, AttemptFailure.REFUSED, str(error), now=now)
        tell(session, payout, now=now, status="failed")
        return
    again = pause
    attempt.at_rail = attempt.at_rail or isinstance(error, NotYet)
    if isinstance(error, NotNow | NotYet):
        again = max(pause, error.retry_after if isinstance(error, NotNow) else error.look_again)
    attempt.lease_token = attempt.lease_until = None
    attempt.not_before, attempt.detail = now + again, f"{error}"[:500]


def failed(session: Session, payout: Payout, attempt: PayoutAttempt, how: AttemptFailure, detail: str, *, now: datetime) -> None:
    """Certain: this attempt moved no money and never will."""
    attempt.advance(AttemptState.FAILED, at=now, detail=detail, failure=how)
    audit.record(session, "payout.attempt_failed", payout, actor=None, at=now, reason=detail, attempt=attempt.no, how=how.value)


def to_people(
    session: Session, payout: Payout, attempt: PayoutAttempt, detail: str, *, now: datetime, alarm: bool = False
) -> None:
    """Only people can find out."""
    if attempt.state is AttemptState.SENDING:
        attempt.advance(AttemptState.UNKNOWN, at=now)
        session.flush()  # two steps of the graph are two updates, or the database's guard refuses the leap
    if attempt.state is AttemptState.UNKNOWN:
        attempt.advance(AttemptState.HUMAN, at=now, detail=detail)
        audit.record(session, "payout.needs_people", payout, actor=None, at=now, reason=detail, attempt=attempt.no)
    if alarm:
        controls.raise_alarm(session, payout, detail, now=now)


def _refused(session: Session, payout: Payout, attempt: PayoutAttempt, refusal: Refused, *, ours: bool, now: datetime) -> None:
    """A refusal ends the attempt only if it answers the one send that has no answer yet."""
    if attempt.state not in {AttemptState.SENDING, AttemptState.UNKNOWN}:
        pass  # it ended meanwhile; the refusal is about a send that changed nothing
    elif attempt.sends - attempt.declined == 1:
        failed(session, payout, attempt, AttemptFailure.REFUSED, str(refusal), now=now)
        tell(session, payout, now=now, status="failed")
    elif ours:  # an earlier send was never answered, and this refusal says nothing about that one
        _without_answer(session, payout, attempt, str(refusal), now=now)
    if refusal.stops_rail:
        controls.stop_rail(session, attempt.rail, reason=str(refusal), actor=None, now=now)


def _without_answer(session: Session, payout: Payout, attempt: PayoutAttempt, detail: str, *, now: datetime) -> None:
    """A time-out, a cut, a 5xx, a bug after the first byte: nothing is known. Never failed."""
    if attempt.state is AttemptState.SENDING:
        attempt.advance(AttemptState.UNKNOWN, at=now, detail=detail)
        audit.record(session, "payout.unknown", payout, actor=None, at=now, reason=detail, attempt=attempt.no)
    else:
        attempt.lease_token = attempt.lease_until = None
        attempt.detail = detail
