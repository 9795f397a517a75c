"""Our own Stripe balance and every movement of it."""

from tests.fakes.stripe.routes import route
from tests.fakes.stripe.world import Object, Parameters, World, within

FILTERS = ("type", "currency", "source")


@route("GET", "/v1/balance")
def retrieve_balance(world: World, given: Parameters, *, base: str) -> Object:
    currencies = sorted({each["currency"] for each in world.all("balance_transaction")}) or ["usd"]
    free = [{"amount": world.available(each), "currency": each, "source_types": {}} for each in currencies]
    held = [{"amount": world.pending(each), "currency": each, "source_types": {}} for each in currencies]
    return {"object": "balance", "available": free, "livemode": False, "pending": held}


@route("GET", "/v1/balance_transactions")
def list_balance_transactions(world: World, given: Parameters, *, base: str) -> Object:
    found = [
        each
        for each in world.all("balance_transaction")
        if all(each[name] == given[name] for name in FILTERS if name in given) and within(each["created"], given.get("created"))
    ]
    return world.page(found, "/v1/balance_transactions", given)


@route("GET", "/v1/balance_transactions/{id}")
def retrieve_balance_transaction(world: World, given: Parameters, *, base: str, id: str) -> Object:  # noqa: A002
    return world.get("balance_transaction", id)
