"""What the engine makes of an error of Stripe's library: docs/how-to/pay-by-stripe.md has the table."""

import math
from datetime import timedelta
from http import HTTPStatus

import stripe

from core import stripe_api
from payouts.rails.base import KeyConflict, NotNow, OutcomeUnknown, RailError, Refused

CLEAR_NO = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.PAYMENT_REQUIRED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
"""Stripe answers with these before it moves anything, or instead of it."""
STILL_RUNNING = "idempotency_key_in_use"
"""Our own request under this key has not ended there. In v2 the library raises the same error for it as for a key's misuse."""
ABOUT_US = (stripe.FeatureNotEnabledError, stripe.FinancialAccountNotOpenError)
"""Refusals that the next payment would get, too."""


def meaning(error: stripe.StripeError, key: str) -> RailError:
    """The rail's word for an error, to be raised."""
    said = words(error, key)
    match error:
        case stripe.IdempotencyError() if stripe_api.blames(error) != STILL_RUNNING:
            return KeyConflict(f"Stripe knows this reference with other parameters. {said}")
        case stripe.PermissionError() if stripe_api.blames(error) == "account_invalid":
            # Stripe's way to say that this account is not ours, or not at all: about the payee, not about our key.
            return Refused(f"Stripe does not let us pay this account: it is not connected to ours. {said}")
        case stripe.AuthenticationError() | stripe.PermissionError():
            return Refused(f"Stripe refuses our key. {said}", stops_rail=True)
    if isinstance(error, stripe.RateLimitError) or error.http_status == HTTPStatus.TOO_MANY_REQUESTS:
        return NotNow("Stripe asks for fewer requests.", retry_after=_retry_after(error))
    if isinstance(error, stripe.InvalidRequestError | stripe.CardError) or error.http_status in CLEAR_NO:
        return Refused(f"Stripe refused: {said}", stops_rail=isinstance(error, ABOUT_US))
    return OutcomeUnknown(f"No clear answer from Stripe: {said}")


def words(error: stripe.StripeError, key: str) -> str:
    """For people and for the log: what happened and Stripe's number of the request, never the key, never a whole body."""
    if isinstance(error, (stripe.APIConnectionError, stripe.AuthenticationError)):
        said = type(error).__name__  # their messages quote addresses and parts of the key
    else:
        code = stripe_api.blames(error)
        said = f"{(error.user_message or type(error).__name__)[:300]}{f' ({code})' if code else ''}"
    return said.replace(key, "…") + (f" [{error.request_id}]" if error.request_id else "")


def _retry_after(error: stripe.StripeError) -> timedelta:
    try:
        seconds = float((error.headers or {}).get("Retry-After", "5"))
    except ValueError:
        seconds = 5.0
    return timedelta(seconds=min(max(seconds, 0.05), 3600)) if math.isfinite(seconds) else timedelta(seconds=5)
