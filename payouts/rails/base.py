"""All that the services know of a rail: what it can do, and three verbs.

A rail answers a send in one of four ways, and the difference between them is what keeps money from leaving twice:
a `Receipt` (it has it), `Refused` (no, for good, under this key), `NotNow` (nothing happened, ask later), and everything
else, which is *unknown*: a time-out, a cut connection, a 5xx, a bug of our own after the first byte, and an error that could as
well have come after the effect. docs/explanation/payout-engine.md has the table of what proves, on each rail, that nothing was
paid.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from core.errors import InvalidInput
from core.money import Money

REFERENCE_CHARACTERS_MAX = 35
"""SEPA's end-to-end reference is the shortest of those in use."""
BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
"""Crockford's alphabet, in which references write a payout's id: nothing in it is mistaken for something else when read aloud."""


@dataclass(frozen=True)
class Cash:
    """Where the money lies that a rail pays from."""

    provider: str | None
    """Who keeps it for us, by the name that its movements have in the books. None: our bank."""
    title: str

    def account(self, currency: str) -> str:
        """The ledger's account of it."""
        place = "bank" if self.provider is None else f"rail:{self.provider}"
        return f"assets:{place}:{currency.lower()}"


BANK = Cash(None, "Our bank account")


@dataclass(frozen=True)
class Capabilities:
    """What a rail promises. The engine trusts nothing it does not promise."""

    needs_person: bool = False
    """People carry the payment out (a wire form, a file for the bank) and find out what became of it."""
    in_files: bool = False
    """People hand payments over in files made here."""
    idempotent: bool = False
    """The same reference with the same parameters pays once and answers again."""
    key_window: timedelta = timedelta(0)
    """How long it remembers a reference; shorter than it says, to be safe (Stripe: 24 h, here 23 h)."""
    lookup_authoritative: bool = False
    """A look-up by reference that finds nothing, after `visibility`, proves that nothing happened."""
    visibility: timedelta = timedelta(0)
    """How long a payment may take to show up in look-ups."""
    timeout: timedelta = timedelta(seconds=20)
    """The longest a call can take, connecting included."""
    one_at_a_time: bool = False
    """It spends more than it has, or refuses, when asked for two things at once: one send is in flight at a time, and none
    goes to a destination while an earlier one to it has no answer."""
    unit_minor: int = 1
    """The smallest step it pays in, in minor units. What is left over is carried to the recipient's next payment."""
    once_a_month: bool = False
    """Two payments to one place in one calendar month (UTC) could not be told apart, so there is at most one."""
    cash: Cash = BANK
    """What a payment makes less. Files and people carry payments to our bank; the trial rail has no balance that anybody could
    top up, so it takes its payments from there as well."""


@dataclass(frozen=True)
class Instruction:
    """What a rail is told. Frozen in the attempt before the first byte leaves."""

    reference: str
    money: Money
    recipient: str
    country: str
    destination: Mapping[str, Any]
    memo: str
    begun_at: datetime | None = None
    """When the attempt began, for rails that know payments by their time only. None for attempts from before it was kept."""

    def parameters(self) -> dict[str, Any]:
        """The canonical form that is stored with the attempt."""
        return {
            "reference": self.reference,
            "amount_minor": self.money.amount_minor,
            "currency": self.money.currency,
            "recipient": self.recipient,
            "country": self.country,
            "destination": dict(self.destination),
            "memo": self.memo,
            "begun_at": self.begun_at.isoformat() if self.begun_at is not None else None,
        }

    @classmethod
    def from_parameters(cls, stored: Mapping[str, Any]) -> "Instruction":
        return cls(
            reference=stored["reference"],
            money=Money(stored["amount_minor"], stored["currency"]),
            recipient=stored["recipient"],
            country=stored["country"],
            destination=stored["destination"],
            memo=stored["memo"],
            begun_at=datetime.fromisoformat(stored["begun_at"]) if stored.get("begun_at") else None,
        )


@dataclass(frozen=True)
class Receipt:
    """The rail has it."""

    remote_id: str
    money: Money
    fee: Money | None = field(default=None, compare=False)
    """What the rail says it took from the payee; None if it does not say."""
    cost: Money | None = field(default=None, compare=False)
    """What the rail says it took from us on top."""


class RailError(Exception):
    """A send that brought no receipt. `permanent` says whether asking again under this key can ever help."""

    permanent = False


class Refused(RailError):
    """The rail said no: no money moved, and none will under this reference."""

    permanent = True

    def __init__(self, message: str, *, stops_rail: bool = False) -> None:
        super().__init__(message)
        self.stops_rail = stops_rail
        """The answer is about us, not about this payment (credentials): the next one would be refused too."""


class NotNow(RailError):
    """Nothing happened; the rail asks to be left alone for a while."""

    def __init__(self, message: str, *, retry_after: timedelta) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class KeyConflict(RailError):
    """The rail knows this reference with other parameters: a mistake of ours that only people can clear up."""

    permanent = True


class NotYet(RailError):
    """The rail has it and no money has moved: somebody there goes on with it. Only a look-up can bring more."""

    def __init__(self, message: str, *, look_again: timedelta) -> None:
        super().__init__(message)
        self.look_again = look_again


class OutcomeUnknown(RailError):
    """No clear answer: it may have happened."""


class SaidNo(OutcomeUnknown):
    """The rail said no, in a way that does not prove that nothing happened.

    Only a look-up after `visibility` can. If it finds nothing, the attempt counts as refused: the same would be refused again, so
    nothing is tried again without a person.
    """


@dataclass(frozen=True)
class Health:
    """Whether a rail answers, in words."""

    ok: bool
    message: str


@dataclass(frozen=True)
class DestinationField:
    """One thing a person enters so that money can arrive."""

    name: str
    label: str
    hint: str = ""
    required: bool = True


