"""Invoices: drafts that are filled and made final, paid at their page or by transfers that cover them whole, voided, written off.

A final invoice can't be changed. It has a payment of its own, which nobody may cancel and which carries none of its metadata. A
transfer that is too small stays in the company's cash balance and leaves the invoice open.
"""

from typing import Any

from tests.fakes.stripe import checkout, contract
from tests.fakes.stripe.invoice_books import PAYABLE, close_payments, payments_of
from tests.fakes.stripe.routes import route
from tests.fakes.stripe.world import Object, Parameters, Refusal, World

DAY = 86_400


def agree(world: World, invoice_id: str) -> Object:
    """At the invoice's page the company has its bank account debited."""
    with world.lock:
        intent = _open_intent(world, world.get("invoice", invoice_id))
        debit = next(each for each in intent["payment_method_types"] if each != "customer_balance")
        intent.update(status="processing", last_payment_error=None, _method=debit)
        checkout.charged(world, intent, status="pending")
        world.notify("payment_intent.processing", intent)
        return intent


def transfer(world: World, customer: str, amount: int, currency: str = "usd") -> None:
    """A transfer of a company comes in: it pays the oldest invoices that it covers, the rest is kept for the company."""
    with world.lock:
        world.cash[customer, currency] = world.cash.get((customer, currency), 0) + amount
        for invoice in [each for each in world.objects.values() if each["object"] == "invoice"]:
            if invoice["customer"] == customer and invoice["status"] in PAYABLE and invoice["currency"] == currency:
                _pay_from_cash(world, invoice)
        if world.cash[customer, currency]:
            world.notify("cash_balance.funds_available", checkout.cash_balance(world, customer))


def pay_twice(world: World, invoice_id: str, amount: int) -> Object:
    """Somebody attaches a payment of its own to an invoice that is paid already, as one can in the dashboard."""
    with world.lock:
        invoice = world.get("invoice", invoice_id)
        intent = _payment(world, invoice, amount, first=False)
        intent["_method"] = "customer_balance"
        checkout.succeed(world, intent)
        return intent


def pass_due(world: World, invoice_id: str) -> Object:
    """Nobody paid until the day it was due: an event, and nothing else."""
    with world.lock:
        return world.notify("invoice.overdue", world.get("invoice", invoice_id))


def write_off(world: World, invoice_id: str) -> Object:
    """Somebody gives it up in the dashboard. It can still be paid."""
    with world.lock:
        invoice = world.get("invoice", invoice_id)
        assert invoice["status"] == "open", f"the invoice is {invoice['status']}"
        invoice["status"] = "uncollectible"
        world.notify("invoice.marked_uncollectible", invoice)
        return invoice


def revise(world: World, invoice_id: str, total: int) -> Object:
    """Somebody edits a final invoice in the dashboard: another takes its place, and it is void. The new one has no metadata."""
    with world.lock:
        old = _payable(world, invoice_id, "revised")
        amounts = dict.fromkeys(("amount_due", "amount_remaining", "subtotal", "total"), total)
        made = world.add({
            **old, **amounts, "id": world.new_id("in"), "number": f"{old['number']}-R", "metadata": {}, "latest_revision": None,
            "from_invoice": {"action": "revision", "invoice": invoice_id},
            "status_transitions": dict(old["status_transitions"]),
        })  # fmt: skip
        _payment(world, made, total, first=True)
        void_invoice(world, {}, base="", invoice=invoice_id)
        old["latest_revision"] = made["id"]
        world.notify("invoice.finalized", made)
        return made


@route("POST", "/v1/customers/{customer}")
def update_customer(world: World, given: Parameters, *, base: str, customer: str) -> Object:
    found = world.get("customer", customer)
    found.update({name: given[name] for name in ("name", "email") if name in given})
    if "address" in given:
        names = ("line1", "line2", "city", "postal_code", "state", "country")
        found["address"] = {name: given["address"].get(name) or None for name in names}
    return found


