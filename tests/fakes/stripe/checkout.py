"""Paying us: customers, Checkout Sessions and the payments behind them, and what banks do with the money afterwards.

Endpoints keep Stripe's rules; the functions above them are what happens outside of the API: a company pays at the page, a debit
clears or bounces, a transfer comes in.
"""

from typing import Any

from tests.fakes.stripe import contract, invoice_books
from tests.fakes.stripe.routes import route
from tests.fakes.stripe.world import Object, Parameters, Refusal, World, within

CHARGE_MAX = 99_999_999
SESSION_SECONDS = 24 * 3600
CANCELABLE = frozenset({"requires_payment_method", "requires_confirmation", "requires_action", "requires_capture"})
AVAILABLE_AFTER = {"card": 2 * 86_400, "us_bank_account": 4 * 86_400, "customer_balance": 0, "sepa_debit": 5 * 86_400}
"""Seconds from a payment's success until its money may be used. A world can have its own."""


def choose(world: World, session_id: str, method: str) -> Object:
    """The company agrees to pay by a method, at the page."""
    with world.lock:
        session = world.get("checkout.session", session_id)
        assert session["status"] == "open", f"the page is {session['status']}"
        assert method in session["payment_method_types"], f"{method} is not offered"
        intent = _intent(world, session, method)
        session.update(payment_intent=intent["id"], status="complete", url=None)
        if method == "card":
            succeed(world, intent)
        elif method in {"us_bank_account", "sepa_debit"}:
            intent["status"] = "processing"
            charged(world, intent, status="pending")
            world.notify("payment_intent.processing", intent)
        else:
            _await_transfer(intent, intent["amount"])
            world.notify("payment_intent.requires_action", intent)
        world.notify("checkout.session.completed", session)
        return intent


def decline(world: World, session_id: str) -> Object:
    """A card is declined: the page stays open for another try."""
    with world.lock:
        session = world.get("checkout.session", session_id)
        known = session["payment_intent"]
        intent = world.objects[known] if known else _intent(world, session, "card")
        session["payment_intent"] = intent["id"]
        charged(world, intent, status="failed")
        _fail(intent, "card_declined", "Your card was declined.")
        world.notify("payment_intent.payment_failed", intent)
        return intent


def arrive(world: World, payment: str, amount: int | None = None) -> Object:
    """A debit clears, or money of a transfer comes in: all of it, or `amount`."""
    with world.lock:
        intent = world.get("payment_intent", payment)
        if intent["status"] == "requires_action":
            details = intent["next_action"]["display_bank_transfer_instructions"]
            left = details["amount_remaining"] - (details["amount_remaining"] if amount is None else amount)
            if left < 0:
                place = intent["customer"], intent["currency"]
                world.cash[place] = world.cash.get(place, 0) - left
                world.notify("cash_balance.funds_available", cash_balance(world, intent["customer"]))
            if left > 0:
                _await_transfer(intent, left)
                world.notify("payment_intent.partially_funded", intent)
                return intent
        else:
            assert intent["status"] == "processing", f"the payment is {intent['status']}"
        succeed(world, intent)
        if "_invoice" not in intent:
            world.notify("checkout.session.async_payment_succeeded", _session_of(world, payment))
        return intent


def bounce(world: World, payment: str, code: str = "insufficient_funds") -> Object:
    """A debit fails before it ever succeeded."""
    with world.lock:
        intent = world.get("payment_intent", payment)
        assert intent["status"] == "processing", f"the payment is {intent['status']}"
        charge = world.objects[intent["latest_charge"]]
        # While it was on its way it was on our balance, pending; now it is taken back.
        came = world.move("payment", intent["amount"], intent["currency"], source=charge["id"], category="charge")
        back = world.move(
            "payment_failure_refund", -intent["amount"], intent["currency"], source=charge["id"], category="charge_failure"
        )  # fmt: skip
        charge.update(
            status="failed", paid=False, failure_code=code, balance_transaction=came["id"], failure_balance_transaction=back["id"]
        )  # fmt: skip
        _fail(intent, code, "The customer's bank account has insufficient funds to cover this payment.")
        world.notify("payment_intent.payment_failed", intent)
        world.notify("charge.failed", world.objects[intent["latest_charge"]])
        if "_invoice" in intent:
            world.notify("invoice.payment_failed", world.objects[intent["_invoice"]])
        else:
            world.notify("checkout.session.async_payment_failed", _session_of(world, payment))
        return intent


def run_out(world: World, session_id: str) -> Object:
    """Nobody paid within the day."""
    with world.lock:
        session = world.get("checkout.session", session_id)
        session.update(status="expired", url=None)
        world.notify("checkout.session.expired", session)
        return session


