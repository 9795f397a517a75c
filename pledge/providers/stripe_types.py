"""What kinds of movements there are on a Stripe balance, and what each means for money that comes in.

Stripe adds kinds with its versions. One that is not named here is never guessed at: it stands in the reconciliation's list of
what is missing here, and on the payment that it belongs to.
"""

from collections.abc import Mapping

from core.books.movements import BY_THEMSELVES
from pledge.models import MovementKind

KINDS: Mapping[MovementKind, frozenset[str]] = {
    MovementKind.ARRIVAL: frozenset({"charge", "payment"}),  # by card; by anything else, on its way included
    MovementKind.PAYMENT_FAILED: frozenset({"payment_failure_refund"}),  # what was on its way bounced: the payment, taken back
    MovementKind.REFUND: frozenset({"refund", "payment_refund"}),  # of a card; of anything else
    # A refund that the company's bank did not take; of anything but cards it comes back under the name it left by.
    MovementKind.REFUND_FAILED: frozenset({"refund_failure", "payment_refund", "adjustment"}),
    # Disputes are told by their amount; their fees by having none.
    MovementKind.DISPUTE: frozenset({"adjustment"}),
    MovementKind.REINSTATED: frozenset({"adjustment"}),
    MovementKind.FEE: frozenset({"adjustment"}),
}
NOT_BOOKED: Mapping[str, str] = {
    "payment_reversal": "a payment that was taken back after it came",
    "payment_unreconciled": "money of a company that no payment took, and that Stripe counts as ours after a time",
    "stripe_fx_fee": "a price for exchanging money",
    "tax_fund": "a tax that Stripe keeps to pay it for us",
    "fee_credit_funding": "a credit against Stripe's prices",
}
"""They concern money that comes in, but belong to no payment, or nobody here knows what to book: a person decides."""
ELSEWHERE = BY_THEMSELVES | {
    # Payouts of ours to our bank, and from it
    "payout", "payout_cancel", "payout_failure", "payout_minimum_balance_hold", "payout_minimum_balance_release", "topup",
    "topup_reversal",
    # To maintainers: transfers, and outbound payments
    "transfer", "transfer_cancel", "transfer_failure", "transfer_refund", "obligation_outbound", "obligation_reversal_inbound",
    "inbound_transfer", "inbound_transfer_reversal", "connect_collection_transfer", "application_fee", "application_fee_refund",
    # Money that Stripe sets apart
    "reserve_hold", "reserve_release", "reserve_transaction", "reserved_funds", "payment_network_reserve_hold",
    "payment_network_reserve_release",
    # Products that are not used here
    "advance", "advance_funding", "anticipation_repayment", "climate_order_purchase", "climate_order_refund", "contribution",
    "issuing_authorization_hold", "issuing_authorization_release", "issuing_dispute", "issuing_dispute_provisional_credit",
    "issuing_dispute_provisional_credit_reversal", "issuing_transaction", "stripe_balance_payment_debit",
    "stripe_balance_payment_debit_reversal",
}  # fmt: skip
"""Booked from Stripe's list of movements, or not at all; prices that it takes by itself (a paid invoice's) are."""


def meaning(kind: str) -> str:
    """What a movement is that is not booked, in words."""
    return NOT_BOOKED.get(kind, "of a kind that nobody here knows")
