"""How money comes in through somebody else: a payment provider, a fiscal host. Here is which of them this installation has."""

from functools import lru_cache

from core.config import settings
from core.errors import DomainError
from pledge.providers.base import Provider
from pledge.providers.hosts import Host
from pledge.providers.opencollective_host import OpenCollectiveHost


class NoHost(DomainError):
    """No fiscal host is set up here."""

    code = "no_fiscal_host"


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


def host() -> Host | None:
    """The fiscal host of this installation, if it acts for one."""
    known = settings()
    if known.pledgeworks_opencollective_host_token is None or known.pledgeworks_opencollective_fund is None:
        return None
    token = known.pledgeworks_opencollective_host_token.get_secret_value()
    return _open_collective(known.pledgeworks_opencollective_url, token, known.pledgeworks_opencollective_fund)


def required_host() -> Host:
    """The fiscal host.

    Raises:
        NoHost: there is none.
    """
    known = host()
    if known is None:
        raise NoHost("No fiscal host is set up here (PLEDGEWORKS_OPENCOLLECTIVE_HOST_TOKEN, PLEDGEWORKS_OPENCOLLECTIVE_FUND).")
    return known


@lru_cache(maxsize=1)
def _open_collective(address: str, token: str, fund: str) -> Host:
    """The same for the whole process: it remembers how long the service wants to be left alone."""
    return OpenCollectiveHost(address, token, fund=fund)


@lru_cache(maxsize=1)
def _stripe(key: str, api_base: str | None) -> Provider:
    # Half a second to import, and only where there is a key.
    from pledge.providers.stripe_checkout import StripeProvider

    return StripeProvider(key, api_base=api_base)
