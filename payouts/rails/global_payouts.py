"""Stripe Global Payouts: a payment from our financial account at Stripe to the bank account of a payee almost anywhere.

The payee needs no Stripe account of its own: it tells Stripe once where its bank is. A payment is `processing` for up to days and
then `posted` (it left), `failed`, `canceled` or `returned`; so a send mostly ends with "Stripe has it", and it is followed.

Version 2 of Stripe's API keeps a key for 30 days, and a repeated request under it completes what failed and never repeats what
succeeded. Payments can't be listed by a reference, so our own is in the metadata, and a look-up goes through all to the payee.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import stripe

from core import stripe_api
from core.errors import InvalidInput
from core.money import Money, exponent
from payouts.rails.base import (
    BASE32,
    Capabilities,
    Cash,
    CheckedDestination,
    DestinationField,
    Health,
    Instruction,
    NotNow,
    NotYet,
    OnboardingLink,
    OutcomeUnknown,
    Payee,
    RailError,
    Receipt,
    Refused,
    SetupLine,
    Standing,
    canonical,
    masked,
    required,
)
from payouts.rails.stripe_connect import ACCOUNT
from payouts.rails.stripe_errors import meaning, words
from payouts.rails.stripe_payees import WAIT_FOR_PAYEE, problem_before, setup_lines

CASH = Cash("stripe_financial", "Our financial account at Stripe")
LOOK_AGAIN = timedelta(hours=1)
REFERENCE = "pledgeworks_reference"
SHOWN = ["configuration.recipient", "requirements"]
"""What an account has to tell for `standing`; version 2 leaves it out unless it is asked for."""
CAPABILITY = {"bank_accounts": {"local": {"requested": True}}}
ENDED = {
    "failed": "Stripe could not send it",
    "canceled": "it was cancelled at Stripe before it left",
    "returned": "the payee's bank sent it back",
}


class GlobalPayoutsRail:
    """Payments to bank accounts, and the onboarding of those who get them."""

    name = "global_payouts"
    title = "Stripe Global Payouts"
    destination_fields: Sequence[DestinationField] = (
        DestinationField("account", "Recipient at Stripe", "The id of the recipient's account, such as acct_1NkA2xQ4bD3f"),
    )

    def __init__(
        self,
        key: str,
        financial_account: str,
        *,
        api_base: str | None = None,
        timeout: timedelta = timedelta(seconds=60),
        visibility: timedelta = timedelta(hours=1),
    ) -> None:
        self.financial_account = financial_account
        self.capabilities = Capabilities(
            idempotent=True,
            key_window=timedelta(days=29),
            lookup_authoritative=True,
            visibility=visibility,  # Stripe promises no moment from which lists are complete
            timeout=timeout,
            cash=CASH,
        )
        self._key = key
        # A send asks for the account and pays: two calls within the rail's one time-out, and one to spare.
        self._stripe = stripe_api.client(key, api_base=api_base, timeout=timeout / 3)
        self._at = api_base or "Stripe"

    def check_destination(self, details: Mapping[str, str], currency: str) -> CheckedDestination:
        known = required(self.destination_fields, details)
        if not ACCOUNT.fullmatch(known["account"]):
            raise InvalidInput("A recipient's id at Stripe starts with acct_, followed by letters and digits.", field="account")
        if exponent(currency) != 2:
            raise InvalidInput(
                f"Global Payouts are sent here in currencies with cents, and {currency} has none.", field="currency"
            )
        return CheckedDestination(known, f"Stripe recipient {masked(known['account'])}")

    def send(self, instruction: Instruction) -> Receipt:
        """Ask for the payment. Mostly ends with NotYet: Stripe has it."""
        problem = problem_before(self, instruction.destination["account"])
        if problem is not None:
            # Perhaps an earlier send did it before the payee was restricted; then that is the answer.
            known = self.follow(instruction)
            if not known:
                raise NotNow(problem, retry_after=WAIT_FOR_PAYEE)
            if len(known) > 1:
                raise OutcomeUnknown("Stripe knows several payments of this reference.")
            return known[0]
        currency = instruction.money.currency.lower()
        try:
            made = self._stripe.v2.money_management.outbound_payments.create(
                {
                    "from": {"financial_account": self.financial_account, "currency": currency},
                    # Its currency is left to Stripe: what the payee's bank account takes.
                    "to": {"recipient": instruction.destination["account"]},
                    "amount": {"value": instruction.money.amount_minor, "currency": currency},
                    "description": instruction.memo[:500],
                    "metadata": {REFERENCE: instruction.reference},
                },
                {"idempotency_key": instruction.reference},
            )
        except stripe.StripeError as error:
            raise meaning(error, self._key) from error
        return judged(made)

    def follow(self, instruction: Instruction) -> Sequence[Receipt]:
        """What became of it, among all payments to this payee. No step of it is ours."""
        to_payee = {"recipient": instruction.destination["account"]}
        return self._found(instruction.reference, to_payee)

    def look_up(self, reference: str) -> Sequence[Receipt]:
        """The payments of a reference, among all since the payout came to be.

        Raises:
            Refused: there is one, and it ended without the payee's having the money.
            NotYet: there is one that is still being sent.
            RailError: Stripe does not tell.
        """
        began = since(reference)
        return self._found(reference, {"created": {"gte": f"{began:%Y-%m-%dT%H:%M:%SZ}"}} if began else {})

    def open_account(self, payee: Payee, currency: str) -> Mapping[str, str]:
        if not payee.email:
            raise InvalidInput("Stripe writes to a recipient of Global Payouts; enter its e-mail address first.", field="email")
        parameters: dict[str, Any] = {
            "contact_email": payee.email,
            "display_name": payee.name,
            "identity": {"country": payee.country.lower(), "entity_type": "individual" if payee.is_person else "company"},
            "configuration": {"recipient": {"capabilities": CAPABILITY}},
            "include": SHOWN,
            "metadata": {"pledgeworks_payee": payee.key},
        }
        # The same payee asked for twice gets one account; other details are another question, and another key.
        key = f"pw-recipient-{payee.key}-{hashlib.sha256(canonical(parameters)).hexdigest()[:12]}"
        try:
            # Built step by step, so the library's exact type can't be inferred; the contract tests hold it against that type.
            made = self._stripe.v2.core.accounts.create(parameters, {"idempotency_key": key})  # type: ignore[arg-type]
        except stripe.StripeError as error:
            raise meaning(error, self._key) from error
        return {"account": made.id}

    def standing(self, details: Mapping[str, str]) -> Standing:
        try:
            account = self._stripe.v2.core.accounts.retrieve(details["account"], {"include": SHOWN})  # type: ignore[arg-type]
        except stripe.StripeError as error:
            raise meaning(error, self._key) from error
        return standing(account.to_dict())

    def onboarding_link(self, details: Mapping[str, str], *, return_url: str, again_url: str) -> OnboardingLink:
        onboarding = {"return_url": return_url, "refresh_url": again_url, "collection_options": {"fields": "eventually_due"}}
        try:
            made = self._stripe.v2.core.account_links.create(
                {
                    "account": details["account"],
                    "use_case": {"type": "account_onboarding", "account_onboarding": onboarding},  # type: ignore[typeddict-item]
                }
            )
        except stripe.StripeError as error:
            raise meaning(error, self._key) from error
        return OnboardingLink(made.url, datetime.fromisoformat(made.expires_at))

    def health(self) -> Health:
        try:
            ours = self._stripe.v2.money_management.financial_accounts.retrieve(self.financial_account).to_dict()
        except stripe.StripeError as error:
            return Health(False, f"{self._at} does not serve us: {words(error, self._key)}")
        if ours["status"] != "open":
            return Health(False, f"The financial account {masked(self.financial_account)} is {ours['status']}.")
        free = ", ".join(str(money(each)) for each in ours["balance"]["available"].values() if each["value"])
        return Health(True, f"{self._at} answers; {free or 'nothing'} is free to be sent.")

    def check_setup(self, payee: Mapping[str, str] | None = None) -> Sequence[SetupLine]:
        return setup_lines(self, "outbound payments, accounts and account links", payee)

    def _found(self, reference: str, among: Mapping[str, Any]) -> Sequence[Receipt]:
        try:
            mine = [each for each in self._payments(among) if (each.get("metadata") or {}).get(REFERENCE) == reference]
        except stripe.StripeError as error:
            raise RailError(f"The look-up failed: {words(error, self._key)}") from error
        if len(mine) == 1:
            return [verdict(mine[0])]
        return [Receipt(each["id"], money(each["amount"])) for each in mine]  # more than one: people see them all

    def _payments(self, among: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        listed = self._stripe.v2.money_management.outbound_payments.list({**among, "limit": 100})  # type: ignore[arg-type]
        for each in listed.auto_paging_iter():
            yield each.to_dict()


def judged(payment: stripe.v2.money_management.OutboundPayment) -> Receipt:
    """An answer to a send."""
    try:
        return verdict(payment.to_dict())
    except (KeyError, TypeError, AttributeError, InvalidInput) as error:
        raise OutcomeUnknown("Stripe's answer can't be read.") from error


def verdict(payment: Mapping[str, Any]) -> Receipt:
    """What a payment's status says.

    Raises:
        NotYet: it is being sent.
        Refused: it ended, and the money is with us.
        OutcomeUnknown: in a word that is not known here.
    """
    status = payment["status"]
    if status == "posted":
        return Receipt(payment["id"], money(payment["amount"]))
    details = ((payment.get("status_details") or {}).get(status) or {}).get("reason")
    why = f" ({details})" if details else ""
    if status == "processing":
        raise NotYet(f"Stripe is sending payment {payment['id']}{why}.", look_again=LOOK_AGAIN)
    if status in ENDED:
        raise Refused(f"Payment {payment['id']} did not reach the payee: {ENDED[status]}{why}.")
    raise OutcomeUnknown(f"Payment {payment['id']} is {status}, which is not known here.")


def standing(account: Mapping[str, Any]) -> Standing:
    """Judge a recipient: payments to its bank must be enabled, and nothing may be due."""
    recipient = (account.get("configuration") or {}).get("recipient") or {}
    state = ((recipient.get("capabilities") or {}).get("bank_accounts") or {}).get("local") or {}
    entries = (account.get("requirements") or {}).get("entries") or []
    missing = [
        each["description"]
        for each in entries
        if each["awaiting_action_from"] == "user" and each["minimum_deadline"]["status"] in {"currently_due", "past_due"}
    ]
    if account.get("closed"):
        return Standing("This recipient was closed at Stripe; the payee can be opened anew, or choose another rail.")
    if state.get("status") in {"rejected", "unsupported"}:
        return Standing("Stripe does not pay this recipient; the payee can ask Stripe why, or choose another rail.", missing)
    if missing:
        named = ", ".join(name.replace("_", " ").replace(".", ", ") for name in missing)
        return Standing(f"Stripe still wants from the payee: {named}. The payee continues at Stripe.", missing)
    if state.get("status") == "pending":
        return Standing("Stripe is checking what the payee gave it; that takes from minutes to days.")
    if state.get("status") != "active":
        return Standing("Stripe does not pay to this recipient's bank yet. The payee continues at Stripe.")
    return Standing(None)


def money(amount: Mapping[str, Any]) -> Money:
    return Money(amount["value"], amount["currency"].upper())


def since(reference: str) -> datetime | None:
    """When the payout of a reference came to be: its id, which begins with the time, is in it. None for other references."""
    parts = reference.split("-")
    if len(parts) != 3 or len(parts[1]) != 26 or not set(parts[1]) <= set(BASE32):
        return None
    number = 0
    for digit in parts[1]:
        number = number * 32 + BASE32.index(digit)
    payout_id = UUID(int=number % 2**128)
    return datetime.fromtimestamp((payout_id.int >> 80) / 1000, UTC) if payout_id.version == 7 else None
