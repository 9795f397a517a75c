"""Open Collective: a fund pays a collective of the same fiscal host from its balance (`createOrder`, a balance transfer).

The service knows no idempotency: the same order sent twice is paid twice. What stands in its place:

- our reference is the order's tag; tags are searched whole and exactly, so a look-up finds every order of an attempt;
- an order is judged by its ledger rows: its status stays PAID after a refund, and is PAID for nothing at all;
- an error in place of an order is a refusal only if it is one of those that come before there is an order; any other may have
  come after the payment, and is looked up when what was made must be visible;
- what can be refused is refused here, before an order exists: after two failed orders to a collective in an hour the service
  refuses good ones too ("Your card was declined.");
- one order is in flight at a time (`one_at_a_time`), because orders side by side overdraw the fund.

docs/how-to/pay-by-open-collective.md says what it needs, and what only the real service can prove.
"""

import re
from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import timedelta
from typing import Any, ClassVar
from uuid import uuid4

from core.errors import InvalidInput
from core.money import Money, exponent
from payouts.rails.base import (
    Capabilities,
    Cash,
    CheckedDestination,
    DestinationField,
    Health,
    Instruction,
    NotNow,
    OutcomeUnknown,
    RailError,
    Receipt,
    Refused,
    SaidNo,
    SetupLine,
    required,
)
from payouts.rails.opencollective_api import (
    BEFORE_ORDER,
    CANCEL_NOTHING,
    CREATE_ORDER,
    FIND_ORDERS,
    WHO_WE_ARE,
    Answer,
    OpenCollectiveApi,
    Problem,
)

CASH = Cash("open_collective", "Our fund at Open Collective")
SLUG = re.compile(r"[a-z0-9][a-z0-9_-]{0,99}")
MOVES = {"BALANCE_TRANSFER", "CONTRIBUTION"}
"""The ledger rows that are the payment itself; fees and tips have rows of their own."""
ENDED = {"ERROR", "REJECTED", "CANCELLED", "EXPIRED"}
"""Without a ledger row, an order in one of these moved nothing and never will."""
ORDERED_AGAIN_AFTER = timedelta(minutes=1)


