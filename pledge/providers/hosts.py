"""All that services know of a fiscal host: what it expects for our fund, and what came."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol

from core.errors import DomainError
from core.money import Money


class HostSilent(DomainError):
    """The host's service gave no clear answer; what it did is found out by looking, never by doing it again."""

    code = "host_silent"
    status = 503


class HostRefused(DomainError):
    """The host's service said no, and nothing happened."""

    code = "host_refused"


@dataclass(frozen=True, slots=True)
class Awaited:
    """Money that the host is to expect."""

    key: str
    payer: str
    company: str
    money: Money
    reference: str
    """What the company writes on its transfer."""
    expected_on: date | None
    fee_percent: Decimal | None


@dataclass(frozen=True, slots=True)
class Booked:
    """A row of the host's ledger."""

    movement_id: str
    money: Money


@dataclass(frozen=True, slots=True)
class Round:
    """Money that came once for an order, and what became of it."""

    received: Booked
    fees: Sequence[Booked] = ()
    refunds: Sequence[Booked] = ()
    """What the host gave back of it."""
    fees_back: Sequence[Booked] = ()
    """What it gave back of its fees."""

    @property
    def refunded(self) -> Money:
        """All that the host gave back."""
        return sum((each.money for each in self.refunds), Money(0, self.received.money.currency))

    @property
    def gone(self) -> bool:
        """Nothing of it stayed."""
        return self.refunded == self.received.money


@dataclass(frozen=True, slots=True)
class Found:
    """An order there, judged by its ledger rows."""

    remote_id: str
    money: Money
    """What is expected."""
    rounds: Sequence[Round] = ()
    """Marked as paid, as unpaid and as paid again are two; all but the last are gone."""
    ended: bool = False
    """Nothing came, and nothing is expected any more."""

    @property
    def last(self) -> Round | None:
        """The money that counts; None if none moved."""
        return self.rounds[-1] if self.rounds else None


class Host(Protocol):
    """A fiscal host, seen with the rights of one of its admins."""

    title: str
    fund: str

    def record(self, awaited: Awaited) -> None:
        """Have the host expect it. Doing it twice expects it twice. Raises HostRefused, HostSilent."""

    def find(self, key: str, *, since: datetime) -> Sequence[Found]:
        """Every order of this key recorded since then, whatever became of it. Raises HostRefused, HostSilent."""

    def mark_paid(self, remote_id: str, *, on: date) -> None:
        """Book that it came. The host refuses it a second time. Raises HostRefused, HostSilent."""

    def expire(self, remote_id: str) -> None:
        """Expect it no longer. Raises HostRefused, HostSilent."""
