"""Whether a payout's money may go where it was approved to go, asked under lock at each moment from which it may leave."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from core.errors import DomainError
from payouts.models import Destination, Recipient
from payouts.policies.ways import changed_words, held_words, second_look_words


class DestinationNotReady(DomainError):
    """The recipient's destination was changed, or cools off."""

    code = "destination_not_ready"


class PayeeHeld(DomainError):
    """Nothing is paid to this recipient until an approver lifts the hold."""

    code = "payee_held"


def require(session: Session, recipient_id: UUID, destination_id: UUID | None, *, now: datetime) -> None:
    """Nothing keeps a payout to this recipient from this destination. Who holds or retires one of them waits for our commit.

    Raises:
        DestinationNotReady: the destination is out of use, cools off, or nobody compared it.
        PayeeHeld: nothing is paid to this recipient.
    """
    refusal = why_not(session, recipient_id, destination_id, now=now)
    if refusal is not None:
        raise refusal


def why_not(session: Session, recipient_id: UUID, destination_id: UUID | None, *, now: datetime) -> DomainError | None:
    """What `require` raises, or None. Locks the recipient before the destination, as whoever changes them does."""
    assert destination_id is not None, "an approved payout has a destination"
    people = select(Recipient).where(Recipient.id == recipient_id).with_for_update(read=True, of=Recipient)
    places = select(Destination).where(Destination.id == destination_id).with_for_update(read=True, of=Destination)
    recipient = session.scalars(people.execution_options(populate_existing=True)).one()
    destination = session.scalars(places.options(joinedload(Destination.look)).execution_options(populate_existing=True)).one()
    return _refusal(recipient, destination, now=now)


def _refusal(recipient: Recipient, destination: Destination, *, now: datetime) -> DomainError | None:
    if destination.retired_at is not None:
        return DestinationNotReady(changed_words(recipient.name))
    if now < destination.usable_from:
        return DestinationNotReady(
            f"The new payment details of {recipient.name} cool off until {destination.usable_from:%Y-%m-%d %H:%M} UTC."
        )
    if destination.look is None:
        return DestinationNotReady(second_look_words(recipient.name))
    if recipient.held_reason is not None:
        return PayeeHeld(held_words(recipient.name, recipient.held_reason))
    return None
