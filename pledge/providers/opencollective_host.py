"""Pending orders at Open Collective: its word for money that a host expects, and books when it has come.

The service knows no idempotency, and a pending order takes neither tag nor custom data. Our key stands in its description, which
anybody can read. Its list of orders leaves pending ones out unless their state is asked for by name, so a look-up that asks as
for other orders finds nothing and would have it recorded again: every state is named, and the whole list since that day is read
rather than searched, because the search knows neither hyphens nor parts of words.

An order is judged by its ledger rows: it stays PAID after a refund, and marked as unpaid and paid again it has the rows of both.
What was booked together carries one group; the rows of an order come in no promised sequence. Marking it as paid a second time
is refused.
"""

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import date, datetime
from typing import Any

from core.money import Money
from core.opencollective_api import Answer, Busy, OpenCollectiveApi, Silent, TurnedAway
from pledge.providers.hosts import Awaited, Booked, Found, HostRefused, HostSilent, Round

CONNECT_SECONDS, READ_SECONDS, WRITE_SECONDS = 6.0, 15.0, 30.0
"""The service ends a request after 25 s."""
PAGES_MAX = 20
PAYMENT, FEES = frozenset({"CONTRIBUTION"}), frozenset({"HOST_FEE", "PAYMENT_PROCESSOR_FEE"})
ENDED = {"EXPIRED", "CANCELLED", "REJECTED", "ERROR"}

JUDGED = """
fragment Judged on Order {
  publicId status description totalAmount { valueInCents currency }
  transactions { publicId group createdAt type kind isRefund amount { valueInCents currency } }
}
"""
RECORD = (
    """
mutation RecordPendingOrder($order: PendingOrderCreateInput!) { createPendingOrder(order: $order) { ...Judged } }
"""
    + JUDGED
)
FIND = (
    """
query FindPendingOrders($account: AccountReferenceInput!, $since: DateTime, $offset: Int!) {
  orders(
    account: $account, filter: INCOMING, dateFrom: $since, limit: 100, offset: $offset,
    orderBy: { field: CREATED_AT, direction: ASC },
    status: [
      NEW, REQUIRE_CLIENT_CONFIRMATION, PAID, ERROR, PROCESSING, REJECTED, ACTIVE, CANCELLED, PENDING, EXPIRED, DISPUTED,
      REFUNDED, PAUSED, IN_REVIEW
    ]
  ) { totalCount nodes { ...Judged } }
}
"""
    + JUDGED
)
PROCESS = (
    """
mutation ProcessPendingOrder($order: OrderUpdateInput!, $action: ProcessOrderAction!) {
  processPendingOrder(order: $order, action: $action) { ...Judged }
}
"""
    + JUDGED
)


class OpenCollectiveHost:
    """Implements Host with a token of an admin of the host."""

    title = "Open Collective"

    def __init__(self, address: str, token: str, *, fund: str) -> None:
        self.fund = fund
        self._api = OpenCollectiveApi(address, token)

    def record(self, awaited: Awaited) -> None:
        order: dict[str, Any] = {
            "fromAccount": {"slug": awaited.payer},
            "toAccount": {"slug": self.fund},
            "fromAccountInfo": {"name": awaited.company},
            "amount": {"valueInCents": awaited.money.amount_minor, "currency": awaited.money.currency},
            "description": f"Pledge payment {awaited.key}",
            "ponumber": awaited.reference,  # what the host's people look for on the bank statement
            "memo": f"The transfer carries the reference {awaited.reference}.",
        }
        if awaited.expected_on is not None:
            order["expectedAt"] = f"{awaited.expected_on.isoformat()}T00:00:00.000Z"
        if awaited.fee_percent is not None:
            order["hostFeePercent"] = float(awaited.fee_percent)
        answer = self._call(RECORD, {"order": order}, read=WRITE_SECONDS)
        if not answer.data.get("createPendingOrder"):
            raise _no(answer)

    def find(self, key: str, *, since: datetime) -> Sequence[Found]:
        nodes: list[Mapping[str, Any]] = []
        for _ in range(PAGES_MAX):
            asked = {"account": {"slug": self.fund}, "since": since.isoformat(), "offset": len(nodes)}
            answer = self._call(FIND, asked, read=READ_SECONDS)
            page = answer.data.get("orders")
            if page is None or answer.problems:
                raise HostSilent(f"Open Collective gave no list of what it expects: {_words(answer)}")
            nodes += page["nodes"]
            if len(nodes) >= page["totalCount"] or not page["nodes"]:
                return [_found(each) for each in nodes if key in (each["description"] or "").split()]
        raise HostSilent("Open Collective's list of what it expects does not end.")

    def mark_paid(self, remote_id: str, *, on: date) -> None:
        self._process("MARK_AS_PAID", {"id": remote_id, "processedAt": f"{on.isoformat()}T00:00:00.000Z"})

    def expire(self, remote_id: str) -> None:
        self._process("MARK_AS_EXPIRED", {"id": remote_id})

    def _process(self, action: str, order: Mapping[str, Any]) -> None:
        answer = self._call(PROCESS, {"order": order, "action": action}, read=WRITE_SECONDS)
        if not answer.data.get("processPendingOrder"):
            raise _no(answer)

    def _call(self, document: str, variables: Mapping[str, Any], *, read: float) -> Answer:
        try:
            return self._api.call(document, variables, connect=CONNECT_SECONDS, read=read)
        except (Busy, TurnedAway) as error:  # both come before anything is executed
            raise HostRefused(str(error)) from None
        except Silent as error:
            raise HostSilent(str(error)) from None


