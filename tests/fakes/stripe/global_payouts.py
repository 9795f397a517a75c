"""Version 2: our financial account, recipients with their onboarding, and outbound payments to their banks.

A payment takes its money at once and is `processing` until somebody says otherwise (`settle`); with `swift` it is posted at once.
"""

import secrets
from datetime import UTC, datetime
from typing import Any

from tests.fakes.stripe.connect import LINK_SECONDS
from tests.fakes.stripe.routes import route
from tests.fakes.stripe.world import Object, Parameters, Refusal, World

ACCOUNTS, PAYMENTS = "/v2/core/accounts", "/v2/money_management/outbound_payments"
FINANCIAL_ACCOUNT = "fa_test_1Ours0000000001"
PAYEE = {
    "display_name": "Bruna", "contact_email": "bruna@example.org", "identity": {"country": "br", "entity_type": "individual"},
}  # fmt: skip
WANTED = ["configuration.recipient.bank_account", "identity.individual.address"]


# ------------------------------------------------------------------------------------------------ for tests


def financial_account(world: World, amount: int, currency: str = "usd") -> Object:
    """Ours, with money on it."""
    with world.lock:
        found = world.objects.get(FINANCIAL_ACCOUNT)
        if found is None:
            found = world.add(
                {
                    "id": FINANCIAL_ACCOUNT, "object": "v2.money_management.financial_account", "country": "us",
                    "created": _when(world), "livemode": False, "status": "open", "type": "storage",
                    "storage": {"holds_currencies": ["usd", "eur"]},
                    "balance": {"available": {}, "inbound_pending": {}, "outbound_pending": {}},
                }
            )  # fmt: skip
        _add(found, "available", currency, amount)
        return found


def recipient(world: World, *, account_id: str | None = None, ready: bool = True) -> Object:
    """Somebody to pay."""
    with world.lock:
        made = _recipient(world, PAYEE)
        made["id"] = account_id or made["id"]
        world.add(made)
        if ready:
            finish_onboarding(world, made["id"])
        return made


def finish_onboarding(world: World, account_id: str) -> None:
    """The payee told Stripe everything, and Stripe is content."""
    with world.lock:
        found = _account(world, account_id)
        found["configuration"]["recipient"]["capabilities"] = _capabilities("active")
        found["requirements"]["entries"] = []


def restrict(world: World, account_id: str, status: str, *, missing: tuple[str, ...] = ()) -> None:
    """Stripe thinks otherwise about a recipient."""
    with world.lock:
        found = _account(world, account_id)
        found["configuration"]["recipient"]["capabilities"] = _capabilities(status)
        found["requirements"]["entries"] = [_entry(name) for name in missing]


def settle(world: World, payment_id: str, status: str, reason: str | None = None) -> None:
    """A payment goes on: posted, failed or canceled, and after posted perhaps returned."""
    with world.lock:
        payment, ours = world.objects[payment_id], world.objects[FINANCIAL_ACCOUNT]
        value, currency = payment["amount"]["value"], payment["amount"]["currency"]
        if payment["status"] == "processing":
            _add(ours, "outbound_pending", currency, -value)
        if status != "posted":
            _add(ours, "available", currency, value)
        payment.update(status=status, cancelable=False)
        payment["status_details"] = {status: {"reason": reason}} if reason else None
        payment["status_transitions"][f"{status}_at"] = _when(world)


# ------------------------------------------------------------------------------------------------ endpoints


@route("POST", ACCOUNTS)
def create_account(world: World, given: Parameters, *, base: str) -> Object:
    if given["identity"]["country"] in {"kp", "cu"}:
        raise refusal(400, "Recipients in this country are not supported.", "country_not_supported")
    return _shown(world.add(_recipient(world, given)), given)


@route("GET", ACCOUNTS + "/{id}")
def retrieve_account(world: World, given: Parameters, *, base: str, id: str) -> Object:  # noqa: A002 - the path's own name
    return _shown(_account(world, id), given)


@route("POST", "/v2/core/account_links")
def create_account_link(world: World, given: Parameters, *, base: str) -> Object:
    _account(world, given["account"])
    token, flow = secrets.token_urlsafe(16), given["use_case"]["account_onboarding"]
    expires = world.clock() + LINK_SECONDS
    world.links[token] = {"account": given["account"], "expires_at": expires, "used": False, **flow}
    return {
        "object": "v2.core.account_link", "account": given["account"], "created": _when(world), "livemode": False,
        "expires_at": _text(expires), "url": f"{base}/connect/onboarding/{token}", "use_case": given["use_case"],
    }  # fmt: skip


@route("GET", "/v2/money_management/financial_accounts/{id}")
def retrieve_financial_account(world: World, given: Parameters, *, base: str, id: str) -> Object:  # noqa: A002
    found = world.objects.get(id)
    if found is None or found["object"] != "v2.money_management.financial_account":
        raise refusal(404, f"No such financial account: '{id}'", "not_found")
    return found


