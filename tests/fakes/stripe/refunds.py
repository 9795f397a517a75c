"""Money that goes back: refunds, which can fail, and disputes, by which banks take money back and sometimes return it."""

from tests.fakes.stripe import contract
from tests.fakes.stripe.routes import route
from tests.fakes.stripe.world import Object, Parameters, Refusal, World

DISPUTE_FEE = 1500


def fail_refund(world: World, refund_id: str, reason: str = "declined") -> Object:
    """The company's bank does not take the money; it comes back to us."""
    with world.lock:
        refund = world.get("refund", refund_id)
        assert refund["status"] not in {"failed", "canceled"}, f"the refund is {refund['status']}"
        charge = world.objects[refund["charge"]]
        moved = world.move("refund_failure", refund["amount"], refund["currency"], source=refund_id, category="refund_failure")
        refund.update(status="failed", failure_reason=reason, failure_balance_transaction=moved["id"])
        charge["amount_refunded"] -= refund["amount"]
        charge["refunded"] = False
        world.notify("refund.failed", refund)
        return refund


def finish_refund(world: World, refund_id: str, *, wants_details: bool = False) -> Object:
    """The company has its money; or Stripe asks it by e-mail where to send it."""
    with world.lock:
        refund = world.get("refund", refund_id)
        refund["status"] = "requires_action" if wants_details else "succeeded"
        world.notify("refund.updated", refund)
        return refund


def dispute(world: World, payment: str, *, reason: str = "fraudulent", amount: int | None = None, lost: bool = False) -> Object:
    """The payer's bank takes the money; `lost`: for good at once, as a returned debit is."""
    with world.lock:
        intent = world.get("payment_intent", payment)
        charge = world.objects[intent["latest_charge"]]
        taken = amount or charge["amount"] - charge["amount_refunded"]
        made = world.add(
            contract.smallest("dispute")
            | {
                "id": world.new_id("dp"),
                "amount": taken,
                "balance_transactions": [],
                "charge": charge["id"],
                "created": world.now(),
                "currency": charge["currency"],
                "livemode": False,
                "metadata": {},
                "payment_intent": payment,
                "reason": reason,
                "status": "lost" if lost else "needs_response",
            }
        )
        fee = 0 if lost else DISPUTE_FEE
        moved = world.move("adjustment", -taken, charge["currency"], source=made["id"], category="dispute", fee=fee)
        made["balance_transactions"].append(moved)
        charge["disputed"] = True
        for kind in ("created", "funds_withdrawn", *(["closed"] if lost else [])):
            world.notify(f"charge.dispute.{kind}", made)
        return made


def decide(world: World, dispute_id: str, *, won: bool) -> Object:
    """The bank decides a dispute."""
    with world.lock:
        found = world.get("dispute", dispute_id)
        found["status"] = "won" if won else "lost"
        if won:
            moved = world.move(
                "adjustment", found["amount"], found["currency"], source=dispute_id, category="dispute_reversal", fee=-DISPUTE_FEE
            )
            found["balance_transactions"].append(moved)
            world.notify("charge.dispute.funds_reinstated", found)
        world.notify("charge.dispute.closed", found)
        return found


def charge_for_dispute(world: World, dispute_id: str, fee: int = DISPUTE_FEE) -> Object:
    """A movement that is nothing but the fee of a dispute."""
    with world.lock:
        found = world.get("dispute", dispute_id)
        moved = world.move("adjustment", 0, found["currency"], source=dispute_id, category="dispute", fee=fee)
        found["balance_transactions"].append(moved)
        world.notify("charge.dispute.updated", found)
        return found


@route("POST", "/v1/refunds")
def create_refund(world: World, given: Parameters, *, base: str) -> Object:
    intent = world.get("payment_intent", given["payment_intent"], param="payment_intent")
    charge = world.objects.get(intent["latest_charge"] or "")
    if charge is None or charge["status"] != "succeeded":
        raise Refusal(400, "This PaymentIntent does not have a successful charge to refund.")
    left = charge["amount"] - charge["amount_refunded"]
    amount = given.get("amount", left)
    if amount > left:
        raise Refusal(400, f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})", param="amount")
    if charge["disputed"]:
        raise Refusal(400, f"Charge {charge['id']} has been charged back; cannot issue a refund.", code="charge_disputed")
    if world.available(charge["currency"]) < amount:
        raise Refusal(400, "Insufficient funds in your Stripe balance to refund this amount.", code="balance_insufficient")
    made = world.add(
        contract.smallest("refund")
        | {
            "id": world.new_id("re"),
            "amount": amount,
            "charge": charge["id"],
            "created": world.now(),
            "currency": charge["currency"],
            "metadata": dict(given.get("metadata", {})),
            "payment_intent": intent["id"],
            "reason": given.get("reason"),
            "status": "succeeded" if intent["_method"] == "card" else "pending",
        }
    )
    kind = "refund" if intent["_method"] == "card" else "payment_refund"
    made["balance_transaction"] = world.move(kind, -amount, charge["currency"], source=made["id"], category="refund")["id"]
    charge["amount_refunded"] += amount
    charge["refunded"] = charge["amount_refunded"] == charge["amount"]
    world.notify("refund.created", made)
    world.notify("charge.refunded", charge)
    return made


@route("GET", "/v1/refunds")
def list_refunds(world: World, given: Parameters, *, base: str) -> Object:
    found = [each for each in world.all("refund") if given.get("payment_intent") in {None, each["payment_intent"]}]
    return world.page(found, "/v1/refunds", given)


@route("GET", "/v1/refunds/{refund}")
def retrieve_refund(world: World, given: Parameters, *, base: str, refund: str) -> Object:
    return world.get("refund", refund, param="refund")


@route("GET", "/v1/disputes")
def list_disputes(world: World, given: Parameters, *, base: str) -> Object:
    found = [each for each in world.all("dispute") if given.get("payment_intent") in {None, each["payment_intent"]}]
    return world.page(found, "/v1/disputes", given)


@route("GET", "/v1/disputes/{dispute}")
def retrieve_dispute(world: World, given: Parameters, *, base: str, dispute: str) -> Object:
    return world.get("dispute", dispute, param="dispute")
