"""Reads of files for the bank and for GitHub, and of what came back of them."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, func, or_, select
from sqlalchemy.orm import Session, contains_eager, joinedload, selectinload

from core.errors import NotFound
from core.money import Money
from payouts.models import (
    AttemptState,
    BankFile,
    BankImport,
    Destination,
    Payout,
    PayoutAttempt,
    Recipient,
    Resolution,
)


def waiting_for_file(session: Session, rail: str = "bank_file") -> list[tuple[Money, int]]:
    """Payments that go into the rail's next file, per currency: (sum, number)."""
    rows = session.execute(
        select(Payout.currency, func.sum(Payout.amount_minor - Payout.carried_minor), func.count())
        .where(Payout.id.in_(_for_file(rail, stopped=False)))
        .group_by(Payout.currency)
        .order_by(Payout.currency)
    )
    return [(Money(int(total), currency), count) for currency, total, count in rows]


def left_out_of_files(session: Session, rail: str = "bank_file") -> Sequence[Payout]:
    """What no file takes along, because its payee is on hold or its destination out of use."""
    return session.scalars(
        select(Payout)
        .where(Payout.id.in_(_for_file(rail, stopped=True)))
        .options(joinedload(Payout.recipient), joinedload(Payout.destination))
        .order_by(Payout.due_on, Payout.id)
    ).all()


def _for_file(rail: str, *, stopped: bool) -> Select[UUID]:
    """The payouts that wait for a rail's next file: those it leaves out, or the others."""
    left_out = or_(Recipient.held_reason.is_not(None), Destination.retired_at.is_not(None))
    return (
        select(Payout.id)
        .join(PayoutAttempt, PayoutAttempt.payout_id == Payout.id)
        .join(Recipient, Recipient.id == Payout.recipient_id)
        .join(Destination, Destination.id == Payout.destination_id)
        .where(PayoutAttempt.rail == rail, PayoutAttempt.state == AttemptState.SENDING, PayoutAttempt.bank_file_id.is_(None))
        .where(left_out if stopped else ~left_out)
    )


def bank_files(session: Session, rail: str = "bank_file") -> Sequence[BankFile]:
    return session.scalars(
        select(BankFile)
        .where(BankFile.rail == rail)
        .options(joinedload(BankFile.file), joinedload(BankFile.created_by))
        .order_by(BankFile.number.desc())
        .limit(50)
    ).all()


def bank_file(session: Session, file_id: UUID) -> BankFile:
    """One file.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.get(BankFile, file_id, options=[joinedload(BankFile.file)])
    if found is None:
        raise NotFound("There is no such bank file.")
    return found


def sponsor_file(session: Session, file_id: UUID) -> BankFile:
    """One file for GitHub Sponsors.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.get(BankFile, file_id, options=[joinedload(BankFile.file), joinedload(BankFile.created_by)])
    if found is None or found.rail != "github_sponsors":
        raise NotFound("There is no such file for GitHub.")
    return found


def lines_of_file(session: Session, file_id: UUID) -> Sequence[PayoutAttempt]:
    """The attempts that left in a file, by recipient, with what people found out about them."""
    return session.scalars(
        select(PayoutAttempt)
        .join(Payout, Payout.id == PayoutAttempt.payout_id)
        .join(Recipient, Recipient.id == Payout.recipient_id)
        .where(PayoutAttempt.bank_file_id == file_id)
        .options(
            contains_eager(PayoutAttempt.payout).contains_eager(Payout.recipient),
            selectinload(PayoutAttempt.resolutions).joinedload(Resolution.proposed_by),
            selectinload(PayoutAttempt.resolutions).joinedload(Resolution.evidence),
        )
        .order_by(Recipient.name, PayoutAttempt.idem_key)
    ).all()


def bank_imports(session: Session) -> Sequence[BankImport]:
    return session.scalars(
        select(BankImport)
        .options(joinedload(BankImport.file), joinedload(BankImport.imported_by))
        .order_by(BankImport.imported_at.desc())
        .limit(50)
    ).all()
