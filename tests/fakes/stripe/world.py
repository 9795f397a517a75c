"""What Stripe knows: objects in the order they came to be, balances, and keys with their saved answers."""

import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from core.stripe_api import API_VERSION
from tests.fakes.stripe import contract

Object = dict[str, Any]
Parameters = Mapping[str, Any]
LIST_MAX = 100


class Refusal(Exception):
    """An error as Stripe words it."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None, kind: str = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {k: v for k, v in {"type": kind, "code": code, "message": message, "param": param}.items() if v}}


@dataclass
class SavedAnswer:
    """What Stripe remembers of a key. `status` None: its request is still running."""

    endpoint: str
    parameters: bytes
    request_id: str
    status: int | None = None
    body: Object = field(default_factory=dict)

    @property
    def may_run_again(self) -> bool:
        """Version 2 completes under a key what failed, and never repeats what succeeded."""
        return self.endpoint.split(" ")[1].startswith("/v2/") and self.status not in {None, 200}


class World:
    """All state, under one lock: a request's effect and its saved answer come to be together."""

    def __init__(self, *, clock: Callable[[], float] = time.time) -> None:
        self.lock = threading.RLock()
        self.clock = clock
        self.objects: dict[str, Object] = {}
        self.answers: dict[str, SavedAnswer] = {}
        self.links: dict[str, Object] = {}
        """Onboarding pages by token."""
        self.held: dict[tuple[str, str], int] = {}
        """(connected account, currency) -> what lies in its Stripe balance."""
        self.cash: dict[tuple[str, str], int] = {}
        """(customer, currency) -> what it sent beyond what was asked for."""
        self.events: list[Object] = []
        """Every event, in the order in which they happened."""
        self.available_after: dict[str, float] = {}
        """Payment method -> seconds until money that came by it may be used, where it is not as usual."""
        self.visibility_seconds = 0.0
        """How long a new object is missing from lists."""
        self.invoicing_fee = False
        """Stripe takes its price of a paid invoice from our balance, in a movement of its own."""
        self.swift = False
        """Outbound payments leave at once."""

    def new_id(self, prefix: str) -> str:
        return f"{prefix}_1{secrets.token_hex(8)}"

    def now(self) -> int:
        return int(self.clock())

    def add(self, made: Object) -> Object:
        made["_at"] = self.clock()
        self.objects[made["id"]] = made
        return made

    def get(self, kind: str, object_id: str, *, param: str = "id") -> Object:
        found = self.objects.get(object_id)
        if found is None or found["object"] != kind:
            raise Refusal(404, f"No such {kind.replace('_', ' ')}: '{object_id}'", code="resource_missing", param=param)
        return found

    def all(self, kind: str) -> Iterator[Object]:
        """Those that lists show by now, the newest first."""
        seen_by = self.clock() - self.visibility_seconds
        return (each for each in reversed(self.objects.values()) if each["object"] == kind and each["_at"] <= seen_by)

    def page(self, found: Sequence[Object], url: str, given: Parameters) -> Object:
        """A list as v1 pages it: newest first, cursors are ids, `has_more` in the direction one reads."""
        limit = int(given.get("limit", 10))
        if not 1 <= limit <= LIST_MAX:
            raise Refusal(400, f"Invalid limit: {limit}; it is between 1 and {LIST_MAX}.", param="limit")
        ids = [each["id"] for each in found]
        after, before = given.get("starting_after"), given.get("ending_before")
        for name, cursor in (("starting_after", after), ("ending_before", before)):
            if cursor is not None and cursor not in ids:
                raise Refusal(400, f"No such object: '{cursor}'", code="resource_missing", param=name)
        if before is not None:
            earlier = found[: ids.index(before)]
            data, more = earlier[-limit:], len(earlier) > limit
        else:
            rest = found[ids.index(after) + 1 :] if after is not None else found
            data, more = rest[:limit], len(rest) > limit
        return {"object": "list", "data": list(data), "has_more": more, "url": url}

    # -------------------------------------------------------------------------------------------- our Stripe balance

    def available(self, currency: str) -> int:
        """Ours to use, in minor units: the sum of the balance transactions that are due, as Stripe's own."""
        self.pass_time()
        return sum(each["net"] for each in self._transactions(currency) if each["status"] == "available")

    def pending(self, currency: str) -> int:
        """Ours, but not to use yet."""
        self.pass_time()
        return sum(each["net"] for each in self._transactions(currency) if each["status"] == "pending")

    def pass_time(self) -> None:
        """What is due by now becomes available."""
        for each in self.objects.values():
            if each["object"] == "balance_transaction" and each["available_on"] <= self.now():
                each["status"] = "available"

    def move(
        self,
        kind: str,
        amount: int,
        currency: str,
        *,
        source: str | None,
        category: str | None = None,
        fee: int = 0,
        available_after: float = 0,
    ) -> Object:
        """One balance transaction: the only way our balance changes."""
        return self.add(
            {
                "id": self.new_id("txn"),
                "object": "balance_transaction",
                "amount": amount,
                "available_on": self.now() + int(available_after),
                "balance_type": "payments",
                "created": self.now(),
                "currency": currency,
                "description": None,
                "exchange_rate": None,
                "fee": fee,
                "fee_details": [],
                "net": amount - fee,
                "reporting_category": category or kind,
                "source": source,
                "status": "pending" if available_after else "available",
                "type": kind,
            }
        )

    def notify(self, kind: str, about: Object) -> Object:
        """Something happened: an event with the object as it is at this moment."""
        event = self.add(
            {
                "id": self.new_id("evt"),
                "object": "event",
                "api_version": API_VERSION,
                "created": self.now(),
                "data": {"object": json.loads(json.dumps(public(about)))},
                "livemode": False,
                "pending_webhooks": 1,
                "request": None,
                "type": kind,
            }
        )
        self.events.append(event)
        return event

    def _transactions(self, currency: str) -> Iterator[Object]:
        found = (each for each in self.objects.values() if each["object"] == "balance_transaction")
        return (each for each in found if each["currency"] == currency)

    def top_up(self, amount: int, currency: str = "usd") -> None:
        """Money of ours arrives at Stripe."""
        with self.lock:
            self.move("topup", amount, currency, source=None)

    def pay_out(self, account: str, currency: str = "usd") -> None:
        """The connected account's money goes to its bank: from now on it can't be taken back."""
        with self.lock:
            self.held[account, currency] = 0


