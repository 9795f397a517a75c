"""The verbs of `payouts`. Other domains use `request`, `withdraw` and `PayoutChanged`."""

from payouts.services.requests import (
    NotSameRequest,
    PayoutChanged,
    request,
)

__all__ = [
    "NotSameRequest",
    "PayoutChanged",
    "request",
]
