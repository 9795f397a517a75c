"""Version 2: our financial account with its transactions, recipients with their onboarding, and payments to their banks.

A payment takes its money at once and is `processing` until somebody says otherwise (`settle`); with `swift` it is posted at once.
"""

import secrets
from datetime import UTC, datetime
from typing import Any

from tests.fakes.stripe.connect import LINK_SECONDS
from tests.fakes.stripe.routes import route
from tests.fakes.stripe.world import Object, Parameters, Refusal, World

ACCOUNTS, PAYMENTS = "/v2/core/accounts", "/v2/money_management/outbound_payments"
TRANSACTIONS, CREDITS = "/v2/money_management/transactions", "/v2/money_management/received_credits"
FINANCIAL_ACCOUNT = "fa_test_1Ours0000000001"
PAYEE = {
    "display_name": "Bruna", "contact_email": "bruna@example.org", "identity": {"country": "br", "entity_type": "individual"},
}  # fmt: skip
OUR_BANK = {
    "financial_address": "finaddr_test_1Ours", "network": "ach",
    "originating_bank_account": {"type": "aba", "aba": {"last4": "6789", "routing_number": "110000000"}},
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
        if amount:
            arrive(world, amount, currency)
        return found


def arrive(world: World, amount: int, currency: str = "usd", *, payout: str | None = None) -> Object:
    """Money comes to the financial account: from our bank, or by a payout from our own balance at Stripe."""
    with world.lock:
        if payout is None:
            how: Object = {"type": "bank_transfer", "bank_transfer": OUR_BANK}
        else:
            how = {"type": "balance_transfer", "balance_transfer": {"type": "payout", "payout": payout}}
        money = {"value": amount, "currency": currency}
        credit = world.add(
            {
                "id": world.new_id("rc"), "object": "v2.money_management.received_credit", "livemode": False,
                "created": _when(world), "amount": money, "amount_received": money, "status": "succeeded",
                "financial_account": FINANCIAL_ACCOUNT, **how,
            }
        )  # fmt: skip
        _add(world.objects[FINANCIAL_ACCOUNT], "available", currency, amount)
        _transact(world, "received_credit", credit, amount, currency, flow="received_credit", posted=True)
        return credit


def from_balance(world: World, amount: int, currency: str = "usd") -> str:
    """Pay out of our balance at Stripe to the financial account. Returns the payout's id."""
    with world.lock:
        payout = world.new_id("po")
        world.move("payout", -amount, currency, source=payout)
        arrive(world, amount, currency, payout=payout)
        return payout


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
            _finish(world, _transaction_of(world, payment_id), void=status in {"failed", "canceled"})
        if status != "posted":
            _add(ours, "available", currency, value)
        if status == "returned":
            _transact(world, "outbound_payment_reversal", payment, value, currency, flow="outbound_payment", posted=True)
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
    _transact(world, "outbound_payment", made, -value, currency, flow="outbound_payment")
    if world.swift:
        settle(world, made["id"], "posted")
    return made


@route("GET", PAYMENTS)
def list_payments(world: World, given: Parameters, *, base: str) -> Object:
    found = [each for each in world.all("v2.money_management.outbound_payment") if _wanted(each, given)]
    return _page(PAYMENTS, found, given)


@route("GET", TRANSACTIONS)
def list_transactions(world: World, given: Parameters, *, base: str) -> Object:
    found = [each for each in world.all("v2.money_management.transaction") if _wanted(each, given)]
    return _page(TRANSACTIONS, found, given)


@route("GET", CREDITS + "/{id}")
def retrieve_credit(world: World, given: Parameters, *, base: str, id: str) -> Object:  # noqa: A002
    found = world.objects.get(id)
    if found is None or found["object"] != "v2.money_management.received_credit":
        raise refusal(404, f"No such received credit: '{id}'", "not_found")
    return found


def _page(path: str, found: list[Object], given: Parameters) -> Object:
    """Pages as version 2 has them: the address of the next one is in the answer, and holds all that was asked."""
    limit, start = int(given.get("limit", 20)), int(given.get("page", 0))
    more = start + limit < len(found)
    filters = "".join(f"&{name}={given[name]}" for name in ("recipient", "financial_account") if name in given)
    filters += "".join(f"&created[{name}]={value}" for name, value in given.get("created", {}).items())
    after = f"{path}?limit={limit}&page={start + limit}{filters}" if more else None
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


def _transact(world: World, category: str, of: Object, value: int, currency: str, *, flow: str, posted: bool = False) -> Object:
    """A transaction of the financial account: pending until it is finished."""
    nothing = {"value": 0, "currency": currency}
    impact = {"available": {"value": value, "currency": currency}, "inbound_pending": nothing,
              "outbound_pending": {"value": -value, "currency": currency}}  # fmt: skip
    made = world.add(
        {
            "id": world.new_id("trxn"), "object": "v2.money_management.transaction", "livemode": False, "created": _when(world),
            "amount": {"value": value, "currency": currency}, "balance_impact": impact, "category": category,
            "financial_account": FINANCIAL_ACCOUNT, "flow": {"type": flow, flow: of["id"]}, "status": "pending",
            "status_transitions": {}, "regulatory_receipt": {"status": "not_applicable"},
        }
    )  # fmt: skip
    if posted:
        _finish(world, made, void=False)
    return made


def _transaction_of(world: World, payment_id: str) -> Object:
    of_account = (each for each in world.objects.values() if each["object"] == "v2.money_management.transaction")
    return next(each for each in of_account if each["flow"].get("outbound_payment") == payment_id)


def _finish(world: World, transaction: Object, *, void: bool) -> None:
    impact = transaction["balance_impact"]
    impact["outbound_pending"] = {**impact["outbound_pending"], "value": 0}
    if void:
        impact["available"] = {**impact["available"], "value": 0}
    status = "void" if void else "posted"
    transaction.update(status=status, status_transitions={f"{status}_at": _when(world)})


def _wanted(found: Object, given: Parameters) -> bool:
    if "recipient" in given and found["to"]["recipient"] != given["recipient"]:
        return False
    if "financial_account" in given and found["financial_account"] != given["financial_account"]:
        return False
    created: dict[str, Any] = given.get("created", {})
    return not ("gte" in created and found["created"] < _text(datetime.fromisoformat(created["gte"]).timestamp()))


def _when(world: World) -> str:
    return _text(world.clock())


def _text(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
