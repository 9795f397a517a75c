"""What people book of a movement that a provider lists and no domain knows: money to or from our bank, or the provider's own fee.

The provider's list is the evidence: what it moved, and how much, is not for anybody here to say. Only what it was is.
"""

import enum
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit, ledger
from core.books import between, feeds
from core.books.models import OutsideMovement
from core.errors import DomainError
from core.identity import access
from core.identity.models import Person, Role
from core.ledger import Side

FEES = frozenset({
    "stripe_fee", "stripe_fee_tax", "network_cost", "host_fee", "refund of host_fee", "payment_processor_fee",
    "refund of payment_processor_fee", "platform_tip",
})  # fmt: skip
"""What providers call what they take for themselves, and give back of it."""


class NotBookable(DomainError):
    """What this movement is, a domain knows or two people explain."""

    code = "not_bookable"


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
        InsufficientFunds: the ledger knows less money where it left.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    row = between.locked(session, movement_id)
    if not feeds.unclaimed(session, [row]):
        raise NotBookable("This belongs to a payment that is known here, and is booked with it; look at that one.")
    match booking_of(row):
        case Booking.BANK:
            entry = between.post(session, [row], between.account_of(session, row.currency), now=now)
        case Booking.FEE:
            code = f"expenses:fees:{row.provider}:{row.currency.lower()}"
            name = f"Fees of {feeds.title_of(row.provider)}, {row.currency}"
            ledger.ensure_account(session, code, row.currency, normal=Side.DEBIT, name=name)
            entry = between.post(session, [row], code, now=now, kind="books.provider_fee")
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
