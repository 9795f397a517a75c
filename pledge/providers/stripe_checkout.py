"""Stripe as the place to pay at: Checkout Sessions, and what the objects behind them say.

A session is a page that can be paid once, for at most 24 hours. Its PaymentIntent carries the money; the charge's balance
transaction says what arrived, the fee, and when we may use it. Nothing is taken from an event's body: every look fetches.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

import stripe

from core import stripe_api
from core.money import Money
from pledge.models import MovementKind
from pledge.providers.base import (
    CustomerUnknown,
    Dispute,
    Movement,
    Notice,
    NotThere,
    PageWanted,
    PayPage,
    ProviderRefused,
    ProviderSilent,
    RefundSeen,
    RefundStanding,
    RefundWanted,
    Snapshot,
    Standing,
)
from pledge.providers.stripe_signature import notice

METHODS = ("us_bank_account", "customer_balance")
"""ACH debit and bank transfer: what companies of this size pay by. A card is added below its limit.

They filter what Stripe finds eligible; `payment_method_types`, which listed them, is refused since 2026-09-30."""
OPEN_DISPUTES = frozenset({"needs_response", "under_review"})
METADATA_KEY = "pledgeworks_pay_in"
REFUND_KEY = "pledgeworks_refund"
REFUND_STANDINGS = {
    "pending": RefundStanding.PENDING,
    "requires_action": RefundStanding.PENDING,
    "succeeded": RefundStanding.DONE,
    "failed": RefundStanding.FAILED,
    "canceled": RefundStanding.FAILED,
}


class StripeProvider:
    """Pay-ins through Stripe."""

    title = "Stripe"
    currencies = frozenset({"USD"})
    """What ACH debit and US bank transfer take."""

    def __init__(self, key: str, *, api_base: str | None = None, timeout: timedelta = timedelta(seconds=20)) -> None:
        self.live = "_live_" in key[:8]
        self._key = key
        self._stripe = stripe_api.client(key, api_base=api_base, timeout=timeout)

    def create_customer(self, *, name: str, metadata: Mapping[str, str], key: str) -> str:
        try:
            made = self._stripe.v1.customers.create({"name": name, "metadata": dict(metadata)}, {"idempotency_key": key})
        except stripe.StripeError as error:
            self._translate(error)
        return made.id

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
            "allowed_payment_method_types": [*METHODS, "card"] if wanted.by_card else list(METHODS),
            "payment_method_options": {
                "customer_balance": {"funding_type": "bank_transfer", "bank_transfer": {"type": "us_bank_transfer"}}
            },
            # A session's metadata is not copied to its PaymentIntent.
            "metadata": about,
            "payment_intent_data": {"metadata": about, "transfer_group": wanted.reference},
        }
        try:
            # Built step by step, so the library's exact type can't be inferred; the contract tests hold it against that type.
            made = self._stripe.v1.checkout.sessions.create(parameters, {"idempotency_key": wanted.key})  # type: ignore[arg-type]
        except stripe.StripeError as error:
            if stripe_api.blames(error) == "resource_missing" and getattr(error, "param", None) == "customer":
                raise CustomerUnknown("Stripe does not know this customer under the key of today. Press Pay again.") from error
            self._translate(error)
        if not made.url:
            raise ProviderSilent("Stripe opened a page without an address. Press the button again.")
        return PayPage(made.id, made.url, _moment(made.expires_at))

    def close_page(self, session_id: str) -> None:
        try:
            self._stripe.v1.checkout.sessions.expire(session_id)
        except stripe.InvalidRequestError:
            # Only open sessions can be expired; the look that follows says what this one is.
            return
        except stripe.StripeError as error:
            self._translate(error)

    def cancel(self, payment_id: str) -> None:
        try:
            self._stripe.v1.payment_intents.cancel(payment_id, {"cancellation_reason": "abandoned"})
        except stripe.StripeError as error:
            # It came meanwhile, or was cancelled before; the look that follows says which.
            if stripe_api.blames(error) != "payment_intent_unexpected_state":
                self._translate(error)

    def look(self, session_id: str) -> Snapshot:
        try:
            session = self._stripe.v1.checkout.sessions.retrieve(
                session_id, {"expand": ["payment_intent.latest_charge.balance_transaction"]}
            ).to_dict()
            return self._snapshot(session["status"], session["payment_intent"])
        except stripe.StripeError as error:
            if stripe_api.blames(error) == "resource_missing":
                raise NotThere(
                    f"Stripe does not know {session_id} under the key of today: it was opened under another key or account. "
                    "Nobody can say here what became of it; a page closes by itself within a day."
                ) from error
            self._translate(error)
        except (KeyError, TypeError, ValueError) as error:
            raise ProviderSilent(
                f"Stripe's answer about {session_id} can't be read ({type(error).__name__}: {error})."
            ) from error

    def refund(self, wanted: RefundWanted) -> None:
        try:
            self._stripe.v1.refunds.create(
                {
                    "payment_intent": wanted.payment_id,
                    "amount": wanted.money.amount_minor,
                    "reason": "requested_by_customer",
                    "metadata": {REFUND_KEY: str(wanted.refund_id)},
                },
                {"idempotency_key": wanted.key},
            )
        except stripe.StripeError as error:
            self._translate(error)

    def refunds_of(self, payment_id: str) -> Sequence[RefundSeen]:
        try:
            return [_refund(each) for each in self._refunds(payment_id)]
        except stripe.StripeError as error:
            self._translate(error)

    def pay_in_of(self, object_type: str, object_id: str) -> UUID | None:
        try:
            found = self._fetched(object_type, object_id)
        except stripe.InvalidRequestError as error:
            if stripe_api.blames(error) == "resource_missing":
                return None
            self._translate(error)
        except stripe.StripeError as error:
            self._translate(error)
        return _ours(found)

    def _fetched(self, object_type: str, object_id: str) -> Any:
        """The object with our metadata, as Stripe has it now."""
        v1 = self._stripe.v1
        match object_type:
            case "checkout.session":
                return v1.checkout.sessions.retrieve(object_id)
            case "payment_intent":
                return v1.payment_intents.retrieve(object_id)
            case "charge":
                return v1.charges.retrieve(object_id, {"expand": ["payment_intent"]}).payment_intent
            case "refund":
                return v1.refunds.retrieve(object_id, {"expand": ["payment_intent"]}).payment_intent
            case "dispute":
                return v1.disputes.retrieve(object_id, {"expand": ["payment_intent"]}).payment_intent
        return None

    def notices_since(self, moment: datetime) -> Iterable[Notice]:
        try:
            listed = self._stripe.v1.events.list({"created": {"gte": int(moment.timestamp())}, "limit": 100})
            found = [notice(each.to_dict()) for each in listed.auto_paging_iter()]
        except stripe.StripeError as error:
            self._translate(error)
        except (KeyError, TypeError, ValueError) as error:
            raise ProviderSilent("Stripe's list of events can't be read.") from error
        return reversed(found)

    def _snapshot(self, page: str, intent: Mapping[str, Any] | None) -> Snapshot:
        if intent is None:
            return Snapshot(Standing.EXPIRED if page == "expired" else Standing.OPEN)
        charge = intent["latest_charge"]
        standing, failure = _standing(page, intent)
        missing = _bank_transfer(intent).get("amount_remaining")
        return Snapshot(
            standing,
            payment_id=intent["id"],
            pay_in_id=_ours(intent),
            customer_id=intent["customer"],
            currency=intent["currency"].upper(),
            method=_method(charge, intent),
            paid_on=_moment(charge["created"]).date() if charge else None,
            # Only after something came: before, the whole amount is missing, and that is no news.
            missing=_money(missing, intent["currency"]) if missing and missing < intent["amount"] else None,
            failure=failure,
            surplus=self._surplus(intent) if _method(charge, intent) == "customer_balance" else None,
            **self._came(intent["id"], charge),
        )

    def _surplus(self, intent: Mapping[str, Any]) -> Money | None:
        """What the company sent beyond what was asked for: Stripe keeps it in the company's cash balance."""
        cash = self._stripe.v1.customers.cash_balance.retrieve(intent["customer"]).to_dict()
        left = (cash.get("available") or {}).get(intent["currency"], 0) if intent["status"] == "succeeded" else 0
        return _money(left, intent["currency"]) if left else None

    def _came(self, payment_id: str, charge: Mapping[str, Any] | None) -> dict[str, Any]:
        """What moved because of a charge, and who wants it back; nothing until Stripe's own books show that it arrived."""
        if charge is None or charge["status"] != "succeeded" or not isinstance(charge["balance_transaction"], Mapping):
            return {}
        movements = [_movement(charge["balance_transaction"], MovementKind.ARRIVAL)]
        refunds = self._refunds(payment_id)
        for refund in refunds:
            if refund.get("balance_transaction"):
                movements.append(_movement(refund["balance_transaction"], MovementKind.REFUND))
            if refund.get("failure_balance_transaction"):
                movements.append(_movement(refund["failure_balance_transaction"], MovementKind.REFUND_FAILED))
        disputes = self._disputes(payment_id)
        for dispute in disputes:
            movements += [
                _movement(each, _of_dispute(each["amount"]))
                for each in dispute["balance_transactions"]
                if each["amount"] or each["fee"]
            ]
        return {
            "movements": movements,
            "disputes": [_dispute(each) for each in disputes],
            "refunds": [_refund(each) for each in refunds],
        }

    def _refunds(self, payment_id: str) -> list[dict[str, Any]]:
        expand = ["data.balance_transaction", "data.failure_balance_transaction"]
        listed = self._stripe.v1.refunds.list({"payment_intent": payment_id, "limit": 100, "expand": expand})
        return [each.to_dict() for each in listed.auto_paging_iter()]

    def _disputes(self, payment_id: str) -> list[dict[str, Any]]:
        listed = self._stripe.v1.disputes.list({"payment_intent": payment_id, "limit": 100})
        return [each.to_dict() for each in listed.auto_paging_iter()]

    def _translate(self, error: stripe.StripeError) -> NoReturn:
        """An unclear answer about a page costs a page that nobody knows; about a refund, one look at the list of refunds."""
        if isinstance(error, (stripe.AuthenticationError, stripe.PermissionError)):
            raise ProviderRefused(
                "Stripe refuses our key, so nobody can pay online now. An administrator puts PLEDGEWORKS_STRIPE_KEY right; "
                "a bank transfer works meanwhile."
            ) from error
        if isinstance(error, (stripe.APIConnectionError, stripe.RateLimitError)):
            raise ProviderSilent("Stripe does not answer just now. Nobody was charged; try again in a minute.") from error
        code, number = stripe_api.blames(error), f" [{error.request_id}]" if error.request_id else ""
        if isinstance(error, (stripe.InvalidRequestError, stripe.CardError)):
            said = (error.user_message or type(error).__name__)[:300].replace(self._key, "…")
            raise ProviderRefused(f"Stripe refused: {said}{f' ({code})' if code else ''}{number}") from error
        raise ProviderSilent(f"No clear answer from Stripe{number}. Nobody was charged; try again in a minute.") from error


