"""Asking Stripe: the client, and its errors in our words."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn
from uuid import UUID

import stripe

from core import stripe_api
from core.money import Money
from pledge.providers.base import AnswerKept, CustomerUnknown, KeyRefused, NotThere, ProviderRefused, ProviderSilent

METADATA_KEY = "pledgeworks_pay_in"
"""Our mark on what we make at Stripe."""
SILENT = (stripe.APIConnectionError, stripe.RateLimitError)
MISSING = "resource_missing"


class StripeCalls:
    """What every call to Stripe needs."""

    def __init__(self, key: str, *, api_base: str | None = None, timeout: timedelta = timedelta(seconds=20)) -> None:
        self.live = "_live_" in key[:8]
        self._key = key
        self._api_base = api_base
        self._stripe = stripe_api.client(key, api_base=api_base, timeout=timeout)

    @contextmanager
    def _asking(self, what: str | None = None) -> Iterator[None]:
        """Stripe's errors as ours. `what`: the id that is looked up, which may be of another key or account."""
        try:
            yield
        except stripe.StripeError as error:
            if what is not None and stripe_api.blames(error) == MISSING:
                raise NotThere(
                    f"Stripe does not know {what} under the key of today: it was made under another key or account. "
                    "Nobody can say here what became of it; a page closes by itself within a day."
                ) from error
            self._translate(error)
        except (KeyError, TypeError, ValueError) as error:
            about = f" about {what}" if what else ""
            raise ProviderSilent(f"Stripe's answer{about} can't be read ({type(error).__name__}: {error}).") from error

    def _translate(self, error: stripe.StripeError) -> NoReturn:
        """An unclear answer about a page costs a page that nobody knows; about a refund, one look at the list of refunds."""
        if isinstance(error, (stripe.AuthenticationError, stripe.PermissionError)):
            raise KeyRefused(
                "Stripe refuses our key, so nobody can pay online now. An administrator puts PLEDGEWORKS_STRIPE_KEY right; "
                "a bank transfer works meanwhile."
            ) from error
        if isinstance(error, SILENT):
            raise ProviderSilent("Stripe does not answer just now. Nobody was charged; try again in a minute.") from error
        code, number = stripe_api.blames(error), f" [{error.request_id}]" if error.request_id else ""
        if code == MISSING and getattr(error, "param", None) == "customer":
            raise CustomerUnknown("Stripe does not know this customer under the key of today. Press Pay again.") from error
        if isinstance(error, (stripe.InvalidRequestError, stripe.CardError)):
            said = (error.user_message or type(error).__name__)[:300].replace(self._key, "…")
            raise ProviderRefused(f"Stripe refused: {said}{f' ({code})' if code else ''}{number}") from error
        # An error of theirs is kept under the key; and a key that was used for another request is of no more use.
        kept = isinstance(error, stripe.IdempotencyError) or (isinstance(error.http_status, int) and error.http_status >= 500)
        raise (AnswerKept if kept else ProviderSilent)(
            f"No clear answer from Stripe{number}. Nobody was charged; try again in a minute."
        ) from error


def transfer_options(kind: str, country: str | None) -> dict[str, Any]:
    """To what kind of account a company transfers, as Stripe wants it in a page's and an invoice's options."""
    transfer: dict[str, Any] = {"type": kind}
    if country is not None:
        transfer[kind] = {"country": country}
    return {"customer_balance": {"funding_type": "bank_transfer", "bank_transfer": transfer}}


def money_of(amount: int, currency: str) -> Money:
    """Stripe's amount, in our words."""
    return Money(amount, currency.upper())


def moment_of(seconds: int) -> datetime:
    """Stripe's time."""
    return datetime.fromtimestamp(seconds, UTC)


def ours(found: Any) -> UUID | None:
    """The pay-in that Stripe's object is of; None if somebody else who shares this Stripe account made it."""
    try:
        return UUID(found["metadata"][METADATA_KEY])
    except (KeyError, TypeError, ValueError):
        return None