@route("POST", "/v1/customers")
def create_customer(world: World, given: Parameters, *, base: str) -> Object:
    made = contract.smallest("customer") | {
        "id": world.new_id("cus"),
        "created": world.now(),
        "livemode": False,
        "name": given.get("name"),
        "email": given.get("email"),
        "metadata": dict(given.get("metadata", {})),
    }
    return world.add(made)


@route("GET", "/v1/customers/{customer}/cash_balance")
def retrieve_cash_balance(world: World, given: Parameters, *, base: str, customer: str) -> Object:
    world.get("customer", customer, param="customer")
    return cash_balance(world, customer)


def cash_balance(world: World, customer: str) -> Object:
    """What a customer sent and nothing asked for."""
    left = {currency: amount for (whose, currency), amount in world.cash.items() if whose == customer and amount}
    settings = {"reconciliation_mode": "automatic", "using_merchant_default": True}
    return {
        "object": "cash_balance", "available": left or None, "customer": customer, "customer_account": None,
        "livemode": False, "settings": settings,
    }  # fmt: skip


@route("POST", "/v1/checkout/sessions")
def create_session(world: World, given: Parameters, *, base: str) -> Object:
    if "payment_method_types" in given:
        raise Refusal(
            400, "payment_method_types is no longer supported.", code="payment_method_types_no_longer_supported"
        )  # fmt: skip
    customer = world.objects.get(given.get("customer", ""))
    methods = list(given.get("allowed_payment_method_types", ["card"]))
    if "customer_balance" in methods and "customer" not in given:
        raise Refusal(400, "A customer is needed for bank transfers.", code="parameter_missing", param="customer")
    if "customer" in given and (customer is None or customer["object"] != "customer"):
        raise Refusal(400, f"No such customer: '{given['customer']}'", code="resource_missing", param="customer")
    amount = sum(item["price_data"]["unit_amount"] * item["quantity"] for item in given["line_items"])
    if not 50 <= amount <= CHARGE_MAX:
        raise Refusal(400, "The total amount must be between $0.50 and $999,999.99.", code="amount_too_large")
    session_id = world.new_id("cs_test")
    made = contract.smallest("checkout.session") | {
        "id": session_id,
        "amount_subtotal": amount,
        "amount_total": amount,
        "cancel_url": given.get("cancel_url"),
        "client_reference_id": given.get("client_reference_id"),
        "created": world.now(),
        "currency": given["line_items"][0]["price_data"]["currency"],
        "customer": given.get("customer"),
        "expires_at": int(given.get("expires_at", world.now() + SESSION_SECONDS)),
        "livemode": False,
        "metadata": dict(given.get("metadata", {})),
        "mode": "payment",
        "payment_intent": None,
        "payment_method_types": methods,
        "payment_status": "unpaid",
        "status": "open",
        "success_url": given.get("success_url"),
        "url": f"{base}/c/pay/{session_id}",
        "_title": given["line_items"][0]["price_data"]["product_data"]["name"],
        "_intent": given.get("payment_intent_data", {}),
    }
    return world.add(made)


@route("GET", "/v1/checkout/sessions/{session}")
def retrieve_session(world: World, given: Parameters, *, base: str, session: str) -> Object:
    return world.get("checkout.session", session, param="session")


@route("POST", "/v1/checkout/sessions/{session}/expire")
def expire_session(world: World, given: Parameters, *, base: str, session: str) -> Object:
    found = world.get("checkout.session", session, param="session")
    if found["status"] != "open":
        raise Refusal(400, f'Only Checkout Sessions with a status in ["open"] can be expired. This one is {found["status"]}.')
    return run_out(world, session)


@route("GET", "/v1/payment_intents/{intent}")
def retrieve_intent(world: World, given: Parameters, *, base: str, intent: str) -> Object:
    return world.get("payment_intent", intent, param="intent")


@route("POST", "/v1/payment_intents/{intent}/cancel")
def cancel_intent(world: World, given: Parameters, *, base: str, intent: str) -> Object:
    found = world.get("payment_intent", intent, param="intent")
    if found["status"] not in CANCELABLE:
        raise Refusal(
            400, f"You cannot cancel this PaymentIntent because it has a status of {found['status']}.",
            code="payment_intent_unexpected_state",
        )  # fmt: skip
    found.update(
        status="canceled", canceled_at=world.now(), cancellation_reason=given.get("cancellation_reason"), next_action=None
    )
    world.notify("payment_intent.canceled", found)
    return found


@route("GET", "/v1/charges/{charge}")
def retrieve_charge(world: World, given: Parameters, *, base: str, charge: str) -> Object:
    return world.get("charge", charge, param="charge")


