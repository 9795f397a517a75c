"""Bringing our record of an invoice to what the provider says about it."""

from datetime import datetime

from sqlalchemy.orm import Session

from core import audit
from pledge.models import PAYABLE_INVOICES, InvoiceStanding, PayInInvoice
from pledge.providers.invoicing import InvoiceSeen


def follow(session: Session, invoice: PayInInvoice, seen: InvoiceSeen, *, now: datetime) -> None:
    """Bring an invoice to where the provider says it is; the same again changes nothing."""
    invoice.unknown_since = None
    invoice.number, invoice.due_on = seen.number or invoice.number, seen.due_on or invoice.due_on
    move(session, invoice, seen.standing, now=now)


def lose(session: Session, invoice: PayInInvoice, *, now: datetime) -> None:
    """Note that the provider does not know it: it was made under another key or account, and may be open there."""
    if invoice.unknown_since is None and invoice.standing in PAYABLE_INVOICES:
        invoice.unknown_since = now
        audit.record(session, "invoice.unknown", invoice.pay_in, actor=None, at=now, reason=invoice.number)


def move(session: Session, invoice: PayInInvoice, to: InvoiceStanding, *, now: datetime) -> None:
    """Note where an invoice stands; any step, for whoever works in the provider's dashboard takes them all."""
    if invoice.standing is to:
        return
    invoice.standing = to
    audit.record(session, f"invoice.{to}", invoice.pay_in, actor=None, at=now, reason=invoice.number)
