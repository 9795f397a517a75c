"""Payouts as the books see them: payments that left in a bank file, to be found on a bank statement."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from core.books.models import Direction
from core.books.sources import Expected, Finding, Posted
from core.errors import DomainError
from core.files import StoredFile
from core.identity.models import Person
from payouts.models import AttemptState, Payout, PayoutAttempt, PayoutStatus
from payouts.rails.bank_file import BankFileRail
from payouts.rails.base import Receipt
from payouts.services import records, sending

PREFIXES = ("paid:payout:", "returned:payout:", "reversed:payout:")


class NotWaiting(DomainError):
    """This payment waits for no answer of the bank."""

    code = "not_waiting"


class BankPayments:
    """Implements core.books.sources.Source. What the bank booked is as good as its answer “paid”."""

    name = "payouts"

    def expected(self, session: Session) -> Sequence[Expected]:
        attempts = session.scalars(
            select(PayoutAttempt)
            .where(
                PayoutAttempt.rail == BankFileRail.name,
                PayoutAttempt.bank_file_id.is_not(None),
                PayoutAttempt.state.in_([AttemptState.UNKNOWN, AttemptState.HUMAN]),
            )
            .options(joinedload(PayoutAttempt.payout).joinedload(Payout.recipient))
            .order_by(PayoutAttempt.created_at)
        ).all()
        return [
            Expected(
                source=self.name,
                id=attempt.id,
                direction=Direction.OUT,
                reference=attempt.idem_key,
                money=attempt.money,
                who=attempt.payout.recipient.name,
                path=f"/payouts/{attempt.payout_id}",
            )
            for attempt in attempts
        ]

    def posted(self, session: Session, keys: Collection[str]) -> Mapping[str, Posted]:
        ids = {UUID(key.removeprefix(prefix)): key for prefix in PREFIXES for key in keys if key.startswith(prefix)}
        attempts = session.scalars(
            select(PayoutAttempt)
            .where(PayoutAttempt.payout_id.in_(ids), PayoutAttempt.state == AttemptState.ACCEPTED)
            .options(joinedload(PayoutAttempt.payout).joinedload(Payout.recipient))
        )
        return {
            key: Posted(
                tuple(name for name in (attempt.idem_key, attempt.remote_id) if name),
                attempt.payout.recipient.name,
                f"/payouts/{attempt.payout_id}",
            )
            for attempt in attempts
            for key in keys
            if key in {f"{prefix}{attempt.payout_id}" for prefix in PREFIXES}
        }

    def note_sent(
        self, session: Session, expected_id: UUID, finding: Finding, evidence: StoredFile, *, actor: Person, now: datetime
    ) -> None:
        raise NotWaiting("A payment in a bank file was sent; it only has to be confirmed.")

    def found(self, session: Session, expected_id: UUID, finding: Finding, *, actor: Person, now: datetime) -> str:
        payout, attempt = records.locked(session, expected_id)
        if attempt.state not in {AttemptState.UNKNOWN, AttemptState.HUMAN} or attempt.proposal is not None:
            raise NotWaiting(
                "This payment does not wait for the bank any more, or a finding about it waits for its second person."
            )
        remote_id = finding.bank_reference or finding.label
        taken = session.scalars(
            select(PayoutAttempt.idem_key).where(PayoutAttempt.rail == attempt.rail, PayoutAttempt.remote_id == remote_id)
        ).one_or_none()
        if taken is not None:
            # Banks that give one reference to a whole file: the line itself is what tells its payments apart.
            remote_id = f"{remote_id} ({finding.label})"
        records.accepted(session, attempt.id, Receipt(remote_id, finding.money), now=now)
        session.flush()
        if payout.status is not PayoutStatus.PAID:
            raise NotWaiting(f"The payment {attempt.idem_key} could not be taken as paid; look at it on the console.")
        if payout.run_id is not None:
            sending.close_if_finished(session, payout.run_id, now=now)
        return payout.settle_key
