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
from payouts.models import Destination, Notice, Recipient, RecipientKind
from payouts.rails.base import Rail, fingerprint
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
    """Say where a recipient's money of a currency goes from now on.

    The first one can be used at once (an approver sees that it is the first). A changed one cools off, and a notice is
    written for the address known before, because a changed account is how payments are stolen.

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
    before = current_destination(session, recipient_id, currency)
    if before is not None and before.fingerprint == print_of_it:
        return before
    usable_from = now
    if before is not None:
        before.retired_at = now
        usable_from = now + limits(session, now=now).cool_off
        session.flush()  # retire the old one before the new one takes its place in the index
    destination = Destination(
        id=new_id(), recipient_id=recipient_id, rail=rail.name, currency=currency, details=dict(checked.details),
        label=checked.label, fingerprint=print_of_it, created_by_id=actor.id, created_at=now, usable_from=usable_from,
        replaces_id=before.id if before else None,
    )  # fmt: skip
    session.add(destination)
    if before is not None and recipient.email:
        message = (
            f"The {currency} payment details of {recipient.name} were changed from {before.label} to {checked.label}. "
            f"Nothing is paid there before {usable_from:%Y-%m-%d %H:%M} UTC. If this was not you, answer at once."
        )
        session.add(Notice(id=new_id(), recipient_id=recipient_id, address=recipient.email, message=message, created_at=now))
    session.flush()
    audit.record(
        session, "recipient.destination_changed" if before else "recipient.destination_added", recipient, actor=actor,
        at=now, currency=currency, rail=rail.name, label=checked.label, usable_from=usable_from.isoformat(),
    )  # fmt: skip
    return destination


def current_destination(session: Session, recipient_id: UUID, currency: str) -> Destination | None:
    """Where the recipient's money of this currency goes."""
    return session.scalars(
        select(Destination).where(
            Destination.recipient_id == recipient_id, Destination.currency == currency, Destination.retired_at.is_(None)
        )
    ).one_or_none()


def told(session: Session, notice_id: UUID, *, actor: Person, now: datetime) -> Notice:
    """A person has told the recipient.

    Raises:
        NotFound: there is no such notice, or somebody told them already.
    """
    notice = session.scalars(
        select(Notice).where(Notice.id == notice_id, Notice.told_at.is_(None)).with_for_update()
    ).one_or_none()
    if notice is None:
        raise NotFound("There is no such open notice.")
    notice.told_by_id, notice.told_at = actor.id, now
    audit.record(session, "recipient.told", notice.recipient, actor=actor, at=now, notice=str(notice.id))
    return notice
