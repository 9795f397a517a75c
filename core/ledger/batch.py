"""Posting or holding thousands of entries at once: two COPYs, each account changed once.

For usage records, imports and distributions: one by one, each entry would wait for the disk by itself. Writers of
several batches work side by side: accounts are locked only at the end, when the trigger adds up what the batch moved. If one of
the keys is in the ledger already, or somebody else took the funds meanwhile, the batch is tried again with its accounts locked
first and the known keys looked up.
"""

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice
from typing import cast
from uuid import UUID

import psycopg
from psycopg import errors
from sqlalchemy import Connection, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session
from uuid_utils import uuid7  # the kind core.db.new_id makes, not yet wrapped in an object

from core.db import driver_errors
from core.ledger.closing import require_open
from core.ledger.entries import NewEntry, check_entry, checked_refs
from core.ledger.errors import InsufficientFunds, KeyReused, MixedCommodities, UnknownAccount
from core.ledger.models import Account, Guard, Phase
from core.ledger.posting import post_hash

CHUNK = 500
"""Rows handed to the server at a time: it works on one chunk while the next is being written."""
ATTEMPTS_MAX = 5
"""How often a batch is tried the careful way. It steps back from whom it meets, so that the other one can finish."""
IN_THE_WAY = (errors.UniqueViolation, errors.CheckViolation, errors.DeadlockDetected, errors.LockNotAvailable)
"""A key that is in the ledger by now, funds that others took, a lock that others hold crosswise or for long."""


@dataclass(frozen=True, slots=True)
class Posted:
    """What became of a batch."""

    written: int
    replayed: int


def post_many(session_or_connection: Session | Connection, entries: Iterable[NewEntry]) -> Posted:
    """Post many entries in the caller's transaction: all that are new, or none. Entries known by their key are skipped.

    Raises:
        InsufficientFunds: the batch as a whole would overdraw a guarded account.
        KeyReused: a key stands for an entry with other content, in the ledger or earlier in the batch.
        UnknownAccount, MixedCommodities, BadEntry: an entry can't be written.
    """
    return _write(session_or_connection, Phase.DIRECT, entries)


def hold_many(session_or_connection: Session | Connection, entries: Iterable[NewEntry]) -> dict[str, UUID]:
    """Reserve amounts as `post_many` posts them: all or none, until each is settled or voided. The entries' ids by their keys.

    Raises:
        InsufficientFunds, KeyReused, UnknownAccount, MixedCommodities, BadEntry: as for `post_many`.
    """
    wanted = list(entries)
    _write(session_or_connection, Phase.HOLD, wanted)
    ids = session_or_connection.execute(_IDS, {"keys": [entry.key for entry in wanted]})
    return {row.key: row.id for row in ids}


_IDS = text("SELECT key, id FROM ledger_entry WHERE key = ANY(CAST(:keys AS text[]))")


def _write(session_or_connection: Session | Connection, phase: Phase, entries: Iterable[NewEntry]) -> Posted:
    hashes: dict[str, bytes] = {}
    wanted: list[NewEntry] = []
    repeated = 0
    for entry in entries:
        check_entry(entry.key, entry.kind, entry.legs, entry.at)
        content = post_hash(phase, entry.kind, entry.legs, entry.memo, checked_refs(entry.refs))
        if entry.key not in hashes:
            hashes[entry.key] = content
            wanted.append(entry)
        elif hashes[entry.key] == content:
            repeated += 1
        else:
            raise KeyReused(entry.key)
    if not wanted:
        return Posted(0, 0)
    given = session_or_connection
    connection = given.connection() if isinstance(given, Session) else given
    require_open(connection, [(entry.at, entry.key) for entry in wanted])
    try:
        with connection.begin_nested():
            _write_new(connection, phase, wanted, hashes, _accounts(connection, wanted))
    except (InsufficientFunds, DBAPIError) as error:
        if isinstance(error, DBAPIError) and not isinstance(error.orig, IN_THE_WAY):
            raise
        fresh = _write_unknown(connection, phase, wanted, hashes)
    else:
        fresh = len(wanted)
    return Posted(fresh, len(wanted) - fresh + repeated)


def _write_unknown(connection: Connection, phase: Phase, wanted: Sequence[NewEntry], hashes: Mapping[str, bytes]) -> int:
    """The careful way, for batches that met others or themselves of an earlier time: accounts locked, known keys left out."""
    for attempt in range(1, ATTEMPTS_MAX + 1):
        try:
            with connection.begin_nested():  # around the locks, too: who steps back must not keep what the other waits for
                accounts = _accounts(connection, wanted, lock=True)
                known = _known_keys(connection, hashes)
                fresh = [entry for entry in wanted if entry.key not in known]
                _write_new(connection, phase, fresh, hashes, accounts)
        except DBAPIError as error:
            if attempt == ATTEMPTS_MAX or not isinstance(error.orig, IN_THE_WAY):
                raise
        else:
            break
    return len(fresh)


def _write_new(
    connection: Connection,
    phase: Phase,
    entries: Sequence[NewEntry],
    hashes: Mapping[str, bytes],
    accounts: Mapping[str, Account],
) -> None:
    _check(accounts, phase, entries)
    if entries:
        with driver_errors(connection, "COPY of a batch of entries"):
            _copy(connection, phase, accounts, entries, hashes)


def _accounts(connection: Connection, entries: Sequence[NewEntry], *, lock: bool = False) -> dict[str, Account]:
    """The accounts of all legs; locked in the order in which everybody locks accounts."""
    codes = {code for entry in entries for leg in entry.legs for code in (leg.debit, leg.credit)}
    query = select(*Account.__table__.columns).where(Account.code.in_(codes)).order_by(Account.id)
    rows = connection.execute(query.with_for_update(key_share=True) if lock else query)
    accounts = {row.code: cast("Account", row) for row in rows}
    for code in codes - accounts.keys():
        raise UnknownAccount(code)
    return accounts


