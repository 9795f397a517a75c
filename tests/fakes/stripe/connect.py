"""Connected accounts, their onboarding, transfers to them and reversals."""

import secrets

from tests.fakes.stripe.routes import route
from tests.fakes.stripe.world import Object, Parameters, Refusal, World, within

LINK_SECONDS = 300
UNFINISHED = ["business_profile.url", "external_account", "individual.verification.document", "tos_acceptance.date"]


def connected_account(world: World, *, account_id: str | None = None, ready: bool = True, country: str = "DE") -> Object:
    """An account as tests want one, without its onboarding."""
    with world.lock:
        made = _account(world, {"country": country, "capabilities": {"transfers": {"requested": True}}})
        made["id"] = account_id or made["id"]
        world.add(made)
        if ready:
            finish_onboarding(world, made["id"])
        return made


def finish_onboarding(world: World, account_id: str) -> None:
    """The payee told Stripe everything, and Stripe is content."""
    with world.lock:
        require(world, account_id)
        restrict(world, account_id, transfers="active")
        world.objects[account_id].update(charges_enabled=True, payouts_enabled=True, details_submitted=True)


def restrict(
    world: World, account_id: str, *, transfers: str = "inactive", due: tuple[str, ...] = (), disabled: str | None = None
) -> None:
    """Stripe thinks otherwise about an account."""
    with world.lock:
        account = world.objects[account_id]
        account["capabilities"] = {"transfers": transfers}
        account["requirements"] = _requirements(list(due), disabled)


@route("POST", "/v1/accounts")
def create_account(world: World, given: Parameters, *, base: str) -> Object:
    return world.add(_account(world, given))


@route("GET", "/v1/accounts/{account}")
def retrieve_account(world: World, given: Parameters, *, base: str, account: str) -> Object:
    return require(world, account)


@route("POST", "/v1/account_links")
def create_account_link(world: World, given: Parameters, *, base: str) -> Object:
    require(world, given["account"])
    token = secrets.token_urlsafe(16)
    made = {
        "object": "account_link",
        "created": world.now(),
        "expires_at": world.now() + LINK_SECONDS,
        "url": f"{base}/connect/onboarding/{token}",
    }
    world.links[token] = {**given, "expires_at": made["expires_at"], "used": False}
    return made


@route("POST", "/v1/transfers")
def create_transfer(world: World, given: Parameters, *, base: str) -> Object:
    amount, currency = given.get("amount", 0), given["currency"].lower()
    if amount <= 0:
        raise Refusal(400, "This value must be greater than or equal to 1.", code="parameter_invalid_integer", param="amount")
    account = world.objects.get(given["destination"])
    if account is None or account["object"] != "account":
        raise Refusal(
            400, f"No such destination: '{given['destination']}'", code="resource_missing", param="destination"
        )  # fmt: skip
    if account["capabilities"].get("transfers") != "active":
        raise Refusal(
            400,
            "Your destination account needs to have at least one of the following capabilities enabled: "
            "transfers, crypto_transfers, legacy_payments",
            code="insufficient_capabilities_for_transfer",
        )
    if world.available(currency) < amount:
        raise Refusal(
            400, "You have insufficient available funds in your Stripe account.", code="balance_insufficient"
        )  # fmt: skip
    made = world.add(
        {
            "id": world.new_id("tr"),
            "object": "transfer",
            "amount": amount,
            "amount_reversed": 0,
            "created": world.now(),
            "currency": currency,
            "description": given.get("description"),
            "destination": account["id"],
            "destination_payment": world.new_id("py"),
            "livemode": False,
            "metadata": dict(given.get("metadata", {})),
            "reversed": False,
            "source_transaction": None,
            "source_type": "card",
            "transfer_group": given.get("transfer_group"),
        }
    )
    made["reversals"] = {"object": "list", "data": [], "has_more": False, "url": f"/v1/transfers/{made['id']}/reversals"}
    made["balance_transaction"] = world.move("transfer", -amount, currency, source=made["id"])["id"]
    world.held[account["id"], currency] = world.held.get((account["id"], currency), 0) + amount
    return made


