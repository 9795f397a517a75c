"""Money that came back after it was paid, as the providers' own lists show it: found by machines, booked by a person.

A payment that was posted can be returned days later by the payee's bank, refunded by a fiscal host, or reversed on the provider's
pages. Nobody has to notice: the movement names the payment. The provider's word is the first of the two that a finding takes.
"""

import io
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session, selectinload

from core import files
from core.books.models import OutsideMovement
from core.books.movements import FEES
from payouts.models import AttemptState, Outcome, Payout, PayoutAttempt, PayoutStatus
from payouts.services import controls, resolutions
from payouts.services.movements import RAILS

REVERSED = frozenset({"transfer_refund", "transfer_cancel"})
"""What Stripe calls a transfer that we, or somebody on our pages there, took back."""


def find(session: Session, *, now: datetime) -> int:
    """Propose what the lists say came back and nobody has said yet. Returns how many.

    Other amounts than the payment's are an alarm: people find out what that is. What was turned down is not proposed again.
    """
    providers = {rail: provider for provider, names in RAILS.items() for rail in names}
    rows = session.execute(
        select(PayoutAttempt, OutsideMovement)
        .join(OutsideMovement, OutsideMovement.about == PayoutAttempt.remote_id)
        .join(Payout, Payout.id == PayoutAttempt.payout_id)
        .where(
            OutsideMovement.entry_id.is_(None),
            OutsideMovement.amount_minor > 0,
            OutsideMovement.kind.not_in(FEES),
            PayoutAttempt.rail.in_(providers),
            PayoutAttempt.state == AttemptState.ACCEPTED,
            Payout.status == PayoutStatus.PAID,
        )
        .options(selectinload(PayoutAttempt.resolutions))
        .order_by(OutsideMovement.occurred_at, OutsideMovement.id)
    ).all()
    found = 0
    for attempt, seen in rows:
        told = attempt.proposal is not None or any(each.proposed_by_id is None for each in attempt.resolutions)
        if told or seen.provider != providers[attempt.rail]:
            continue
        if seen.money == attempt.money:
            _propose(session, attempt, seen, now=now)
            found += 1
        else:
            message = f"{seen.money} of this payment of {attempt.money} came back as {seen.remote_id}; find out what that is."
            controls.raise_alarm(session, attempt.payout, message, now=now)
    return found


def _propose(session: Session, attempt: PayoutAttempt, seen: OutsideMovement, *, now: datetime) -> None:
    rows = {
        "Provider": seen.provider, "Movement": seen.remote_id, "Kind": seen.kind, "Payment": seen.about or "",
        "Amount": str(seen.money), "At": seen.occurred_at.isoformat(), "First seen": seen.first_seen_at.isoformat(),
    }  # fmt: skip
    text = "".join(f"{name}: {value}\n" for name, value in rows.items())
    evidence = files.store(
        session, io.BytesIO(text.encode()), name=f"movement-{seen.remote_id}.txt", uploaded_by_id=None, now=now
    )
    session.flush()
    resolutions.propose(
        session,
        attempt.id,
        outcome=Outcome.REVERSED if seen.kind in REVERSED else Outcome.RETURNED,
        remote_id=None,
        evidence=evidence,
        note=f"{seen.provider.replace('_', ' ').capitalize()} lists that {seen.money} came back as {seen.remote_id}.",
        actor=None,
        now=now,
    )