def _no(answer: Answer) -> HostRefused | HostSilent:
    """A refusal only in words that come before anything is made; any other may have come after."""
    certain = bool(answer.problems) and all(problem.before_effect for problem in answer.problems)
    return (HostRefused if certain else HostSilent)(f"Open Collective said: {_words(answer)}")


def _words(answer: Answer) -> str:
    return " ".join(problem.message for problem in answer.problems) or "nothing."


def _found(order: Mapping[str, Any]) -> Found:
    rows = order["transactions"] or []
    rounds: list[Round] = []
    for group in _groups(rows):
        (came, back), (fees, fees_back) = _both_ways(group, PAYMENT), _both_ways(group, FEES)
        if len(came) > 1 or (came and rounds and not rounds[-1].gone):
            raise HostSilent(f"Order {order['publicId']} was booked more than once at Open Collective; ask its people.")
        if came:
            rounds.append(Round(came[0], fees, back, fees_back))
        elif rounds:
            last = rounds.pop()
            rounds.append(
                Round(last.received, [*last.fees, *fees], [*last.refunds, *back], [*last.fees_back, *fees_back])
            )  # fmt: skip
    return Found(
        remote_id=order["publicId"],
        money=_amount(order["totalAmount"]),
        rounds=rounds,
        ended=not rounds and order["status"] in ENDED,
    )


def _groups(rows: Iterable[Mapping[str, Any]]) -> Iterable[Sequence[Mapping[str, Any]]]:
    """What was booked together, the oldest first: a payment with its fees, or what was given back with theirs."""
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: row["createdAt"] or ""):
        groups.setdefault(row["group"], []).append(row)
    return groups.values()


def _both_ways(rows: Iterable[Mapping[str, Any]], kinds: Set[str]) -> tuple[Sequence[Booked], Sequence[Booked]]:
    """Rows of these kinds on our fund's side, and those that turn such rows back. A payment is a credit, and a fee a debit."""
    forth, back = ("CREDIT", "DEBIT") if kinds is PAYMENT else ("DEBIT", "CREDIT")
    ours = [row for row in rows if row["kind"] in kinds]
    return (
        [_booked(row) for row in ours if row["type"] == forth and not row["isRefund"]],
        [_booked(row) for row in ours if row["type"] == back and row["isRefund"]],
    )


def _booked(row: Mapping[str, Any]) -> Booked:
    return Booked(row["publicId"], _sum([row]))


def _sum(rows: Iterable[Mapping[str, Any]]) -> Money:
    first, *others = [_amount(row["amount"]) for row in rows]
    total = sum(others, first)
    return total if total.amount_minor >= 0 else -total


def _amount(amount: Mapping[str, Any]) -> Money:
    """The schema's cents are a Float; anything but whole cents is no answer to build on."""
    cents = amount["valueInCents"]
    if cents is None or cents != int(cents):
        raise HostSilent(f"Open Collective told an amount of {cents} cents.")
    return Money(int(cents), amount["currency"])
