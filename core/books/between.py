"""Money between a balance of ours with a provider and our bank, or another such balance: one entry for all who tell of it.

The provider lists the payout before the bank books it, so it is expected on the account like a pay-in is. Booked as anything else
it would be counted twice: it came to the ledger already, when the provider received it. Money on its way to a provider is the
same the other way round: finance books it when the provider lists it (movements.py), and the bank's line meets the entry later.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, or_, select
from sqlalchemy.orm import Session, aliased

from core import audit, ledger
from core.books import feeds, queries
from core.books.models import BankLine, Direction, Explanation, OutsideMovement, Subject
from core.books.sources import Expected, Finding, Posted
from core.errors import DomainError, NotFound
from core.files import StoredFile
from core.identity.models import Person
from core.ledger import Guard, Leg, Side

NAME, KEY = "between", "between:"
KINDS = frozenset({
    "payout", "payout_cancel", "payout_failure", "topup", "topup_reversal",
    "inbound_transfer", "inbound_transfer_reversal", "outbound_transfer", "outbound_transfer_reversal",
    "received_credit", "received_credit_reversal", "added_funds", "refund of added_funds",
})  # fmt: skip
"""What providers call money that goes to our bank or comes from it, and what of it comes back."""
GIVEN = frozenset({"contribution"})
"""What a fund calls money that anybody gave it; going out, it is a payment. That it was us, only a line of our bank says."""


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
            .where(OutsideMovement.entry_id.is_(None), _is_between(OutsideMovement), ~_has_twin(), ~explained)
            .order_by(OutsideMovement.occurred_at, OutsideMovement.id)
        ).all()
        return [
            Expected(
                source=NAME,
                id=row.id,
                direction=Direction.IN if row.amount_minor < 0 else Direction.OUT,
                reference=row.about or row.remote_id,
                money=row.money if row.amount_minor > 0 else -row.money,
                who=_who(row),
                path="/books/reconciliation",
            )
            for row in feeds.unclaimed(session, rows)
        ]

    def posted(self, session: Session, keys: Collection[str]) -> Mapping[str, Posted]:
        # What finance booked from the provider's list, before the bank told it.
        ids = {UUID(key.removeprefix(KEY)): key for key in keys if key.startswith(KEY)}
        rows = session.scalars(select(OutsideMovement).where(OutsideMovement.id.in_(ids)))
        return {
            ids[row.id]: Posted(
                tuple(name for name in (row.about, row.remote_id) if name), _who(row), f"/ledger/entries/{row.entry_id}"
            )
            for row in rows
        }

    def note_sent(
        self, session: Session, expected_id: UUID, finding: Finding, evidence: StoredFile, *, actor: Person, now: datetime
    ) -> None:
        raise SaidByProvider("The provider itself lists it; confirm that the line is it.")

    def found(self, session: Session, expected_id: UUID, finding: Finding, *, actor: Person, now: datetime) -> str:
        row = locked(session, expected_id)
        entry = post(session, [row], finding.set_aside or account_of(session, row.currency), now=now)
        audit.record(session, "outside_movement.met", row, actor=actor, at=now, entry=str(entry.id), line=finding.label)
        return entry.key


def is_between(row: OutsideMovement) -> bool:
    """Can this be money that moved between a balance of ours and the bank, by what its provider calls it?"""
    return row.kind in KINDS or (row.kind in GIVEN and row.amount_minor > 0)


def waits_for_line(session: Session, line: BankLine) -> OutsideMovement | None:
    """What was booked from a provider's list, over the amount of this line, and the bank has not told yet."""
    alike = queries.open_movements(session, line.account.ledger_code, only=line.money, direction=line.direction)
    entries = [each.entry_id for each in alike]
    return session.scalars(select(OutsideMovement).where(OutsideMovement.entry_id.in_(entries)).limit(1)).first()


def join(session: Session, *, now: datetime) -> int:
    """Book what moved from one provider to another, where both tell it under one name. Returns how many movements met."""
    twin = aliased(OutsideMovement)
    pairs = session.execute(
        select(OutsideMovement, twin)
        .join(twin, _is_twin(twin))
        .where(OutsideMovement.entry_id.is_(None), _is_between(OutsideMovement), OutsideMovement.amount_minor < 0)
        .order_by(OutsideMovement.occurred_at, OutsideMovement.id)
        .with_for_update(skip_locked=True)
    ).all()
    met = 0
    for out, back in pairs:
        if out.entry_id is None and back.entry_id is None:
            try:
                entry = post(session, [out, back], account_of(session, out.currency, back.provider), now=now)
            except ledger.InsufficientFunds:
                continue  # how the money came there is not booked yet; both stay in the list until it is
            audit.record(session, "outside_movement.met", out, actor=None, at=now, entry=str(entry.id), other=back.remote_id)
            met += 2
    return met


def post(
    session: Session, rows: Sequence[OutsideMovement], other: str, *, now: datetime, kind: str = "books.between"
) -> ledger.Entry:
    """The entry of a movement between its provider's account and another one; `rows` are all that tell of it.

    Raises:
        InsufficientFunds: the ledger knows less money where it left.
    """
    row = rows[0]
    ours, amount = account_of(session, row.currency, row.provider), abs(row.amount_minor)
    debit, credit = (other, ours) if row.amount_minor < 0 else (ours, other)
    entry = ledger.post(
        session,
        key=f"{kind.removeprefix('books.')}:{row.id}",
        kind=kind,
        legs=[Leg(debit=debit, credit=credit, amount=amount)],
        at=now,
        memo=f"{row.kind.replace('_', ' ').capitalize()} {row.about or row.remote_id}",
        refs={"rail": row.provider, "balance_transaction": row.remote_id},
    )
    for each in rows:
        each.entry_id = entry.id
    session.flush()
    return entry


def locked(session: Session, movement_id: UUID) -> OutsideMovement:
    """A movement that met nothing yet.

    Raises:
        NotFound: there is none, or it met an entry meanwhile.
    """
    row = session.get(OutsideMovement, movement_id, with_for_update=True, populate_existing=True)
    if row is None or row.entry_id is not None:
        raise NotFound("This movement has its entry of the ledger: somebody was faster.")
    return row


def _who(row: OutsideMovement) -> str:
    return f"Our balance at {feeds.title_of(row.provider)}"


def account_of(session: Session, currency: str, provider: str | None = None) -> str:
    """Our bank, or what a provider has of ours."""
    code = f"assets:rail:{provider}" if provider else "assets:bank"
    name = f"Balance at {feeds.title_of(provider)}, {currency}" if provider else f"Bank, {currency}"
    return ledger.ensure_account(
        session, f"{code}:{currency.lower()}", currency, normal=Side.DEBIT, guard=Guard.DEBIT, name=name
    ).code  # fmt: skip


def _is_between(row: type[OutsideMovement]) -> ColumnElement[bool]:
    return or_(row.kind.in_(KINDS), and_(row.kind.in_(GIVEN), row.amount_minor > 0))


def _is_twin(other: type[OutsideMovement]) -> ColumnElement[bool]:
    """The same money, as another provider tells it that had or got it."""
    return and_(
        other.about == OutsideMovement.about,
        other.provider != OutsideMovement.provider,
        other.currency == OutsideMovement.currency,
        other.amount_minor == -OutsideMovement.amount_minor,
        other.entry_id.is_(None),
        _is_between(other),
    )


def _has_twin() -> ColumnElement[bool]:
    twin = aliased(OutsideMovement)
    return exists().where(_is_twin(twin))