def _known_keys(connection: Connection, hashes: Mapping[str, bytes]) -> set[str]:
    """Keys that stand in the ledger with the same content.

    Raises:
        KeyReused: one stands there with other content.
    """
    known = set()
    for key, request_hash in connection.execute(_KNOWN, {"keys": list(hashes)}):
        if request_hash != hashes[key]:
            raise KeyReused(key)
        known.add(key)
    return known


_KNOWN = text("SELECT key, request_hash FROM ledger_entry WHERE key = ANY(CAST(:keys AS text[]))")


def _check(accounts: Mapping[str, Account], phase: Phase, entries: Sequence[NewEntry]) -> None:
    """Refuse with a sentence what the database would refuse with a constraint's name."""
    commodities = {code: account.commodity for code, account in accounts.items()}
    debited, credited = dict.fromkeys(accounts, 0), dict.fromkeys(accounts, 0)
    for entry in entries:
        for leg in entry.legs:
            debit, credit = leg.debit, leg.credit
            if commodities[debit] != commodities[credit]:
                raise MixedCommodities(debit, commodities[debit], credit, commodities[credit])
            debited[debit] += leg.amount
            credited[credit] += leg.amount
    posted = phase is Phase.DIRECT  # what a hold would bring can't be taken yet
    for code, account in accounts.items():
        net = account.debits_posted - account.credits_posted
        match account.guard:
            case Guard.DEBIT:
                available, wanted = net - account.credits_pending, credited[code] - debited[code] * posted
            case Guard.CREDIT:
                available, wanted = -net - account.debits_pending, debited[code] - credited[code] * posted
            case Guard.NONE:
                continue
        if wanted > max(available, 0):
            raise InsufficientFunds(code, account.commodity, available=available, wanted=wanted)


def _copy(
    connection: Connection,
    phase: Phase,
    accounts: Mapping[str, Account],
    entries: Sequence[NewEntry],
    hashes: Mapping[str, bytes],
) -> None:
    driver = cast("psycopg.Connection[object]", connection.connection.driver_connection)
    # By key: two batches that share keys wait for each other in one order. The ids keep the order in which they were given.
    numbered = [(entry_id, entry) for _, entry_id, entry in sorted([(entry.key, uuid7().bytes, entry) for entry in entries])]
    with driver.cursor() as cursor:
        for statement, rows in (
            (_COPY_ENTRIES, _entry_rows(numbered, hashes)),
            (_COPY_TRANSFERS, _transfer_rows(numbered, phase, accounts)),
        ):
            with cursor.copy(statement) as copy:
                copy.write(_HEADER)
                while chunk := b"".join(islice(rows, CHUNK)):
                    copy.write(chunk)
                copy.write(_TRAILER)


# PostgreSQL's binary form of COPY: each row begins with the number of its columns, each column with its length in bytes. Neither
# side spends time on writing and reading digits. https://www.postgresql.org/docs/18/sql-copy.html#SQL-COPY-BINARY-FORMAT
_COPY_ENTRIES = b"COPY ledger_entry (id, key, request_hash, kind, memo, refs, at) FROM STDIN (FORMAT binary)"
_COPY_TRANSFERS = (
    b"COPY ledger_transfer (entry_id, leg, phase, debit_id, credit_id, commodity, amount) FROM STDIN (FORMAT binary)"
)
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_ROW_WITH_ID = (7).to_bytes(2) + (16).to_bytes(4)
"""Both tables have seven columns here, and the first is the entry's id."""
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def _entry_rows(numbered: Sequence[tuple[bytes, NewEntry]], hashes: Mapping[str, bytes]) -> Iterator[bytes]:
    kind, time = cache(_text), cache(_time)  # a batch has few of either
    digest_length, nothing, no_refs = (32).to_bytes(4), _text(""), _json({})
    for entry_id, entry in numbered:
        memo = _text(entry.memo) if entry.memo else nothing
        refs = _json(entry.refs) if entry.refs else no_refs
        digest = hashes[entry.key]
        yield b"".join(
            (_ROW_WITH_ID, entry_id, _text(entry.key), digest_length, digest, kind(entry.kind), memo, refs, time(entry.at))
        )


def _transfer_rows(numbered: Sequence[tuple[bytes, NewEntry]], phase: Phase, accounts: Mapping[str, Account]) -> Iterator[bytes]:
    sides = {code: _number(account.id) for code, account in accounts.items()}
    commodities = {code: _text(account.commodity) for code, account in accounts.items()}
    number = cache(lambda leg: _column(leg.to_bytes(2)) + _text(phase.value))
    for entry_id, entry in numbered:
        for i, leg in enumerate(entry.legs):
            debit = leg.debit
            yield b"".join(
                (_ROW_WITH_ID, entry_id, number(i), sides[debit], sides[leg.credit], commodities[debit], _number(leg.amount))
            )


def _column(value: bytes) -> bytes:
    return len(value).to_bytes(4) + value


def _text(value: str) -> bytes:
    return _column(value.encode())


def _json(value: Mapping[str, str]) -> bytes:
    return _column(b"\x01" + json.dumps(dict(value)).encode())  # 1: the version of jsonb's binary form


def _time(value: datetime) -> bytes:
    return _number((value - _EPOCH) // timedelta(microseconds=1))


def _number(value: int) -> bytes:
    return _INTEGER(8, value)


_INTEGER = struct.Struct("!iq").pack
