"""Reads of who is paid: recipients, where they are paid, their documents and what they were told."""

from collections.abc import Collection, Sequence
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session, joinedload, selectinload

from core.db import among
from core.errors import NotFound
from payouts.models import (
    Destination,
    DestinationLook,
    Notice,
    PayeeDocument,
    Recipient,
)


def recipients(search: str | None) -> Select[Recipient]:
    """Recipients, for a keyset page."""
    query = select(Recipient).options(selectinload(Recipient.destinations))
    if search:
        query = query.where(Recipient.name.icontains(search, autoescape=True))
    return query


def recipient(session: Session, recipient_id: UUID) -> Recipient:
    """One recipient with its destinations, the newest first.

    Raises:
        NotFound: there is none of this id.
    """
    found = session.scalars(
        select(Recipient)
        .where(Recipient.id == recipient_id)
        .options(
            selectinload(Recipient.destinations).joinedload(Destination.created_by),
            selectinload(Recipient.destinations).joinedload(Destination.look).joinedload(DestinationLook.looked_by),
        )
    ).one_or_none()
    if found is None:
        raise NotFound("There is no such recipient.")
    return found


def documents(session: Session, recipient_id: UUID) -> Sequence[PayeeDocument]:
    """What was noted of a recipient's documents, the newest first."""
    return session.scalars(
        select(PayeeDocument)
        .where(PayeeDocument.recipient_id == recipient_id)
        .options(joinedload(PayeeDocument.recorded_by), joinedload(PayeeDocument.ended_by))
        .order_by(PayeeDocument.recorded_at.desc(), PayeeDocument.id)
    ).all()


def places(session: Session, recipient_ids: Collection[UUID]) -> Sequence[Destination]:
    """Every destination in use of these recipients, on whatever rail."""
    return session.scalars(
        select(Destination)
        .where(among(Destination.recipient_id, recipient_ids), Destination.retired_at.is_(None))
        .options(joinedload(Destination.look))
        .order_by(Destination.created_at)
    ).all()


def to_look_at(session: Session) -> Sequence[Destination]:
    """Destinations in use that no second person has compared yet, the longest waiting first."""
    return session.scalars(
        select(Destination)
        .outerjoin(DestinationLook, DestinationLook.destination_id == Destination.id)
        .where(Destination.retired_at.is_(None), DestinationLook.id.is_(None))
        .options(joinedload(Destination.recipient), joinedload(Destination.created_by))
        .order_by(Destination.created_at)
        .limit(200)
    ).all()


def notices(session: Session, recipient_id: UUID | None = None) -> Sequence[Notice]:
    """What recipients must be told and nobody told them yet; of one recipient, also what they were told."""
    query = select(Notice).options(joinedload(Notice.recipient), joinedload(Notice.told_by)).order_by(Notice.created_at.desc())
    if recipient_id is None:
        return session.scalars(query.where(Notice.told_at.is_(None))).all()
    return session.scalars(query.where(Notice.recipient_id == recipient_id)).all()
