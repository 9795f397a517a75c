"""Open Collective as its own server was seen to behave, over its real schema: balance transfers, expenses, and their traps.

Recorded from the real server: tags are stored in lower case, public, and searched whole; `data` is lost; the same order twice is
paid twice; a refused balance payment leaves an ERROR order without rows; two failed orders to one collective make good ones fail
with "Your card was declined."; orders side by side overdraw a fund; a refund leaves the order PAID; a zero order is PAID without
rows; a token's user with a second factor needs a pre-authorised token; 100 requests a minute; a 401 that repeats the token;
nothing that was begun stops because the caller went away.

Of expenses: drafts have no idempotency either; while it is a draft the payee is who drafted it; one draft in ten seconds; the
fund's admin may approve, again and again, and may not pay; what the host marks as unpaid is APPROVED again, its rows reversed.

The host's side is in opencollective_host.py; `python -m tests.fakes` starts both for people.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from graphql import GraphQLResolveInfo

from tests.fakes.graphql_server import Answer, Call, GraphqlServer, refuse

TOKEN = "5b1e0c7d9a3f4e2b8c6d0a1f2e3d4c5b6a798081"
USER = "ada-admin"
FUND = "acme-oss-fund"
HOST = "opensource"
MINUTE_REQUESTS_MAX = 100
FAILED_ORDERS_MAX = 2


@dataclass
class Token:
    """A personal token and whose it is."""

    user: str = USER
    scopes: frozenset[str] = frozenset({"account", "orders", "expenses", "transactions"})
    preauthorised: bool = True
    expired: bool = False


@dataclass
class Account:
    """A profile. Its balance is what its ledger rows add up to."""

    slug: str
    type: str = "COLLECTIVE"
    currency: str = "USD"
    host: str | None = HOST
    state: str = ""
    """`isArchived`, `isFrozen` or `isSuspended`."""
    active: bool = True
    admins: frozenset[str] = frozenset()


@dataclass
class Order:
    """An order and its ledger rows."""

    no: int
    source: str
    target: str
    cents: int
    currency: str
    tags: list[str]
    custom_data: Any
    status: str = "NEW"
    rows: list[dict[str, Any]] = field(default_factory=list)
    visible_at: float = 0.0
    description: str = ""

    @property
    def public_id(self) -> str:
        return f"or_{self.no:021d}"


@dataclass
class Expense:
    """A drafted expense and its ledger rows."""

    no: int
    account: str
    payee: str
    cents: int
    currency: str
    custom_data: Mapping[str, Any]
    description: str
    status: str = "DRAFT"
    rows: list[dict[str, Any]] = field(default_factory=list)
    visible_at: float = 0.0

    @property
    def public_id(self) -> str:
        return f"ex_{self.no:021d}"


class OpenCollectiveServer(GraphqlServer):
    """One host, one fund with money, collectives to pay, and a token. Tests change them as they need."""

    def __init__(self, schema: Path, *, balance_cents: int = 100_000_000, seed: int = 1, port: int = 0) -> None:
        super().__init__(schema, path="/graphql/v2", seed=seed, port=port)
        self.tokens = {TOKEN: Token()}
        self.second_factors: set[str] = set()
        self.accounts = {
            each.slug: each
            for each in (
                Account(HOST, "ORGANIZATION", host=None),
                Account(FUND, "FUND", admins=frozenset({USER})),
                *(Account(slug) for slug in ("babel", "apex-2", "webpack", "tipbox")),
                Account("eu-lib", host="europe"),
                Account("euro-lib", currency="EUR"),
                Account("old-lib", state="isArchived"),
                Account("ice-lib", state="isFrozen"),
                Account("new-lib", active=False),
                Account("acme-inc", "ORGANIZATION", host=None, admins=frozenset({USER})),
                *(Account(slug, "INDIVIDUAL", host=None) for slug in ("ada-person", "bob-2", USER)),
            )
        }
        self.orders: list[Order] = []
        self.expenses: list[Expense] = []
        self.swift = False
        """Payees submit at once, and the host pays what is approved at once."""
        self.draft_pause_seconds = 10.0
        self.requests_max = MINUTE_REQUESTS_MAX
        self.charge_seconds = 0.0
        """Between reading the balance and booking: what lets orders side by side overdraw."""
        self._opening = {FUND: balance_cents}
        self._failed: Counter[tuple[str, str]] = Counter()
        self._minutes: defaultdict[str, list[float]] = defaultdict(list)
        self._drafted_at = -60.0
        self._books = threading.Lock()
        self._row_count = 0
        self.resolvers = {
            "Query.account": self._account,
            "Query.orders": self._orders,
            "Query.me": self._me,
            "Mutation.createOrder": self._create_order,
            "Mutation.cancelOrder": self._cancel_order,
            "Individual.memberOf": self._member_of,
            "Mutation.draftExpenseAndInviteUser": self._draft_expense,
            "Mutation.processExpense": self._process_expense,
            "Query.expenses": self._expenses_found,
            "Query.transactions": self._transactions,
        }

    # -------------------------------------------------------------------------------------------- for tests

    def balance(self, slug: str) -> int:
        booked: list[Order | Expense] = [*self.orders, *self.expenses]
        rows = [row for each in booked for row in each.rows if row["account"] == slug]
        return self._opening.get(slug, 0) + sum(row["amount"]["valueInCents"] for row in rows)

    def paid(self, slug: str) -> list[int]:
        """What arrived at an account, in cents, payment by payment."""
        booked: list[Order | Expense] = [*self.orders, *self.expenses]
        arrived = [row for each in booked for row in each.rows if row["account"] == slug and row["type"] == "CREDIT"]
        return [row["amount"]["valueInCents"] for row in arrived if not row["isRefund"]]

    def refund(self, order: Order) -> None:
        """The host refunds: rows the other way round, and the order stays PAID."""
        self._book(order, order.target, order.source, is_refund=True)

    def submit(self, expense: Expense, *, cents: int | None = None) -> None:
        """The payee sends the draft in; another amount only where the lock failed."""
        expense.status, expense.cents = "PENDING", expense.cents if cents is None else cents

    def host_pays(self, expense: Expense) -> None:
        assert expense.status == "APPROVED", "a host pays what is approved"
        self._rows(expense, expense.account, expense.payee, "EXPENSE", is_refund=False)
        expense.status = "PAID"

    def host_marks_unpaid(self, expense: Expense) -> None:
        self._rows(expense, expense.payee, expense.account, "EXPENSE", is_refund=True)
        expense.status = "APPROVED"

    # -------------------------------------------------------------------------------------------- before execution

    def gate(self, call: Call) -> Answer | None:
        given = call.headers.get("personal-token", "")
        token = self.tokens.get(given)
        if given and token is None:
            return _unauthorised(f"Invalid Personal Token (Api Key): {given}")
        if token is not None and token.expired:
            return _unauthorised("Expired Personal Token (Api Key)")
        now = time.monotonic()
        with self._books:
            recent = [each for each in self._minutes[given] if each > now - 60]
            self._minutes[given] = recent
            if len(recent) >= self.requests_max:
                wait = max(0.0, recent[0] + 60 - now)
                message = "Rate limit exceeded. Try again in a few seconds."
                return 429, {"error": {"message": message}}, {"Retry-After": f"{wait:.3f}", "X-RateLimit-Remaining": "0"}
            recent.append(now)
        return None

    # -------------------------------------------------------------------------------------------- resolvers

    def _account(self, _: Any, info: GraphQLResolveInfo, **wanted: Any) -> Mapping[str, Any] | None:
        known = self.accounts.get(wanted.get("slug") or "")
        if known is None:
            if wanted["throwIfMissing"]:
                raise refuse("Account Not Found", "NotFound")
            return None
        return self._shown(known)

    def _orders(self, _: Any, info: GraphQLResolveInfo, **wanted: Any) -> Mapping[str, Any]:
        """Public: no token is needed, and a tag finds its orders only as a whole."""
        found, start = self._listed(wanted), wanted.get("offset") or 0
        return {"totalCount": len(found), "nodes": [self._shown_order(order) for order in found[start:][: wanted["limit"]]]}

    def _listed(self, wanted: Mapping[str, Any]) -> list[Order]:
        now, slug, term = time.time(), wanted["account"]["slug"], (wanted.get("searchTerm") or "").lower()
        side = "target" if wanted.get("filter") == "INCOMING" else "source"
        mine = [order for order in reversed(self.orders) if getattr(order, side) == slug and order.visible_at <= now]
        return [order for order in mine if not term or term in order.tags]

    def _me(self, _: Any, info: GraphQLResolveInfo) -> Mapping[str, Any] | None:
        token = self._token(info)
        if token is None:
            return None
        tokens = [
            {"name": "pledgeworks", "preAuthorize2FA": each.preauthorised, "expiresAt": None}
            for each in self.tokens.values()
            if each.user == token.user
        ]
        return {
            "slug": token.user,
            "hasTwoFactorAuth": token.user in self.second_factors,
            "personalTokens": {"totalCount": len(tokens), "nodes": tokens},
        }

    def _member_of(self, source: Mapping[str, Any], info: GraphQLResolveInfo, **wanted: Any) -> Mapping[str, Any]:
        known = self.accounts.get(wanted["account"]["slug"])
        return {"totalCount": int(known is not None and source["slug"] in known.admins)}

    def _cancel_order(self, _: Any, info: GraphQLResolveInfo, **wanted: Any) -> Any:
        self._require_scope(info, "orders")
        raise refuse("Order not found", "NotFound")

    def _create_order(self, _: Any, info: GraphQLResolveInfo, order: Mapping[str, Any]) -> Mapping[str, Any]:
        token = self._require_scope(info, "orders")
        source, target = self.accounts[order["fromAccount"]["slug"]], self.accounts.get(order["toAccount"]["slug"])
        cents, currency = order["amount"]["valueInCents"], order["amount"]["currency"]
        if target is None:
            raise refuse("Account Not Found", "NotFound")
        if token.user not in source.admins:
            raise refuse("You don't have sufficient permissions to create an order on behalf of this account")
        if target.host is None:
            raise refuse("This collective has no host and cannot receive financial contributions")
        if not order.get("isBalanceTransfer") and not (order.get("paymentMethod") or {}).get("id"):
            raise refuse("This order requires a payment method")
        if currency != target.currency:
            raise refuse(f"Expected currency for amount to be {target.currency} but was {currency}", "ValidationFailed")
        if token.user in self.second_factors and not token.preauthorised:
            raise refuse("This personal token is not pre-authorized for 2FA")
        made = self._new_order(order, source, target, cents, currency)
        pair = (source.slug, target.slug)
        if self._failed[pair] >= FAILED_ORDERS_MAX:
            raise self._failing(made, pair, "Your card was declined.")
        if source.host != target.host:
            raise self._failing(made, pair, f"You can't make a payment between different hosts: {source.host} -> {target.host}")
        enough = self.balance(source.slug) >= cents
        time.sleep(self.charge_seconds)
        if not enough:
            raise self._failing(made, pair, f"You don't have enough funds available to complete this order ({source.slug})")
        if cents:
            self._book(made, source.slug, target.slug)
        made.status = "PAID"
        self._failed[pair] = 0
        return {"order": self._shown_order(made)}

    def _draft_expense(self, _: Any, info: GraphQLResolveInfo, **asked: Any) -> Mapping[str, Any]:
        token = self._require_scope(info, "expenses")
        wanted, slug = asked["expense"], asked["account"]["slug"]
        with self._books:
            now = time.monotonic()
            if now - self._drafted_at < self.draft_pause_seconds:
                raise refuse("Rate limit exceeded", "RateLimitExceeded")
            self._drafted_at = now
        if token.user not in self.accounts[slug].admins:
            raise refuse("You don't have sufficient permissions to draft an expense on this account", "Forbidden")
        if wanted["payee"].get("slug") not in self.accounts:
            raise refuse("Account Not Found", "NotFound")
        (item,) = wanted["items"]
        with self._books:
            made = Expense(
                len(self.expenses) + 1, slug, wanted["payee"]["slug"], item["amountV2"]["valueInCents"], wanted["currency"],
                wanted["customData"], wanted["description"], visible_at=time.time() + self.behaviour.visibility_seconds,
            )  # fmt: skip
            self.expenses.append(made)
        if self.swift:
            self.submit(made)
        return self._shown_expense(made)

    def _process_expense(self, _: Any, info: GraphQLResolveInfo, **asked: Any) -> Mapping[str, Any]:
        token = self._require_scope(info, "expenses")
        found = next((each for each in self.expenses if each.public_id == asked["expense"]["id"]), None)
        if found is None:
            raise refuse("Expense Not Found", "NotFound")
        if asked["action"] != "APPROVE" or token.user not in self.accounts[found.account].admins:
            raise refuse("You don't have permission to pay this expense", "Forbidden")
        if found.status not in {"PENDING", "APPROVED"}:
            raise refuse("You don't have permission to approve this expense", "Forbidden")
        found.status = "APPROVED"
        if self.swift:
            self.host_pays(found)
        return self._shown_expense(found)

    def _expenses_found(self, _: Any, info: GraphQLResolveInfo, **wanted: Any) -> Mapping[str, Any]:
        token, slug = self._token(info), wanted["account"]["slug"]
        if token is None or token.user not in self.accounts[slug].admins:
            raise refuse("You need to be an admin of the account to filter on custom data", "Unauthorized")
        asked, now = wanted["customData"].items(), time.time()
        found = [
            each
            for each in self.expenses
            if each.account == slug and each.visible_at <= now and asked <= each.custom_data.items()
        ]
        return {"totalCount": len(found), "nodes": [self._shown_expense(each) for each in found]}

    def _transactions(self, _: Any, info: GraphQLResolveInfo, **wanted: Any) -> Mapping[str, Any]:
        if "expense" in wanted:
            rows = [row for each in self.expenses if each.public_id == wanted["expense"]["id"] for row in each.rows]
        else:  # ours to see: the token's user is an admin of the account
            self._require_scope(info, "transactions")
            booked: list[Order | Expense] = [*self.orders, *self.expenses]
            slug, since = wanted["account"][0]["slug"], wanted.get("dateFrom")
            rows = [row for each in booked for row in each.rows if row["account"] == slug]
            rows = sorted((row for row in rows if not since or row["createdAt"] >= since), key=lambda row: row["createdAt"])
        return {"totalCount": len(rows), "nodes": rows[wanted.get("offset", 0) :][: wanted["limit"]]}

    # -------------------------------------------------------------------------------------------- books

    def _new_order(self, asked: Mapping[str, Any], source: Account, target: Account, cents: int, currency: str) -> Order:
        with self._books:
            made = Order(
                len(self.orders) + 1, source.slug, target.slug, cents, currency,
                [tag.lower() for tag in asked.get("tags") or []], asked.get("customData"),
                visible_at=time.time() + self.behaviour.visibility_seconds,
            )  # fmt: skip
            self.orders.append(made)
        return made

    def _failing(self, order: Order, pair: tuple[str, str], message: str) -> Exception:
        order.status = "ERROR"
        self._failed[pair] += 1
        return refuse(message)

    def _book(self, order: Order, source: str, target: str, *, is_refund: bool = False) -> None:
        self._rows(order, source, target, "BALANCE_TRANSFER", is_refund=is_refund)

    def _rows(
        self,
        of: Order | Expense,
        source: str,
        target: str,
        kind: str,
        *,
        is_refund: bool,
        cents: int | None = None,
        group: str | None = None,
    ) -> None:
        with self._books:
            group = group or f"group-{self._row_count + 1}"
            for account, sign, side in ((source, -1, "DEBIT"), (target, 1, "CREDIT")):
                amount = {"valueInCents": sign * (of.cents if cents is None else cents), "currency": of.currency}
                row = {"type": side, "kind": kind, "isRefund": is_refund, "account": account, "amount": amount}
                self._row_count += 1
                known = {"publicId": f"tx_{self._row_count:08}", "createdAt": datetime.now(UTC).isoformat(), "group": group}
                thing = {
                    "order": None,
                    "expense": None,
                    "order" if isinstance(of, Order) else "expense": {"publicId": of.public_id},
                }
                of.rows.append({"__typename": side.title(), **row, **known, **thing})

    # -------------------------------------------------------------------------------------------- shapes

    def _token(self, info: GraphQLResolveInfo) -> Token | None:
        return self.tokens.get(info.context.headers.get("personal-token", ""))

    def _require_scope(self, info: GraphQLResolveInfo, scope: str) -> Token:
        token = self._token(info)
        if token is None:
            raise refuse("You need to be logged in to manage orders", "Unauthorized")
        if scope not in token.scopes:
            raise refuse(f'The User Token is not allowed for operations in scope "{scope}".', "Forbidden")
        return token

    def _shown(self, known: Account) -> Mapping[str, Any]:
        kinds = {"FUND": "Fund", "COLLECTIVE": "Collective", "ORGANIZATION": "Organization", "INDIVIDUAL": "Individual"}
        balance = {"valueInCents": self.balance(known.slug), "currency": known.currency}
        flags = {flag: known.state == flag for flag in ("isArchived", "isFrozen", "isSuspended")}
        return {
            "__typename": kinds[known.type],
            "publicId": f"acc_{known.slug}",
            "slug": known.slug,
            "name": known.slug.replace("-", " ").title(),
            "type": known.type,
            "currency": known.currency,
            "isActive": known.active and known.host is not None,
            "isApproved": known.active,
            "host": {"__typename": "Host", "slug": known.host} if known.host else None,
            "hostFeePercent": lambda info, **by: 0.0 if by.get("paymentMethodType") == "COLLECTIVE" else 5.0,
            "stats": {"balance": lambda info, **_: balance},
            **flags,
        }

    def _shown_order(self, order: Order) -> Mapping[str, Any]:
        return {
            "publicId": order.public_id,
            "status": order.status,
            "tags": order.tags,
            "description": order.description,
            "totalAmount": {"valueInCents": order.cents, "currency": order.currency},
            "customData": order.custom_data,
            "data": {},
            "toAccount": self._shown(self.accounts[order.target]),
            "transactions": list(order.rows),
        }

    def _shown_expense(self, expense: Expense) -> Mapping[str, Any]:
        payee = self.accounts[USER if expense.status == "DRAFT" else expense.payee]
        return {
            "publicId": expense.public_id,
            "status": expense.status,
            "amountV2": {"valueInCents": expense.cents, "currency": expense.currency},
            "payee": self._shown(payee),
        }


def _unauthorised(message: str) -> Answer:
    return 401, {"error": {"code": 401, "type": "unauthorized", "message": message}}, {}
