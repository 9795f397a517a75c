"""Invoices of a payment provider, as services know them: made step by step, each step done once however often it is asked for."""

from dataclasses import dataclass
from datetime import date
from typing import Protocol
from uuid import UUID

from core.money import Money
from pledge.models import InvoiceStanding


@dataclass(frozen=True, slots=True)
class Billing:
    """Whom an invoice names, and where it is e-mailed."""

    name: str
    email: str
    line1: str
    line2: str | None
    city: str
    postal_code: str | None
    state: str | None
    country: str


@dataclass(frozen=True, slots=True)
class InvoiceWanted:
    """An invoice for one pay-in."""

    pay_in_id: UUID
    key: str
    """Idempotency: the beginning of the key of every step."""
    money: Money
    customer_id: str
    title: str
    po_number: str | None
    due_days: int
    billing: Billing
    methods: tuple[str, ...]
    """In the provider's words."""
    transfer: str | None
    """The kind of account a bank transfer goes to."""
    transfer_country: str | None


@dataclass(frozen=True, slots=True)
class InvoiceSeen:
    """An invoice as it is there now."""

    id: str
    standing: InvoiceStanding
    number: str | None
    due_on: date | None
    money: Money
    """What the company is asked for, by whatever the invoice was changed to there."""


@dataclass(frozen=True, slots=True)
class InvoiceLinks:
    """Where an invoice can be read and paid; they change, so they are asked for each time."""

    page: str
    pdf: str


class Invoices(Protocol):
    """What a provider does with invoices. Each raises ProviderSilent, AnswerKept, ProviderRefused, NotThere."""

    def draft_invoice(self, wanted: InvoiceWanted) -> str:
        """Its id there, found by our mark or made; nobody can pay it yet. Raises CustomerUnknown, too."""

    def issue_invoice(self, invoice_id: str, wanted: InvoiceWanted) -> None:
        """Put the amount on a draft and make it final; nothing to do if it is."""

    def send_invoice(self, invoice_id: str, wanted: InvoiceWanted) -> None:
        """Have the provider e-mail it, once per key."""

    def withdraw_invoice(self, invoice_id: str) -> bool:
        """Nobody can pay it any more; nothing to do where that is so. True: it was a draft, and nothing is left of it."""

    def end_paid_invoice(self, invoice_id: str, *, key: str) -> None:
        """Say there that it was paid elsewhere; nothing to do unless it waits for a payment."""

    def find_invoice(self, pay_in_id: UUID, customer_id: str) -> str | None:
        """The invoice that carries our mark, if there is one."""

    def invoice_links(self, invoice_id: str) -> InvoiceLinks:
        """Where it can be read and paid now."""
