"""The one way to Stripe: its own library, pinned to one version of its API, with time-outs we chose and no retries of its own.

Whoever calls decides about retries: a payout is sent again by the engine under the same key, or not at all.
"""

from datetime import timedelta

import requests
import stripe

API_VERSION = "2026-10-28.endive"
"""What the pinned library was made for. Answers and events keep this shape until somebody raises both."""

stripe.enable_telemetry = False  # else it writes an id into the home folder and reports how long calls took


def client(key: str, *, api_base: str | None, timeout: timedelta) -> stripe.StripeClient:
    """A client whose every call ends within `timeout`, connecting included. `api_base` None: Stripe itself."""
    session = requests.Session()
    session.trust_env = api_base is None  # no proxy between us and a stand-in on this machine
    seconds = timeout.total_seconds()
    return stripe.StripeClient(
        key,
        stripe_version=API_VERSION,
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=(seconds / 4, seconds * 3 / 4), session=session),
        base_addresses={"api": api_base} if api_base else None,
    )


def blames(error: stripe.StripeError) -> str | None:
    """Stripe's code of an error. `error.code` alone is None where the library has no place for it (409, 403)."""
    return error.code or (getattr(error.error, "code", None) if error.error is not None else None)
