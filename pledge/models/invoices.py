"""Invoices: pay-ins that are asked for by an invoice of the provider's, with a PO number, instead of at its page."""

import enum
from datetime import date, datetime
from typing import TYPE_CHECKING
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, ShortText

if TYPE_CHECKING:
    from pledge.models.invoice_endings import InvoiceEnding
    from pledge.models.pay_ins import PayIn


class InvoiceWish(enum.StrEnum):
    """What we want of the provider; a worker brings it about and finds out what it has become."""

    SENT = "sent"  # made and e-mailed to the company
    WITHDRAWN = "withdrawn"  # nobody shall pay it any more
    PAID_ELSEWHERE = "paid_elsewhere"  # two people found the money on our bank account; the provider shall not wait for it


class InvoiceStanding(enum.StrEnum):
    """What the provider said of it last."""

    NOT_MADE = "not_made"
    DRAFT = "draft"  # nobody can pay it yet
    OPEN = "open"
    PAID = "paid"
    PAID_ELSEWHERE = "paid_elsewhere"  # ended there, because the money came to us another way
    VOID = "void"  # withdrawn, or a draft that was thrown away
    UNCOLLECTIBLE = "uncollectible"  # written off in the provider's dashboard; it can still be paid


PAYABLE_INVOICES = frozenset({InvoiceStanding.OPEN, InvoiceStanding.UNCOLLECTIBLE})
UNENDED_INVOICES = PAYABLE_INVOICES | {InvoiceStanding.NOT_MADE, InvoiceStanding.DRAFT}


class PayInInvoice(Base):
    """What an invoice says, as the company asked for it, and what became of it at the provider."""

    __tablename__ = "pay_in_invoice"
    __table_args__ = (
        CheckConstraint("due_days BETWEEN 1 AND 365", name="due_days"),
        CheckConstraint("length(po_number) BETWEEN 1 AND 140", name="po_number"),
        CheckConstraint("country ~ '^[A-Z]{2}$'", name="country"),
        CheckConstraint("(standing = 'not_made') = (invoice_id IS NULL) OR standing = 'void'", name="made"),
        Index("ix_pay_in_invoice_payable", "due_on", postgresql_where="standing IN ('open', 'uncollectible')"),
    )

    pay_in_id: Mapped[UUID] = mapped_column(ForeignKey("pay_in.id"), primary_key=True)
    po_number: Mapped[str | None]
    """The company's own number of the order, printed on the invoice."""
    name: Mapped[ShortText]
    email: Mapped[ShortText]
    line1: Mapped[ShortText]
    line2: Mapped[str | None]
    city: Mapped[ShortText]
    postal_code: Mapped[str | None]
    state: Mapped[str | None]
    country: Mapped[str]
    """ISO 3166-1 alpha-2."""
    due_days: Mapped[int]
    """From the day it is made to the day it is due."""
    wish: Mapped[InvoiceWish] = mapped_column(default=InvoiceWish.SENT)
    standing: Mapped[InvoiceStanding] = mapped_column(default=InvoiceStanding.NOT_MADE)
    tries: Mapped[int] = mapped_column(default=1)
    """Part of the idempotency keys. The next one begins when the provider saved an error under them."""
    customer_id: Mapped[str | None]
    """The company at the provider, as this invoice names it; kept, so that a request under a key stays the same."""
    invoice_id: Mapped[str | None] = mapped_column(unique=True)
    number: Mapped[str | None]
    """The provider's, printed on it."""
    due_on: Mapped[date | None]
    sent_at: Mapped[datetime | None]
    not_sent: Mapped[str | None]
    """Why the provider could not e-mail it, for people."""

    unknown_since: Mapped[datetime | None]
    """Since when the provider says that it does not know it: it was made under another key or account."""

    pay_in: Mapped["PayIn"] = relationship(back_populates="invoice")
    ending: Mapped["InvoiceEnding | None"] = relationship()

    @property
    def is_payable(self) -> bool:
        """Can it be paid at the provider now?"""
        return self.standing in PAYABLE_INVOICES

    def is_overdue(self, on: date) -> bool:
        """Should it have been paid by now?"""
        return self.is_payable and self.due_on is not None and self.due_on < on
