"""Recipients, and where their money goes. A change cools off, and the recipient is told at the address known before."""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.db import new_id
from core.errors import InvalidInput, NotFound
from core.identity.models import Person
from core.money import exponent
from payouts.models import Destination, Recipient, RecipientKind
from payouts.rails.base import Rail, fingerprint
from payouts.services import notices
from payouts.services.controls import limits


def add_recipient(
    session: Session,
    *,
    name: str,
    kind: RecipientKind,
    country: str,
    email: str | None,
    actor: Person | None,
    now: datetime,
    person_id: UUID | None = None,
    organisation_id: UUID | None = None,
    is_demo: bool = False,
) -> Recipient:
    """Somebody who can be paid once a destination is known.

    Raises:
        InvalidInput: no name, or a country that is not two letters.
    """
    if not name.strip():
        raise InvalidInput("A recipient has a name, as the bank knows it.", field="name")
    code = country.strip().upper()
    if len(code) != 2 or not code.isascii() or not code.isalpha():
        raise InvalidInput("A country is two letters, such as DE or US (ISO 3166).", field="country")
    recipient = Recipient(
        id=new_id(), name=name.strip(), kind=kind, country=code, email=(email or "").strip().lower() or None,
        person_id=person_id, organisation_id=organisation_id, is_demo=is_demo, created_at=now,
    )  # fmt: skip
    session.add(recipient)
    session.flush()
    audit.record(session, "recipient.added", recipient, actor=actor, at=now)
    return recipient


def set_destination(
    session: Session,
    recipient_id: UUID,
    *,
    rail: Rail,
    currency: str,
    details: Mapping[str, str],
    actor: Person,
    now: datetime,
) -> Destination:
    """Say where a recipient's money of a currency goes on a rail from now on, beside its destinations on other rails.

    The recipient's very first one can be used as soon as a second person compared it (holds.look). Any later one cools off as
    well, whether it replaces another or not, and a notice is written for the address known before: a changed account is how
    payments are stolen, and so is one more account.

    Raises:
        NotFound: there is no such recipient.
        InvalidInput: the rail can't use these details; names the field.
    """
    recipient = session.get(Recipient, recipient_id, with_for_update=True)
    if recipient is None:
        raise NotFound("There is no such recipient.")
    exponent(currency)
    checked = rail.check_destination(details, currency)
    print_of_it = fingerprint(rail.name, currency, checked.details)
    before = current_destination(session, recipient_id, currency, rail.name)
    if before is not None and before.fingerprint == print_of_it:
        return before
    is_first = session.scalar(select(Destination.id).where(Destination.recipient_id == recipient_id).limit(1)) is None
    usable_from = now if is_first else now + limits(session, now=now).cool_off
    if before is not None:
        before.retired_at = now
        session.flush()  # retire the old one before the new one takes its place in the index
    destination = Destination(
        id=new_id(), recipient_id=recipient_id, rail=rail.name, currency=currency, details=dict(checked.details),
        label=checked.label, fingerprint=print_of_it, created_by_id=actor.id, created_at=now, usable_from=usable_from,
        replaces_id=before.id if before else None,
    )  # fmt: skip
    session.add(destination)
    if not is_first:
        changed = f"changed from {before.label} to {checked.label}" if before else f"given one more destination, {checked.label}"
        notices.write(
            session, recipient, destination,
            f"The {currency} payment details of {recipient.name} were {changed}. "
            f"Nothing is paid there before {usable_from:%Y-%m-%d %H:%M} UTC. If this was not you, answer at once.",
            now=now,
        )  # fmt: skip
    session.flush()
    audit.record(
        session, "recipient.destination_changed" if before else "recipient.destination_added", recipient, actor=actor,
        at=now, currency=currency, rail=rail.name, label=checked.label, usable_from=usable_from.isoformat(),
    )  # fmt: skip
    return destination


def current_destination(session: Session, recipient_id: UUID, currency: str, rail: str) -> Destination | None:
    """Where the recipient's money of this currency goes on this rail."""
    return session.scalars(
        select(Destination).where(
            Destination.recipient_id == recipient_id, Destination.currency == currency, Destination.rail == rail,
            Destination.retired_at.is_(None),
        )
    ).one_or_none()  # fmt: skip


def remove_destination(session: Session, destination_id: UUID, *, reason: str, actor: Person, now: datetime) -> Destination:
    """Nothing more goes there, from now on. What is approved to go there has to be taken back.

    Raises:
        NotFound: there is none of this id in use.
        InvalidInput: without a reason.
    """
    if not reason.strip():
        raise InvalidInput("Say why nothing more goes there.", field="reason")
    in_use = select(Destination).where(Destination.id == destination_id, Destination.retired_at.is_(None))
    found = session.scalars(in_use).one_or_none()
    if found is None:
        raise NotFound("There is no such destination in use.")
    recipient = session.get_one(Recipient, found.recipient_id, with_for_update=True)  # before the destination, as everywhere
    place = session.scalars(in_use.with_for_update().execution_options(populate_existing=True)).one_or_none()
    if place is None:
        raise NotFound("There is no such destination in use.")
    place.retired_at = now
    session.flush()
    if recipient.preferred_rail == place.rail and not _has_place(session, recipient, place.rail):
        recipient.preferred_rail = None
    notices.write(session, recipient, None, f"{place.label} was removed from the payment details of {recipient.name}.", now=now)
    session.flush()
    audit.record(
        session, "recipient.destination_removed", recipient, actor=actor, at=now, reason=reason.strip(), rail=place.rail,
        currency=place.currency, label=place.label,
    )  # fmt: skip
    return place


def prefer_rail(session: Session, recipient_id: UUID, rail: str | None, *, actor: Person, now: datetime) -> Recipient:
    """By which rail a recipient wants to be paid whenever that is possible; None leaves it to the platform.

    Raises:
        NotFound: there is no such recipient.
        InvalidInput: it has no destination on that rail.
    """
    recipient = session.get(Recipient, recipient_id, with_for_update=True)
    if recipient is None:
        raise NotFound("There is no such recipient.")
    if rail is not None and not _has_place(session, recipient, rail):
        raise InvalidInput(f"{recipient.name} has no destination on that rail yet; enter one first.", field="rail")
    if recipient.preferred_rail != rail:
        recipient.preferred_rail, recipient.preferred_by_id = rail, actor.id
        audit.record(session, "recipient.rail_preferred", recipient, actor=actor, at=now, rail=rail or "the platform's choice")
    return recipient


def _has_place(session: Session, recipient: Recipient, rail: str) -> bool:
    query = select(Destination.id).where(
        Destination.recipient_id == recipient.id, Destination.rail == rail, Destination.retired_at.is_(None)
    )
    return session.scalar(query.limit(1)) is not None
