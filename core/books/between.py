"""Money between a balance of ours with a provider and our bank: one movement that both tell, and one entry for both.

The provider lists the payout before the bank books it, so it is expected on the account like a pay-in is. Booked as anything else
it would be counted twice: it came to the ledger already, when the provider received it.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from core import audit, ledger
from core.books.models import Direction, Explanation, OutsideMovement, Subject
from core.books.sources import Expected, Finding, Posted
from core.errors import DomainError, NotFound
from core.files import StoredFile
from core.identity.models import Person
from core.ledger import Guard, Leg, Side

NAME = "between"
KINDS = ("payout", "payout_cancel", "payout_failure", "topup", "topup_reversal")
"""What providers call money that goes to our bank or comes from it, and what of it comes back."""


class SaidByProvider(DomainError):
    """Nobody needs to say that it was sent: the provider does."""

    code = "said_by_provider"


class BetweenOurs:
    """Implements core.books.sources.Source."""

    name = NAME

    def expected(self, session: Session) -> Sequence[Expected]:
        # A payout that failed never comes to the bank: two people have explained it, and nothing waits for it.
        explained = exists().where(
            Explanation.subject == Subject.OUTSIDE_MOVEMENT,
            Explanation.subject_id == OutsideMovement.id,
            Explanation.confirmed.is_(True),
        )
        rows = session.scalars(
            select(OutsideMovement)
            .where(OutsideMovement.entry_id.is_(None), OutsideMovement.kind.in_(KINDS), ~explained)
            .order_by(OutsideMovement.occurred_at, OutsideMovement.id)
        )
        return [
            Expected(
                source=NAME,
                id=row.id,
                direction=Direction.IN if row.amount_minor < 0 else Direction.OUT,
                reference=row.about or row.remote_id,
                money=row.money if row.amount_minor > 0 else -row.money,
                who=f"Our balance at {_title(row)}",
                path="/books/reconciliation",
            )
            for row in rows
        ]

    def posted(self, session: Session, keys: Collection[str]) -> Mapping[str, Posted]:
        # Whatever is posted here meets its line at once, so none is looked for.
        return {}

    def note_sent(
        self, session: Session, expected_id: UUID, finding: Finding, evidence: StoredFile, *, actor: Person, now: datetime
    ) -> None:
        raise SaidByProvider("The provider itself lists it; confirm that the line is it.")

    def found(self, session: Session, expected_id: UUID, finding: Finding, *, actor: Person, now: datetime) -> str:
        row = session.get(OutsideMovement, expected_id, with_for_update=True, populate_existing=True)
        if row is None or row.entry_id is not None:
            raise NotFound("This movement has its entry of the ledger: somebody was faster.")
        currency = row.currency.lower()
        balance, bank = f"assets:rail:{row.provider}:{currency}", f"assets:bank:{currency}"
        for code, name in ((balance, f"Balance at {_title(row)}, {row.currency}"), (bank, f"Bank, {row.currency}")):
            ledger.ensure_account(session, code, row.currency, normal=Side.DEBIT, guard=Guard.DEBIT, name=name)
        cash, amount = finding.set_aside or bank, abs(row.amount_minor)
        leg = (
            Leg(debit=cash, credit=balance, amount=amount)
            if row.amount_minor < 0
            else Leg(debit=balance, credit=cash, amount=amount)
        )
        entry = ledger.post(
            session,
            key=f"between:{row.id}",
            kind="books.between",
            legs=[leg],
            at=now,
            memo=f"{row.kind.replace('_', ' ').capitalize()} {row.about or row.remote_id}",
            refs={"rail": row.provider, "balance_transaction": row.remote_id},
        )
        row.entry_id = entry.id
        session.flush()
        audit.record(session, "outside_movement.met", row, actor=actor, at=now, entry=str(entry.id), line=finding.label)
        return entry.key


def _title(row: OutsideMovement) -> str:
    return row.provider.replace("_", " ").title()
