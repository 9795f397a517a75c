"""How an obligation to pay comes into being, and how its owner hears what became of it."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import audit, tasks
from core.db import new_id
from core.errors import DomainError, InvalidInput, NotFound
from core.identity.models import Person
from core.money import Money
from payouts.models import CLOSED, Payout, PayoutStatus, Recipient


class NotSameRequest(DomainError):
    """The obligation already has an open payout, and it says something else."""

    code = "obligation_taken"


@dataclass(frozen=True)
class PayoutChanged(tasks.Task):
    """Tells whoever owes what became of it: a PayoutStatus, or `failed` when the rail refused and a person must act."""

    kind: ClassVar[str] = "payouts.changed"
    payout_id: UUID
    obligation: str
    status: str


def request(
    session: Session,
    *,
    obligation: str,
    recipient_id: UUID,
    money: Money,
    fund_account: str,
    memo: str,
    prepared_by: Person,
    due_on: date,
    now: datetime,
    is_demo: bool = False,
) -> Payout:
    """Write down that a recipient is owed money for a reason. Asking again for the same gives the same payout.

    After a payout of this obligation was returned, reversed or cancelled, asking opens its next round.

    Raises:
        InvalidInput: not a positive amount.
        NotFound: there is no such recipient.
        NotSameRequest: an open payout of this obligation has another recipient, amount or fund.
    """
    if money.amount_minor <= 0:
        raise InvalidInput(f"A payout is more than nothing; {money} is not.", field="amount")
    if session.get(Recipient, recipient_id) is None:
        raise NotFound("There is no such recipient; add it under Payouts → Recipients first.")
    known = open_payout(session, obligation)
    if known is None:
        payout = Payout(
            id=new_id(),
            obligation=obligation,
            round=1 + (session.scalar(select(func.max(Payout.round)).where(Payout.obligation == obligation)) or 0),
            recipient_id=recipient_id,
            amount_minor=money.amount_minor,
            currency=money.currency,
            fund_account=fund_account,
            memo=memo,
            due_on=due_on,
            status=PayoutStatus.DRAFT,
            prepared_by_id=prepared_by.id,
            created_at=now,
            is_demo=is_demo,
        )
        try:
            with session.begin_nested():
                session.add(payout)
        except IntegrityError:
            known = open_payout(session, obligation)  # somebody asked for the same at the same moment
            if known is None:
                raise
        else:
            audit.record(session, "payout.requested", payout, actor=prepared_by, at=now, amount=str(money), round=payout.round)
            return payout
    if (known.recipient_id, known.money, known.fund_account) != (recipient_id, money, fund_account):
        raise NotSameRequest(
            f"“{obligation}” is already owed as {known.money} to another recipient, amount or fund; cancel that payout first.",
            payout=str(known.id),
        )
    return known


def open_payout(session: Session, obligation: str) -> Payout | None:
    """The payout of an obligation that is neither cancelled nor came back."""
    return session.scalars(select(Payout).where(Payout.obligation == obligation, Payout.status.not_in(CLOSED))).one_or_none()


def tell(session: Session, payout: Payout, *, now: datetime, status: str | None = None) -> None:
    """Enqueue the news of a payout, in the transaction that makes it."""
    tasks.enqueue(session, PayoutChanged(payout.id, payout.obligation, status or payout.status.value), now=now)
