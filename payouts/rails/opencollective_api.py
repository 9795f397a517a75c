"""Open Collective's GraphQL API, version 2: one call, and what its answer means. The documents are at the end.

Its answers are told apart by where they come from: 401, 429 and 400 are given before anything is executed. A 200 with errors says
only that the operation ended: the service makes the order, books it, and goes on doing things that can fail, and what fails then
looks like a refusal and mostly has the same code (INTERNAL_SERVER_ERROR). So an error counts as a refusal only if it is one of
those that come before anything is made (`Problem.before_effect`). Everything else (a time-out, a cut, a 5xx) says nothing, and
orders were seen to be paid after all three.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import requests

from core.errors import InvalidInput
from payouts.rails.base import NotNow, OutcomeUnknown, Refused

ANSWER_CHARACTERS_MAX = 300
LOOPBACK = {"127.0.0.1", "localhost", "::1"}
BEFORE_EFFECT = (
    "You need to be logged in",
    "sufficient permissions to create an order",
    "Account Not Found",
    "has no host",
    "requires a payment method",
    "Expected currency for amount",
    "below minimum tier value",
)
"""Of the errors seen, those that createOrder raises while it reads its arguments: no order exists yet."""


@dataclass(frozen=True)
class Problem:
    """One of the errors inside a 200."""

    message: str
    code: str
    path: tuple[str | int, ...] = ()
    """The field it was raised in: the operation itself, or something inside its result."""

    @property
    def before_effect(self) -> bool:
        """It was certainly raised before the operation changed anything: by the operation itself, in words that are known.

        Inside a result (a longer path), the same words are about showing what was already done.
        """
        return len(self.path) == 1 and (self.about_us or any(words in self.message for words in BEFORE_EFFECT))

    @property
    def about_us(self) -> bool:
        """It is the token or its user that is refused, so the next payment would be refused as well."""
        return self.code in {"Unauthorized", "2FA_REQUIRED"} or any(
            words in self.message for words in ("2FA", "two-factor", "operations in scope")
        )


@dataclass(frozen=True)
class Answer:
    """A 200: data, errors, or some of both."""

    data: Mapping[str, Any]
    problems: Sequence[Problem]


class OpenCollectiveApi:
    """Calls with a personal token in a header. The token is in no address, no message and no log."""

    def __init__(self, address: str, token: str) -> None:
        parts = urlsplit(address)
        if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in LOOPBACK):
            raise InvalidInput("PLEDGEWORKS_OPENCOLLECTIVE_URL must begin with https://, because a token is sent there.")
        if parts.query or parts.username or parts.password:
            raise InvalidInput("PLEDGEWORKS_OPENCOLLECTIVE_URL holds only scheme, host and path; the token has its own setting.")
        self._address = address
        self._token = token
        self._http = requests.Session()
        self._http.trust_env = False  # no proxy and no .netrc of the machine gets to see the token
        self._rest_until = 0.0

    def call(self, document: str, variables: Mapping[str, Any], *, connect: float, read: float) -> Answer:
        """Post a document that holds one named operation. Times in seconds.

        Raises:
            NotNow: the rate limit (100 a minute for each token); nothing was executed.
            Refused: the token or the document is not accepted; nothing was executed.
            OutcomeUnknown: no answer, or none that can be read.
        """
        resting = self._rest_until - time.monotonic()
        if resting > 0:
            raise NotNow("Open Collective allows 100 requests a minute; the rest waits.", retry_after=timedelta(seconds=resting))
        try:
            response = self._http.post(
                self._address,
                json={"query": document, "variables": variables},
                headers={"Personal-Token": self._token},
                timeout=(connect, read),
                allow_redirects=False,  # a redirect would carry the token elsewhere
            )
        except requests.RequestException as error:
            raise OutcomeUnknown(f"Open Collective gave no answer ({type(error).__name__}).") from None
        self._mind_the_rate(response)
        match response.status_code:
            case HTTPStatus.OK:
                return self._read(response)
            case HTTPStatus.UNAUTHORIZED:
                raise Refused(f"Open Collective does not accept the token: {self._message(response)}", stops_rail=True)
            case HTTPStatus.TOO_MANY_REQUESTS:
                seconds = max(self._rest_until - time.monotonic(), 0.05)
                raise NotNow("Open Collective asks for fewer requests.", retry_after=timedelta(seconds=seconds))
            case HTTPStatus.BAD_REQUEST:
                raise Refused(f"Open Collective does not understand our request: {self._message(response)}", stops_rail=True)
            case other:
                raise OutcomeUnknown(f"Open Collective answered {other}.")

    def _read(self, response: requests.Response) -> Answer:
        try:
            body = response.json()
            data = body.get("data") or {}
            problems = [
                Problem(
                    self._clean(str(each.get("message", ""))),
                    str((each.get("extensions") or {}).get("code", "")),
                    tuple(each.get("path") or ()),
                )
                for each in body.get("errors") or []
            ]
        except (ValueError, AttributeError, TypeError):
            raise OutcomeUnknown("Open Collective's answer can't be read.") from None
        if not isinstance(data, dict) or not (data or problems):
            raise OutcomeUnknown("Open Collective's answer can't be read.")
        return Answer(data, problems)

    def _message(self, response: requests.Response) -> str:
        """What an answer that is no 200 says. A 401 repeats the token it was given."""
        try:
            body = response.json()
            told = body["error"] if "error" in body else body["errors"][0]
            return self._clean(str(told["message"]))
        except (ValueError, KeyError, IndexError, TypeError):
            return f"HTTP {response.status_code}."

    def _clean(self, text: str) -> str:
        return text.replace(self._token, "•••")[:ANSWER_CHARACTERS_MAX]

    def _mind_the_rate(self, response: requests.Response) -> None:
        """Leave the service alone until it said it can be asked again."""
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS:
            try:
                seconds = float(response.headers.get("Retry-After", "60"))
            except ValueError:
                seconds = 60.0
            self._rest_until = time.monotonic() + (min(max(seconds, 0.05), 3600) if math.isfinite(seconds) else 60.0)


# ------------------------------------------------------------------------------------------------ documents
# Every operation has a name: with an unnamed one the service can answer 500 after it was executed.

BEFORE_ORDER = """
query BeforeOrder($fund: String!, $payee: String!) {
  fund: account(slug: $fund, throwIfMissing: false) { ...Side }
  payee: account(slug: $payee, throwIfMissing: false) { ...Side }
}
fragment Side on Account {
  publicId slug name type currency isActive isArchived isFrozen isSuspended
  stats { spendable: balance(withBlockedFunds: true) { valueInCents currency } }
  ... on AccountWithHost {
    isApproved
    host { slug }
    transferFeePercent: hostFeePercent(paymentMethodService: OPENCOLLECTIVE, paymentMethodType: COLLECTIVE)
  }
}
"""

ORDER_FIELDS = """
fragment Judged on Order {
  publicId status tags
  toAccount { slug }
  transactions { type kind isRefund amount { valueInCents currency } }
}
"""

CREATE_ORDER = (
    """
