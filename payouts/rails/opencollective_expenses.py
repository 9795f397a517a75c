"""Open Collective for people: a drafted, locked expense that the payee submits, we approve and the fiscal host pays.

Nobody but a person may submit an expense in its name, and nobody but a host may pay one. So a send ends with a draft, and the
payment is followed until ledger rows show that the host paid it. That takes days.

Drafting twice makes two expenses. Our reference is in the `customData` of each, which a fund's admins can search. One that the
host rejected or could not pay stays open here, because the host may still turn round: people conclude it, with evidence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar
from uuid import uuid4

from core.clock import today
from core.errors import InvalidInput
from core.money import Money, exponent
from payouts.rails.base import (
    CheckedDestination,
    DestinationField,
    Instruction,
    NotNow,
    NotYet,
    OutcomeUnknown,
    Receipt,
    Refused,
    SetupLine,
    required,
)
from payouts.rails.opencollective import (
    ORDERED_AGAIN_AFTER,
    OpenCollectiveRail,
    account_name,
    amount_of,
    fund_problem,
    said_no,
    standing,
    taken,
    words,
)
from payouts.rails.opencollective_api import APPROVE_EXPENSE, DRAFT_EXPENSE, EXPENSE_ROWS, FIND_EXPENSES

DRAFTS_EVERY = timedelta(seconds=11)
"""The service takes one draft in ten seconds from a user."""
LOOK_AGAIN = timedelta(hours=1)
WAITS_FOR = {
    "DRAFT": "waits until the payee submits it at Open Collective",
    "PENDING": "was submitted, and is approved next",
    "APPROVED": "is approved, and waits until the fiscal host pays it",
    "SCHEDULED_FOR_PAYMENT": "is scheduled for payment by the fiscal host",
    "PROCESSING": "is being paid by the fiscal host",
    "UNVERIFIED": "waits until the payee confirms its account at Open Collective",
    "INCOMPLETE": "lacks something; the fiscal host asked the payee for it",
    "ERROR": "could not be paid; the fiscal host can say why and may try again",
}


class OpenCollectiveExpenseRail(OpenCollectiveRail):
    """Pays people out of the fund, by the hand of its fiscal host."""

    name = "opencollective_expense"
    title = "Open Collective, by expense"
    destination_fields: ClassVar[Sequence[DestinationField]] = (
        DestinationField("profile", "Profile", "The name in its address: “ada” for opencollective.com/ada"),
    )

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.capabilities = replace(self.capabilities, one_at_a_time=False)  # the host checks the balance when it pays

    def check_destination(self, details: Mapping[str, str], currency: str) -> CheckedDestination:
        if exponent(currency) != 2:
            raise InvalidInput(f"Open Collective is only paid in currencies with cents here, and {currency} has none.")
        slug = account_name(required(self.destination_fields, details)["profile"], field="profile")
        if slug == self.fund:
            raise InvalidInput("This is the fund that payouts are paid from; it can't pay itself.", field="profile")
        return CheckedDestination({"profile": slug}, f"opencollective.com/{slug}")

    def send(self, instruction: Instruction) -> Receipt:
        """Draft the expense. Never ends with a receipt: NotYet says that it is drafted."""
        try:
            self._require_draftable(instruction.destination["profile"], instruction.money)
        except OutcomeUnknown as error:  # of the questions before: nothing was drafted
            raise NotNow(f"{error} Nothing was drafted yet.", retry_after=ORDERED_AGAIN_AFTER) from None
        variables = {"expense": self._draft(instruction), "account": {"slug": self.fund}}
        answer = self._api.call(DRAFT_EXPENSE, variables, connect=self._connect, read=self._read_order)
        made = answer.data.get("draftExpenseAndInviteUser")
        if made is None and any(problem.code == "RateLimitExceeded" and len(problem.path) == 1 for problem in answer.problems):
            raise NotNow("Open Collective takes one draft in ten seconds.", retry_after=DRAFTS_EVERY)
        if made is None:
            raise said_no(answer)
        raise NotYet(_says(made), look_again=LOOK_AGAIN)

    def look_up(self, reference: str) -> Sequence[Receipt]:
        """The payments of a reference. Changes nothing.

        Raises:
            NotYet: there is an expense that no money was paid for.
            RailError: the service does not answer, or not in a way to build on.
        """
        return self._judged(self._expenses(reference))

    def follow(self, instruction: Instruction) -> Sequence[Receipt]:
        """Approve what the payee submitted, if it is what was drafted."""
        expenses = self._expenses(instruction.reference)
        if len(expenses) == 1 and expenses[0]["status"] == "PENDING":
            self._approve(expenses[0], instruction)
            expenses = self._expenses(instruction.reference)
        return self._judged(expenses)

    def _require_draftable(self, slug: str, money: Money) -> None:
        sides = self._sides(slug)
        problem = fund_problem(self.fund, sides.get("fund"))
        if problem is not None:
            raise Refused(problem, stops_rail=True)
        problem = self._problem(slug, sides.get("payee"), sides["fund"], money.currency)
        if problem is not None:
            raise Refused(problem)

    def _problem(self, slug: str, payee: Mapping[str, Any] | None, fund: Mapping[str, Any], currency: str) -> str | None:
        if payee is None:
            return f"Open Collective knows no “{slug}”."
        if payee["type"] != "INDIVIDUAL":
            return f"“{slug}” is not a person; collectives are paid on the rail “Open Collective”."
        if fund["currency"] != currency:
            return f"Our fund is kept in {fund['currency']}; this payout is in {currency}."
        return None

    def _draft(self, instruction: Instruction) -> dict[str, Any]:
        amount = {"valueInCents": instruction.money.amount_minor, "currency": instruction.money.currency}
        return {
            # Everybody can read the description, so it tells no more than our reference; the note goes to the payee alone.
            "description": f"Payment {instruction.reference}",
            "recipientNote": instruction.memo,
            "type": "INVOICE",
            "currency": instruction.money.currency,
            "customData": {"payoutKey": instruction.reference},
            "payee": {"slug": instruction.destination["profile"]},
            "items": [{"description": "Payment", "amountV2": amount, "incurredAt": f"{today().isoformat()}T00:00:00.000Z"}],
        }

    def _approve(self, expense: Mapping[str, Any], instruction: Instruction) -> None:
        """Only what was drafted: the locks of the service are not the only thing between a changed amount and our approval."""
        asked, payee = amount_of(expense["amountV2"]), expense["payee"]["slug"]
        if asked != instruction.money or payee != instruction.destination["profile"]:
            raise NotYet(
                f"Expense {expense['publicId']} asks for {asked} to “{payee}” instead of {instruction.money} to "
                f"“{instruction.destination['profile']}”. It is not approved; reject it there, and have people conclude it.",
                look_again=LOOK_AGAIN,
            )
        answer = self._api.call(
            APPROVE_EXPENSE, {"expense": {"id": expense["publicId"]}}, connect=self._connect, read=self._read_order
        )
        if not answer.data.get("processExpense"):
            message = f"Expense {expense['publicId']} was submitted, but can't be approved: {words(answer.problems)}"
            raise NotYet(message, look_again=LOOK_AGAIN)

    def _judged(self, expenses: Sequence[Mapping[str, Any]]) -> Sequence[Receipt]:
        receipts, open_ones = [], []
        for expense in expenses:
            variables = {"expense": {"id": expense["publicId"]}}
            answer = self._api.call(EXPENSE_ROWS, variables, connect=self._connect, read=self._read)
            rows = answer.data.get("transactions")
            if rows is None or answer.problems:
                raise OutcomeUnknown(f"The look-up failed: {words(answer.problems)}")
            stands = standing(rows["nodes"], {"EXPENSE"})
            if stands is None:
                open_ones.append(expense)
            else:
                cost = taken(rows["nodes"], {"PAYMENT_PROCESSOR_FEE"}, stands.currency)
                receipts.append(Receipt(expense["publicId"], stands, cost=cost))
        if open_ones:  # even beside a paid one: it may be paid as well
            raise NotYet(" ".join(_says(each) for each in open_ones), look_again=LOOK_AGAIN)
        return receipts

    def _expenses(self, reference: str) -> Sequence[Mapping[str, Any]]:
        variables = {"account": {"slug": self.fund}, "customData": {"payoutKey": reference}}
        answer = self._api.call(FIND_EXPENSES, variables, connect=self._connect, read=self._read)
        found = answer.data.get("expenses")
        if found is None or answer.problems:
            raise OutcomeUnknown(f"The look-up failed: {words(answer.problems)}")
        if found["totalCount"] > len(found["nodes"]):
            raise OutcomeUnknown(f"The look-up failed: {found['totalCount']} expenses, more than one page.")
        nodes: Sequence[Mapping[str, Any]] = found["nodes"]
        return nodes

    def _scope_line(self) -> SetupLine:
        """Approve an expense that can't exist. Only its refusal tells whether the token may approve."""
        nothing = {"expense": {"id": f"ex_{uuid4().hex[:21]}"}}
        return self._scope_told("expenses", APPROVE_EXPENSE, nothing)

    def _payee_line(self, sides: Mapping[str, Any], slug: str) -> SetupLine:
        fund, payee = sides.get("fund"), sides.get("payee")
        if fund is None or not fund.get("host"):
            return SetupLine(None, f"Whether “{slug}” can be paid shows when the fund is in order.")
        problem = self._problem(slug, payee, fund, fund["currency"])
        if problem is not None or payee is None:
            return SetupLine(False, problem or "")
        return SetupLine(
            True, f"“{slug}” ({payee['name']}) can be sent a draft; the host pays, and its fees show on the expense."
        )


def _says(expense: Mapping[str, Any]) -> str:
    status = expense["status"]
    waits = WAITS_FOR.get(status, f"is {status}, and no money has moved; it is not paid unless the fiscal host turns round")
    return f"Expense {expense['publicId']} {waits}."
