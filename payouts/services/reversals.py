"""Taking a paid payout back at its rail: one person takes it back, the rail's own answer is the evidence, a second one books it.

Between the two a payout says that it was paid, which is what the ledger says as well. A process that dies after the rail did it
leaves nothing behind that can't be repeated: the rail is asked what it did before it is asked to do it.
"""

import io
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit, files
from core.errors import DomainError
from core.identity.models import Person
from payouts import queries
from payouts.models import AttemptState, Outcome, PayoutStatus, Resolution
from payouts.rails.base import Rail, Receipt, Reversal, ReversibleRail
from payouts.services import resolutions


class NotReversible(DomainError):
    """There is no payment that this rail could take back."""

    code = "not_reversible"


@dataclass(frozen=True)
class Wanted:
    """A payment that is to be taken back."""

    payout_id: UUID
    attempt_id: UUID
    receipt: Receipt
    reference: str
    reason: str


def begin(session: Session, payout_id: UUID, *, rail: Rail | None, actor: Person, reason: str, now: datetime) -> Wanted:
    """Write down who wants a payment back and why. Commit, then ask the rail.

    Raises:
        NotReversible: it was not paid, its rail takes nothing back, or a finding about it is open.
    """
    payout = queries.payout(session, payout_id)
    attempt = next((each for each in payout.attempts if each.state is AttemptState.ACCEPTED), None)
    if not isinstance(rail, ReversibleRail) or payout.status is not PayoutStatus.PAID or attempt is None:
        raise NotReversible("Only a payment that was made, on a rail that can take it back, can be taken back.")
    if attempt.proposal is not None:
        raise NotReversible("A finding about this payment waits for its second person; decide about that one first.")
    assert attempt.remote_id is not None, "an accepted attempt has the rail's id"
    audit.record(session, "payout.reversal_wanted", payout, actor=actor, at=now, reason=reason, remote_id=attempt.remote_id)
    return Wanted(payout.id, attempt.id, Receipt(attempt.remote_id, payout.money), attempt.idem_key, reason)


def finish(session: Session, wanted: Wanted, done: Reversal, *, actor: Person, now: datetime) -> Resolution:
    """Propose that it is booked, with the rail's answer as the evidence. A second person confirms as always."""
    evidence = files.store(
        session,
        io.BytesIO(done.answer.encode()),
        name=f"reversal-{wanted.receipt.remote_id}.txt",
        uploaded_by_id=actor.id,
        now=now,
    )
    session.flush()
    return resolutions.propose(
        session, wanted.attempt_id, outcome=Outcome.REVERSED, remote_id=None, evidence=evidence,
        note=f"{wanted.reason} The rail took it back as {', '.join(done.remote_ids)}.", actor=actor, now=now,
    )  # fmt: skip
