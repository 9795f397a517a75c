"""Refunds of online payments: asked for by one person in finance, approved by another, made by the provider."""

import enum
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, CurrencyCode, Id, MinorUnits, Utc
from core.errors import IllegalTransition
from core.money import Money
from pledge.models.pay_ins import PayIn


class RefundStatus(enum.StrEnum):
    """The life of a refund."""

    ASKED = "asked"  # waits for a second person
    APPROVED = "approved"  # being sent, under one key however often
    PENDING = "pending"  # the provider has it; the money is on its way back
    DONE = "done"  # the company has its money
    FAILED = "failed"  # the provider refused it, or the company's bank did and the money is with us again
    TURNED_DOWN = "turned_down"  # never sent


NEXT_REFUND: dict[RefundStatus, frozenset[RefundStatus]] = {
    RefundStatus.ASKED: frozenset({RefundStatus.APPROVED, RefundStatus.TURNED_DOWN}),
    RefundStatus.APPROVED: frozenset({RefundStatus.PENDING, RefundStatus.DONE, RefundStatus.FAILED}),
    RefundStatus.PENDING: frozenset({RefundStatus.DONE, RefundStatus.FAILED}),
    RefundStatus.DONE: frozenset({RefundStatus.FAILED}),  # a bank can send it back days later
    RefundStatus.FAILED: frozenset({RefundStatus.DONE}),  # the provider's word, against all we knew
    RefundStatus.TURNED_DOWN: frozenset(),
}
assert NEXT_REFUND.keys() == set(RefundStatus)
LIVE_REFUNDS = (RefundStatus.ASKED, RefundStatus.APPROVED)
"""Not at the provider yet, so not in the movements either: what they ask for is spoken for."""


class PayInRefund(Base):
    """Money of a pay-in that goes back to the company, and the two people who want it to."""

    __tablename__ = "pay_in_refund"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount_positive"),
        CheckConstraint("length(trim(reason)) > 0", name="reason"),
        CheckConstraint("approved_by_id <> asked_by_id", name="four_eyes"),
        CheckConstraint("status IN ('asked', 'turned_down') OR approved_by_id IS NOT NULL", name="approved_by_somebody"),
        CheckConstraint("status NOT IN ('pending', 'done') OR remote_id IS NOT NULL", name="known_there"),
        CheckConstraint("status <> 'failed' OR length(trim(failure)) > 0", name="failed_with_reason"),
        Index("ix_pay_in_refund_waiting", "asked_at", postgresql_where="status IN ('asked', 'approved', 'pending')"),
    )

    id: Mapped[Id]
    pay_in_id: Mapped[UUID] = mapped_column(ForeignKey("pay_in.id"), index=True)
    amount_minor: Mapped[MinorUnits]
    currency: Mapped[CurrencyCode]
    reason: Mapped[str]
    status: Mapped[RefundStatus] = mapped_column(default=RefundStatus.ASKED)
    asked_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    asked_at: Mapped[Utc]
    approved_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    approved_at: Mapped[datetime | None]
    remote_id: Mapped[str | None] = mapped_column(unique=True)
    wants_details: Mapped[bool] = mapped_column(default=False)
    """The provider asks the company by e-mail for the bank account to pay back to."""
    failure: Mapped[str | None]

    pay_in: Mapped[PayIn] = relationship(back_populates="refunds")

    @property
    def money(self) -> Money:
        return Money(self.amount_minor, self.currency)

    def advance(self, to: RefundStatus) -> None:
        """Take one legal step."""
        if to not in NEXT_REFUND[self.status]:
            raise IllegalTransition("This refund", self.status, to)
        self.status = to
