"""Entries as plain JSON records: the one form that is hashed, sealed, exported and verified.

A record names accounts by their codes and times in UTC to the microsecond, so that it means the same outside the database.
"""

import enum
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Row, select, text
from sqlalchemy.orm import Session

from core.ledger.entries import canonical
from core.ledger.models import Account

Record = dict[str, Any]

FETCH_ROWS = 2000


class Order(enum.Enum):
    """How a stream of entries is sorted."""

    CHAIN = "seq"
    DAY = "day, seq"


@dataclass(frozen=True, slots=True)
class Written:
    """An entry's record with its place: `seq` counts sealed entries by position and goes on with those not yet sealed."""

    entry_id: UUID
    seq: int
    record: Record
    seal_no: int | None
    sealed_hash: bytes | None


def entry_hash(record: Record) -> bytes:
    """SHA-256 of a record's canonical form."""
    return hashlib.sha256(canonical(record)).digest()


def moment(value: datetime) -> str:
    """A time as records write it: `2026-11-02T09:30:00.000000Z`."""
    return value.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def stream(session: Session, order: Order = Order.CHAIN) -> Iterator[Written]:
    """Every entry of the ledger, a few at a time."""
    query = f"SELECT * FROM ({_ALL}) AS entry ORDER BY {order.value}, leg"  # noqa: S608 - the order is an enum's value
    return _grouped(session, query, {})


def stream_unsealed(session: Session, *, since: int, limit: int) -> Iterator[Written]:
    """Entries without a seal, oldest first, of transactions numbered `since` or higher; `seq` counts from 1."""
    return _grouped(session, _UNSEALED, {"since": since, "limit": limit})


_COLUMNS = """
    e.id, e.key, e.request_hash, e.kind, e.at, e.memo, e.refs,
    t.leg, t.phase, t.debit_id, t.credit_id, t.commodity, t.amount, t.expires_at, t.hold_entry_id, t.hold_leg, t.held_amount
"""

# LEFT JOIN: an entry whose transfers were deleted behind our back must show up, without them.
_ALL = f"""
    SELECT {_COLUMNS}, e.seal_no, e.hash, e.seq, (e.at AT TIME ZONE 'UTC')::date AS day
    FROM (
        SELECT e.*, s.seal_no, s.hash, coalesce(s.position,
            (SELECT coalesce(max(position), 0) FROM ledger_sealed_entry)
            + row_number() OVER (PARTITION BY s.position IS NULL ORDER BY e.id)) AS seq
        FROM ledger_entry AS e LEFT JOIN ledger_sealed_entry AS s ON s.entry_id = e.id
    ) AS e
    LEFT JOIN ledger_transfer AS t ON t.entry_id = e.id
"""  # noqa: S608 - constants put into one another

_UNSEALED = f"""
    SELECT {_COLUMNS}, NULL AS seal_no, NULL AS hash, e.seq
    FROM (
        SELECT e.*, row_number() OVER (ORDER BY e.id) AS seq FROM ledger_entry AS e
        WHERE e.xid >= :since AND NOT EXISTS (SELECT 1 FROM ledger_sealed_entry AS s WHERE s.entry_id = e.id)
        ORDER BY e.id LIMIT :limit
    ) AS e
    LEFT JOIN ledger_transfer AS t ON t.entry_id = e.id
    ORDER BY e.seq, t.leg
"""  # noqa: S608 - constants put into one another


def _grouped(session: Session, query: str, parameters: Mapping[str, int]) -> Iterator[Written]:
    rows = session.execute(text(query), parameters, execution_options={"yield_per": FETCH_ROWS})
    codes = dict(session.execute(select(Account.id, Account.code)).all())  # after the entries, so that none has a newer account
    for _, group in groupby(rows, key=lambda row: row.seq):
        legs = list(group)
        first = legs[0]
        yield Written(first.id, first.seq, _record(legs, codes), first.seal_no, first.hash)


def _record(legs: list[Row[Any]], codes: Mapping[int, str]) -> Record:
    entry = legs[0]
    return {
        "id": str(entry.id),
        "key": entry.key,
        "kind": entry.kind,
        "at": moment(entry.at),
        "memo": entry.memo,
        "refs": entry.refs,
        "request_hash": entry.request_hash.hex(),
        "transfers": [_transfer(leg, codes) for leg in legs if leg.leg is not None],
    }


def _transfer(leg: Row[Any], codes: Mapping[int, str]) -> Record:
    record = {
        "leg": leg.leg,
        "phase": leg.phase,
        "debit": codes[leg.debit_id],
        "credit": codes[leg.credit_id],
        "commodity": leg.commodity,
        "amount": leg.amount,
    }
    if leg.expires_at is not None:
        record["expires_at"] = moment(leg.expires_at)
    if leg.hold_entry_id is not None:
        record["hold"] = {"entry": str(leg.hold_entry_id), "leg": leg.hold_leg, "amount": leg.held_amount}
    return record
