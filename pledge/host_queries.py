"""Reads of what a fiscal host expects for our fund."""

from collections.abc import Collection, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import and_, exists, or_, select
from sqlalchemy.orm import Session

from core.books.models import OutsideMovement
from core.errors import NotFound
from pledge.models import LIVE_HOST_ORDERS, HostOrder, HostOrderStatus, InstalmentStatus, PledgeInstalment

RAIL = "open_collective"
"""What the books call the host's list of movements."""

THROUGH = (InstalmentStatus.SETTLED, InstalmentStatus.REFUNDED_PART, InstalmentStatus.REFUNDED_FULL)
"""Nothing more is to be confirmed."""


def order(session: Session, order_id: UUID) -> HostOrder:
    """An order at the fiscal host by id.

    Raises:
        NotFound: there is none.
    """
    found = session.get(HostOrder, order_id, populate_existing=True)
    if found is None:
        raise NotFound("There is no such order at the host.")
    return found


def locked(session: Session, order_id: UUID) -> HostOrder:
    """The same, locked until the end of the transaction.

    Raises:
        NotFound: there is none.
    """
    found = session.scalars(
        select(HostOrder).where(HostOrder.id == order_id).with_for_update(of=HostOrder).execution_options(populate_existing=True)
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such order at the host.")
    return found


def live(session: Session, instalment_id: UUID) -> HostOrder | None:
    """The order of an instalment that the host has, or may have."""
    return session.scalars(
        select(HostOrder).where(HostOrder.instalment_id == instalment_id, HostOrder.status.in_(LIVE_HOST_ORDERS))
    ).one_or_none()


def at_hosts(session: Session) -> set[UUID]:
    """The instalments that a host receives, or may."""
    return set(session.scalars(select(HostOrder.instalment_id).where(HostOrder.status.in_(LIVE_HOST_ORDERS))))


def of_instalments(session: Session, instalment_ids: Collection[UUID]) -> Sequence[HostOrder]:
    """Every order of these instalments, the newest first."""
    return session.scalars(
        select(HostOrder).where(HostOrder.instalment_id.in_(instalment_ids)).order_by(HostOrder.asked_at.desc())
    ).all()


def by_remote_id(session: Session, remote_ids: Collection[str]) -> dict[str | None, HostOrder]:
    """The orders of these names at the host, by name."""
    return {each.remote_id: each for each in session.scalars(select(HostOrder).where(HostOrder.remote_id.in_(remote_ids)))}


def unsettled(session: Session, *, late_until: datetime) -> Sequence[UUID]:
    """Orders whose money has not been confirmed here, and those that may still come: also expired ones asked for since then.

    And those of which the host's list has a movement that is not booked: it gave something back.
    """
    moved = exists().where(
        OutsideMovement.provider == RAIL, OutsideMovement.about == HostOrder.remote_id, OutsideMovement.entry_id.is_(None)
    )
    return session.scalars(
        select(HostOrder.id)
        .join(PledgeInstalment, PledgeInstalment.id == HostOrder.instalment_id)
        .where(
            or_(
                HostOrder.status.in_([HostOrderStatus.ASKED, HostOrderStatus.EXPECTED]),
                and_(HostOrder.status == HostOrderStatus.EXPIRED, HostOrder.asked_at >= late_until),
                and_(HostOrder.status == HostOrderStatus.PAID, PledgeInstalment.status.not_in(THROUGH)),
                moved,
            )
        )
        .order_by(HostOrder.asked_at)
    ).all()