def within(value: int, given: Any) -> bool:
    """A `created` filter: a moment, or a range."""
    if not isinstance(given, Mapping):
        return given is None or value == int(given)
    checks = {"gt": value.__gt__, "gte": value.__ge__, "lt": value.__lt__, "lte": value.__le__}
    return all(checks[name](int(bound)) for name, bound in given.items())


def public(value: Any) -> Any:
    """An object without what only the stand-in knows."""
    if isinstance(value, Mapping):
        return {name: public(each) for name, each in value.items() if not name.startswith("_")}
    if isinstance(value, list):
        return [public(each) for each in value]
    return value


def expanded(world: World, answer: Object, paths: Sequence[str]) -> Object:
    """Ids replaced by the objects they name, along dotted paths such as `data.source`."""

    def at(value: Any, names: Sequence[str], path: str) -> Any:
        if isinstance(value, list):
            return [at(each, names, path) for each in value]
        if value is None:
            return None  # there is nothing yet
        if not names:
            return world.objects.get(value, value) if isinstance(value, str) else value
        if isinstance(value, str):
            value = world.objects.get(value, value)
        if isinstance(value, Mapping) and names[0] not in value and contract.has_field(value["object"], names[0]):
            return value  # it could be expanded, were it there
        if not isinstance(value, Mapping) or names[0] not in value:
            raise Refusal(400, f"This property cannot be expanded ({path}).", param="expand")
        return {**value, names[0]: at(value[names[0]], names[1:], path)}

    for path in paths:
        answer = at(answer, path.split("."), path)
    return answer