def _ours(found: Any) -> UUID | None:
    """The pay-in that Stripe's object is of; None if somebody else who shares this Stripe account made it."""
    try:
        return UUID(found["metadata"][METADATA_KEY])
    except (KeyError, TypeError, ValueError):
        return None


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
    error = intent["last_payment_error"] or {}
    code = f" ({error['code']})" if error.get("code") else ""
    return Standing.FAILED, f"{(error.get('message') or 'The payment did not succeed')[:300].rstrip('.')}{code}."


def _bank_transfer(intent: Mapping[str, Any]) -> Mapping[str, Any]:
    return (intent["next_action"] or {}).get("display_bank_transfer_instructions") or {}


def _method(charge: Mapping[str, Any] | None, intent: Mapping[str, Any]) -> str | None:
    if charge:
        kind = (charge["payment_method_details"] or {}).get("type")
        return str(kind) if kind else None
    return "customer_balance" if _bank_transfer(intent) else None


def _movement(found: Mapping[str, Any], kind: MovementKind) -> Movement:
    return Movement(
        id=found["id"],
        kind=kind,
        gross=_money(found["amount"], found["currency"]),
        fee=_money(found["fee"], found["currency"]),
        source=found["source"],
        happened_at=_moment(found["created"]),
        available_at=_moment(found["available_on"]),
    )


def _of_dispute(amount: int) -> MovementKind:
    if amount == 0:
        return MovementKind.FEE
    return MovementKind.DISPUTE if amount < 0 else MovementKind.REINSTATED


def _refund(found: Mapping[str, Any]) -> RefundSeen:
    ours = (found.get("metadata") or {}).get(REFUND_KEY)
    standing = REFUND_STANDINGS[found["status"]]
    failure = (found.get("failure_reason") or found["status"]).replace("_", " ") if standing is RefundStanding.FAILED else None
    return RefundSeen(
        found["id"], UUID(ours) if ours else None, standing, wants_details=found["status"] == "requires_action", failure=failure
    )


def _dispute(found: Mapping[str, Any]) -> Dispute:
    money = _money(found["amount"], found["currency"])
    return Dispute(found["id"], money, open=found["status"] in OPEN_DISPUTES, reason=found["reason"])


def _money(amount: int, currency: str) -> Money:
    return Money(amount, currency.upper())


def _moment(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
