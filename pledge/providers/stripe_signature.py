"""Is a webhook from Stripe? `Stripe-Signature: t=<seconds>,v1=<hex>,v1=<hex>`: HMAC-SHA256 of `<t>.<raw body>`.

Written out, because the library's check lets a time stamp of any future pass and raises five kinds of errors on bad input.
"""

import hashlib
import hmac
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from core.errors import DomainError
from pledge.providers.base import Notice

TOLERANCE = timedelta(minutes=5)
"""A delivery older than this may be somebody's replay. A retry of Stripe's comes with a new time stamp."""


class BadSignature(DomainError):
    """The delivery is not signed by Stripe with a secret of ours, or too old, or no event."""

    code = "bad_webhook_signature"
    status = 400


def notice_from(body: bytes, header: str | None, *, secrets: Sequence[str], now: datetime) -> Notice:
    """The event in a delivery, once its signature holds. The body's bytes must be those that came in.

    Raises:
        BadSignature: it does not hold, or what it signs is no event.
    """
    moment, signatures = _parts(header)
    if abs(now - moment) > TOLERANCE:
        raise BadSignature(f"The signature is of {moment:%Y-%m-%d %H:%M:%S} UTC; more than five minutes off is not taken.")
    signed = b"%d." % int(moment.timestamp()) + body
    good = [hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest() for secret in secrets]
    if not any(hmac.compare_digest(ours, theirs) for ours in good for theirs in signatures):
        raise BadSignature("The signature fits none of our secrets (PLEDGEWORKS_STRIPE_WEBHOOK_SECRETS).")
    try:
        return notice(json.loads(body))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise BadSignature("The signed body is no event of Stripe.") from error


def notice(event: Any) -> Notice:
    """Of a v1 event, what says where to look.

    Raises:
        ValueError, TypeError, KeyError, AttributeError: it is no event.
    """
    found = event["data"]["object"]
    if event["object"] != "event" or not all(
        isinstance(each, str) and 0 < len(each) <= 250 for each in (event["id"], event["type"], found["object"])
    ):
        raise ValueError("no event")
    # Some objects have no id, such as the balance.
    object_id = str(found.get("id") or "")[:250]
    return Notice(
        id=event["id"],
        type=event["type"],
        object_type=found["object"],
        object_id=object_id,
        created_at=datetime.fromtimestamp(int(event["created"]), UTC),
        api_version=event.get("api_version"),
        live=event["livemode"] is True,
    )


def _parts(header: str | None) -> tuple[datetime, list[str]]:
    """The time stamp and the signatures of scheme v1."""
    pairs = [part.partition("=")[::2] for part in (header or "")[:2000].split(",")]
    stamps = [value for name, value in pairs if name.strip() == "t"]
    signatures = [value.strip() for name, value in pairs if name.strip() == "v1"]
    stamp = stamps[0].strip() if len(stamps) == 1 else ""
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) <= 12) or not signatures or not "".join(signatures).isascii():
        raise BadSignature("The header Stripe-Signature is missing or can't be read.")
    try:
        return datetime.fromtimestamp(int(stamp), UTC), signatures
    except (ValueError, OverflowError, OSError) as error:
        raise BadSignature("The time in the signature can't be read.") from error
