"""The verbs: post, hold, settle, void, expire. Each writes one entry in one round trip; the database keeps the rules.

The caller owns the transaction. A refusal leaves it usable: nothing was written, and other work in it can go on.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Session

from core.db import driver_row, new_id
from core.ledger import queries
from core.ledger.closing import require_open
from core.ledger.entries import Entry, Leg, Transfer, check_entry, checked_refs, parts_of, request_hash
from core.ledger.errors import (
    AlreadyResolved,
    BadEntry,
    InsufficientFunds,
    KeyReused,
    MixedCommodities,
    MoreThanHeld,
    UnknownAccount,
    UnknownHold,
)
from core.ledger.models import Phase


def post(
    session: Session,
    *,
    key: str,
    kind: str,
    legs: Sequence[Leg],
    at: datetime,
    memo: str = "",
    refs: Mapping[str, str] | None = None,
) -> Entry:
    """Write several transfers as one entry, all or none. The same key with the same content answers with the first entry.

    Raises:
        InsufficientFunds: a guarded account would be overdrawn, holds included.
        KeyReused: the key stands for an entry with other content.
        UnknownAccount, MixedCommodities, BadEntry: the legs can't be written.
    """
    return _post(session, Phase.DIRECT, key, kind, legs, at, memo, refs, expires_at=None)


def hold(
    session: Session,
    *,
    key: str,
    kind: str,
    legs: Sequence[Leg],
    at: datetime,
    expires_at: datetime | None = None,
    memo: str = "",
    refs: Mapping[str, str] | None = None,
) -> Entry:
    """Reserve amounts until they are settled, voided or expire. Idempotent like `post`.

    Past `expires_at` the next `expire_due` releases it; until then it still holds and can be settled.

    Raises:
        InsufficientFunds: a guarded account lacks what the hold would reserve.
        KeyReused, UnknownAccount, MixedCommodities, BadEntry: as for `post`.
    """
    return _post(session, Phase.HOLD, key, kind, legs, at, memo, refs, expires_at=expires_at)


def settle(
    session: Session,
    *,
    key: str,
    hold_key: str,
    at: datetime,
    amounts: Mapping[UUID, int] | None = None,
    kind: str | None = None,
    memo: str | None = None,
    refs: Mapping[str, str] | None = None,
) -> Entry:
    """End a hold by moving it: whole (`amounts` None), or the given amount per hold transfer; the rest is released.

    With `amounts`, holds of the entry that are not named are voided; so is one with amount 0. Kind, memo and references
    are the hold's unless given.

    Raises:
        AlreadyResolved: a named hold, or with `amounts` None every hold, has ended before.
        MoreThanHeld: an amount above what its hold reserves.
        UnknownHold: nothing is held under `hold_key`, or a named transfer is not among its holds.
        KeyReused: the key stands for an entry with other content.
    """
    return _end(session, Phase.SETTLE, key, hold_key, at, amounts, kind, memo, refs)


def void(
    session: Session,
    *,
    key: str,
    hold_key: str,
    at: datetime,
    kind: str | None = None,
    memo: str | None = None,
    refs: Mapping[str, str] | None = None,
) -> Entry:
    """End a hold by releasing it whole.

    Raises:
        AlreadyResolved: it has ended before.
        UnknownHold: nothing is held under `hold_key`.
        KeyReused: the key stands for an entry with other content.
    """
    return _end(session, Phase.VOID, key, hold_key, at, None, kind, memo, refs)


def expire_due(session: Session, *, now: datetime, limit: int = 1000) -> int:
    """Release every open hold whose time has passed, and tell how many entries of holds that were."""
    expired = 0
    for hold_key in queries.due_holds(session, now=now, limit=limit):
        try:
            entry = _end(session, Phase.EXPIRE, f"expire:{hold_key}", hold_key, now, None, None, None, None)
        except AlreadyResolved:
            continue  # somebody settled or voided it since the list was read
        expired += not entry.replayed
    return expired


def _post(
    session: Session,
    phase: Phase,
    key: str,
    kind: str,
    legs: Sequence[Leg],
    at: datetime,
    memo: str,
    refs: Mapping[str, str] | None,
    *,
    expires_at: datetime | None,
) -> Entry:
    check_entry(key, kind, legs, at)
    require_open(session, [(at, key)])
    references = checked_refs(refs)
    entry_id = new_id()
    content = post_hash(phase, kind, legs, memo, references)
    noted = json.dumps(references) if references else "{}"
    head = (entry_id, key, content, kind, memo, noted, at, phase.value, expires_at)
    session.flush()  # what the caller has pending, such as a new account, must be there
    commodities = _write_one(session, head, legs[0]) if len(legs) == 1 else None
    if commodities is None:
        outcome, entry_id, commodities, details = _write(session, phase, head, legs)
        if outcome == "replayed":
            return queries.entry(session, entry_id, replayed=True)
        if outcome != "posted":
            _refuse(outcome, details, key)
    return Entry(
        id=entry_id,
        key=key,
        kind=kind,
        at=at,
        memo=memo,
        refs=references,
        transfers=tuple(
            Transfer(entry_id, i, phase, leg.debit, leg.credit, commodity, leg.amount, expires_at)
            for i, (leg, commodity) in enumerate(zip(legs, commodities, strict=True))
        ),
    )


def _write_one(session: Session, head: tuple[Any, ...], leg: Leg) -> list[str] | None:
    """The short way for one transfer; None if the long way has to say what stands against it."""
    (commodity,) = driver_row(session, _POST_ONE, (*head, leg.debit, leg.credit, leg.amount))
    return None if commodity is None else [commodity]


def _write(
    session: Session, phase: Phase, head: tuple[Any, ...], legs: Sequence[Leg]
) -> tuple[str, UUID, list[str], dict[str, Any] | None]:
    """Outcome, entry, each leg's commodity and, for a refusal, its details."""
    places: dict[str, int] = {}
    given: list[int] = []
    received: list[int] = []
    for leg in legs:
        for code in (leg.debit, leg.credit):
            if places.setdefault(code, len(places) + 1) > len(given):
                given.append(0)
                received.append(0)
        given[places[leg.debit] - 1] += leg.amount
        received[places[leg.credit] - 1] += leg.amount
    # What comes in with an entry may leave with it at once; what a hold would bring may not.
    arrives = 1 if phase is Phase.DIRECT else 0
    parameters = (
        *head,
        _texts(places),
        _numbers(out - arrives * into for out, into in zip(given, received, strict=True)),
        _numbers(out - arrives * into for into, out in zip(given, received, strict=True)),
        _numbers(places[leg.debit] for leg in legs),
        _numbers(places[leg.credit] for leg in legs),
        _numbers(leg.amount for leg in legs),
    )
    outcome, entry_id, commodities, details = driver_row(session, _POST, parameters)
    return outcome, entry_id, [commodities[places[leg.debit] - 1] for leg in legs], details


