"""What happens to an invoice when money comes: kept apart from its endpoints, since payments of every kind lead here."""

from tests.fakes.stripe.world import Object, World

INVOICING_BASIS_POINTS = 40
PAYABLE = frozenset({"open", "uncollectible"})


def payments_of(world: World, invoice_id: str) -> list[Object]:
    """The payments an invoice can be paid by, or was."""
    return [each for each in world.objects.values() if each["object"] == "invoice_payment" and each["invoice"] == invoice_id]


def of_intent(world: World, intent_id: str) -> Object | None:
    """The invoice payment behind a payment, if it is one of an invoice."""
    found = (each for each in world.objects.values() if each["object"] == "invoice_payment")
    return next((each for each in found if each["payment"]["payment_intent"] == intent_id), None)


def take(world: World, intent: Object) -> None:
    """A payment succeeded: its invoice has so much more, and what is too much of it is overpaid."""
    payment = of_intent(world, intent["id"])
    assert payment is not None, "a payment of an invoice"
    invoice = world.objects[payment["invoice"]]
    payment.update(status="paid", amount_paid=intent["amount"])
    payment["status_transitions"]["paid_at"] = world.now()
    world.notify("invoice_payment.paid", payment)
    taken = min(intent["amount"], invoice["amount_remaining"])
    invoice["amount_paid"] += taken
    invoice["amount_remaining"] -= taken
    invoice["amount_overpaid"] += intent["amount"] - taken
    if invoice["amount_overpaid"]:
        world.notify("invoice.overpaid", invoice)
    if invoice["amount_remaining"] == 0 and invoice["status"] in PAYABLE:
        invoice.update(status="paid", attempted=True)
        invoice["status_transitions"]["paid_at"] = world.now()
        if world.invoicing_fee:
            fee = round(invoice["total"] * INVOICING_BASIS_POINTS / 10_000)
            world.move("stripe_fee", -fee, invoice["currency"], source=None, category="fee")["description"] = "Invoicing"
        world.notify("invoice.paid", invoice)


def close_payments(world: World, invoice: Object) -> None:
    """Nobody pays it any more."""
    for payment in payments_of(world, invoice["id"]):
        if payment["status"] == "open":
            payment["status"] = "canceled"
            world.objects[payment["payment"]["payment_intent"]].update(status="canceled", next_action=None)
