"""Pay-ins through a payment provider: each try to pay a part of an instalment, and each movement of money it led to."""

import enum
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, CurrencyCode, Id, MinorUnits, ShortText, Utc
from core.errors import IllegalTransition
from core.money import Money
from pledge.models.instalments import PledgeInstalment

if TYPE_CHECKING:
    from pledge.models.invoices import PayInInvoice
    from pledge.models.refunds import PayInRefund


class PayInStatus(enum.StrEnum):
    """Where a pay-in stands, as the provider's own objects say it. Only settled money may be granted."""

    OPEN = "open"  # the company can pay; nothing is on its way
    PROCESSING = "processing"  # the company did its part; the money is on its way
    PAID = "paid"  # the provider has the money, but does not let us use it yet (unsettled)
    SETTLED = "settled"  # ours to use, and in the fund
    FAILED = "failed"  # the money did not come
    EXPIRED = "expired"  # nobody paid in time, and nobody can any more
    REFUNDED_PART = "refunded_part"  # some went back
    REFUNDED_FULL = "refunded_full"  # all went back
    DISPUTED = "disputed"  # the payer's bank asks for it back
    LOST = "lost"  # the bank took it back for good: a lost dispute, or a returned debit


ARRIVED = frozenset({
    PayInStatus.PAID, PayInStatus.SETTLED, PayInStatus.REFUNDED_PART, PayInStatus.REFUNDED_FULL,
    PayInStatus.DISPUTED, PayInStatus.LOST,
})  # fmt: skip
"""Money came, whatever became of it."""
UNPAID = frozenset({PayInStatus.OPEN, PayInStatus.PROCESSING, PayInStatus.FAILED, PayInStatus.EXPIRED})

# The provider is asked for what is, not for what happened, so steps between two looks are skipped: an open pay-in can be settled
# the next time anybody looks. Never again open, never again without the money that came, never again unsettled.
NEXT_PAY_IN: dict[PayInStatus, frozenset[PayInStatus]] = {
    PayInStatus.OPEN: frozenset(PayInStatus) - {PayInStatus.OPEN},
    **{each: frozenset(PayInStatus) - {PayInStatus.OPEN, each} for each in UNPAID - {PayInStatus.OPEN}},
    PayInStatus.PAID: ARRIVED - {PayInStatus.PAID},
    **{each: ARRIVED - {each} for each in ARRIVED - {PayInStatus.PAID, PayInStatus.SETTLED}},
    PayInStatus.SETTLED: ARRIVED - {PayInStatus.PAID, PayInStatus.SETTLED},
}
assert NEXT_PAY_IN.keys() == set(PayInStatus)


class MovementKind(enum.StrEnum):
    """Why money moved on our balance at the provider."""

    ARRIVAL = "arrival"
    PAYMENT_FAILED = "payment_failed"  # a debit that was on our balance while it was on its way, and bounced
    REFUND = "refund"
    REFUND_FAILED = "refund_failed"  # what was refunded came back to us
    DISPUTE = "dispute"  # taken back by the payer's bank
    REINSTATED = "reinstated"  # given back to us after a dispute
    FEE = "fee"  # nothing but a fee, of a dispute say, or one given back


class PayIn(Base):
    """One try to pay (a part of) an instalment at the provider, from the page that was opened to the money in the fund."""

    __tablename__ = "pay_in"
    __table_args__ = (
        UniqueConstraint("instalment_id", "number"),
        UniqueConstraint("session_id"),
        UniqueConstraint("payment_id"),
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("status <> 'failed' OR length(trim(problem)) > 0", name="failed_with_reason"),
        CheckConstraint("(session_id IS NULL) = (page_url IS NULL)", name="page_of_a_session"),
        # Two pages open at once could both be paid.
        Index("uq_pay_in_open", "instalment_id", unique=True, postgresql_where="status = 'open'"),
        Index("ix_pay_in_unfinished", "started_at", postgresql_where="status IN ('open', 'processing', 'paid')"),
    )

    id: Mapped[Id]
    instalment_id: Mapped[UUID] = mapped_column(ForeignKey("pledge_instalment.id"))
    number: Mapped[int]
    """1 for the first try of an instalment."""
    amount_minor: Mapped[MinorUnits]
    """What was asked for. What came is in the movements."""
    currency: Mapped[CurrencyCode]
    status: Mapped[PayInStatus] = mapped_column(default=PayInStatus.OPEN)
    asked: Mapped[int] = mapped_column(default=0)
    """How often the provider was asked for a page; part of the idempotency key, since a saved error is replayed for a day."""
    session_id: Mapped[str | None]
    page_url: Mapped[str | None]
    page_expires_at: Mapped[datetime | None]
    payment_id: Mapped[str | None]
    """The provider's object that carries the money (a PaymentIntent)."""
    method: Mapped[str | None]
    """In the provider's word: us_bank_account, customer_balance, card."""
    paid_on: Mapped[date | None]
    missing_minor: Mapped[MinorUnits | None]
    """Of a bank transfer that was too small: what has not come yet."""
    surplus_minor: Mapped[MinorUnits | None]
    """Of a bank transfer that was too large: what the provider keeps for the company. It is not on our balance."""
    available_at: Mapped[datetime | None]
    """When the provider lets us use the money."""
    settled_at: Mapped[datetime | None]
    problem: Mapped[str | None]
    """Why the money did not come, or what keeps us from booking it, for people."""
    unknown: Mapped[str | None]
    """Movements of it at the provider that nobody here can book, for finance; the rest of it is booked."""
    looks: Mapped[int] = mapped_column(default=0)
    """How often the provider's answer was applied. An answer is applied only if none was since it was asked for."""
    looked_at: Mapped[datetime | None]
    started_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    started_at: Mapped[Utc]

    instalment: Mapped[PledgeInstalment] = relationship(lazy="joined", back_populates="pay_ins")
    movements: Mapped[list["PayInMovement"]] = relationship(
        order_by="PayInMovement.happened_at, PayInMovement.id", back_populates="pay_in"
    )

    invoice: Mapped["PayInInvoice | None"] = relationship(lazy="joined", back_populates="pay_in")
    """Set where it is asked for by an invoice, not at a page."""
    refunds: Mapped[list["PayInRefund"]] = relationship(order_by="PayInRefund.asked_at", back_populates="pay_in")

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)

    @property
    def received(self) -> Money:
        """What came and did not bounce."""
        return self._sum(MovementKind.ARRIVAL, MovementKind.PAYMENT_FAILED)

    @property
    def refunded(self) -> Money:
        """What went back by our own will, less what came back of it."""
        return -self._sum(MovementKind.REFUND, MovementKind.REFUND_FAILED)

    @property
    def withdrawn(self) -> Money:
        """What the payer's bank took, less what it gave back."""
        return -self._sum(MovementKind.DISPUTE, MovementKind.REINSTATED)

    @property
    def kept(self) -> Money:
        return self.received - self.refunded - self.withdrawn

    @property
    def fees(self) -> Money:
        return Money(sum(each.fee_minor for each in self.movements), self.currency)

    def advance(self, to: PayInStatus) -> None:
        """Take one legal step."""
        if to not in NEXT_PAY_IN[self.status]:
            raise IllegalTransition("This pay-in", self.status, to)
        self.status = to

    def _sum(self, *kinds: MovementKind) -> Money:
        return Money(sum(each.gross_minor for each in self.movements if each.kind in kinds), self.currency)


