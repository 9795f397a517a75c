"""Invoices of Stripe: made, filled, made final and sent one step at a time, and what became of their payments.

A step that may have been done is looked for before it is asked for again: an invoice by our mark on it, its amount by its total,
the rest by its status. A draft that nobody knows of stays a draft, since nothing advances by itself. An invoice is paid by
payments of its own, which carry none of our marks: `invoice_payments` says which they are. A final one can't be changed; who
edits it in the dashboard makes another in its place, its revision, and that is the one looked at from then on.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import stripe

from core import stripe_api
from core.money import Money
from pledge.models import InvoiceStanding
from pledge.providers.base import CustomerUnknown, ProviderRefused, Snapshot, Standing
from pledge.providers.invoicing import Billing, InvoiceLinks, InvoiceSeen, InvoiceWanted
from pledge.providers.stripe_calls import METADATA_KEY, MISSING, moment_of, money_of, ours, transfer_options
from pledge.providers.stripe_money import StripeMoney, method_of, why_failed

PO_NUMBER = "PO number"
PAYABLE = frozenset({"open", "uncollectible"})
ENDED = frozenset({"paid", "void"})
FIRST = ("succeeded", "processing")
"""Of several payments of an invoice, those that tell most about it."""


class StripeInvoices(StripeMoney):
    """Implements pledge.providers.invoicing.Invoices."""

    def draft_invoice(self, wanted: InvoiceWanted) -> str:
        with self._asking():
            try:
                self._stripe.v1.customers.update(
                    wanted.customer_id, _customer(wanted.billing), {"idempotency_key": f"{wanted.key}-company"}
                )
            except stripe.InvalidRequestError as error:
                if stripe_api.blames(error) != MISSING:
                    raise
                raise CustomerUnknown("Stripe does not know this company under the key of today.") from error
            if (known := self.find_invoice(wanted.pay_in_id, wanted.customer_id)) is not None:
                return known
            # Built step by step, so the library's exact type can't be inferred; the contract tests hold it against that type.
            asked: Any = _draft(wanted)
            return self._stripe.v1.invoices.create(asked, {"idempotency_key": f"{wanted.key}-draft"}).id

    def find_invoice(self, pay_in_id: UUID, customer_id: str) -> str | None:
        with self._asking():
            listed = self._stripe.v1.invoices.list({"customer": customer_id, "limit": 100})
            return next((each.id for each in listed.auto_paging_iter() if ours(each) == pay_in_id), None)

    def issue_invoice(self, invoice_id: str, wanted: InvoiceWanted) -> None:
        with self._asking(invoice_id):
            found = self._stripe.v1.invoices.retrieve(invoice_id)
            if found.status != "draft":
                return
            if found.total == 0:
                self._stripe.v1.invoice_items.create(
                    {
                        "customer": wanted.customer_id,
                        "invoice": invoice_id,
                        "currency": wanted.money.currency.lower(),
                        "amount": wanted.money.amount_minor,
                        "description": wanted.title,
                    },
                    {"idempotency_key": f"{wanted.key}-item"},
                )
                found = self._stripe.v1.invoices.retrieve(invoice_id)  # an item of an earlier try may have come meanwhile
            if (said := money_of(found.total, found.currency)) != wanted.money:
                raise ProviderRefused(f"The draft at Stripe is over {said}, not {wanted.money}, so it is not sent.")
            self._stripe.v1.invoices.finalize_invoice(
                invoice_id, {"auto_advance": False}, {"idempotency_key": f"{wanted.key}-final"}
            )

    def send_invoice(self, invoice_id: str, wanted: InvoiceWanted) -> None:
        with self._asking(invoice_id):
            self._stripe.v1.invoices.send_invoice(invoice_id, {}, {"idempotency_key": f"{wanted.key}-send"})

    def withdraw_invoice(self, invoice_id: str) -> bool:
        with self._asking(invoice_id):
            invoices, found = self._stripe.v1.invoices, self._newest(invoice_id)
            try:
                if found.status == "draft":
                    invoices.delete(found.id)
                    return True
                if found.status in PAYABLE:
                    invoices.void_invoice(found.id)
            except stripe.InvalidRequestError:
                # It was paid, voided or made final meanwhile; what it is now says whether that is the reason.
                if invoices.retrieve(found.id).status == found.status:
                    raise
        return False

    def end_paid_invoice(self, invoice_id: str, *, key: str) -> None:
        with self._asking(invoice_id):
            invoices, found = self._stripe.v1.invoices, self._newest(invoice_id)
            if found.status not in PAYABLE:
                return
            try:
                invoices.pay(found.id, {"paid_out_of_band": True}, {"idempotency_key": f"{key}-elsewhere"})
            except stripe.InvalidRequestError:
                if invoices.retrieve(found.id).status not in ENDED:
                    raise

    def invoice_links(self, invoice_id: str) -> InvoiceLinks:
        with self._asking(invoice_id):
            found = self._newest(invoice_id)
            page, pdf = found.hosted_invoice_url, found.invoice_pdf
        if not page or not pdf:
            raise ProviderRefused("Stripe has no page for this invoice yet. Try again in a minute.")
        for link in (page, pdf):
            if not self._is_theirs(link):
                raise ProviderRefused(
                    f"Stripe names an address that is not its own ({urlsplit(link).hostname}); we don't open it."
                )
        return InvoiceLinks(page, pdf)

    def look_at_invoice(self, invoice_id: str) -> Snapshot:
        with self._asking(invoice_id):
            marked = self._stripe.v1.invoices.retrieve(invoice_id)
            found = self._newest(invoice_id, known=marked).to_dict()
            intents = self._intents(found["id"])
            main = next(
                (each for status in FIRST for each in intents if each["status"] == status), intents[0] if intents else None
            )
            standing, failure = _standing(found, main)
            charge = main["latest_charge"] if main else None
            return Snapshot(
                standing,
                payment_id=main["id"] if main else None,
                pay_in_id=ours(marked),
                customer_id=found["customer"],
                currency=found["currency"].upper(),
                method=method_of(charge),
                paid_on=moment_of(charge["created"]).date() if charge and standing is Standing.ARRIVED else None,
                missing=self._missing(found) if standing in {Standing.OPEN, Standing.FAILED} else None,
                failure=failure,
                surplus=self._surplus(main) if main and method_of(charge) == "customer_balance" else None,
                invoice=_seen(found, standing),
                **self._came([each["id"] for each in intents if each["latest_charge"]]),
            )

    def _newest(self, invoice_id: str, *, known: stripe.Invoice | None = None) -> stripe.Invoice:
        """The invoice, or what somebody made of it in the dashboard."""
        found = known or self._stripe.v1.invoices.retrieve(invoice_id)
        while revised := getattr(found, "latest_revision", None):
            found = self._stripe.v1.invoices.retrieve(str(revised))
        return found

    def _intents(self, invoice_id: str) -> Sequence[Mapping[str, Any]]:
        """The payments of an invoice, the one it was made with first."""
        expand = ["data.payment.payment_intent.latest_charge"]
        listed = self._stripe.v1.invoice_payments.list({"invoice": invoice_id, "limit": 100, "expand": expand})
        found = sorted((each.to_dict() for each in listed.auto_paging_iter()), key=lambda each: not each["is_default"])
        return [each["payment"]["payment_intent"] for each in found if each["payment"]["type"] == "payment_intent"]

    def _missing(self, found: Mapping[str, Any]) -> Money | None:
        """Of a transfer that was too small: an invoice takes all of it or nothing, so what came lies in the cash balance."""
        if found["status"] not in PAYABLE:
            return None
        came, asked = self._cash(found["customer"], found["currency"]), found["amount_remaining"]
        return money_of(asked - came, found["currency"]) if 0 < came < asked else None

    def _is_theirs(self, link: str) -> bool:
        given = urlsplit(link)
        if self._api_base is not None:
            here = urlsplit(self._api_base)
            return (given.scheme, given.netloc) == (here.scheme, here.netloc)
        return given.scheme == "https" and given.netloc.endswith(".stripe.com")


def _customer(billing: Billing) -> Any:
    """Stripe prints on an invoice what it knows of the customer, and e-mails it there."""
    address = {
        "line1": billing.line1, "line2": billing.line2, "city": billing.city, "postal_code": billing.postal_code,
        "state": billing.state, "country": billing.country,
    }  # fmt: skip
    return {"name": billing.name, "email": billing.email, "address": {name: each or "" for name, each in address.items()}}


def _draft(wanted: InvoiceWanted) -> dict[str, Any]:
    asked: dict[str, Any] = {
        "customer": wanted.customer_id,
        "collection_method": "send_invoice",
        "days_until_due": wanted.due_days,
        "currency": wanted.money.currency.lower(),
        "auto_advance": False,
        "pending_invoice_items_behavior": "exclude",
        "description": wanted.title,
        "metadata": {METADATA_KEY: str(wanted.pay_in_id)},
        "payment_settings": {"payment_method_types": list(wanted.methods)},
    }
    if wanted.po_number:
        asked["custom_fields"] = [{"name": PO_NUMBER, "value": wanted.po_number}]
    if wanted.transfer is not None:
        options = transfer_options(wanted.transfer, wanted.transfer_country)
        asked["payment_settings"]["payment_method_options"] = options
    return asked


def _standing(found: Mapping[str, Any], main: Mapping[str, Any] | None) -> tuple[Standing, str | None]:
    """Where the money is, and why it did not come. What a payment says of money goes before what its invoice says."""
    if main is not None and main["status"] == "succeeded":
        return Standing.ARRIVED, None
    if main is not None and main["status"] == "processing":
        return Standing.ON_ITS_WAY, None
    if found["status"] in ENDED:
        return Standing.EXPIRED, None
    if main is not None and main["last_payment_error"]:
        return Standing.FAILED, why_failed(main)
    return Standing.OPEN, None


def _seen(found: Mapping[str, Any], standing: Standing) -> InvoiceSeen:
    status = InvoiceStanding(found["status"])
    if status is InvoiceStanding.PAID and standing is not Standing.ARRIVED:
        status = InvoiceStanding.PAID_ELSEWHERE
    due = moment_of(found["due_date"]).date() if found["due_date"] else None
    return InvoiceSeen(found["id"], status, found["number"], due, money_of(found["total"], found["currency"]))
