"""What beancount and hledger have in common: only what moved, day by day, with the closing balances asserted."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal

from sqlalchemy import func, select, union_all
from sqlalchemy.orm import Session

from core.ledger.models import Account, Commodity, EntryRow, Phase, TransferRow
from core.ledger.records import Order, Record, entry_hash, stream
from core.units import TICKS_PER_GPU_HOUR, TICKS_PER_GPU_SECOND

GPU_NOTE = f"GPU time is counted in 1/{TICKS_PER_GPU_SECOND} GPU-seconds; a GPU-hour is {TICKS_PER_GPU_HOUR} of them"


@dataclass(frozen=True, slots=True)
class PlainAccount:
    """An account with the day of its first movement and what was posted to it, in whole units, debits positive."""

    code: str
    commodity: str
    opened_on: date
    posted: int


@dataclass(frozen=True, slots=True)
class PlainEntry:
    """An entry's movements: (account, signed amount in whole units, commodity), debits positive."""

    seq: int
    on: date
    key: str
    hash: str
    kind: str
    memo: str
    postings: tuple[tuple[str, int, str], ...]


@dataclass(frozen=True, slots=True)
class Book:
    """The ledger for text formats."""

    scales: dict[str, int]
    accounts: list[PlainAccount]
    closing_on: date
    """The day after the last entry: both tools check balances at its start."""
    session: Session

    def entries(self) -> Iterator[PlainEntry]:
        """Entries that moved something, by day; holds and their releases move nothing and are left out."""
        for written in stream(self.session, Order.DAY):
            record = written.record
            postings = tuple(posting for transfer in record["transfers"] for posting in _postings(transfer))
            if postings:
                digest = (written.sealed_hash or entry_hash(record)).hex()
                on = datetime.fromisoformat(record["at"]).date()
                yield PlainEntry(written.seq, on, record["key"], digest, record["kind"], record["memo"], postings)

    def amount(self, units: int, commodity: str) -> str:
        """Whole units as a decimal number with exactly the commodity's digits."""
        scale = self.scales[commodity]
        return f"{Decimal(units).scaleb(-scale):.{scale}f}"


def book(session: Session, *, now: datetime) -> Book:
    """Read what stands before the entries: commodities, accounts, days."""
    first = _first_days(session)
    last = session.scalar(select(func.max(func.date(func.timezone("UTC", EntryRow.at))))) or now.date()
    earliest = min(first.values(), default=last)
    accounts = [
        PlainAccount(row.code, row.commodity, first.get(row.id, earliest), row.debits_posted - row.credits_posted)
        for row in session.execute(
            select(Account.id, Account.code, Account.commodity, Account.debits_posted, Account.credits_posted).order_by(
                Account.code
            )
        )
    ]
    scales = dict(session.execute(select(Commodity.code, Commodity.scale).order_by(Commodity.code)).all())
    return Book(scales, accounts, last + timedelta(days=1), session)


def one_line(text: str) -> str:
    """Text without line breaks and other control characters, which both formats give a meaning."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _postings(transfer: Record) -> Iterator[tuple[str, int, str]]:
    if transfer["phase"] in MOVING:
        yield transfer["debit"], transfer["amount"], transfer["commodity"]
        yield transfer["credit"], -transfer["amount"], transfer["commodity"]


MOVING = frozenset({Phase.DIRECT.value, Phase.SETTLE.value})


def _first_days(session: Session) -> dict[int, date]:
    day = func.date(func.timezone("UTC", EntryRow.at))
    sides = union_all(
        *(
            select(side.label("account_id"), func.min(day).label("day"))
            .join(EntryRow, EntryRow.id == TransferRow.entry_id)
            .group_by(side)
            for side in (TransferRow.debit_id, TransferRow.credit_id)
        )
    ).subquery()
    days: dict[int, list[date]] = defaultdict(list)
    for account_id, first in session.execute(select(sides.c.account_id, sides.c.day)):
        days[account_id].append(first)
    return {account_id: min(found) for account_id, found in days.items()}
