"""What the providers say moved our balance there: the other side of the books' reconciliation."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import requests

from core.books.feeds import Feed, FeedUnreachable, Seen
from core.config import Environment, settings
from core.errors import InvalidInput
from core.money import Money
from payouts.rails.fake import address_file

if TYPE_CHECKING:
    import stripe

TIMEOUT = timedelta(seconds=30)


class StripeMovements:
    """Stripe's balance transactions: every cent that came to our balance there or left it, fees included."""

    name, title = "stripe", "Stripe"

    def __init__(self, key: str, *, api_base: str | None) -> None:
        self._key, self._api_base = key, api_base

    def read(self, since: datetime | None) -> Iterable[Seen]:
        # Half a second to import, and only where there is a key.
        import stripe

        from core import stripe_api

        client = stripe_api.client(self._key, api_base=self._api_base, timeout=TIMEOUT)
        try:
            listed = client.v1.balance_transactions.list(
                {"limit": 100, "created": {"gte": int(since.timestamp())}} if since else {"limit": 100}
            )
            return [_stripe_seen(each) for each in listed.auto_paging_iter()]
        except (stripe.StripeError, AttributeError, TypeError, InvalidInput) as error:
            # Its own messages may quote the key.
            raise FeedUnreachable(f"Stripe gave no list of what moved the balance ({type(error).__name__}).") from None


class TrialMovements:
    """The trial service's journal, as if each of its payments left a balance of ours."""

    name, title = "trial", "Trial rail"

    def read(self, since: datetime | None) -> Iterable[Seen]:
        try:
            address = address_file(settings().data_folder).read_text().strip()
            answer = requests.get(f"{address}/journal", timeout=TIMEOUT.total_seconds(), proxies={"http": "", "https": ""})
            answer.raise_for_status()
            rows = answer.json()["transfers"]
            # The journal has no times: what is read for the first time is taken as of now.
            return [
                Seen(
                    row["id"], "payment", datetime.now(UTC), -Money(row["amount_minor"], row["currency"]), row["id"], row["memo"]
                )
                for row in rows
            ]
        except (OSError, requests.RequestException, ValueError, KeyError, TypeError) as error:
            raise FeedUnreachable(f"The trial service gave no journal ({type(error).__name__}).") from None


def feeds() -> Sequence[Feed]:
    """The feeds of this installation."""
    known = settings()
    found: list[Feed] = []
    if known.pledgeworks_stripe_key is not None:
        found.append(StripeMovements(known.pledgeworks_stripe_key.get_secret_value(), api_base=known.pledgeworks_stripe_url))
    if known.pledgeworks_env is not Environment.PRODUCTION and address_file(known.data_folder).exists():
        found.append(TrialMovements())
    return found


def _stripe_seen(each: "stripe.BalanceTransaction") -> Seen:
    return Seen(
        remote_id=each.id,
        kind=each.type,
        occurred_at=datetime.fromtimestamp(each.created, UTC),
        money=Money(each.net, each.currency.upper()),
        about=each.source if isinstance(each.source, str) else getattr(each.source, "id", None),
        description=each.description or "",
    )
