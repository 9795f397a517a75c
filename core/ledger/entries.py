"""What callers hand in and get back: legs, entries, transfers, balances. Plain values, no database."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from core.ledger.errors import BadEntry
from core.ledger.models import Phase, Side
from core.money import MINOR_MAX

LEGS_MAX = 30_000
"""Legs are numbered by a small integer; no deed of the platform needs more."""


@dataclass(frozen=True, slots=True)
class Leg:
    """One transfer to make: debit one account, credit another, by whole minor units or ticks."""

    debit: str
    credit: str
    amount: int

    def __post_init__(self) -> None:
        if not isinstance(self.amount, int) or isinstance(self.amount, bool):
            raise TypeError(f"a leg takes whole units, not {self.amount!r}")
        if not 0 < self.amount <= MINOR_MAX:
            raise BadEntry(f"A transfer moves one unit or more; {self.amount} can't be moved.", field="amount")
        if self.debit == self.credit:
            raise BadEntry(f"A transfer joins two accounts; {self.debit} stands on both sides.", field="debit")


@dataclass(frozen=True, slots=True)
class Transfer:
    """One written transfer."""

    entry_id: UUID
    leg: int
    phase: Phase
    debit: str
    credit: str
    commodity: str
    amount: int
    expires_at: datetime | None = None
    hold_entry_id: UUID | None = None
    hold_leg: int | None = None
    held_amount: int | None = None

    @property
    def id(self) -> UUID:
        """Known by its entry and its leg; made one UUID so that it can be kept in a column."""
        return transfer_id(self.entry_id, self.leg)


def transfer_id(entry_id: UUID, leg: int) -> UUID:
    """The id of an entry's transfer: the entry's, with the leg's number folded into the last bits."""
    return UUID(int=entry_id.int ^ (leg + 1))


@dataclass(frozen=True, slots=True)
class Entry:
    """One deed of the ledger with all its transfers."""

    id: UUID
    key: str
    kind: str
    at: datetime
    memo: str
    refs: Mapping[str, str]
    transfers: tuple[Transfer, ...]
    replayed: bool = False
    """The key was known with the same content: this is the entry of then, nothing was written now."""


@dataclass(frozen=True, slots=True)
class NewEntry:
    """An entry to be posted in a batch; the fields mean what they mean in `post`."""

    key: str
    kind: str
    legs: Sequence[Leg]
    at: datetime
    memo: str = ""
    refs: Mapping[str, str] = field(default_factory=dict)


class Balance(NamedTuple):
    """The four kept sums of an account, and what they mean on its normal side. A tuple, because thousands are made at once."""

    account: str
    commodity: str
    normal: Side
    debits_posted: int
    debits_pending: int
    credits_posted: int
    credits_pending: int

    @property
    def posted(self) -> int:
        """What lies in the account; negative if it stands on its other side."""
        net = self.debits_posted - self.credits_posted
        return net if self.normal is Side.DEBIT else -net

    @property
    def pending_out(self) -> int:
        """What holds reserve of it."""
        return self.credits_pending if self.normal is Side.DEBIT else self.debits_pending

    @property
    def pending_in(self) -> int:
        """What other accounts' holds would bring."""
        return self.debits_pending if self.normal is Side.DEBIT else self.credits_pending

    @property
    def available(self) -> int:
        """What can still be taken: posted less held."""
        return self.posted - self.pending_out


def canonical(value: Any) -> bytes:
    """One byte form per JSON value: sorted keys, no spaces, UTF-8. Numbers are whole, so every language writes the same."""
    return _CANONICAL.encode(value).encode()


_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def request_hash(*parts: str | None) -> bytes:
    """SHA-256 of what is asked for under a key; each part comes with its length, so that no two requests read the same.

    Times are not part of it: a retry comes later than the first try.
    """
    return hashlib.sha256("".join(["-" if part is None else f"{len(part)}:{part}" for part in parts]).encode()).digest()


def parts_of(refs: Mapping[str, str] | None) -> list[str | None]:
    """References as parts of a request."""
    if refs is None:
        return [None]
    return [str(len(refs)), *(text for name in sorted(refs) for text in (name, refs[name]))] if refs else ["0"]


def checked_refs(refs: Mapping[str, str] | None) -> dict[str, str]:
    """References as they are stored: text to text.

    Raises:
        TypeError: a value is not text; ids are written out by the caller.
    """
    given = dict(refs or {})
    for name, value in given.items():
        if not isinstance(name, str) or not isinstance(value, str):
            raise TypeError(f"refs map text to text, not {name!r} to {value!r}")
    return given


def check_entry(key: str, kind: str, legs: Sequence[Leg], at: datetime) -> None:
    """What every entry needs, whatever the way it is written.

    Raises:
        BadEntry: no legs, too many, or no key.
        TypeError: a time without a zone.
    """
    if not legs:
        raise BadEntry("An entry has at least one transfer.", field="legs")
    if len(legs) > LEGS_MAX:
        raise BadEntry(f"An entry has at most {LEGS_MAX} transfers; split it.", field="legs")
    if not key or len(key) > 250 or not kind or len(kind) > 250:
        raise BadEntry("An entry has a key and a kind of 1 to 250 characters.", field="key")
    if at.tzinfo is None:
        raise TypeError(f"{at!r} has no time zone; times are aware and in UTC")