@route("POST", "/v1/invoices")
def create_invoice(world: World, given: Parameters, *, base: str) -> Object:
    customer = world.objects.get(given.get("customer", ""))
    if customer is None or customer["object"] != "customer":
        raise Refusal(404, f"No such customer: '{given.get('customer')}'", code="resource_missing", param="customer")
    if given.get("collection_method") != "send_invoice":
        raise Refusal(400, "The stand-in sends invoices; it charges nobody automatically.", param="collection_method")
    if "days_until_due" not in given:
        raise Refusal(400, "You must pass `due_date` or `days_until_due` when sending an invoice.", param="days_until_due")
    made = contract.smallest("invoice") | {
        "id": world.new_id("in"),
        "auto_advance": given.get("auto_advance", False),
        "collection_method": "send_invoice",
        "created": world.now(),
        "currency": given.get("currency", "usd"),
        "custom_fields": list(given.get("custom_fields", [])) or None,
        "customer": customer["id"],
        "customer_address": None,
        "customer_email": customer["email"],
        "customer_name": customer["name"],
        "description": given.get("description"),
        "due_date": None,
        "hosted_invoice_url": None,
        "invoice_pdf": None,
        "metadata": dict(given.get("metadata", {})),
        "number": None,
        "payment_settings": _settings(given.get("payment_settings", {})),
        "period_end": world.now(),
        "period_start": world.now(),
        "status": "draft",
        "status_transitions": dict.fromkeys(("finalized_at", "marked_uncollectible_at", "paid_at", "voided_at")),
        "_days": given["days_until_due"],
        "_sent": 0,
    }
    return world.add(made)


@route("POST", "/v1/invoiceitems")
def create_item(world: World, given: Parameters, *, base: str) -> Object:
    invoice = world.get("invoice", given["invoice"], param="invoice")
    if invoice["status"] != "draft":
        raise Refusal(400, "This invoice is no longer editable.", code="invoice_not_editable", param="invoice")
    if invoice["currency"] != given["currency"]:
        raise Refusal(400, "The currency of the item and of its invoice differ.", param="currency")
    made = contract.smallest("invoiceitem") | {
        "id": world.new_id("ii"),
        "amount": given["amount"],
        "currency": given["currency"],
        "customer": given["customer"],
        "date": world.now(),
        "description": given.get("description"),
        "invoice": invoice["id"],
        "quantity": 1,
        "quantity_decimal": "1",
    }
    for name in ("amount_due", "amount_remaining", "subtotal", "total"):
        invoice[name] += given["amount"]
    return world.add(made)


@route("POST", "/v1/invoices/{invoice}/finalize")
def finalize_invoice(world: World, given: Parameters, *, base: str, invoice: str) -> Object:
    found = world.get("invoice", invoice, param="invoice")
    if found["status"] != "draft":
        raise Refusal(400, "This invoice is already finalized, you can't re-finalize a non-draft invoice.")
    if not 50 <= found["total"] <= checkout.CHARGE_MAX:
        raise Refusal(400, "The amount due must be between $0.50 and $999,999.99.", code="amount_too_large")
    customer = world.objects[found["customer"]]
    found.update(
        status="open",
        number=f"PW-{sum(each['object'] == 'invoice' for each in world.objects.values()):04}",
        due_date=world.now() + found["_days"] * DAY,
        hosted_invoice_url=f"{base}/i/{invoice}",
        invoice_pdf=f"{base}/i/{invoice}/pdf",
        customer_name=customer["name"],
        customer_email=customer["email"],
        customer_address=customer.get("address"),
    )
    found["status_transitions"]["finalized_at"] = world.now()
    _payment(world, found, found["amount_due"], first=True)
    world.notify("invoice.finalized", found)
    _pay_from_cash(world, found)
    return found


@route("POST", "/v1/invoices/{invoice}/send")
def send_invoice(world: World, given: Parameters, *, base: str, invoice: str) -> Object:
    found = world.get("invoice", invoice, param="invoice")
    if found["status"] not in {"open", "paid"}:
        raise Refusal(400, f"You can only manually send an invoice if it is open; this one is {found['status']}.")
    if not found["customer_email"]:
        raise Refusal(400, "The customer has no e-mail address.", code="missing_email")
    found["_sent"] += 1
    world.notify("invoice.sent", found)
    return found


@route("POST", "/v1/invoices/{invoice}/void")
def void_invoice(world: World, given: Parameters, *, base: str, invoice: str) -> Object:
    found = _payable(world, invoice, "voided")
    close_payments(world, found)
    found["status"] = "void"
    found["status_transitions"]["voided_at"] = world.now()
    world.notify("invoice.voided", found)
    return found


@route("POST", "/v1/invoices/{invoice}/pay")
def pay_invoice(world: World, given: Parameters, *, base: str, invoice: str) -> Object:
    if given.get("paid_out_of_band") is not True:
        raise Refusal(400, "The stand-in charges nobody automatically.", param="paid_out_of_band")
    found = _payable(world, invoice, "paid")
    close_payments(world, found)
    found.update(
        status="paid", amount_paid=found["amount_due"], amount_paid_off_stripe=found["amount_remaining"], amount_remaining=0
    )
    found["status_transitions"]["paid_at"] = world.now()
    world.notify("invoice.paid", found)
    return found