@route("GET", "/v1/transfers")
def list_transfers(world: World, given: Parameters, *, base: str) -> Object:
    found = [
        each
        for each in world.all("transfer")
        if all(each[name] == given[name] for name in ("transfer_group", "destination") if name in given)
        and within(each["created"], given.get("created"))
    ]
    return world.page(found, "/v1/transfers", given)


@route("GET", "/v1/transfers/{transfer}")
def retrieve_transfer(world: World, given: Parameters, *, base: str, transfer: str) -> Object:
    return world.get("transfer", transfer, param="transfer")


@route("POST", "/v1/transfers/{id}/reversals")
def create_reversal(world: World, given: Parameters, *, base: str, id: str) -> Object:  # noqa: A002 - the path's own name
    transfer = world.get("transfer", id)
    left = transfer["amount"] - transfer["amount_reversed"]
    amount = given.get("amount", left)
    if not left:
        raise Refusal(400, f"Transfer {id} is already fully reversed.")
    if amount > left:
        raise Refusal(400, f"Reversal amount ({amount}) is greater than unreversed amount on transfer ({left})", param="amount")
    place = (transfer["destination"], transfer["currency"])
    if world.held[place] < amount:
        raise Refusal(
            400, "Insufficient balance in the destination account to reverse the transfer.", code="balance_insufficient"
        )  # fmt: skip
    made = world.add(
        {
            "id": world.new_id("trr"),
            "object": "transfer_reversal",
            "amount": amount,
            "created": world.now(),
            "currency": transfer["currency"],
            "destination_payment_refund": world.new_id("pyr"),
            "metadata": dict(given.get("metadata", {})),
            "source_refund": None,
            "transfer": id,
        }
    )
    made["balance_transaction"] = world.move(
        "transfer_refund", amount, transfer["currency"], source=made["id"], category="transfer_reversal"
    )["id"]
    world.held[place] -= amount
    transfer["amount_reversed"] += amount
    transfer["reversed"] = transfer["amount_reversed"] == transfer["amount"]
    transfer["reversals"]["data"].insert(0, made)
    return made


@route("GET", "/v1/transfers/{id}/reversals")
def list_reversals(world: World, given: Parameters, *, base: str, id: str) -> Object:  # noqa: A002 - the path's own name
    world.get("transfer", id)
    found = [each for each in world.all("transfer_reversal") if each["transfer"] == id]
    return world.page(found, f"/v1/transfers/{id}/reversals", given)


def require(world: World, account_id: str) -> Object:
    found = world.objects.get(account_id)
    if found is None or found["object"] != "account":
        message = f"The provided key does not have access to account '{account_id}' (or that account does not exist)."
        raise Refusal(403, message, code="account_invalid")
    return found


def _account(world: World, given: Parameters) -> Object:
    asked = given.get("capabilities", {})
    return {
        "id": world.new_id("acct"),
        "object": "account",
        "business_type": given.get("business_type"),
        "capabilities": {name: "inactive" for name, wish in asked.items() if wish.get("requested")},
        "charges_enabled": False,
        "controller": {"type": "application", "is_controller": True, **given.get("controller", {})},
        "country": given.get("country", "US"),
        "created": world.now(),
        "default_currency": "usd",
        "details_submitted": False,
        "email": given.get("email"),
        "metadata": dict(given.get("metadata", {})),
        "payouts_enabled": False,
        "requirements": _requirements(list(UNFINISHED), "requirements.past_due"),
        "type": "none" if "controller" in given else "express",
    }


def _requirements(due: list[str], disabled: str | None) -> Object:
    return {
        "alternatives": [],
        "current_deadline": None,
        "currently_due": due,
        "disabled_reason": disabled,
        "errors": [],
        "eventually_due": due,
        "past_due": due,
        "pending_verification": [],
    }
