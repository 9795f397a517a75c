"""Movements of our balance with a provider, as payouts know them."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.books.models import OutsideMovement
from payouts.models import AttemptState, Outcome, PayoutAttempt, Resolution

RAILS = {"stripe": "stripe_connect", "trial": "fake"}
"""Which rail's payments a provider's movements are."""


class PayoutMovements:
    """Implements core.books.feeds.Claimant."""

    def claims(self, session: Session, provider: str, movements: Sequence[OutsideMovement]) -> Mapping[UUID, str]:
        rail = RAILS.get(provider)
        known = {each.about: each.id for each in movements if each.about}
        if rail is None or not known:
            return {}
        paid = session.execute(
            select(PayoutAttempt.remote_id, PayoutAttempt.payout_id).where(
                PayoutAttempt.rail == rail, PayoutAttempt.state == AttemptState.ACCEPTED, PayoutAttempt.remote_id.in_(known)
            )
        )
        found = {known[remote_id]: f"paid:payout:{payout_id}" for remote_id, payout_id in paid if remote_id is not None}
        # A payment taken back names its reversals in the finding that two people made of it.
        notes = session.execute(
            select(Resolution.note, PayoutAttempt.payout_id)
            .join(PayoutAttempt, PayoutAttempt.id == Resolution.attempt_id)
            .where(PayoutAttempt.rail == rail, Resolution.outcome == Outcome.REVERSED, Resolution.confirmed.is_(True))
        ).all()
        for about, movement_id in known.items():
            for note, payout_id in notes:
                if movement_id not in found and about in note:
                    found[movement_id] = f"reversed:payout:{payout_id}"
        return found