class OpenCollectiveRail:
    """Pays from one fund, with a token of one of its admins."""

    name = "opencollective"
    title = "Open Collective"
    destination_fields: ClassVar[Sequence[DestinationField]] = (
        DestinationField("collective", "Collective", "The name in its address: “babel” for opencollective.com/babel"),
    )

    def __init__(
        self,
        address: str,
        token: str,
        *,
        fund: str,
        timeout: timedelta = timedelta(seconds=72),
        visibility: timedelta | None = None,
    ) -> None:
        self.fund = account_name(fund, field="fund")
        self.capabilities = Capabilities(
            lookup_authoritative=True,
            # The service ends a request after 25 s; what is not visible well after that never happens.
            visibility=timedelta(seconds=60) if visibility is None else visibility,
            timeout=timeout,
            one_at_a_time=True,
            cash=CASH,
        )
        self._api = OpenCollectiveApi(address, token)
        # A send is up to three calls, one of them an order that may take 25 s. Together they fit into `timeout`.
        seconds = timeout.total_seconds()
        self._connect, self._read, self._read_order = seconds / 12, seconds / 6, seconds * 5 / 12

    def check_destination(self, details: Mapping[str, str], currency: str) -> CheckedDestination:
        if exponent(currency) != 2:
            raise InvalidInput(f"Open Collective is only paid in currencies with cents here, and {currency} has none.")
        known = required(self.destination_fields, details)
        slug = account_name(known["collective"], field="collective")
        if slug == self.fund:
            raise InvalidInput("This is the fund that payouts are paid from; it can't pay itself.", field="collective")
        return CheckedDestination({"collective": slug}, f"opencollective.com/{slug}")

    def send(self, instruction: Instruction) -> Receipt:
        try:
            self._require_payable(instruction.destination["collective"], instruction.money)
        except OutcomeUnknown as error:  # of the questions before: nothing was ordered
            raise NotNow(f"{error} Nothing was ordered yet.", retry_after=ORDERED_AGAIN_AFTER) from None
        answer = self._api.call(CREATE_ORDER, {"order": self._order(instruction)}, connect=self._connect, read=self._read_order)
        made = (answer.data.get("createOrder") or {}).get("order")
        if made is None:
            raise said_no(answer)
        receipt = receipt_of(made)
        if receipt is None:  # its ledger rows may show late; the look-up judges it
            raise SaidNo(f"Open Collective made order {made['publicId']}, and ended it as {made['status']}.")
        return receipt

    def look_up(self, reference: str) -> Sequence[Receipt]:
        """The payments of a reference.

        Raises:
            Refused: there are only orders that failed; none moved money.
            RailError: an order is still being worked on, or the service does not answer.
        """
        orders = self._orders(reference)
        receipts = [receipt for receipt in map(receipt_of, orders) if receipt is not None]
        if orders and not receipts:
            listed = ", ".join(f"{order['publicId']} ({order['status']})" for order in orders)
            raise Refused(f"Open Collective refused it: order {listed} moved no money.")
        return receipts

    def health(self) -> Health:
        try:
            answer = self._api.call(WHO_WE_ARE, {"fund": self.fund}, connect=2, read=3)
        except RailError as error:
            return Health(False, str(error))
        me = answer.data.get("me")
        if me is None:
            return Health(False, f"Open Collective does not say who we are: {words(answer.problems)}")
        return Health(True, f"Answers; we are “{me['slug']}” and pay from “{self.fund}”.")

    def check_setup(self, payee: Mapping[str, str] | None = None) -> Sequence[SetupLine]:
        """Token, fund, rights, scopes and second factor; with a payee also whether it could be paid a cent."""
        try:
            who = self._api.call(WHO_WE_ARE, {"fund": self.fund}, connect=self._connect, read=self._read)
        except RailError as error:
            return [SetupLine(False, str(error))]
        me = who.data.get("me")
        if me is None:
            return [SetupLine(False, f"Open Collective does not say whose token this is: {words(who.problems)}")]
        lines = [SetupLine(True, f"The token is accepted; it belongs to “{me['slug']}”.")]
        payee_name = (payee or {}).get(self.destination_fields[0].name)
        sides = self._sides(payee_name or self.fund)
        lines.append(_fund_line(self.fund, sides.get("fund")))
        if (me.get("memberOf") or {}).get("totalCount"):
            lines.append(SetupLine(True, f"“{me['slug']}” is an admin of “{self.fund}”."))
        else:
            lines.append(
                SetupLine(False, f"“{me['slug']}” is no admin of “{self.fund}”; an admin adds it under Settings → Team.")
            )
        lines += [self._scope_line(), _second_factor_line(me)]
        if payee_name:
            lines.append(self._payee_line(sides, payee_name))
        return lines

    def _require_payable(self, slug: str, money: Money) -> None:
        """Everything an order would be refused for, asked before there is an order."""
        sides = self._sides(slug)
        problem = fund_problem(self.fund, sides.get("fund"))
        if problem is not None:
            raise Refused(problem, stops_rail=True)
        problem = payee_problem(slug, sides.get("payee"), sides["fund"], money.currency)
        if problem is not None:
            raise Refused(problem)
        spendable = amount_of(sides["fund"]["stats"]["spendable"])
        if spendable.amount_minor < money.amount_minor:
            raise Refused(f"The fund “{self.fund}” holds {spendable} at Open Collective, less than this {money} payout.")

    def _sides(self, payee: str) -> Mapping[str, Any]:
        answer = self._api.call(BEFORE_ORDER, {"fund": self.fund, "payee": payee}, connect=self._connect, read=self._read)
        if answer.problems:
            if any(problem.about_us for problem in answer.problems):
                raise Refused(words(answer.problems), stops_rail=True)
            raise OutcomeUnknown(f"Open Collective does not tell about fund and payee: {words(answer.problems)}")
        return answer.data

    def _order(self, instruction: Instruction) -> dict[str, Any]:
        return {
            "quantity": 1,
            "frequency": "ONETIME",
            "fromAccount": {"slug": self.fund},
            "toAccount": {"slug": instruction.destination["collective"]},
            "amount": {"valueInCents": instruction.money.amount_minor, "currency": instruction.money.currency},
            "isBalanceTransfer": True,
            "tags": [instruction.reference],  # public: anybody can read it, so it must tell nothing
            "customData": {"payoutKey": instruction.reference},
        }

    def _orders(self, reference: str) -> Sequence[Mapping[str, Any]]:
        variables = {"account": {"slug": self.fund}, "key": reference}
        answer = self._api.call(FIND_ORDERS, variables, connect=self._connect, read=self._read)
        found = answer.data.get("orders")
        if found is None or answer.problems:
            raise OutcomeUnknown(f"The look-up failed: {words(answer.problems)}")
        if found["totalCount"] > len(found["nodes"]):
            raise OutcomeUnknown(f"The look-up failed: {found['totalCount']} orders, more than one page.")
        # The search also reads other fields than tags; what does not carry the tag is somebody else's.
        return [order for order in found["nodes"] if reference in (order["tags"] or [])]

    def _scope_line(self) -> SetupLine:
        """Cancel an order that can't exist. Only its refusal tells whether the token may order."""
        return self._scope_told("orders", CANCEL_NOTHING, {"order": {"id": f"or_{uuid4().hex[:21]}"}})

    def _scope_told(self, scope: str, document: str, nothing: Mapping[str, Any]) -> SetupLine:
        try:
            answer = self._api.call(document, nothing, connect=self._connect, read=self._read)
        except RailError as error:
            return SetupLine(None, f"Whether the token has the scope “{scope}” can't be seen: {error}")
        if any("scope" in problem.message for problem in answer.problems):
            return SetupLine(False, f"The token lacks the scope “{scope}”; make one that has it.")
        if any(problem.code == "NotFound" for problem in answer.problems):
            return SetupLine(True, f"The token has the scope “{scope}”.")
        return SetupLine(None, f"Whether the token has the scope “{scope}” can't be seen: {words(answer.problems)}")

    def _payee_line(self, sides: Mapping[str, Any], slug: str) -> SetupLine:
        fund, payee = sides.get("fund"), sides.get("payee")
        if fund is None or not fund.get("host"):
            return SetupLine(None, f"Whether “{slug}” can be paid shows when the fund is in order.")
        problem = payee_problem(slug, payee, fund, fund["currency"])
        if problem is not None or payee is None:
            return SetupLine(False, problem or "")
        percent = payee.get("transferFeePercent") or 0
        return SetupLine(True, f"“{slug}” ({payee['name']}) can be paid; the host keeps {percent:g} % of a balance transfer.")