@route("POST", PAYMENTS)
def create_payment(world: World, given: Parameters, *, base: str) -> Object:
    ours, payee = world.objects.get(given["from"]["financial_account"]), _account(world, given["to"]["recipient"])
    value, currency = given["amount"]["value"], given["amount"]["currency"]
    if ours is None or ours["status"] != "open":
        raise refusal(400, "The financial account is not open.", "financial_account_not_open", "financial_account_not_open")
    if value <= 0:
        raise refusal(400, "The amount must be positive.", "invalid_amount")
    local = payee["configuration"]["recipient"]["capabilities"]["bank_accounts"]["local"]
    if local["status"] != "active":
        raise refusal(400, "The recipient can't be paid yet.", "recipient_feature_not_active", "capability_not_enabled")
    if ours["balance"]["available"].get(currency, {"value": 0})["value"] < value:
        raise refusal(400, "The financial account holds too little.", "outbound_payment_insufficient_funds", "insufficient_funds")
    _add(ours, "available", currency, -value)
    _add(ours, "outbound_pending", currency, value)
    made = world.add(
        {
            "id": world.new_id("obp"), "object": "v2.money_management.outbound_payment", "livemode": False,
            "amount": dict(given["amount"]), "cancelable": True, "created": _when(world),
            "description": given.get("description"), "expected_arrival_date": _when(world),
            "from": {"financial_account": ours["id"], "debited": dict(given["amount"])},
            "metadata": dict(given.get("metadata", {})), "recipient_notification": {"setting": "configured"},
            "statement_descriptor": "PLEDGEWORKS", "status": "processing", "status_details": None, "status_transitions": {},
            "to": {"recipient": payee["id"], "payout_method": f"gbba_{payee['id']}", "credited": dict(given["amount"])},
        }
    )  # fmt: skip
    if world.swift:
        settle(world, made["id"], "posted")
    return made


@route("GET", PAYMENTS)
def list_payments(world: World, given: Parameters, *, base: str) -> Object:
    """Pages as version 2 has them: the address of the next one is in the answer, and holds all that was asked."""
    found = [each for each in world.all("v2.money_management.outbound_payment") if _wanted(each, given)]
    limit, start = int(given.get("limit", 20)), int(given.get("page", 0))
    more = start + limit < len(found)
    filters = "".join(f"&{name}={given[name]}" for name in ("recipient",) if name in given)
    filters += "".join(f"&created[{name}]={value}" for name, value in given.get("created", {}).items())
    after = f"{PAYMENTS}?limit={limit}&page={start + limit}{filters}" if more else None
    return {"data": found[start : start + limit], "next_page_url": after, "previous_page_url": None}


def refusal(status: int, message: str, code: str, kind: str = "invalid_request_error") -> Refusal:
    """An error as version 2 words it: what went wrong is its type."""
    return Refusal(status, message, code=code, kind=kind)


# ------------------------------------------------------------------------------------------------ objects


def _recipient(world: World, given: Parameters) -> Object:
    return {
        "id": world.new_id("acct"), "object": "v2.core.account", "applied_configurations": ["recipient"], "closed": False,
        "configuration": {"recipient": {"applied": True, "capabilities": _capabilities("restricted")}},
        "contact_email": given["contact_email"], "created": _when(world), "dashboard": "none",
        "display_name": given["display_name"], "identity": given["identity"], "livemode": False,
        "metadata": dict(given.get("metadata", {})), "requirements": {"entries": [_entry(name) for name in WANTED]},
    }  # fmt: skip


def _shown(account: Object, given: Parameters) -> Object:
    """What has to be asked for by `include` is left out otherwise."""
    asked = given.get("include", [])
    names = {"configuration": "configuration.recipient", "requirements": "requirements", "identity": "identity"}
    return {name: each for name, each in account.items() if names.get(name, "") in ["", *asked]}


def _account(world: World, account_id: str) -> Object:
    found = world.objects.get(account_id)
    if found is None or found["object"] != "v2.core.account":
        raise refusal(404, f"No such account: '{account_id}'", "not_found")
    return found


def _capabilities(status: str) -> Object:
    details = [] if status == "active" else [{"code": "requirements_past_due", "resolution": "provide_info"}]
    return {"bank_accounts": {"local": {"status": status, "status_details": details}}}


def _entry(name: str) -> Object:
    return {
        "awaiting_action_from": "user", "description": name, "errors": [],
        "impact": {"restricts_capabilities": []}, "minimum_deadline": {"status": "currently_due"},
        "requested_reasons": [{"code": "routine_onboarding"}],
    }  # fmt: skip


def _add(account: Object, part: str, currency: str, value: int) -> None:
    amounts = account["balance"][part]
    before = amounts.get(currency, {"value": 0})["value"]
    amounts[currency] = {"value": before + value, "currency": currency}


def _wanted(payment: Object, given: Parameters) -> bool:
    if "recipient" in given and payment["to"]["recipient"] != given["recipient"]:
        return False
    created: dict[str, Any] = given.get("created", {})
    return not ("gte" in created and payment["created"] < _text(datetime.fromisoformat(created["gte"]).timestamp()))


def _when(world: World) -> str:
    return _text(world.clock())


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
