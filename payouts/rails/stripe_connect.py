"""Stripe Connect: a transfer from our Stripe balance to the payee's own Stripe account, which pays out to its bank.

A transfer has no state: once created, the money is the payee's. The attempt's reference is both the idempotency key (which
Stripe remembers for 24 hours) and the `transfer_group`, the one immutable field transfers can be listed by; metadata can be
edited later and can't be searched. So an unanswered send can be looked up exactly, for ever.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import stripe

from core import stripe_api
from core.clock import today
from core.errors import InvalidInput
from core.money import Money
from payouts.rails.base import (
    Capabilities,
    Cash,
    CheckedDestination,
    DestinationField,
    Health,
    Instruction,
    NotNow,
    OnboardingLink,
    OutcomeUnknown,
    Payee,
    RailError,
    Receipt,
    Reversal,
    SetupLine,
    Standing,
    canonical,
    masked,
    required,
)
from payouts.rails.stripe_errors import meaning, words
from payouts.rails.stripe_payees import WAIT_FOR_PAYEE, problem_before, setup_lines
from payouts.terms import in_force

CASH = Cash("stripe", "Our balance at Stripe")
ACCOUNT = re.compile(r"acct_[A-Za-z0-9]{8,40}")

CURRENCIES = frozenset({"CAD", "CHF", "CZK", "DKK", "EUR", "GBP", "HUF", "NOK", "PLN", "RON", "SEK", "USD"})
"""Their currencies whose minor unit is the same at Stripe as in ISO 4217, so that no amount needs scaling."""


WORDS = {
    "external_account": "a bank account to pay out to",
    "tos_acceptance": "agreement to Stripe's terms",
    "business_profile": "what the money is for",
    "business_type": "whether it is a person or a company",
    "individual": "details about the person",
    "company": "details about the company",
    "representative": "details about who acts for the company",
    "owners": "details about the company's owners",
    "directors": "details about the company's directors",
    "settings": "account settings",
}
"""What the first segment of a requirement means. Stripe has hundreds of them; the page shows each one's own name beside it."""