@route("GET", "/v1/charges")
def list_charges(world: World, given: Parameters, *, base: str) -> Object:
    found = [each for each in world.all("charge") if given.get("payment_intent") in {None, each["payment_intent"]}]
    return world.page(found, "/v1/charges", given)


@route("GET", "/v1/events")
def list_events(world: World, given: Parameters, *, base: str) -> Object:
    found = [each for each in world.all("event") if within(each["created"], given.get("created"))]
    return world.page(found, "/v1/events", given)


def fee_of(method: str, amount: int) -> int:
    """As facts/money.md has the prices; of the bank transfer's nobody knows, so a plausible one."""
    if method == "card":
        return round(amount * 0.029) + 30
    return min(round(amount * 0.008), 500)


def _intent(world: World, session: Object, method: str) -> Object:
    wanted = session["_intent"]
    made = intended(
        world, amount=session["amount_total"], currency=session["currency"], customer=session["customer"],
        methods=session["payment_method_types"], method=method,
    )  # fmt: skip
    made.update(metadata=dict(wanted.get("metadata", {})), transfer_group=wanted.get("transfer_group"))
    return made


def intended(world: World, *, amount: int, currency: str, customer: str, methods: list[str], method: str) -> Object:
    """A payment that is asked for."""
    made = contract.smallest("payment_intent") | {
        "id": world.new_id("pi"),
        "amount": amount,
        "amount_received": 0,
        "created": world.now(),
        "currency": currency,
        "customer": customer,
        "last_payment_error": None,
        "latest_charge": None,
        "livemode": False,
        "metadata": {},
        "next_action": None,
        "payment_method_types": methods,
        "status": "requires_payment_method",
        "transfer_group": None,
        "_method": method,
    }
    return world.add(made)


def charged(world: World, intent: Object, *, status: str) -> Object:
    """A try to get the money of a payment."""
    made = contract.smallest("charge") | {
        "id": world.new_id("py" if intent["_method"] != "card" else "ch"),
        "amount": intent["amount"],
        "amount_captured": 0,
        "amount_refunded": 0,
        "balance_transaction": None,
        "captured": status == "succeeded",
        "created": world.now(),
        "currency": intent["currency"],
        "customer": intent["customer"],
        "disputed": False,
        "livemode": False,
        "metadata": dict(intent["metadata"]),
        "paid": status != "failed",
        "payment_intent": intent["id"],
        "payment_method_details": {"type": intent["_method"]},
        "refunded": False,
        "status": status,
        "transfer_group": intent["transfer_group"],
    }
    intent["latest_charge"] = made["id"]
    return world.add(made)


def succeed(world: World, intent: Object) -> None:
    """The money of a payment is there."""
    known = intent["latest_charge"] and world.objects[intent["latest_charge"]]
    charge = known if known and known["status"] == "pending" else charged(world, intent, status="succeeded")
    fee = fee_of(intent["_method"], intent["amount"])
    after = world.available_after.get(intent["_method"], AVAILABLE_AFTER[intent["_method"]])
    kind = "charge" if intent["_method"] == "card" else "payment"
    moved = world.move(
        kind, intent["amount"], intent["currency"], source=charge["id"], category="charge", fee=fee, available_after=after
    )  # fmt: skip
    charge.update(status="succeeded", paid=True, captured=True, amount_captured=intent["amount"], balance_transaction=moved["id"])
    intent.update(status="succeeded", amount_received=intent["amount"], next_action=None, last_payment_error=None)
    world.notify("charge.succeeded", charge)
    world.notify("payment_intent.succeeded", intent)
    if "_invoice" in intent:
        invoice_books.take(world, intent)
    else:
        _session_of(world, intent["id"])["payment_status"] = "paid"


def _fail(intent: Object, code: str, message: str) -> None:
    intent["status"] = "requires_payment_method"
    kind = "card_error" if code == "card_declined" else "invalid_request_error"
    intent["last_payment_error"] = {"type": kind, "code": code, "message": message}


def _await_transfer(intent: Object, left: int) -> None:
    intent["status"] = "requires_action"
    intent["next_action"] = {
        "type": "display_bank_transfer_instructions",
        "display_bank_transfer_instructions": {
            "amount_remaining": left,
            "currency": intent["currency"],
            "hosted_instructions_url": None,
            "reference": intent["id"][-8:].upper(),
            "type": "us_bank_transfer" if intent["currency"] == "usd" else "eu_bank_transfer",
        },
    }


def _session_of(world: World, payment: str) -> dict[str, Any]:
    found = (each for each in world.objects.values() if each["object"] == "checkout.session")
    return next(each for each in found if each["payment_intent"] == payment)
