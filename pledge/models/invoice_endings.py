"""Invoices of an account at the provider that is gone: ended here by two people, since nobody there can void them."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from core.db import Base, Utc
from core.files import StoredFile
from core.identity.models import Person


class InvoiceEnding(Base):
    """One person's word, with evidence, that nobody can pay an invoice any more, and another's that it is so."""

    __tablename__ = "pay_in_invoice_ending"
    __table_args__ = (
        CheckConstraint("confirmed_by_id <> asked_by_id", name="two_people"),
        CheckConstraint("num_nulls(confirmed_by_id, confirmed_at) IN (0, 2)", name="confirmed"),
        CheckConstraint("length(trim(reason)) > 0", name="reason"),
    )

    pay_in_id: Mapped[UUID] = mapped_column(ForeignKey("pay_in_invoice.pay_in_id"), primary_key=True)
    reason: Mapped[str]
    evidence_file_id: Mapped[UUID] = mapped_column(ForeignKey("stored_file.id"))
    """What shows that the account is closed, or that the invoice is void there."""
    asked_by_id: Mapped[UUID] = mapped_column(ForeignKey("person.id"))
    asked_at: Mapped[Utc]
    confirmed_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("person.id"))
    confirmed_at: Mapped[datetime | None]

    evidence_file: Mapped[StoredFile] = relationship()
    asked_by: Mapped[Person] = relationship(foreign_keys=[asked_by_id])
    confirmed_by: Mapped[Person | None] = relationship(foreign_keys=[confirmed_by_id])