@route("GET", "/v1/invoices")
def list_invoices(world: World, given: Parameters, *, base: str) -> Object:
    wanted = {name: given[name] for name in ("customer", "status", "collection_method") if name in given}
    found = [each for each in world.all("invoice") if all(each[name] == value for name, value in wanted.items())]
    return world.page(found, "/v1/invoices", given)


@route("GET", "/v1/invoices/{invoice}")
def retrieve_invoice(world: World, given: Parameters, *, base: str, invoice: str) -> Object:
    return world.get("invoice", invoice, param="invoice")


@route("DELETE", "/v1/invoices/{invoice}")
def delete_invoice(world: World, given: Parameters, *, base: str, invoice: str) -> Object:
    found = world.get("invoice", invoice, param="invoice")
    if found["status"] != "draft":
        raise Refusal(400, "You can only delete draft invoices.", code="invoice_not_editable")
    del world.objects[invoice]
    return {"id": invoice, "object": "invoice", "deleted": True}


@route("GET", "/v1/invoice_payments")
def list_invoice_payments(world: World, given: Parameters, *, base: str) -> Object:
    intent = given.get("payment", {}).get("payment_intent")
    found = [
        each
        for each in world.all("invoice_payment")
        if given.get("invoice") in {None, each["invoice"]} and intent in {None, each["payment"]["payment_intent"]}
    ]
    return world.page(found, "/v1/invoice_payments", given)


@route("GET", "/v1/invoice_payments/{invoice_payment}")
def retrieve_invoice_payment(world: World, given: Parameters, *, base: str, invoice_payment: str) -> Object:
    return world.get("invoice_payment", invoice_payment, param="invoice_payment")


def _settings(given: Parameters) -> dict[str, Any]:
    options = given.get("payment_method_options")
    names = ("acss_debit", "bancontact", "card", "customer_balance", "konbini", "sepa_debit", "us_bank_account")
    return {
        "default_mandate": None,
        "payment_method_options": dict.fromkeys(names) | dict(options) if options else None,
        "payment_method_types": list(given.get("payment_method_types", [])) or None,
    }


def _payment(world: World, invoice: Object, amount: int, *, first: bool) -> Object:
    """A payment for an invoice. Of the invoice's metadata it has nothing."""
    methods = invoice["payment_settings"]["payment_method_types"] or ["card"]
    intent = checkout.intended(
        world, amount=amount, currency=invoice["currency"], customer=invoice["customer"], methods=methods, method=methods[0]
    )
    intent["_invoice"] = invoice["id"]
    world.add(
        contract.smallest("invoice_payment")
        | {
            "id": world.new_id("inpay"),
            "amount_paid": None,
            "amount_requested": amount,
            "created": world.now(),
            "currency": invoice["currency"],
            "invoice": invoice["id"],
            "is_default": first,
            "payment": {"type": "payment_intent", "payment_intent": intent["id"]},
            "status": "open",
            "status_transitions": {"canceled_at": None, "paid_at": None},
        }
    )
    return intent


def _open_intent(world: World, invoice: Object) -> Object:
    assert invoice["status"] in PAYABLE, f"the invoice is {invoice['status']}"
    first = next(each for each in payments_of(world, invoice["id"]) if each["is_default"])
    return world.objects[first["payment"]["payment_intent"]]


def _pay_from_cash(world: World, invoice: Object) -> None:
    """All of it or nothing."""
    place = invoice["customer"], invoice["currency"]
    cash = world.cash.get(place, 0)
    if "customer_balance" in (invoice["payment_settings"]["payment_method_types"] or []) and cash >= invoice["amount_remaining"]:
        intent = _open_intent(world, invoice)
        world.cash[place] = cash - invoice["amount_remaining"]
        intent["_method"] = "customer_balance"
        checkout.succeed(world, intent)


def _payable(world: World, invoice_id: str, deed: str) -> Object:
    found = world.get("invoice", invoice_id, param="invoice")
    if found["status"] not in PAYABLE:
        raise Refusal(400, f"This invoice can't be {deed}: it is {found['status']}.")
    intents = [world.objects[each["payment"]["payment_intent"]] for each in payments_of(world, invoice_id)]
    if any(each["status"] == "processing" for each in intents):
        raise Refusal(400, f"This invoice can't be {deed}: a payment of it is processing.")
    return found