class PayInMovement(Base):
    """One balance transaction of the provider, booked once: its id is the key here and in the ledger. Append-only."""

    __tablename__ = "pay_in_movement"
    __table_args__ = (
        CheckConstraint("(gross_minor = 0) = (kind = 'fee')", name="only_fees_move_nothing"),
        CheckConstraint("gross_minor <> 0 OR fee_minor <> 0", name="something_moved"),
        CheckConstraint("(gross_minor > 0) = (kind IN ('arrival', 'refund_failed', 'reinstated'))", name="direction"),
        # An invoice can be paid by several charges, but each of them arrives once.
        Index("uq_pay_in_movement_arrival", "source", unique=True, postgresql_where="kind = 'arrival'"),
    )

    id: Mapped[ShortText] = mapped_column(primary_key=True)
    """The balance transaction, `txn_…`."""
    pay_in_id: Mapped[UUID] = mapped_column(ForeignKey("pay_in.id"), index=True)
    kind: Mapped[MovementKind]
    gross_minor: Mapped[MinorUnits]
    """What moved before fees; negative when it left us."""
    fee_minor: Mapped[MinorUnits]
    """What the provider kept for it; negative when it gave a fee back."""
    currency: Mapped[CurrencyCode]
    source: Mapped[ShortText]
    """The provider's object that moved it: a charge, a refund, a dispute."""
    happened_at: Mapped[Utc]
    available_at: Mapped[Utc]
    booked_at: Mapped[Utc]

    pay_in: Mapped[PayIn] = relationship(back_populates="movements")

    @property
    def gross(self) -> Money:
        return Money(self.gross_minor, self.currency)

    @property
    def fee(self) -> Money:
        return Money(self.fee_minor, self.currency)


class StripeCustomer(Base):
    """A company as Stripe knows it: bank transfers need one. Each key or account has its own id for it."""

    __tablename__ = "stripe_customer"

    customer_id: Mapped[ShortText] = mapped_column(primary_key=True)
    organisation_id: Mapped[UUID] = mapped_column(ForeignKey("organisation.id"), index=True)
    created_at: Mapped[Utc]


class CardLimit(Base):
    """The largest pay-in by card, from a day on: cards cost most, and can be disputed for months. Rows are added, not changed."""

    __tablename__ = "card_limit"
    __table_args__ = (UniqueConstraint("currency", "valid_from"), CheckConstraint("amount_minor >= 0", name="amount"))

    id: Mapped[Id]
    currency: Mapped[CurrencyCode]
    valid_from: Mapped[date]
    amount_minor: Mapped[MinorUnits]
    """Zero: no cards."""
    source: Mapped[ShortText]
    author: Mapped[ShortText]
    created_at: Mapped[Utc]

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)


class StripeEvent(Base):
    """A notice of Stripe as it came in. Its content is not kept and never acted on: it says where to look, nothing else.

    A trigger lets nothing change but `handled_at` and `outcome`, once.
    """

    __tablename__ = "stripe_event"
    __table_args__ = (
        CheckConstraint("(handled_at IS NULL) = (outcome IS NULL)", name="handled_with_outcome"),
        Index("ix_stripe_event_waiting", "received_at", postgresql_where="handled_at IS NULL"),
        Index("ix_stripe_event_created_at", "created_at"),
    )

    id: Mapped[ShortText] = mapped_column(primary_key=True)
    type: Mapped[ShortText]
    object_type: Mapped[ShortText]
    object_id: Mapped[ShortText]
    api_version: Mapped[str | None]
    created_at: Mapped[Utc]
    """By Stripe's clock."""
    received_at: Mapped[Utc]
    polled: Mapped[bool]
    """Found by the hourly look, not delivered."""
    handled_at: Mapped[datetime | None]
    outcome: Mapped[str | None]
