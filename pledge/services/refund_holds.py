"""The money of a refund between its approval and its booking: held in the ledger, so that nobody can grant it meanwhile.

A hold takes it from the fund; money that has not settled can't be granted anyway, and is held when it settles. The movement of
the refund on the provider's balance settles the hold, and a refund that never comes to be voids it: one of them, once.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from core import ledger
from core.ledger import Entry, Leg
from pledge.models import PayIn, PayInRefund, RefundStatus
from pledge.services import pay_in_postings

SENT = (RefundStatus.APPROVED, RefundStatus.PENDING)


def hold(session: Session, refund: PayInRefund, amount: int, *, now: datetime) -> Entry:
    """Set an approved refund's money apart.

    Raises:
        InsufficientFunds: the fund has given it away.
    """
    pay_in = refund.pay_in
    codes = pay_in_postings.ensured(session, pay_in)
    return ledger.hold(
        session,
        key=_held(refund.id),
        kind="pledge.refund_held",
        legs=[Leg(debit=codes.fund, credit=codes.refunds, amount=amount)],
        at=now,
        memo=f"Refund to {pay_in.instalment.member.name}, {pay_in.instalment.reference}, part {pay_in.number}",
        refs={"pay_in": str(pay_in.id), "refund": str(refund.id)},
    )


def hold_approved(session: Session, pay_in: PayIn, *, now: datetime) -> None:
    """Money settled of which a part is to go back: as much of it as the fund has is held in the same breath."""
    booked = {each.source for each in pay_in.movements}
    for refund in pay_in.refunds:
        if refund.status in SENT and refund.remote_id not in booked and ledger.entry_by_key(session, _held(refund.id)) is None:
            fund = ledger.balance(session, pay_in_postings.accounts(pay_in.instalment.fund, pay_in.currency).fund)
            if (amount := min(refund.amount_minor, fund.available)) > 0:
                hold(session, refund, amount, now=now)


def settle(session: Session, refund_id: UUID, *, now: datetime) -> int:
    """The refund is about to be booked: what was held for it, now in the account of refunds; zero if nothing was."""
    held = _waiting(session, refund_id)
    if held is None:
        return 0
    ledger.settle(session, key=f"refund-settled:{refund_id}", hold_key=_held(refund_id), at=now)
    return sum(each.amount for each in held.transfers)


def void(session: Session, refund_id: UUID, *, now: datetime) -> None:
    """The refund never came to be: its money is the fund's again. Nothing to do if it was booked."""
    if _waiting(session, refund_id) is not None:
        ledger.void(session, key=f"refund-voided:{refund_id}", hold_key=_held(refund_id), at=now)


def _waiting(session: Session, refund_id: UUID) -> Entry | None:
    """The hold, if there is one that has not ended."""
    ended = (f"refund-settled:{refund_id}", f"refund-voided:{refund_id}")
    if any(ledger.entry_by_key(session, key) is not None for key in ended):
        return None
    return ledger.entry_by_key(session, _held(refund_id))


def _held(refund_id: UUID) -> str:
    return f"refund-held:{refund_id}"
