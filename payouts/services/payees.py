"""Payees as people who sign in: whose money goes to whom, and what they may see and change of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session, selectinload

from core.errors import NotFound
from core.identity import access
from core.identity.models import Person, Role
from core.money import Money
from payouts import queries
from payouts.models import Destination, DestinationLook, Notice, Payout, PayoutStatus, Recipient

EXAMPLE_MINOR = 100_000
PAID_MAX = 20


@dataclass(frozen=True)
class Standing:
    """Where one of a payee's destinations stands, in the payee's words."""

    place: Destination
    state: str
    """ready, cools off, is compared, or not ready."""
    words: str


def recipients_of(session: Session, person: Person, *, on: date) -> Sequence[Recipient]:
    """The recipients a person is, or whose organisation it owns."""
    owned = [each.id for each in access.organisations_with_role(session, person, Role.OWNER, on=on)]
    return session.scalars(
        select(Recipient)
        .where(or_(Recipient.person_id == person.id, Recipient.organisation_id.in_(owned)))
        .options(
            selectinload(Recipient.destinations).joinedload(Destination.look).joinedload(DestinationLook.looked_by),
            selectinload(Recipient.destinations).joinedload(Destination.created_by),
        )
        .order_by(Recipient.name, Recipient.id)
    ).all()


def is_payee(session: Session, recipient: Recipient, person: Person, *, on: date) -> bool:
    """The person who is paid, or an owner of the organisation that is."""
    return recipient.person_id == person.id or (
        recipient.organisation_id is not None
        and access.has_role(session, person, Role.OWNER, organisation_id=recipient.organisation_id, on=on)
    )


def own_among(session: Session, recipients: Iterable[Recipient], person: Person, *, on: date) -> list[Recipient]:
    """Those of which the person `is_payee`, in as many queries for one as for ten thousand."""
    everywhere = access.has_role(session, person, Role.OWNER, on=on)
    owned = {each.id for each in access.organisations_with_role(session, person, Role.OWNER, on=on)}
    return [
        each
        for each in recipients
        if each.person_id == person.id or (each.organisation_id is not None and (everywhere or each.organisation_id in owned))
    ]


def own(session: Session, recipient_id: UUID, person: Person, *, on: date) -> Recipient:
    """A recipient for its payee's own page.

    Raises:
        NotFound: there is none of this id, or it is somebody else's.
    """
    recipient = queries.recipient(session, recipient_id)
    if not is_payee(session, recipient, person, on=on):
        raise NotFound("There is no such recipient of yours.")
    return recipient


def asked(notices: Iterable[Notice], *, now: datetime) -> Sequence[Notice]:
    """The notices that the payee's page shows: unanswered ones, and confirmed ones until the destination can be paid.

    Somebody in the payee's account could confirm its own change; the payee still sees it, and can stop it.
    """
    return [
        each
        for each in notices
        if each.answered_at is None
        or (not each.denied and each.destination is not None and each.destination.retired_at is None
            and each.destination.usable_from > now)
    ]  # fmt: skip


def owed_to(session: Session, recipient: Recipient) -> Sequence[Payout]:
    """What a recipient is still owed, the first due first."""
    still = [PayoutStatus.DRAFT, PayoutStatus.APPROVED, PayoutStatus.RESERVED]
    return session.scalars(
        select(Payout)
        .where(Payout.recipient_id == recipient.id, Payout.status.in_(still))
        .options(selectinload(Payout.attempts))
        .order_by(Payout.due_on, Payout.id)
        .limit(100)
    ).all()


def paid_to(session: Session, recipient: Recipient) -> Sequence[Payout]:
    """What a recipient was paid, the newest first."""
    return session.scalars(
        select(Payout)
        .where(Payout.recipient_id == recipient.id, Payout.paid_at.is_not(None))
        .options(selectinload(Payout.attempts))
        .order_by(Payout.paid_at.desc(), Payout.id)
        .limit(PAID_MAX)
    ).all()


def examples(recipient: Recipient, owed: Sequence[Payout]) -> Sequence[Money]:
    """For which amounts the ways are shown: the next that is owed in each currency, or a round sum."""
    found = {payout.currency: payout.money for payout in reversed(owed)}
    for place in recipient.destinations:
        if place.retired_at is None:
            found.setdefault(place.currency, Money(EXAMPLE_MINOR, place.currency))
    return [found[currency] for currency in sorted(found)] or [Money(EXAMPLE_MINOR, "USD")]


def standing(place: Destination, problem: str | None, *, now: datetime) -> Standing:
    """What a payee should know of a destination of its own."""
    if problem is not None:
        return Standing(place, "not ready", problem)
    waits = []
    if now < place.usable_from:
        waits.append(f"Nothing is paid here before {place.usable_from:%Y-%m-%d %H:%M} UTC, so that a theft would be noticed.")
    if place.look is None:
        waits.append("A person at the other end compares it with you by another way before anything is paid here.")
    if waits:
        return Standing(place, "cools off" if now < place.usable_from else "is compared", " ".join(waits))
    return Standing(place, "ready", "Payouts can go here.")