@dataclass(frozen=True)
class CheckedDestination:
    """Details in the rail's canonical form, and how they are shown."""

    details: Mapping[str, str]
    label: str = field(compare=False)


@dataclass(frozen=True)
class SetupLine:
    """One thing a rail needs from us and the provider. `ok` None: it can't be seen from here, and the message says what to do."""

    ok: bool | None
    message: str


class Rail(Protocol):
    """A way money travels."""

    @property
    def name(self) -> str:
        """Short, stable, in lower case; kept with every attempt."""
        ...

    @property
    def title(self) -> str: ...

    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def destination_fields(self) -> Sequence[DestinationField]: ...

    def check_destination(self, details: Mapping[str, str], currency: str) -> CheckedDestination:
        """Canonical details, or InvalidInput naming the field. Decides by the text alone; no call leaves."""
        ...

    def health(self) -> Health: ...


@runtime_checkable
class ConfirmsDestinations(Protocol):
    """A rail that can ask the provider whether a destination can be paid."""

    def confirm_destination(self, details: Mapping[str, str]) -> None:
        """Ask, over the network. Raises InvalidInput if the provider says no or can't be asked."""
        ...


@runtime_checkable
class NetworkRail(Rail, Protocol):
    """A rail this program itself talks to."""

    def send(self, instruction: Instruction) -> Receipt:
        """Ask for one payment. Raises Refused, NotNow or OutcomeUnknown; anything else raised counts as unknown."""
        ...

    def look_up(self, reference: str) -> Sequence[Receipt]:
        """Every payment the rail knows under this reference.

        Raises Refused when the rail knows it and has said no for good, and any other RailError when it can't tell yet.
        """
        ...


@runtime_checkable
class UnreferencedRail(NetworkRail, Protocol):
    """A rail that keeps no reference of ours: a payment is known by its payee, amount and time."""

    def find(self, instruction: Instruction) -> Sequence[Receipt]:
        """As `look_up` does, for a rail that can't be asked by reference. Changes nothing."""
        ...


@runtime_checkable
class FollowedRail(NetworkRail, Protocol):
    """A rail on which a payment takes several steps, some of them ours."""

    def follow(self, instruction: Instruction) -> Sequence[Receipt]:
        """Look the payment up as `look_up` does, and take the next step that is ours. Doing it again does no harm."""
        ...


@runtime_checkable
class CheckedRail(Rail, Protocol):
    """A rail that can say, before money depends on it, what its set-up lacks."""

    def check_setup(self, payee: Mapping[str, str] | None = None) -> Sequence[SetupLine]:
        """Every thing it needs, in the order to put right; with a payee's details also whether that one could be paid.

        Changes nothing and moves no money.
        """
        ...


@dataclass(frozen=True)
class Reversal:
    """A payment that was taken back, all of it."""

    remote_ids: Sequence[str]
    money: Money
    answer: str
    """What the rail said, as JSON: the evidence."""


@runtime_checkable
class ReversibleRail(NetworkRail, Protocol):
    """A rail that can take a payment back as long as the payee still has the money there."""

    def reverse(self, receipt: Receipt, reference: str) -> Reversal:
        """Take all of a payment back; once, however often it is asked. Raises RailError."""
        ...


@dataclass(frozen=True)
class Payee:
    """Who wants to be paid, for opening an account."""

    key: str
    """Stable and ours."""
    name: str
    country: str
    email: str | None
    is_person: bool


@dataclass(frozen=True)
class Standing:
    """Whether a payee's account can take money, and in words what is missing."""

    problem: str | None
    missing: Sequence[str] = ()

    @property
    def payable(self) -> bool:
        return self.problem is None


@dataclass(frozen=True)
class OnboardingLink:
    """Where a payee gives the rail what it wants to know. Works once, for minutes; never mailed, never kept."""

    url: str
    expires_at: datetime


@runtime_checkable
class OnboardingRail(Rail, Protocol):
    """A rail at which payees have accounts of their own."""

    def open_account(self, payee: Payee, currency: str) -> Mapping[str, str]:
        """The destination details of a new account. Raises InvalidInput where or in what the rail doesn't pay, and RailError."""
        ...

    def standing(self, details: Mapping[str, str]) -> Standing:
        """Raises RailError when it can't tell."""
        ...

    def onboarding_link(self, details: Mapping[str, str], *, return_url: str, again_url: str) -> OnboardingLink:
        """A fresh link. `again_url` is where the payee lands when it was used or is too old. Raises RailError."""
        ...


def fingerprint(rail: str, currency: str, details: Mapping[str, Any]) -> str:
    """SHA-256 of a destination, in canonical JSON: what an approval binds to."""
    return hashlib.sha256(canonical({"rail": rail, "currency": currency, "details": dict(details)})).hexdigest()


def canonical(value: Any) -> bytes:
    """JSON that is the same for equal values: sorted keys, no spaces, UTF-8."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def required(fields: Sequence[DestinationField], details: Mapping[str, str]) -> dict[str, str]:
    """The entered fields, trimmed, without empty ones.

    Raises:
        InvalidInput: a required one is empty, or one is not known.
    """
    unknown = set(details) - {each.name for each in fields}
    if unknown:
        raise InvalidInput(f"“{min(unknown)}” is not a detail of this rail.", field=min(unknown))
    trimmed = {name: value.strip() for name, value in details.items() if value.strip()}
    for each in fields:
        if each.required and each.name not in trimmed:
            raise InvalidInput(f"{each.label} is missing.", field=each.name)
    return trimmed


def masked(text: str, *, shown: int = 4) -> str:
    """The last characters of an account, so that people can compare it without its being printed everywhere."""
    return text if len(text) <= shown else f"…{text[-shown:]}"
