"""Posting thousands of entries at once: one lock, one look for known keys, two COPYs.

Usage records, imports and distributions come in batches; one by one, each would wait for the disk by itself.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import cast

import psycopg
from sqlalchemy import Connection, select, text
from sqlalchemy.orm import Session

from core.db import new_id
from core.ledger.entries import NewEntry, check_entry, checked_refs
from core.ledger.errors import InsufficientFunds, KeyReused, MixedCommodities, UnknownAccount
from core.ledger.models import Account, Guard, Phase
from core.ledger.posting import post_hash

CHUNK = 500
"""Lines handed to the server at a time: it works on one chunk while the next is being written."""


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
    hashes: dict[str, bytes] = {}
    wanted: list[NewEntry] = []
    repeated = 0
    for entry in entries:
        check_entry(entry.key, entry.kind, entry.legs, entry.at)
        content = post_hash(Phase.DIRECT, entry.kind, entry.legs, entry.memo, checked_refs(entry.refs))
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
    try:
        fresh = _post_unknown(connection, wanted, hashes)
    except psycopg.errors.UniqueViolation:
        # Between our look for known keys and our COPY somebody posted one of them; now it is there to be seen.
        fresh = _post_unknown(connection, wanted, hashes)
    return Posted(fresh, len(wanted) - fresh + repeated)


def _post_unknown(connection: Connection, wanted: Sequence[NewEntry], hashes: Mapping[str, bytes]) -> int:
    accounts = _locked_accounts(connection, wanted)
    known = _known_keys(connection, hashes)
    fresh = [entry for entry in wanted if entry.key not in known]
    _check(accounts, fresh)
    if fresh:
        with connection.begin_nested():
            _copy(connection, accounts, fresh, hashes)
    return len(fresh)


def _locked_accounts(connection: Connection, entries: Sequence[NewEntry]) -> dict[str, Account]:
    """The accounts of all legs, locked in the order in which everybody locks accounts."""
    codes = {code for entry in entries for leg in entry.legs for code in (leg.debit, leg.credit)}
    rows = connection.execute(
        select(*Account.__table__.columns).where(Account.code.in_(codes)).order_by(Account.id).with_for_update(key_share=True)
    )
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


def _check(accounts: Mapping[str, Account], entries: Sequence[NewEntry]) -> None:
    """Refuse with a sentence what the database would refuse with a constraint's name."""
    change: dict[str, int] = defaultdict(int)  # debits less credits
    for entry in entries:
        for leg in entry.legs:
            debit, credit = accounts[leg.debit], accounts[leg.credit]
            if debit.commodity != credit.commodity:
                raise MixedCommodities(leg.debit, debit.commodity, leg.credit, credit.commodity)
            change[leg.debit] += leg.amount
            change[leg.credit] -= leg.amount
    for code, debits in change.items():
        account = accounts[code]
        net = account.debits_posted - account.credits_posted
        match account.guard:
            case Guard.DEBIT:
                available, wanted = net - account.credits_pending, -debits
            case Guard.CREDIT:
                available, wanted = -net - account.debits_pending, debits
            case Guard.NONE:
                continue
        if wanted > max(available, 0):
            raise InsufficientFunds(code, account.commodity, available=available, wanted=wanted)


def _copy(
    connection: Connection, accounts: Mapping[str, Account], entries: Sequence[NewEntry], hashes: Mapping[str, bytes]
) -> None:
    driver = cast("psycopg.Connection[object]", connection.connection.driver_connection)
    ids = [str(new_id()) for _ in entries]
    with driver.cursor() as cursor:
        with cursor.copy("COPY ledger_entry (id, key, request_hash, kind, memo, refs, at) FROM STDIN") as copy:
            for chunk in _chunks(_entry_lines(ids, entries, hashes)):
                copy.write(chunk)
        with cursor.copy(
            "COPY ledger_transfer (entry_id, leg, phase, debit_id, credit_id, commodity, amount) FROM STDIN"
        ) as copy:
            for chunk in _chunks(_transfer_lines(ids, entries, accounts)):
                copy.write(chunk)


def _entry_lines(ids: Sequence[str], entries: Sequence[NewEntry], hashes: Mapping[str, bytes]) -> Iterator[str]:
    for entry_id, entry in zip(ids, entries, strict=True):
        refs = _text(json.dumps(dict(entry.refs))) if entry.refs else "{}"
        yield (
            f"{entry_id}\t{_text(entry.key)}\t\\\\x{hashes[entry.key].hex()}\t{_text(entry.kind)}\t{_text(entry.memo)}"
            f"\t{refs}\t{entry.at}\n"
        )


def _transfer_lines(ids: Sequence[str], entries: Sequence[NewEntry], accounts: Mapping[str, Account]) -> Iterator[str]:
    for entry_id, entry in zip(ids, entries, strict=True):
        for number, leg in enumerate(entry.legs):
            debit = accounts[leg.debit]
            yield f"{entry_id}\t{number}\tdirect\t{debit.id}\t{accounts[leg.credit].id}\t{debit.commodity}\t{leg.amount}\n"


def _chunks(lines: Iterator[str]) -> Iterator[str]:
    while chunk := "".join(islice(lines, CHUNK)):
        yield chunk


_SPECIAL = re.compile(r"[\\\t\n\r]")
_ESCAPES = {"\\": r"\\", "\t": r"\t", "\n": r"\n", "\r": r"\r"}


def _text(value: str) -> str:
    """A value in COPY's text format."""
    return _SPECIAL.sub(lambda found: _ESCAPES[found[0]], value)
