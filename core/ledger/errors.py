"""The ways the ledger says no. Nothing was written, and the caller's transaction can go on."""

from datetime import datetime, timedelta

from core.errors import DomainError, InvalidInput
from core.ledger.units import amount_in_words


class InsufficientFunds(DomainError):
    """A guarded account would be overdrawn, its holds included."""

    code = "insufficient_funds"

    def __init__(self, account: str, commodity: str, *, available: int, wanted: int) -> None:
        super().__init__(
            f"The account {account} has {amount_in_words(available, commodity)} available, "
            f"less than the {amount_in_words(wanted, commodity)} wanted.",
            account=account,
            commodity=commodity,
            available=available,
            wanted=wanted,
        )
        self.account, self.commodity, self.available, self.wanted = account, commodity, available, wanted


class AlreadyResolved(DomainError):
    """A hold ends once, and this one has ended."""

    code = "hold_already_resolved"

    def __init__(self, hold_key: str, phase: str) -> None:
        past = {"settle": "settled", "void": "voided", "expire": "expired"}[phase]
        super().__init__(f"The hold “{hold_key}” was {past} before; a hold ends once.", hold_key=hold_key, phase=phase)
        self.hold_key, self.phase = hold_key, phase


class MoreThanHeld(DomainError):
    """A hold settles up to its amount; what goes beyond needs a transfer of its own."""

    code = "more_than_held"

    def __init__(self, hold_key: str, *, held: int, wanted: int) -> None:
        super().__init__(
            f"The hold “{hold_key}” reserves {held}, less than the {wanted} to settle; post the difference by itself.",
            hold_key=hold_key,
            held=held,
            wanted=wanted,
        )


class KeyReused(DomainError):
    """The key names an entry with other content: a retry must ask for the same."""

    code = "ledger_key_reused"

    def __init__(self, key: str) -> None:
        super().__init__(
            f"The ledger key “{key}” already stands for an entry with other content; use a new key for a new deed.", key=key
        )


class MixedCommodities(DomainError):
    """Both accounts of a transfer count the same commodity; a conversion goes through trading accounts."""

    code = "mixed_commodities"

    def __init__(self, debit: str, debit_commodity: str, credit: str, credit_commodity: str) -> None:
        super().__init__(
            f"{debit} counts {debit_commodity} and {credit} counts {credit_commodity}; convert through trading accounts instead.",
            debit=debit,
            credit=credit,
        )


class UnknownAccount(DomainError):
    """No account has this code."""

    code = "unknown_account"
    status = 404

    def __init__(self, account: str) -> None:
        super().__init__(f"The ledger has no account {account}; open it first.", account=account)


class UnknownHold(DomainError):
    """No hold goes by this key, or the transfer named is not one of its holds."""

    code = "unknown_hold"
    status = 404

    def __init__(self, hold_key: str) -> None:
        super().__init__(f"The ledger has no hold under “{hold_key}”.", hold_key=hold_key)


class AccountDiffers(DomainError):
    """The account exists with another commodity, side or guard; accounts never change these."""

    code = "account_differs"

    def __init__(self, account: str, existing: str, wanted: str) -> None:
        super().__init__(f"The account {account} exists as {existing}, not as {wanted}; use another code.", account=account)


class BadEntry(InvalidInput):
    """An entry that can't be written as it is."""

    code = "bad_entry"


class MonthClosed(DomainError):
    """The entry is dated in a month that is closed."""

    code = "month_closed"

    def __init__(self, at: datetime, until: datetime) -> None:
        last = until - timedelta(days=1)
        super().__init__(
            f"Everything up to {last:%-d %b %Y} is closed, and this is dated {at:%-d %b %Y}; post the correction today, or have "
            "two people of finance open the month again.",
            at=at.isoformat(),
        )
