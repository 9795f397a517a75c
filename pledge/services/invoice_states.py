"""Bringing our record of an invoice to what the provider says about it."""

from datetime import datetime

from sqlalchemy.orm import Session

from core import audit
from pledge.models import InvoiceStanding, PayInInvoice
from pledge.providers.invoicing import InvoiceSeen


def follow(session: Session, invoice: PayInInvoice, seen: InvoiceSeen, *, now: datetime) -> None:
    """Bring an invoice to where the provider says it is; the same again changes nothing."""
    invoice.number, invoice.due_on = seen.number or invoice.number, seen.due_on or invoice.due_on
    move(session, invoice, seen.standing, now=now)


def move(session: Session, invoice: PayInInvoice, to: InvoiceStanding, *, now: datetime) -> None:
    """Note where an invoice stands; any step, for whoever works in the provider's dashboard takes them all."""
    if invoice.standing is to:
        return
    invoice.standing = to
    audit.record(session, f"invoice.{to}", invoice.pay_in, actor=None, at=now, reason=invoice.number)
