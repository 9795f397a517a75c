"""What keeps money from a recipient until people have looked: a second pair of eyes on a destination, and a hold on the payee."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.db import new_id
from core.errors import DomainError, InvalidInput, NotFound
from core.identity.models import Person
from payouts.models import Destination, DestinationLook, Recipient
from payouts.services import payees


class SameEyes(DomainError):
    """Who entered a destination, or is paid there, is no second pair of eyes for it."""

    code = "same_eyes"


def look(session: Session, destination_id: UUID, *, note: str, actor: Person, now: datetime) -> DestinationLook:
    """A second person compared a destination with what the recipient says by another way, and it is right.

    Raises:
        NotFound: there is no such destination in use.
        SameEyes: this person entered it, or is paid there: the recipient, or an owner of the organisation that is.
        InvalidInput: without saying how it was compared.
    """
    if not note.strip():
        raise InvalidInput("Say how you compared it, such as a call to the number you knew before.", field="reason")
    place = session.scalars(
        select(Destination).where(Destination.id == destination_id, Destination.retired_at.is_(None)).with_for_update()
    ).one_or_none()
    if place is None:
        raise NotFound("There is no such destination in use.")
    if place.created_by_id == actor.id:
        raise SameEyes("You entered this destination; another person compares it.")
    if payees.is_payee(session, place.recipient, actor, on=now.date()):
        raise SameEyes("This money goes to you; another person compares where.")
    known = session.scalars(select(DestinationLook).where(DestinationLook.destination_id == place.id)).one_or_none()
    if known is not None:
        return known
    made = DestinationLook(
        id=new_id(), destination_id=place.id, created_by_id=place.created_by_id, looked_by_id=actor.id, looked_at=now,
        note=note.strip(),
    )  # fmt: skip
    session.add(made)
    session.flush()
    session.refresh(place, ["look"])
    audit.record(
        session, "recipient.destination_looked_at", place.recipient, actor=actor, at=now, reason=made.note, label=place.label
    )
    return made


def hold(session: Session, recipient: Recipient, *, reason: str, actor: Person, now: datetime) -> None:
    """Pay nothing to a recipient until an approver lifts it. What is with a rail already is not called back.

    Raises:
        InvalidInput: without a reason.
    """
    if not reason.strip():
        raise InvalidInput("Say why nothing is paid to this recipient; whoever lifts it needs to know.", field="reason")
    recipient.held_reason, recipient.held_at = reason.strip(), now
    session.flush()
    audit.record(session, "recipient.held", recipient, actor=actor, at=now, reason=reason.strip())


def lift(session: Session, recipient_id: UUID, *, reason: str, actor: Person, now: datetime) -> Recipient:
    """Pay this recipient again.

    Raises:
        NotFound: there is no such recipient, or it is not held.
        SameEyes: the recipient, or an owner of the organisation that is paid, would lift its own hold.
        InvalidInput: without a reason.
    """
    if not reason.strip():
        raise InvalidInput("Say what was found out.", field="reason")
    recipient = session.get(Recipient, recipient_id, with_for_update=True)
    if recipient is None or recipient.held_reason is None:
        raise NotFound("There is no such recipient that is held.")
    if payees.is_payee(session, recipient, actor, on=now.date()):
        raise SameEyes("This is about you; another person lifts it.")
    recipient.held_reason = recipient.held_at = None
    session.flush()
    audit.record(session, "recipient.released", recipient, actor=actor, at=now, reason=reason.strip())
    return recipient
