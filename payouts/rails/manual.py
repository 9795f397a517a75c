"""Paid by a person at the bank's own site; two people say what became of it, with evidence."""

from collections.abc import Mapping, Sequence

from core.errors import InvalidInput
from payouts.rails.base import Capabilities, CheckedDestination, DestinationField, Health, masked, required

ACCOUNT_CHARACTERS_MAX = 60


class ManualRail:
    """Nothing leaves by itself: an attempt goes straight to the people's desk, and the bank's reference is its remote id."""

    name = "manual"
    title = "Manual bank transfer"
    capabilities = Capabilities(needs_person=True)
    destination_fields: Sequence[DestinationField] = (
        DestinationField("holder", "Account holder"),
        DestinationField("bank", "Bank", "Name, or BIC"),
        DestinationField("account", "Account", "IBAN or account number, as the bank's form wants it"),
        DestinationField("routing", "Routing number or sort code", required=False),
    )

    def check_destination(self, details: Mapping[str, str], currency: str) -> CheckedDestination:
        known = required(self.destination_fields, details)
        if len(known["account"]) > ACCOUNT_CHARACTERS_MAX:
            raise InvalidInput(f"An account has at most {ACCOUNT_CHARACTERS_MAX} characters.", field="account")
        return CheckedDestination(known, f"{known['bank']} {masked(known['account'])}")

    def health(self) -> Health:
        return Health(True, "Waits for people, not for a machine.")