class StripeConnectRail:
    """Transfers to connected accounts, onboarding, and reversals."""

    name = "stripe_connect"
    title = "Stripe Connect"
    destination_fields: Sequence[DestinationField] = (
        DestinationField("account", "Stripe account", "The id of the connected account, such as acct_1NkA2xQ4bD3f"),
    )

    def __init__(
        self,
        key: str,
        *,
        api_base: str | None = None,
        timeout: timedelta = timedelta(seconds=60),
        visibility: timedelta = timedelta(hours=1),
    ) -> None:
        self.capabilities = Capabilities(
            idempotent=True,
            key_window=timedelta(hours=23),
            lookup_authoritative=True,
            # Stripe promises no moment from which lists are complete, and a request it answered with 500 may still be at work.
            visibility=visibility,
            timeout=timeout,
            cash=CASH,
        )
        self._key = key
        # A send asks for the account, perhaps looks up, and transfers: three calls within the rail's one time-out.
        self._stripe = stripe_api.client(key, api_base=api_base, timeout=timeout / 3)
        self._at = api_base or "Stripe"

    def check_destination(self, details: Mapping[str, str], currency: str) -> CheckedDestination:
        known = required(self.destination_fields, details)
        if not ACCOUNT.fullmatch(known["account"]):
            raise InvalidInput("A Stripe account's id starts with acct_, followed by letters and digits.", field="account")
        _require_currency(currency)
        return CheckedDestination(known, f"Stripe account {masked(known['account'])}")

    def send(self, instruction: Instruction) -> Receipt:
        problem = problem_before(self, instruction.destination["account"])
        if problem is not None:
            # Perhaps an earlier send did it before the account was restricted; then that is the answer.
            known = self.look_up(instruction.reference)
            if not known:
                raise NotNow(problem, retry_after=WAIT_FOR_PAYEE)
            if len(known) > 1:
                raise OutcomeUnknown("Stripe knows several transfers of this reference.")
            return known[0]
        try:
            made = self._stripe.v1.transfers.create(
                {
                    "amount": instruction.money.amount_minor,
                    "currency": instruction.money.currency.lower(),
                    "destination": instruction.destination["account"],
                    "transfer_group": instruction.reference,
                    "description": instruction.memo[:500],
                    "metadata": {"pledgeworks_reference": instruction.reference},
                },
                {"idempotency_key": instruction.reference},
            )
        except stripe.StripeError as error:
            raise meaning(error, self._key) from error
        return _receipt(made)

    def look_up(self, reference: str) -> Sequence[Receipt]:
        try:
            listed = self._stripe.v1.transfers.list({"transfer_group": reference, "limit": 100})
            return [_receipt(each) for each in listed.auto_paging_iter()]
        except stripe.StripeError as error:
            raise RailError(f"The look-up failed: {words(error, self._key)}") from error

    def reverse(self, receipt: Receipt, reference: str) -> Reversal:
        try:
            transfer = self._stripe.v1.transfers.retrieve(receipt.remote_id)
            left = transfer.amount - transfer.amount_reversed
            if left:
                self._stripe.v1.transfers.reversals.create(
                    receipt.remote_id,
                    {"amount": left, "metadata": {"pledgeworks_reference": reference}},
                    {"idempotency_key": f"{reference}-reversal"},
                )
            listed = self._stripe.v1.transfers.reversals.list(receipt.remote_id, {"limit": 100})
            done = list(listed.auto_paging_iter())
        except stripe.StripeError as error:
            raise meaning(error, self._key) from error
        back = Money(sum(each.amount for each in done), receipt.money.currency)
        if back != receipt.money:
            raise OutcomeUnknown(f"Stripe lists reversals of {back} for a transfer of {receipt.money}.")
        return Reversal([each.id for each in done], back, json.dumps([each.to_dict() for each in done], indent=1, default=str))

    def open_account(self, payee: Payee, currency: str) -> Mapping[str, str]:
        _require_currency(currency)
        terms = in_force(self.name, today())
        if terms is not None and terms.countries is not None and payee.country not in terms.countries:
            raise InvalidInput(
                f"Stripe Connect pays accounts in the US, the UK, the EEA, Canada and Switzerland, not in {payee.country}; "
                "choose another rail.",
                field="country",
            )
        parameters: dict[str, Any] = {
            "country": payee.country,
            "business_type": "individual" if payee.is_person else "company",
            "capabilities": {"transfers": {"requested": True}},
            "controller": {
                "stripe_dashboard": {"type": "express"},
                "losses": {"payments": "application"},
                "fees": {"payer": "application"},
                "requirement_collection": "stripe",
            },
            "metadata": {"pledgeworks_payee": payee.key},
        }
        if payee.email:
            parameters["email"] = payee.email
        # The same payee asked for twice gets one account; other details are another question, and another key.
        key = f"pw-account-{payee.key}-{hashlib.sha256(canonical(parameters)).hexdigest()[:12]}"
        try:
            # Built step by step, so the library's exact type can't be inferred; the contract tests hold it against that type.
            made = self._stripe.v1.accounts.create(parameters, {"idempotency_key": key})  # type: ignore[arg-type]
        except stripe.StripeError as error:
            raise meaning(error, self._key) from error
        return {"account": made.id}

    def standing(self, details: Mapping[str, str]) -> Standing:
        try:
            account = self._stripe.v1.accounts.retrieve(details["account"])
        except stripe.StripeError as error:
            raise meaning(error, self._key) from error
        return standing(account.to_dict())

    def onboarding_link(self, details: Mapping[str, str], *, return_url: str, again_url: str) -> OnboardingLink:
        try:
            made = self._stripe.v1.account_links.create(
                {
                    "account": details["account"],
                    "type": "account_onboarding",
                    "return_url": return_url,
                    "refresh_url": again_url,
                    "collection_options": {"fields": "eventually_due"},
                }
            )
        except stripe.StripeError as error:
            raise meaning(error, self._key) from error
        return OnboardingLink(made.url, datetime.fromtimestamp(made.expires_at, UTC))

    def health(self) -> Health:
        try:
            balance = self._stripe.v1.balance.retrieve()
        except stripe.StripeError as error:
            return Health(False, f"{self._at} does not serve us: {words(error, self._key)}")
        free = ", ".join(str(Money(each.amount, each.currency.upper())) for each in balance.available if each.amount)
        return Health(True, f"{self._at} answers; {free or 'nothing'} is free to be sent.")

    def check_setup(self, payee: Mapping[str, str] | None = None) -> Sequence[SetupLine]:
        return setup_lines(self, "transfers, connected accounts and account links", payee)


def standing(account: Mapping[str, Any]) -> Standing:
    """Judge an account object: transfers must be active, and nothing may be due."""
    requirements = account.get("requirements") or {}
    missing = list(requirements.get("currently_due") or [])
    state = (account.get("capabilities") or {}).get("transfers")
    disabled = requirements.get("disabled_reason")
    if disabled and disabled.startswith("rejected"):
        return Standing("Stripe has turned this account down; the payee can ask Stripe why, or choose another rail.", missing)
    if missing:
        return Standing(f"Stripe still wants from the payee: {_in_words(missing)}. The payee continues at Stripe.", missing)
    if state == "pending" or disabled in {"requirements.pending_verification", "under_review"}:
        return Standing("Stripe is checking what the payee gave it; that takes from minutes to days.")
    if state != "active":
        return Standing("Stripe does not let this account take transfers yet. The payee continues at Stripe.")
    if disabled:
        return Standing(f"Stripe has paused this account ({disabled}).")
    return Standing(None)


def _require_currency(currency: str) -> None:
    if currency not in CURRENCIES:
        raise InvalidInput(
            f"Stripe Connect is used here for {', '.join(sorted(CURRENCIES))}, not for {currency}; choose another rail.",
            field="currency",
        )


def _in_words(missing: Sequence[str]) -> str:
    words = [WORDS.get(name.split(".")[0], name.replace("_", " ").replace(".", ", ")) for name in missing]
    return ", ".join(dict.fromkeys(words))


def _receipt(transfer: stripe.Transfer) -> Receipt:
    try:
        amount = Money(transfer.amount, transfer.currency.upper())
        # The payee's account is credited with all of it. What it costs us Stripe bills apart from the transfer.
        return Receipt(transfer.id, amount, fee=Money(0, amount.currency))
    except (AttributeError, TypeError, InvalidInput) as error:
        raise OutcomeUnknown("Stripe's answer can't be read.") from error
