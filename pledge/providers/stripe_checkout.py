"""Stripe as the place to pay at: Checkout Sessions, and what the objects behind them say.

A session is a page that can be paid once, for at most 24 hours. Its PaymentIntent carries the money; the charge's balance
transaction says what arrived, the fee, and when we may use it. Nothing is taken from an event's body: every look fetches.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import stripe

from core import stripe_api
from pledge.providers.base import Notice, PageWanted, PayPage, ProviderSilent, Snapshot, Standing
from pledge.providers.stripe_calls import METADATA_KEY, MISSING, moment_of, money_of, ours, transfer_options
from pledge.providers.stripe_invoices import StripeInvoices
from pledge.providers.stripe_money import method_of, why_failed
from pledge.providers.stripe_signature import notice


class StripeProvider(StripeInvoices):
    """Pay-ins through Stripe."""

    title = "Stripe"

    def create_customer(self, *, name: str, metadata: Mapping[str, str], key: str) -> str:
        with self._asking():
            return self._stripe.v1.customers.create({"name": name, "metadata": dict(metadata)}, {"idempotency_key": key}).id

    def open_page(self, wanted: PageWanted) -> PayPage:
        about = {METADATA_KEY: str(wanted.pay_in_id)}
        parameters: dict[str, Any] = {
            "mode": "payment",
            "customer": wanted.customer_id,
            "client_reference_id": wanted.reference,
            "submit_type": "pay",
            "success_url": wanted.return_url,
            "cancel_url": wanted.cancel_url,
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": wanted.money.currency.lower(),
                        "unit_amount": wanted.money.amount_minor,
                        "product_data": {"name": wanted.title},
                    },
                }
            ],
            # They filter what Stripe finds eligible; `payment_method_types`, which listed them, is refused since 2026-09-30.
            "allowed_payment_method_types": list(wanted.methods),
            # A session's metadata is not copied to its PaymentIntent.
            "metadata": about,
            "payment_intent_data": {"metadata": about, "transfer_group": wanted.reference},
        }
        if wanted.transfer is not None:
            parameters["payment_method_options"] = transfer_options(wanted.transfer, wanted.transfer_country)
        with self._asking():
            # Built step by step, so the library's exact type can't be inferred; the contract tests hold it against that type.
            made = self._stripe.v1.checkout.sessions.create(parameters, {"idempotency_key": wanted.key})  # type: ignore[arg-type]
        if not made.url:
            raise ProviderSilent("Stripe opened a page without an address. Press the button again.")
        return PayPage(made.id, made.url, moment_of(made.expires_at))

    def close_page(self, session_id: str) -> None:
        with self._asking():
            try:
                self._stripe.v1.checkout.sessions.expire(session_id)
            except stripe.InvalidRequestError:
                # Only open sessions can be expired; the look that follows says what this one is.
                return

    def cancel(self, payment_id: str) -> None:
        with self._asking():
            try:
                self._stripe.v1.payment_intents.cancel(payment_id, {"cancellation_reason": "abandoned"})
            except stripe.InvalidRequestError as error:
                # It came meanwhile, or was cancelled before; the look that follows says which.
                if stripe_api.blames(error) != "payment_intent_unexpected_state":
                    raise

    def look(self, session_id: str) -> Snapshot:
        with self._asking(session_id):
            session = self._stripe.v1.checkout.sessions.retrieve(
                session_id, {"expand": ["payment_intent.latest_charge"]}
            ).to_dict()
            return self._snapshot(session["status"], session["payment_intent"])

    def pay_in_of(self, object_type: str, object_id: str) -> UUID | None:
        with self._asking():
            try:
                return ours(self._marked(object_type, object_id))
            except stripe.InvalidRequestError as error:
                if stripe_api.blames(error) == MISSING:
                    return None
                raise

    def _marked(self, object_type: str, object_id: str) -> Any:
        """The object with our mark, as Stripe has it now."""
        v1 = self._stripe.v1
        paid: dict[str, Any] = {"charge": v1.charges, "refund": v1.refunds, "dispute": v1.disputes}
        found: Any = None
        match object_type:
            case "checkout.session":
                found = v1.checkout.sessions.retrieve(object_id)
            case "invoice":
                found = v1.invoices.retrieve(object_id)
            case "invoice_payment":
                found = v1.invoice_payments.retrieve(object_id, {"expand": ["invoice"]}).invoice
            case "payment_intent":
                found = self._marked_by(v1.payment_intents.retrieve(object_id))
            case "charge" | "refund" | "dispute":
                found = self._marked_by(paid[object_type].retrieve(object_id, {"expand": ["payment_intent"]}).payment_intent)
        return found

    def _marked_by(self, intent: Any) -> Any:
        """A payment of a page has the mark itself; one of an invoice has it on its invoice."""
        if intent is None or ours(intent) is not None:
            return intent
        listed = self._stripe.v1.invoice_payments.list(
            {"payment": {"type": "payment_intent", "payment_intent": intent.id}, "expand": ["data.invoice"], "limit": 1}
        )
        return listed.data[0].invoice if listed.data else None

    def notices_since(self, moment: datetime) -> Iterable[Notice]:
        with self._asking():
            listed = self._stripe.v1.events.list({"created": {"gte": int(moment.timestamp())}, "limit": 100})
            return reversed([notice(each.to_dict()) for each in listed.auto_paging_iter()])

    def _snapshot(self, page: str, intent: Mapping[str, Any] | None) -> Snapshot:
        if intent is None:
            return Snapshot(Standing.EXPIRED if page == "expired" else Standing.OPEN)
        charge = intent["latest_charge"]
        standing, failure = _standing(page, intent)
        missing = _bank_transfer(intent).get("amount_remaining")
        return Snapshot(
            standing,
            payment_id=intent["id"],
            pay_in_id=ours(intent),
            customer_id=intent["customer"],
            currency=intent["currency"].upper(),
            method=_method(intent),
            paid_on=moment_of(charge["created"]).date() if charge else None,
            # Only after something came: before, the whole amount is missing, and that is no news.
            missing=money_of(missing, intent["currency"]) if missing and missing < intent["amount"] else None,
            failure=failure,
            surplus=self._surplus(intent) if _method(intent) == "customer_balance" else None,
            **self._came([intent["id"]] if charge else []),
        )


def _standing(page: str, intent: Mapping[str, Any]) -> tuple[Standing, str | None]:
    """Where the money is, and why it did not come."""
    status = intent["status"]
    if status == "succeeded":
        return Standing.ARRIVED, None
    # A requires_action that waits for nobody here: instructions for the transfer are out, or the bank account is being verified.
    if status == "processing" or (status == "requires_action" and (_bank_transfer(intent) or page == "complete")):
        return Standing.ON_ITS_WAY, None
    if status == "canceled":
        return Standing.FAILED, "The payment was cancelled at Stripe."
    if page in {"open", "expired"}:
        return (Standing.OPEN if page == "open" else Standing.EXPIRED), None
    return Standing.FAILED, why_failed(intent)


def _bank_transfer(intent: Mapping[str, Any]) -> Mapping[str, Any]:
    return (intent["next_action"] or {}).get("display_bank_transfer_instructions") or {}


def _method(intent: Mapping[str, Any]) -> str | None:
    return method_of(intent["latest_charge"]) or ("customer_balance" if _bank_transfer(intent) else None)
