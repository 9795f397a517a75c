"""Bringing our record of a refund to what the provider says about it."""

from datetime import datetime

from sqlalchemy.orm import Session

from core import audit
from pledge.models import PayInRefund, RefundStatus
from pledge.providers.base import RefundSeen, RefundStanding
from pledge.services import refund_holds

STATUS_OF = {
    RefundStanding.PENDING: RefundStatus.PENDING,
    RefundStanding.DONE: RefundStatus.DONE,
    RefundStanding.FAILED: RefundStatus.FAILED,
}


def follow(session: Session, refund: PayInRefund, seen: RefundSeen, *, now: datetime) -> None:
    """Bring a refund to where the provider says it is; the same again changes nothing."""
    refund.remote_id, refund.wants_details = seen.id, seen.wants_details
    status = STATUS_OF[seen.standing]
    if refund.status is status or status in _before(refund.status):
        return
    if status is RefundStatus.FAILED:
        fail(session, refund, f"The company's bank did not take it ({seen.failure}); the money is with us again.", now=now)
    else:
        refund.advance(status)
        audit.record(session, f"refund.{status}", refund, actor=None, at=now, amount=str(refund.money))


def _before(status: RefundStatus) -> set[RefundStatus]:
    """Where a refund does not go back to, whatever an answer of before says."""
    return {RefundStatus.PENDING} if status in {RefundStatus.DONE, RefundStatus.FAILED} else set()


def fail(session: Session, refund: PayInRefund, why: str, *, now: datetime) -> None:
    refund.failure = why
    refund.advance(RefundStatus.FAILED)
    refund_holds.void(session, refund.id, now=now)
    audit.record(session, "refund.failed", refund, actor=None, at=now, reason=why, amount=str(refund.money))
