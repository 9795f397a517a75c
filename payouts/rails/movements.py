"""What the providers say moved our balance there: the other side of the books' reconciliation."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import requests

from core.books.feeds import Feed, FeedUnreachable, Seen
from core.config import Environment, settings
from core.errors import InvalidInput
from core.money import Money
from payouts.rails.base import RailError
from payouts.rails.fake import address_file
from payouts.rails.opencollective import amount_of
from payouts.rails.opencollective_api import FUND_BALANCE, FUND_ROWS, OpenCollectiveApi

if TYPE_CHECKING:
    import stripe
    from stripe.v2._money_management_service import MoneyManagementService

TIMEOUT = timedelta(seconds=30)
PENDING_MAX = timedelta(days=30)
"""How long a payment from the financial account may be on its way before it changes the account for good."""


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
                {"limit": 100, "expand": ["data.source"], "created": {"gte": int(since.timestamp())}}
                if since
                else {"limit": 100, "expand": ["data.source"]}
            )
            return [_stripe_seen(each) for each in listed.auto_paging_iter()]
        except (stripe.StripeError, AttributeError, TypeError, InvalidInput) as error:
            # Its own messages may quote the key.
            raise FeedUnreachable(f"Stripe gave no list of what moved the balance ({type(error).__name__}).") from None

    def holds(self) -> Sequence[Money]:
        import stripe

        from core import stripe_api

        try:
            told = stripe_api.client(self._key, api_base=self._api_base, timeout=TIMEOUT).v1.balance.retrieve()
            usable = [(each.amount, each.currency) for each in told.available]
            return _sums(usable + [(each.amount, each.currency) for each in told.pending])
        except (stripe.StripeError, AttributeError, TypeError, InvalidInput) as error:
            raise FeedUnreachable(f"Stripe did not tell our balance ({type(error).__name__}).") from None


class StripeFinancialMovements:
    """What moved our financial account at Stripe, from which Global Payouts are paid.

    A transaction there is one deed: pending while money is on its way, posted when the account is changed for good, void when
    nothing came of it. Only what is posted is a movement; it may have begun long before.
    """

    name, title = "stripe_financial", "Stripe (financial account)"

    def __init__(self, key: str, financial_account: str, *, api_base: str | None) -> None:
        self._key, self._account, self._api_base = key, financial_account, api_base

    def read(self, since: datetime | None) -> Iterable[Seen]:
        import stripe

        from core import stripe_api

        money = stripe_api.client(self._key, api_base=self._api_base, timeout=TIMEOUT).v2.money_management
        asked: dict[str, Any] = {"financial_account": self._account, "limit": 100}
        if since is not None:
            asked["created"] = {"gte": f"{since - PENDING_MAX:%Y-%m-%dT%H:%M:%SZ}"}
        try:
            listed = [each.to_dict() for each in money.transactions.list(asked).auto_paging_iter()]  # type: ignore[arg-type]
            posted = [each for each in listed if each["status"] == "posted"]
            return [_transaction_seen(each, _origin(money, each)) for each in posted]
        except (stripe.StripeError, AttributeError, KeyError, TypeError, ValueError, InvalidInput) as error:
            raise FeedUnreachable(f"Stripe gave no list of what moved the financial account ({type(error).__name__}).") from None

    def holds(self) -> Sequence[Money]:
        import stripe

        from core import stripe_api

        money = stripe_api.client(self._key, api_base=self._api_base, timeout=TIMEOUT).v2.money_management
        try:
            balance = money.financial_accounts.retrieve(self._account).to_dict()["balance"]
            # What is on its way out is ours until it is posted, as in the list of movements.
            parts = [each for kind in ("available", "outbound_pending") for each in balance[kind].values()]
            return _sums((each["value"], each["currency"]) for each in parts)
        except (stripe.StripeError, AttributeError, KeyError, TypeError, InvalidInput) as error:
            raise FeedUnreachable(f"Stripe did not tell the balance of the financial account ({type(error).__name__}).") from None


class OpenCollectiveMovements:
    """The ledger rows of our fund at Open Collective. Fees have rows of their own there."""

    name, title = "open_collective", "Open Collective"

    def __init__(self, address: str, token: str, *, fund: str) -> None:
        self._api, self._fund = OpenCollectiveApi(address, token), fund

    def read(self, since: datetime | None) -> Iterable[Seen]:
        found: list[Seen] = []
        while True:
            rows = self._page(since, offset=len(found))
            try:
                found += [_row_seen(each) for each in rows["nodes"]]
            except (KeyError, TypeError, ValueError, InvalidInput, RailError) as error:
                raise FeedUnreachable(f"A ledger row of Open Collective can't be read ({type(error).__name__}).") from None
            if not rows["nodes"] or len(found) >= rows["totalCount"]:
                return found

    def _page(self, since: datetime | None, *, offset: int) -> Mapping[str, Any]:
        seconds = TIMEOUT.total_seconds() / 2
        asked = {"account": [{"slug": self._fund}], "dateFrom": since.isoformat() if since else None, "offset": offset}
        try:
            answer = self._api.call(FUND_ROWS, asked, connect=seconds, read=seconds)
        except RailError as error:
            raise FeedUnreachable(f"Open Collective gave no ledger rows: {error}") from None
        rows: Mapping[str, Any] | None = answer.data.get("transactions")
        if answer.problems or rows is None:
            said = "; ".join(problem.message for problem in answer.problems) or "nothing"
            raise FeedUnreachable(f"Open Collective gave no ledger rows: {said}.")
        return rows

    def holds(self) -> Sequence[Money]:
        seconds = TIMEOUT.total_seconds() / 2
        try:
            answer = self._api.call(FUND_BALANCE, {"fund": self._fund}, connect=seconds, read=seconds)
            return [amount_of(answer.data["account"]["stats"]["balance"])]
        except (RailError, KeyError, TypeError, ValueError, InvalidInput) as error:
            raise FeedUnreachable(f"Open Collective did not tell the fund's balance ({type(error).__name__}).") from None


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
        key, address = known.pledgeworks_stripe_key.get_secret_value(), known.pledgeworks_stripe_url
        found.append(StripeMovements(key, api_base=address))
        if known.pledgeworks_stripe_financial_account is not None:
            found.append(StripeFinancialMovements(key, known.pledgeworks_stripe_financial_account, api_base=address))
    if known.pledgeworks_opencollective_token is not None and known.pledgeworks_opencollective_fund is not None:
        token = known.pledgeworks_opencollective_token.get_secret_value()
        address, fund = known.pledgeworks_opencollective_url, known.pledgeworks_opencollective_fund
        found.append(OpenCollectiveMovements(address, token, fund=fund))
    if known.pledgeworks_env is not Environment.PRODUCTION and address_file(known.data_folder).exists():
        found.append(TrialMovements())
    return found


def _sums(amounts: Iterable[tuple[int, str]]) -> Sequence[Money]:
    found: dict[str, int] = {}
    for value, currency in amounts:
        found[currency] = found.get(currency, 0) + value
    return [Money(value, currency.upper()) for currency, value in found.items()]


def _stripe_seen(each: "stripe.BalanceTransaction") -> Seen:
    return Seen(
        remote_id=each.id,
        kind=each.type,
        occurred_at=datetime.fromtimestamp(each.created, UTC),
        money=Money(each.net, each.currency.upper()),
        about=_about(each.source),
        description=each.description or "",
    )


def _about(source: Any) -> str | None:
    """What moved the balance; of a reversal the transfer that was reversed, by which its payout is known."""
    if source is None or isinstance(source, str):
        return source
    return getattr(source, "transfer", None) or source.id if source.object == "transfer_reversal" else getattr(source, "id", None)


def _transaction_seen(each: Mapping[str, Any], about: str | None) -> Seen:
    changed = each["balance_impact"]["available"]
    return Seen(
        remote_id=each["id"],
        kind=each["category"],
        occurred_at=datetime.fromisoformat(each["status_transitions"].get("posted_at") or each["created"]),
        money=Money(changed["value"], changed["currency"].upper()),
        about=about,
        description=each.get("description") or "",
    )


def _origin(money: "MoneyManagementService", each: Mapping[str, Any]) -> str | None:
    """What the transaction is of. Money from our own Stripe balance is a payout there, and goes by that one's name."""
    flow = each.get("flow") or {}
    about: str | None = flow.get(flow.get("type", ""))
    if about is None or flow["type"] != "received_credit":
        return about
    credit = money.received_credits.retrieve(about).to_dict()
    return (credit.get("balance_transfer") or {}).get("payout") or about


def _row_seen(row: Mapping[str, Any]) -> Seen:
    of = row["order"] or row["expense"] or {}
    kind = f"refund of {row['kind']}" if row["isRefund"] else row["kind"]
    return Seen(
        remote_id=row["publicId"],
        kind=kind.lower(),
        occurred_at=datetime.fromisoformat(row["createdAt"]),
        money=amount_of(row["amount"]),
        about=of.get("publicId"),
    )
