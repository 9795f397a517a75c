"""Movements of our balance with a provider, as payouts know them."""

import re
from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.books.models import OutsideMovement
from core.books.movements import FEES
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

NAMES = re.compile(r"[\w-]+")
"""What may be a provider's name for something in what people wrote: whole words only."""


class PayoutMovements:
    """Implements core.books.feeds.Claimant."""

    def claims(self, session: Session, provider: str, movements: Sequence[OutsideMovement]) -> Mapping[UUID, str]:
        rails = RAILS.get(provider, ())
        payments = {each.about: each.id for each in movements if each.about and each.kind in PAYMENTS and each.amount_minor < 0}
        back = [each for each in movements if each.about and each.amount_minor > 0 and each.kind not in FEES]
        found = self._paid(session, rails, payments)
        return found | self._back(session, rails, back)

    def _paid(self, session: Session, rails: Sequence[str], known: Mapping[str, UUID]) -> dict[UUID, str]:
        paid = session.execute(
            select(PayoutAttempt.remote_id, PayoutAttempt.payout_id).where(
                PayoutAttempt.rail.in_(rails), PayoutAttempt.state == AttemptState.ACCEPTED, PayoutAttempt.remote_id.in_(known)
            )
        )
        return {known[remote_id]: f"paid:payout:{payout_id}" for remote_id, payout_id in paid if remote_id is not None}

    def _back(self, session: Session, rails: Sequence[str], movements: Sequence[OutsideMovement]) -> dict[UUID, str]:
        """What came back whole, by the payment it is of, or by its own name in the finding that two people made of it."""
        decided = session.execute(
            select(Resolution.outcome, Resolution.note, PayoutAttempt)
            .join(PayoutAttempt, PayoutAttempt.id == Resolution.attempt_id)
            .where(
                PayoutAttempt.rail.in_(rails),
                Resolution.outcome.in_([Outcome.RETURNED, Outcome.REVERSED]),
                Resolution.confirmed.is_(True),
            )
        ).all()
        found: dict[UUID, str] = {}
        for outcome, note, attempt in decided:
            names = {attempt.remote_id, *NAMES.findall(note)}
            whole = [each for each in movements if each.about in names and each.money == attempt.money]
            # A payment comes back once: a second row of it is for people to find out about.
            for each in sorted(whole, key=lambda row: (row.about != attempt.remote_id, row.occurred_at, row.id))[:1]:
                found[each.id] = f"{outcome.value}:payout:{attempt.payout_id}"
        return found
