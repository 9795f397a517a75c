"""Reads of instalments, and of who vouched for them."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, selectinload

from core.errors import NotFound
from core.identity.models import Person
from pledge.models import (
    InstalmentStatus,
    InstalmentWay,
    PayIn,
    Pledge,
    PledgeInstalment,
    PledgePayment,
)


def instalments_of(session: Session, pledge: Pledge) -> Sequence[PledgeInstalment]:
    """The instalments of a period, newest first."""
    return session.scalars(
        select(PledgeInstalment).where(PledgeInstalment.pledge_id == pledge.id).order_by(PledgeInstalment.entered_at.desc())
    ).all()


def pay_ins(session: Session, *statuses: InstalmentStatus, limit: int | None = 100) -> Sequence[PledgeInstalment]:
    """Instalments in these states that come by transfer, or still may; longest waiting first."""
    unpaid = PledgeInstalment.status == InstalmentStatus.AWAITING_PAYMENT
    return session.scalars(
        select(PledgeInstalment)
        .where(PledgeInstalment.status.in_(statuses), or_(PledgeInstalment.way == InstalmentWay.TRANSFER, unpaid))
        .order_by(PledgeInstalment.entered_at)
        .limit(limit)
    ).all()


def settled_instalments(session: Session, *, limit: int = 50) -> Sequence[PledgeInstalment]:
    """What finance has dealt with, newest first."""
    done = (InstalmentStatus.SETTLED, InstalmentStatus.FAILED)
    return session.scalars(
        select(PledgeInstalment)
        .where(PledgeInstalment.status.in_(done), PledgeInstalment.way == InstalmentWay.TRANSFER)
        .order_by(func.coalesce(PledgeInstalment.confirmed_at, PledgeInstalment.entered_at).desc())
        .limit(limit)
    ).all()


def names_of_confirmers(session: Session) -> dict[UUID, str]:
    """The names behind confirmed_by_id and entered_by_id of instalments."""
    ids = select(PledgeInstalment.confirmed_by_id).union(select(PledgeInstalment.entered_by_id))
    return {row[0]: row[1] for row in session.execute(select(Person.id, Person.name).where(Person.id.in_(ids))).all()}


def names_of(session: Session, people: Collection[UUID]) -> dict[UUID, str]:
    """The names of these people."""
    return {row[0]: row[1] for row in session.execute(select(Person.id, Person.name).where(Person.id.in_(people))).all()}


def instalment(session: Session, instalment_id: UUID) -> PledgeInstalment:
    """One instalment, to look at.

    Raises:
        NotFound: no such instalment.
    """
    found = session.get(PledgeInstalment, instalment_id)
    if found is None:
        raise NotFound("There is no such instalment.")
    return found


def instalment_by_reference(session: Session, reference: str) -> PledgeInstalment:
    """The instalment that a company writes this reference on.

    Raises:
        NotFound: no such instalment.
    """
    found = session.scalars(select(PledgeInstalment).where(PledgeInstalment.reference == reference.strip().upper())).first()
    if found is None:
        raise NotFound(f"There is no instalment with the reference {reference[:40]}.")
    return found


def locked_instalment(session: Session, instalment_id: UUID) -> PledgeInstalment:
    """The instalment, locked: it is confirmed once. Its pay-ins are read again too: what it counts for depends on all of them.

    Raises:
        NotFound: no such instalment.
    """
    found = session.get(
        PledgeInstalment,
        instalment_id,
        options=[selectinload(PledgeInstalment.pay_ins).selectinload(PayIn.movements)],
        with_for_update={"of": PledgeInstalment},
        populate_existing=True,
    )
    if found is None:
        raise NotFound("There is no such instalment.")
    return found


def payment_of_instalment(session: Session, instalment: PledgeInstalment) -> PledgePayment | None:
    """What an instalment counts for now."""
    return session.scalars(
        select(PledgePayment).where(PledgePayment.instalment_id == instalment.id, PledgePayment.superseded_at.is_(None))
    ).first()


def instalments_with_receipts(session: Session, pledge: Pledge) -> set[UUID]:
    """The instalments of a period of which money settled and stayed."""
    found = session.scalars(
        select(PledgePayment.instalment_id).where(
            PledgePayment.pledge_id == pledge.id, PledgePayment.superseded_at.is_(None), PledgePayment.instalment_id.is_not(None)
        )
    )
    return {each for each in found if each is not None}
