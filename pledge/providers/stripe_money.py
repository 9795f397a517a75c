"""What moved at Stripe because of a payment: its charges, refunds and disputes, each with its balance transaction."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from core.books.movements import BY_THEMSELVES
from core.money import Money
from pledge.models import MovementKind
from pledge.providers.base import Dispute, Movement, RefundSeen, RefundStanding, RefundWanted
from pledge.providers.stripe_calls import StripeCalls, moment_of, money_of
from pledge.providers.stripe_types import KINDS, meaning

REFUND_KEY = "pledgeworks_refund"
REFUND_STANDINGS = {
    "pending": RefundStanding.PENDING,
    "requires_action": RefundStanding.PENDING,
    "succeeded": RefundStanding.DONE,
    "failed": RefundStanding.FAILED,
    "canceled": RefundStanding.FAILED,
}
OPEN_DISPUTES = frozenset({"needs_response", "under_review"})


class StripeMoney(StripeCalls):
    """Payments that came, and what went back."""

    def refund(self, wanted: RefundWanted) -> None:
        with self._asking():
            self._stripe.v1.refunds.create(
                {
                    "payment_intent": wanted.payment_id,
                    "amount": wanted.money.amount_minor,
                    "reason": "requested_by_customer",
                    "metadata": {REFUND_KEY: str(wanted.refund_id)},
                },
                {"idempotency_key": wanted.key},
            )

    def refunds_of(self, payment_id: str) -> Sequence[RefundSeen]:
        with self._asking():
            return [_refund(each) for each in self._refunds(payment_id)]

    def _came(self, payment_ids: Sequence[str]) -> dict[str, Any]:
        """What moved because of payments, and who wants it back. Of kinds that are unknown, what they are in words."""
        seen: list[tuple[Any, MovementKind]] = []
        refunds, disputes, others = [], [], []
        for payment_id in payment_ids:
            for charge in self._charges(payment_id):
                if ended := _of_charge(charge):
                    known = {each["id"] for each, _ in ended}
                    seen += ended
                    moved = self._moved_by(charge["id"])
                    others += [each for each in moved if each["id"] not in known and each["type"] not in BY_THEMSELVES]
            if seen:
                refunds += self._refunds(payment_id)
                disputes += self._disputes(payment_id)
        for refund in refunds:
            seen.append((refund.get("balance_transaction"), MovementKind.REFUND))
            seen.append((refund.get("failure_balance_transaction"), MovementKind.REFUND_FAILED))
        for dispute in disputes:
            found = [each for each in dispute["balance_transactions"] if each["amount"] or each["fee"]]
            seen += [(each, _of_dispute(each["amount"])) for each in found]
        there = [(each, kind) for each, kind in seen if each]
        return {
            "movements": [_movement(each, kind) for each, kind in there if each["type"] in KINDS[kind]],
            "unknown": [_unknown(each) for each, kind in there if each["type"] not in KINDS[kind]]
            + [_unknown(each) for each in others],
            "disputes": [_dispute(each) for each in disputes],
            "refunds": [_refund(each) for each in refunds],
        }

    def _cash(self, customer_id: str, currency: str) -> int:
        """What a company transferred and Stripe keeps for it, in minor units: no payment has taken it yet."""
        cash = self._stripe.v1.customers.cash_balance.retrieve(customer_id).to_dict()
        return int((cash.get("available") or {}).get(currency, 0))

    def _surplus(self, intent: Mapping[str, Any]) -> Money | None:
        """What the company sent beyond what was asked for: Stripe keeps it in the company's cash balance."""
        left = self._cash(intent["customer"], intent["currency"]) if intent["status"] == "succeeded" else 0
        return money_of(left, intent["currency"]) if left else None

    def _charges(self, payment_id: str) -> list[dict[str, Any]]:
        """Every try at a payment: a debit that bounced can be followed by one that did not."""
        expand = ["data.balance_transaction", "data.failure_balance_transaction"]
        listed = self._stripe.v1.charges.list({"payment_intent": payment_id, "limit": 100, "expand": expand})
        return [each.to_dict() for each in listed.auto_paging_iter()]

    def _moved_by(self, charge_id: str) -> list[dict[str, Any]]:
        """Every movement that a charge led to, whatever its kind."""
        listed = self._stripe.v1.balance_transactions.list({"source": charge_id, "limit": 100})
        return [each.to_dict() for each in listed.auto_paging_iter()]

    def _refunds(self, payment_id: str) -> list[dict[str, Any]]:
        expand = ["data.balance_transaction", "data.failure_balance_transaction"]
        listed = self._stripe.v1.refunds.list({"payment_intent": payment_id, "limit": 100, "expand": expand})
        return [each.to_dict() for each in listed.auto_paging_iter()]

    def _disputes(self, payment_id: str) -> list[dict[str, Any]]:
        listed = self._stripe.v1.disputes.list({"payment_intent": payment_id, "limit": 100})
        return [each.to_dict() for each in listed.auto_paging_iter()]


def method_of(charge: Mapping[str, Any] | None) -> str | None:
    """How a charge was paid, in Stripe's word."""
    kind = (charge["payment_method_details"] or {}).get("type") if charge else None
    return str(kind) if kind else None


def why_failed(intent: Mapping[str, Any]) -> str:
    """Why a payment did not come, for people."""
    error = intent["last_payment_error"] or {}
    code = f" ({error['code']})" if error.get("code") else ""
    return f"{(error.get('message') or 'The payment did not succeed')[:300].rstrip('.')}{code}."


def _of_charge(charge: Mapping[str, Any]) -> list[tuple[Any, MovementKind]]:
    """What a charge moved, once it ended: while it is on its way it may be on our balance, but nobody may count on it."""
    arrival, bounce = charge["balance_transaction"], charge.get("failure_balance_transaction")
    if arrival and charge["status"] == "succeeded":
        return [(arrival, MovementKind.ARRIVAL)]
    if arrival and bounce:
        return [(arrival, MovementKind.ARRIVAL), (bounce, MovementKind.PAYMENT_FAILED)]
    return []


def _unknown(found: Mapping[str, Any]) -> str:
    money = money_of(found["amount"], found["currency"])
    return f"{found['id']} over {money} is {meaning(found['type'])} ({found['type']})"


def _movement(found: Mapping[str, Any], kind: MovementKind) -> Movement:
    return Movement(
        id=found["id"],
        kind=kind,
        gross=money_of(found["amount"], found["currency"]),
        fee=money_of(found["fee"], found["currency"]),
        source=found["source"],
        happened_at=moment_of(found["created"]),
        available_at=moment_of(found["available_on"]),
    )


def _of_dispute(amount: int) -> MovementKind:
    if amount == 0:
        return MovementKind.FEE
    return MovementKind.DISPUTE if amount < 0 else MovementKind.REINSTATED


def _refund(found: Mapping[str, Any]) -> RefundSeen:
    ours = (found.get("metadata") or {}).get(REFUND_KEY)
    standing = REFUND_STANDINGS[found["status"]]
    failure = (found.get("failure_reason") or found["status"]).replace("_", " ") if standing is RefundStanding.FAILED else None
    return RefundSeen(
        found["id"], UUID(ours) if ours else None, standing, wants_details=found["status"] == "requires_action", failure=failure
    )


def _dispute(found: Mapping[str, Any]) -> Dispute:
    money = money_of(found["amount"], found["currency"])
    return Dispute(found["id"], money, open=found["status"] in OPEN_DISPUTES, reason=found["reason"])
