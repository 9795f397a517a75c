"""What is booked of a movement that a provider lists and no domain knows: money to or from our bank, or the provider's own fee.

The provider's list is the evidence: what it moved, and how much, is not for anybody here to say. Only what it was is, and of a
small fee of its own not even that.
"""

import enum
from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit, ledger
from core.audit import Event
from core.books import between, feeds, second_looks
from core.books.models import Explanation, OutsideMovement, Subject
from core.errors import DomainError
from core.identity import access
from core.identity.models import Person, Role
from core.ledger import Side
from core.money import Money

BY_THEMSELVES = frozenset({"stripe_fee", "tax_fee"})
"""Prices of Stripe's, and the tax on them, that belong to no payment: nobody else can make such a movement, and nothing is to be
found out about it."""
FEES = BY_THEMSELVES | {
    "stripe_fx_fee", "stripe_fee_tax", "network_cost", "host_fee", "refund of host_fee", "payment_processor_fee",
    "refund of payment_processor_fee", "platform_tip",
}  # fmt: skip
"""What providers call what they take for themselves, and give back of it."""
BOOKED_BY_ITSELF = "outside_movement.fee_booked"
"""Nobody looked at it: the event says how much it was."""


class NotBookable(DomainError):
    """What this movement is, a domain knows or two people explain."""

    code = "not_bookable"


class NotBookedThere(DomainError):
    """The ledger has less where the money left: how it came there is to be booked first."""

    code = "not_booked_there"


class Booking(enum.StrEnum):
    """What a movement can be booked as."""

    BANK = "bank"  # the other side is our bank
    FEE = "fee"  # the provider keeps it


def booking_of(row: OutsideMovement) -> Booking | None:
    """What this can be booked as, by what its provider calls it."""
    if row.entry_id is not None:
        return None
    if row.kind in FEES:
        return Booking.FEE
    return Booking.BANK if row.kind in between.KINDS else None


def book(session: Session, movement_id: UUID, *, actor: Person, now: datetime) -> ledger.Entry:
    """Book a movement as what its kind says it is.

    Raises:
        NotAllowed: the actor is not in finance.
        NotFound: there is none, or it met an entry meanwhile.
        NotBookable: its kind is neither money between places of ours nor a fee, anybody may have given it, or a domain books it.
        NotBookedThere: the ledger knows less money where it left.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    row = between.locked(session, movement_id)
    if not feeds.unclaimed(session, [row]):
        raise NotBookable("This belongs to a payment that is known here, and is booked with it; look at that one.")
    match booking_of(row):
        case Booking.BANK:
            entry = _posted(row, lambda: between.post(session, [row], between.account_of(session, row.currency), now=now))
        case Booking.FEE:
            entry = _posted(row, lambda: _as_fee(session, row, now=now))
        case None if between.is_between(row):
            raise NotBookable(
                "Anybody may have given this to the fund. If it was us, the line of the bank statement says so: confirm that. If "
                "it was somebody else, explain it, and another person confirms the explanation."
            )
        case None:
            raise NotBookable(
                f"A movement of the kind “{row.kind.replace('_', ' ')}” is no money of ours on its way, and no fee."
            )
    audit.record(session, "outside_movement.booked", row, actor=actor, at=now, entry=str(entry.id))
    return entry


def book_small_fees(session: Session, provider: str, *, now: datetime) -> int:
    """Book what a provider took for itself, as far as it is little; what is more waits for a person's look. Returns how many.

    Little is, in each currency and 30 days together, what one person may book alone. What people explained stays with them. The
    caller holds `meeting.lock`: two readings at once would each count without the other's.
    """
    explained = select(Explanation.id).where(
        Explanation.subject == Subject.OUTSIDE_MOVEMENT,
        Explanation.subject_id == OutsideMovement.id,
        Explanation.confirmed.is_not(False),
    )
    waiting = session.scalars(
        select(OutsideMovement)
        .where(
            OutsideMovement.provider == provider,
            OutsideMovement.entry_id.is_(None),
            OutsideMovement.kind.in_(BY_THEMSELVES),
            ~explained.exists(),
        )
        .order_by(OutsideMovement.occurred_at, OutsideMovement.id)
        .with_for_update(skip_locked=True)
    ).all()
    return sum(_book_if_little(session, row, now=now) for row in feeds.unclaimed(session, waiting))


def _book_if_little(session: Session, row: OutsideMovement, *, now: datetime) -> bool:
    size = Money(abs(row.amount_minor), row.currency)
    limit = second_looks.alone(session, row.currency, on=now.date())
    if _booked_by_itself(session, row.currency, now=now) + size > limit:
        return False
    try:
        entry = _as_fee(session, row, now=now)
    except ledger.InsufficientFunds:
        return False  # how the money came there is not booked yet; it is tried again with the next list
    audit.record(
        session, BOOKED_BY_ITSELF, row, actor=None, at=now, entry=str(entry.id), amount_minor=size.amount_minor,
        currency=row.currency,
    )  # fmt: skip
    return True


def _booked_by_itself(session: Session, currency: str, *, now: datetime) -> Money:
    total = session.scalar(
        select(func.coalesce(func.sum(Event.details["amount_minor"].as_integer()), 0)).where(
            Event.at > now - second_looks.WINDOW,
            Event.verb == BOOKED_BY_ITSELF,
            Event.details["currency"].as_string() == currency,
        )
    )
    return Money(int(total or 0), currency)


def _posted(row: OutsideMovement, post: Callable[[], ledger.Entry]) -> ledger.Entry:
    """What was posted; where there is too little, what has to come first."""
    try:
        return post()
    except ledger.InsufficientFunds as short:
        has = Money(short.available, short.commodity)
        if row.amount_minor > 0:
            where = "on our bank’s account"
            first = "read the bank’s statement and confirm what came in. If it came from anywhere else, explain it"
        else:
            where = f"at {feeds.title_of(row.provider)}"
            first = "book what came there; it stands in the same list"
        raise NotBookedThere(
            f"The ledger has {has} {where}, less than these {Money(short.wanted, short.commodity)}: how that money came there is "
            f"not booked yet. First {first}."
        ) from short


def _as_fee(session: Session, row: OutsideMovement, *, now: datetime) -> ledger.Entry:
    code = f"expenses:fees:{row.provider}:{row.currency.lower()}"
    name = f"Fees of {feeds.title_of(row.provider)}, {row.currency}"
    ledger.ensure_account(session, code, row.currency, normal=Side.DEBIT, name=name)
    return between.post(session, [row], code, now=now, kind="books.provider_fee")
