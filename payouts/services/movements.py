"""Movements of our balance with a provider, as payouts know them."""

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.books.models import OutsideMovement
from payouts.models import AttemptState, Outcome, PayoutAttempt, Resolution

RAILS = {
    "stripe": ("stripe_connect",),
    "stripe_financial": ("global_payouts",),
    "trial": ("fake",),
    "open_collective": ("opencollective", "opencollective_expense"),
}
"""Which rails' payments a provider's movements are."""
PAYMENTS = frozenset({"transfer", "payment", "outbound_payment", "balance_transfer", "contribution", "added_funds", "expense"})
"""The kinds of movement that are the payment itself; its fees and what came back of it are movements of their own."""


class PayoutMovements:
    """Implements core.books.feeds.Claimant."""

    def claims(self, session: Session, provider: str, movements: Sequence[OutsideMovement]) -> Mapping[UUID, str]:
        rails = RAILS.get(provider, ())
        payments = {each.about: each.id for each in movements if each.about and each.kind in PAYMENTS and each.amount_minor < 0}
        back = {each.about: each.id for each in movements if each.about and each.amount_minor > 0}
        found = self._paid(session, rails, payments)
        return found | self._back(session, rails, back)

    def _paid(self, session: Session, rails: Sequence[str], known: Mapping[str, UUID]) -> dict[UUID, str]:
        paid = session.execute(
            select(PayoutAttempt.remote_id, PayoutAttempt.payout_id).where(
                PayoutAttempt.rail.in_(rails), PayoutAttempt.state == AttemptState.ACCEPTED, PayoutAttempt.remote_id.in_(known)
            )
        )
        return {known[remote_id]: f"paid:payout:{payout_id}" for remote_id, payout_id in paid if remote_id is not None}

    def _back(self, session: Session, rails: Sequence[str], known: Mapping[str, UUID]) -> dict[UUID, str]:
        """What came back, by the payment it is of, or by its own name in the finding that two people made of it."""
        decided = session.execute(
            select(Resolution.outcome, Resolution.note, PayoutAttempt.remote_id, PayoutAttempt.payout_id)
            .join(PayoutAttempt, PayoutAttempt.id == Resolution.attempt_id)
            .where(
                PayoutAttempt.rail.in_(rails),
                Resolution.outcome.in_([Outcome.RETURNED, Outcome.REVERSED]),
                Resolution.confirmed.is_(True),
            )
        ).all()
        return {
            movement_id: f"{outcome.value}:payout:{payout_id}"
            for outcome, note, remote_id, payout_id in decided
            for about, movement_id in known.items()
            if about == remote_id or about in note
        }