def receipt_of(order: Mapping[str, Any]) -> Receipt | None:
    """What an order's ledger rows say; None if it moved nothing and never will. A refund leaves a receipt over what stands.

    Raises:
        OutcomeUnknown: no money moved yet, and it still may.
    """
    stands = standing(order["transactions"] or [], MOVES)
    if stands is not None:
        fee = taken(order["transactions"], {"HOST_FEE", "PAYMENT_PROCESSOR_FEE"}, stands.currency)
        return Receipt(order["publicId"], stands, fee=fee)
    if order["status"] in ENDED:
        return None
    raise OutcomeUnknown(f"Order {order['publicId']} is {order['status']}, and no money has moved.")


def standing(rows: Iterable[Mapping[str, Any]], kinds: Set[str]) -> Money | None:
    """What ledger rows of these kinds leave with the payee, after refunds; None if there are none."""
    stands: Money | None = None
    for row in rows:
        if row["kind"] in kinds and row["type"] == "CREDIT":
            moved = amount_of(row["amount"])
            signed = -moved if row["isRefund"] else moved  # a refund's credit goes back to the fund
            stands = signed if stands is None else stands + signed
    return stands


def taken(rows: Iterable[Mapping[str, Any]], kinds: Set[str], currency: str) -> Money:
    """What fees of these kinds took, after refunds. Each is a pair of rows; the debit is that of who paid it."""
    total = Money(0, currency)
    for row in rows:
        if row["kind"] in kinds and row["type"] == "DEBIT":
            amount = amount_of(row["amount"])
            if amount.currency == currency:  # a fee in another currency is told on the host's own pages
                absolute = abs(amount.amount_minor)
                total += Money(-absolute if row["isRefund"] else absolute, currency)
    return total