mutation CreatePayoutOrder($order: OrderCreateInput!) {
  createOrder(order: $order) { order { ...Judged } }
}
"""
    + ORDER_FIELDS
)

FIND_ORDERS = (
    """
query FindOrders($account: AccountReferenceInput!, $key: String!) {
  orders(
    account: $account, filter: OUTGOING, searchTerm: $key, limit: 100, orderBy: { field: CREATED_AT, direction: DESC }
  ) { totalCount nodes { ...Judged } }
}
"""
    + ORDER_FIELDS
)

WHO_WE_ARE = """
query WhoWeAre($fund: String!) {
  me {
    slug hasTwoFactorAuth
    personalTokens(limit: 100) { nodes { name preAuthorize2FA expiresAt } }
    memberOf(role: [ADMIN], account: { slug: $fund }) { totalCount }
  }
}
"""

CANCEL_NOTHING = """
mutation ProbeOrdersScope($order: OrderReferenceInput!) {
  cancelOrder(order: $order, reason: "Set-up check", reasonCode: "OTHER") { publicId }
}
"""
"""Cancels an order that does not exist: the scope is looked at first, so the answer shows whether the token has it."""

DRAFT_EXPENSE = """
mutation DraftPayoutExpense($expense: ExpenseInviteDraftInput!, $account: AccountReferenceInput!) {
  draftExpenseAndInviteUser(
    expense: $expense, account: $account, skipInvite: false, lockedFields: [AMOUNT, PAYEE, DESCRIPTION, TYPE]
  ) { publicId status }
}
"""

FIND_EXPENSES = """
query FindExpenses($account: AccountReferenceInput!, $customData: JSON!) {
  expenses(account: $account, customData: $customData, limit: 100) {
    totalCount
    nodes { publicId status amountV2 { valueInCents currency } payee { slug } }
  }
}
"""

EXPENSE_ROWS = """
query ExpenseRows($expense: ExpenseReferenceInput!) {
  transactions(expense: $expense, limit: 100) {
    totalCount nodes { type kind isRefund amount { valueInCents currency } }
  }
}
"""

APPROVE_EXPENSE = """
mutation ApproveExpense($expense: ExpenseReferenceInput!) {
  processExpense(expense: $expense, action: APPROVE) { publicId status }
}
"""
"""Approving what is approved already changes nothing."""

FUND_ROWS = """
query FundRows($account: [AccountReferenceInput!], $dateFrom: DateTime, $offset: Int!) {
  transactions(
    account: $account, dateFrom: $dateFrom, limit: 100, offset: $offset, orderBy: { field: CREATED_AT, direction: ASC }
  ) {
    totalCount
    nodes {
      publicId kind isRefund createdAt amount { valueInCents currency }
      order { publicId } expense { publicId }
    }
  }
}
"""
