"""The verbs of `payouts`. Other domains use `request`, `cancel` and `PayoutChanged`."""

from payouts.services.requests import NotSameRequest, PayoutChanged, open_payout, request
from payouts.services.withdrawals import MayStillBePaid, cancel

__all__ = ["MayStillBePaid", "NotSameRequest", "PayoutChanged", "cancel", "open_payout", "request"]
