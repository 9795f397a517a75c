"""The fiscal host's side of the fake of Open Collective: money it expects, and books when it has come.

As its server was seen to behave, or is written: only an admin of the host may record a pending order; the payer must be hosted
there or the host be trusted; nothing is deduplicated; lists leave pending orders out unless their state is asked for by name; a
second MARK_AS_PAID is refused in words that could also come after the effect; a fee is a row of its own; a refund leaves PAID.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from graphql import GraphQLResolveInfo

from tests.fakes.graphql_server import refuse
from tests.fakes.opencollective import FUND, HOST, Account, Expense, OpenCollectiveServer, Order, Token
from tests.fakes.stand_in_page import Thing

HOST_TOKEN = "9c2f7e1ab05d4836f1c7d2e3a4b5c6d7e8f90a1b"
HOST_ADMIN = "host-admin"


class OpenCollectiveWithHost(OpenCollectiveServer):
    """The same service, and a token of somebody at the host."""

    title = "Open Collective"

    def __init__(self, schema: Path, *, balance_cents: int = 100_000_000, seed: int = 1, port: int = 0) -> None:
        super().__init__(schema, balance_cents=balance_cents, seed=seed, port=port)
        self.tokens[HOST_TOKEN] = Token(HOST_ADMIN)
        self.accounts[HOST] = Account(HOST, "ORGANIZATION", host=None, admins=frozenset({HOST_ADMIN}))
        self.accounts[HOST_ADMIN] = Account(HOST_ADMIN, "INDIVIDUAL", host=None)
        self.trusted = True
        """The host may expect money of companies that it does not host."""
        self.default_fee_percent = 5.0
        self.fee_percent: dict[int, float] = {}
        self.resolvers |= {
            "Mutation.createPendingOrder": self._create_pending_order,
            "Mutation.processPendingOrder": self._process_pending_order,
        }

    # -------------------------------------------------------------------------------------------- what people there do

    def deeds(self) -> Sequence[Thing]:
        fund = [Thing("", f"The fund {FUND} holds {self.balance(FUND) / 100:,.2f} USD.")]
        return [*fund, *map(self._order_thing, self.orders), *map(self._expense_thing, self.expenses)]

    def do(self, deed: str, name: str, text: str) -> None:
        if name.startswith("ex_"):
            expense = next(each for each in self.expenses if each.public_id == name)
            if deed in {"REJECTED", "ERROR"}:
                expense.status = deed
            else:
                {"submit": self.submit, "pay": self.host_pays, "unpay": self.host_marks_unpaid}[deed](expense)
            return
        order = next(each for each in self.orders if each.public_id == name)
        {"receive": self.receive, "give_back": self.give_back, "refund": self.refund}[deed](order)

    def _order_thing(self, order: Order) -> Thing:
        deeds = {"PENDING": {"receive": "The host marks it as paid"}, "PAID": {"refund": "The host refunds it"}}
        if order.description and order.status == "PAID":
            deeds = {"PAID": {"give_back": "The host refunds it"}}
        words = f"{order.public_id}: {order.cents / 100:,.2f} {order.currency}, {order.source} to {order.target}, {order.status}"
        return Thing(order.public_id, words, deeds.get(order.status, {}))

    def _expense_thing(self, expense: Expense) -> Thing:
        deeds = {
            "DRAFT": {"submit": "The payee submits it"},
            "APPROVED": {"pay": "The host pays it", "REJECTED": "The host rejects it", "ERROR": "The host's payment fails"},
            "PAID": {"unpay": "The host marks it as unpaid"},
        }
        words = f"{expense.public_id}: {expense.cents / 100:,.2f} {expense.currency} to {expense.payee}, {expense.status}"
        return Thing(expense.public_id, words, deeds.get(expense.status, {}))

    def pending(self) -> list[Order]:
        """What the host expects, or expected once."""
        return [order for order in self.orders if order.description]

    def _listed(self, wanted: Mapping[str, Any]) -> list[Order]:
        states = wanted.get("status")
        return [each for each in super()._listed(wanted) if (each.status in states if states else each.status != "PENDING")]

    def _create_pending_order(self, _: Any, info: GraphQLResolveInfo, order: Mapping[str, Any]) -> Mapping[str, Any]:
        token = self._require_scope(info, "orders")
        payer, fund = self.accounts.get(order["fromAccount"]["slug"]), self.accounts.get(order["toAccount"]["slug"])
        if payer is None or fund is None or fund.host is None:
            raise refuse("Account Not Found", "NotFound")
        if token.user not in self.accounts[fund.host].admins:
            raise refuse("Only host admins can create pending orders", "Unauthorized")
        if payer.host != fund.host and not self.trusted:
            raise refuse("You don't have the permission to create pending contributions from this account.")
        if order["amount"]["currency"] != fund.currency:
            raise refuse(f"Expected currency for amount to be {fund.currency} but was {order['amount']['currency']}")
        made = self._new_order(order, payer, fund, order["amount"]["valueInCents"], fund.currency)
        made.status, made.description = "PENDING", order["description"]
        fee = order.get("hostFeePercent")
        self.fee_percent[made.no] = self.default_fee_percent if fee is None else fee
        return self._shown_order(made)

    def _process_pending_order(
        self, _: Any, info: GraphQLResolveInfo, order: Mapping[str, Any], action: str
    ) -> Mapping[str, Any]:
        token = self._require_scope(info, "orders")
        found = next((each for each in self.orders if each.public_id == order["id"]), None)
        if found is None:
            raise refuse("Order not found", "NotFound")
        if token.user not in self.accounts[HOST].admins:
            raise refuse("Only host admins can process orders", "Unauthorized")
        if action == "MARK_AS_EXPIRED":
            if found.status != "PENDING":
                raise refuse(
                    f"Only pending contributions can be marked as expired, this one is {found.status}", "ValidationFailed"
                )
            found.status = "EXPIRED"
        else:
            self.receive(found)
        return self._shown_order(found)

    def receive(self, order: Order, *, cents: int | None = None) -> None:
        """The host marks it as paid; on its own pages it can correct the amount first."""
        with self._books:
            if order.status not in {"PENDING", "EXPIRED"}:
                raise refuse(
                    f"Only pending/expired contributions can be marked as paid, this one is {order.status}", "ValidationFailed"
                )
            order.status = "PAID"
        order.cents = order.cents if cents is None else cents
        group = f"receipt-{len(order.rows)}-{order.public_id}"
        fee = round(order.cents * self.fee_percent[order.no] / 100)
        if fee:  # booked before the payment, in one group with it
            self._rows(order, FUND, HOST, "HOST_FEE", is_refund=False, cents=fee, group=group)
        self._rows(order, order.source, order.target, "CONTRIBUTION", is_refund=False, group=group)

    def add_funds(self, cents: int) -> None:
        """The host adds what was sent to it, as `addFunds` does."""
        order = self._new_order({}, self.accounts["acme-inc"], self.accounts[FUND], cents, "USD")
        order.status = "PAID"
        self._rows(order, "acme-inc", FUND, "ADDED_FUNDS", is_refund=False)

    def give_back(self, order: Order, *, with_fee: bool = False) -> None:
        """The host refunds it, with its fee or without: rows the other way round, and the order stays PAID."""
        group = f"return-{len(order.rows)}-{order.public_id}"
        self._rows(order, order.target, order.source, "CONTRIBUTION", is_refund=True, group=group)
        fee = round(order.cents * self.fee_percent[order.no] / 100)
        if with_fee and fee:
            self._rows(order, HOST, FUND, "HOST_FEE", is_refund=True, cents=fee, group=group)

    def mark_unpaid(self, order: Order) -> None:
        """The host takes back that it marked it as paid: all rows the other way round, and it is expected again."""
        self.give_back(order, with_fee=True)
        order.status = "PENDING"
