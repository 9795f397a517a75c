"""Open Collective's API as the rails use it: answers become what an engine of payouts understands. The documents follow."""

from collections.abc import Mapping
from typing import Any

from core import opencollective_api
from core.opencollective_api import Answer, Busy, Problem, Silent, TurnedAway
from payouts.rails.base import NotNow, OutcomeUnknown, Refused

__all__ = ["Answer", "OpenCollectiveApi", "Problem"]


class OpenCollectiveApi(opencollective_api.OpenCollectiveApi):
    """The same calls."""

    def call(self, document: str, variables: Mapping[str, Any], *, connect: float, read: float) -> Answer:
        """As the base class has it.

        Raises:
            NotNow: the rate limit (100 a minute for each token); nothing was executed.
            Refused: the token or the document is not accepted; nothing was executed.
            OutcomeUnknown: no answer, or none that can be read.
        """
        try:
            return super().call(document, variables, connect=connect, read=read)
        except Busy as busy:
            raise NotNow(str(busy), retry_after=busy.retry_after) from None
        except TurnedAway as turned_away:
            raise Refused(str(turned_away), stops_rail=True) from None
        except Silent as silent:
            raise OutcomeUnknown(str(silent)) from None


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

FUND_BALANCE = """
query FundBalance($fund: String!) {
  account(slug: $fund) { stats { balance { valueInCents currency } } }
}
"""

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