def post_hash(phase: Phase, kind: str, legs: Sequence[Leg], memo: str, refs: Mapping[str, str]) -> bytes:
    """The request hash of an entry of direct transfers or holds."""
    parts = [phase, kind, memo, *parts_of(refs)]
    for leg in legs:
        parts += (leg.debit, leg.credit, str(leg.amount))
    return request_hash(*parts)


def _end(
    session: Session,
    phase: Phase,
    key: str,
    hold_key: str,
    at: datetime,
    amounts: Mapping[UUID, int] | None,
    kind: str | None,
    memo: str | None,
    refs: Mapping[str, str] | None,
) -> Entry:
    require_open(session, [(at, key)])
    references = checked_refs(refs) if refs is not None else None
    wanted = None if amounts is None else _legs_of(session, hold_key, amounts)
    amount_parts = [None] if wanted is None else [str(number) for leg_and_amount in wanted for number in leg_and_amount]
    content = request_hash(phase.value, hold_key, kind, memo, *parts_of(references), *amount_parts)
    answer = session.execute(
        _END_HOLDS,
        {
            "entry": new_id(),
            "key": key,
            "hash": content,
            "kind": kind,
            "memo": memo,
            "refs": references,
            "at": at,
            "phase": phase.value,
            "hold_key": hold_key,
            "legs": None if wanted is None else [leg for leg, _ in wanted],
            "amounts": None if wanted is None else [amount for _, amount in wanted],
        },
    ).one()
    if answer.outcome not in {"posted", "replayed"}:
        _refuse(answer.outcome, answer.details, key, hold_key)
    return queries.entry(session, answer.entry_id, replayed=answer.outcome == "replayed")


