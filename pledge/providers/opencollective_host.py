"""Pending orders at Open Collective: its word for money that a host expects, and books when it has come.

The service knows no idempotency, and a pending order takes neither tag nor custom data. Our key stands in its description, which
anybody can read. Its list of orders leaves pending ones out unless their state is asked for by name, so a look-up that asks as
for other orders finds nothing and would have it recorded again: every state is named, and the whole list since that day is read
rather than searched, because the search knows neither hyphens nor parts of words.

An order is judged by its ledger rows: it stays PAID after a refund. Marking it as paid a second time is refused.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from core.money import Money
from core.opencollective_api import Answer, Busy, OpenCollectiveApi, Silent, TurnedAway
from pledge.providers.hosts import Awaited, Booked, Found, HostRefused, HostSilent

CONNECT_SECONDS, READ_SECONDS, WRITE_SECONDS = 6.0, 15.0, 30.0
"""The service ends a request after 25 s."""
PAGES_MAX = 20
ENDED = {"EXPIRED", "CANCELLED", "REJECTED", "ERROR"}

JUDGED = """
fragment Judged on Order {
  publicId status description totalAmount { valueInCents currency }
  transactions { publicId type kind isRefund amount { valueInCents currency } }
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
    came = [row for row in rows if row["kind"] == "CONTRIBUTION" and row["type"] == "CREDIT" and not row["isRefund"]]
    back = [row for row in rows if row["kind"] == "CONTRIBUTION" and row["type"] == "DEBIT" and row["isRefund"]]
    fees = [row for row in rows if row["kind"] in {"HOST_FEE", "PAYMENT_PROCESSOR_FEE"}]
    if len(came) > 1 and len(came) - len(back) == 1:
        came, back = came[-1:], []  # marked as paid, as unpaid, and as paid again
    if len(came) > 1:
        raise HostSilent(f"Order {order['publicId']} was booked {len(came)} times at Open Collective; ask its people.")
    money = _amount(order["totalAmount"])
    return Found(
        remote_id=order["publicId"],
        money=money,
        received=_booked(came[0]) if came else None,
        fees=[_booked(row) for row in fees if row["type"] == "DEBIT" and not row["isRefund"]],
        refunds=[_booked(row) for row in back],
        fees_back=[_booked(row) for row in fees if row["type"] == "CREDIT" and row["isRefund"]],
        ended=not came and order["status"] in ENDED,
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