def fund_problem(slug: str, fund: Mapping[str, Any] | None) -> str | None:
    """Why nothing can be paid from our fund."""
    if fund is None:
        return f"Open Collective knows no fund “{slug}” (PLEDGEWORKS_OPENCOLLECTIVE_FUND)."
    if not fund.get("host"):
        return f"“{slug}” has no fiscal host, so it holds no balance to pay from; pay from a fund at the payees' host."
    state = _out_of_use(fund)
    return f"The fund “{slug}” is {state}; its fiscal host can say why." if state else None


def payee_problem(slug: str, payee: Mapping[str, Any] | None, fund: Mapping[str, Any], currency: str) -> str | None:
    """Why an order to a collective would be refused."""
    if payee is None:
        return f"Open Collective knows no “{slug}”."
    if payee["type"] == "INDIVIDUAL":
        return f"“{slug}” is a person; people are paid on the rail “Open Collective, by expense”."
    host, ours = (payee.get("host") or {}).get("slug"), fund["host"]["slug"]
    state = _out_of_use(payee)
    if state:
        return f"“{slug}” is {state} at Open Collective."
    if host != ours:
        return f"“{slug}” is hosted by {host or 'nobody'}, our fund by {ours}; money only moves between accounts of one host."
    if not payee["currency"] == fund["currency"] == currency:
        return f"“{slug}” is kept in {payee['currency']} and our fund in {fund['currency']}; this payout is in {currency}."
    return None


def _out_of_use(account: Mapping[str, Any]) -> str | None:
    for flag in ("isArchived", "isFrozen", "isSuspended"):
        if account[flag]:
            return flag[2:].lower()
    if not account["isActive"] or account.get("isApproved") is False:
        return "not active"
    return None


def _fund_line(slug: str, fund: Mapping[str, Any] | None) -> SetupLine:
    problem = fund_problem(slug, fund)
    if problem is not None or fund is None:
        return SetupLine(False, problem or "")
    spendable = amount_of(fund["stats"]["spendable"])
    return SetupLine(
        spendable.amount_minor > 0, f"The fund “{slug}” is at the host “{fund['host']['slug']}” and can spend {spendable}."
    )


def _second_factor_line(me: Mapping[str, Any]) -> SetupLine:
    if not me.get("hasTwoFactorAuth"):
        return SetupLine(
            None,
            f"“{me['slug']}” has no second factor that can be seen. If the fund or host requires one, orders will be refused.",
        )
    tokens = (me.get("personalTokens") or {}).get("nodes") or []
    told = {bool(token["preAuthorize2FA"]) for token in tokens}
    if told == {True}:
        return SetupLine(True, "The token is pre-authorised for two-factor authentication.")
    if told == {False}:
        return SetupLine(
            False,
            "The token is not pre-authorised for two-factor authentication: every order would be refused. Switch it on there.",
        )
    return SetupLine(
        None,
        "Whether this token is pre-authorised for two-factor authentication can't be seen; look under Settings → For developers.",
    )


def account_name(text: str, *, field: str) -> str:
    """The name of an account, from itself or its address."""
    name = re.sub(r"^(https://)?(www\.)?opencollective\.com/", "", text.strip().lower()).rstrip("/")
    if not SLUG.fullmatch(name):
        raise InvalidInput("This is no name of an account there: letters, digits, - and _, as in its address.", field=field)
    return name


def amount_of(amount: Mapping[str, Any]) -> Money:
    """The schema's cents are a Float; anything but whole cents is no answer to build on."""
    cents = amount["valueInCents"]
    if cents is None or cents != int(cents):
        raise OutcomeUnknown(f"Open Collective told an amount of {cents} cents.")
    return Money(int(cents), amount["currency"])


def said_no(answer: Answer) -> RailError:
    """What a 200 without a result means: a refusal if all of it was certainly said before anything was made, else nothing yet.

    The service books first and can fail afterwards, and what it made may not be found for a while; so nothing is looked up now.
    """
    said = words(answer.problems)
    if answer.problems and all(problem.before_effect for problem in answer.problems):
        return Refused(said, stops_rail=any(problem.about_us for problem in answer.problems))
    return SaidNo(said)


def words(problems: Sequence[Problem]) -> str:
    return " ".join(problem.message for problem in problems) or "There was no reason given."