def _legs_of(session: Session, hold_key: str, amounts: Mapping[UUID, int]) -> list[list[int]]:
    """Amounts by leg, every hold of the entry named: what the caller left out is released."""
    held = queries.entry_by_key(session, hold_key)
    holds = {transfer.id: transfer for transfer in held.transfers if transfer.phase is Phase.HOLD} if held else {}
    if not holds or not amounts.keys() <= holds.keys():
        raise UnknownHold(hold_key)
    if any(amount < 0 for amount in amounts.values()):
        raise BadEntry("A hold settles at zero or more.", field="amounts")
    return [[transfer.leg, amounts.get(known, 0)] for known, transfer in holds.items()]


def _refuse(outcome: str, details: dict[str, Any] | None, key: str, hold_key: str = "") -> NoReturn:
    details = details or {}
    match outcome:
        case "insufficient_funds":
            raise InsufficientFunds(
                details["account"], details["commodity"], available=details["available"], wanted=details["wanted"]
            )
        case "unknown_account":
            raise UnknownAccount(details["account"])
        case "mixed_commodities":
            raise MixedCommodities(details["debit"], details["debit_commodity"], details["credit"], details["credit_commodity"])
        case "key_reused":
            raise KeyReused(key)
        case "unknown_hold":
            raise UnknownHold(hold_key)
        case "already_resolved":
            raise AlreadyResolved(hold_key, details["phase"])
        case "more_than_held":
            raise MoreThanHeld(hold_key, held=details["held"], wanted=details["wanted"])
    raise AssertionError(f"the ledger answered {outcome}")


# Straight to the driver: these statements are most of what the ledger does, and every parameter says its type.
_HEAD = "%s::uuid, %s, %s::bytea, %s, %s, %s::jsonb, %s::timestamptz, %s, %s::timestamptz"
_POST_ONE = f"SELECT ledger_post_one({_HEAD}, %s, %s, %s::bigint)"
_POST = (
    f"SELECT outcome, entry_id, commodities, details FROM ledger_post({_HEAD},"  # noqa: S608 - a constant put into it
    " %s::text[], %s::bigint[], %s::bigint[], %s::integer[], %s::integer[], %s::bigint[])"
)


def _numbers(values: Iterable[int]) -> str:
    """A PostgreSQL array; written here, because the driver's general way takes longer than all else."""
    return f"{{{','.join(map(str, values))}}}"


def _texts(values: Iterable[str]) -> str:
    quoted = (value.replace("\\", "\\\\").replace('"', '\\"') for value in values)
    return "{" + ",".join(f'"{value}"' for value in quoted) + "}"


_END_HOLDS = text("""
SELECT outcome, entry_id, details FROM ledger_end_holds(
    CAST(:entry AS uuid), :key, CAST(:hash AS bytea), :kind, :memo, CAST(:refs AS jsonb), CAST(:at AS timestamptz),
    :phase, :hold_key, CAST(:legs AS smallint[]), CAST(:amounts AS bigint[]))
""").bindparams(bindparam("refs", type_=JSONB(none_as_null=True)))
