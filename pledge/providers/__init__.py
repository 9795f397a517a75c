"""How money comes in through somebody else: one provider behind one Protocol. Here is which one this installation has."""

from functools import lru_cache

from core.config import settings
from core.errors import DomainError
from pledge.providers.base import Provider


class NoProvider(DomainError):
    """Nothing is set up here that could take a payment."""

    code = "no_payment_provider"


def configured() -> Provider | None:
    """The payment provider of this installation, if it has one."""
    key = settings().pledgeworks_stripe_key
    return _stripe(key.get_secret_value(), settings().pledgeworks_stripe_url) if key else None


def required() -> Provider:
    """The payment provider.

    Raises:
        NoProvider: there is none.
    """
    provider = configured()
    if provider is None:
        raise NoProvider(
            "Nobody can pay online here: no payment provider is set up (PLEDGEWORKS_STRIPE_KEY). Send a bank transfer instead."
        )
    return provider


@lru_cache(maxsize=1)
def _stripe(key: str, api_base: str | None) -> Provider:
    # Half a second to import, and only where there is a key.
    from pledge.providers.stripe_checkout import StripeProvider

    return StripeProvider(key, api_base=api_base)
