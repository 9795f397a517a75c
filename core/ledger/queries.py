"""Reading entries back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, func, or_, select
from sqlalchemy.orm import Session, aliased

from core.ledger.entries import Entry, Transfer
from core.ledger.models import Account, EntryRow, Phase, TransferRow


def entry(session: Session, entry_id: UUID, *, replayed: bool = False) -> Entry:
    """The entry of this id, which is known to exist."""
    (found,) = _entries(session, select(EntryRow).where(EntryRow.id == entry_id), replayed=replayed)
    return found


def entry_by_key(session: Session, key: str) -> Entry | None:
    """The entry of this key, if there is one."""
    return next(iter(_entries(session, select(EntryRow).where(EntryRow.key == key))), None)


def entries_for(session: Session, ref: tuple[str, str]) -> list[Entry]:
    """Every entry that carries this reference, such as ("grant", id), oldest first."""
    name, value = ref
    referring = select(EntryRow).where(EntryRow.refs != {}, EntryRow.refs.contains({name: str(value)}))
    return _entries(session, referring.order_by(EntryRow.at, EntryRow.id))


def due_holds(session: Session, *, now: datetime, limit: int) -> Sequence[str]:
    """Keys of the entries with an open hold whose time has passed, the longest due first."""
    ending = aliased(TransferRow)
    ended = exists().where(ending.hold_entry_id == TransferRow.entry_id, ending.hold_leg == TransferRow.leg)
    return session.scalars(
        select(EntryRow.key)
        .join(TransferRow, TransferRow.entry_id == EntryRow.id)
        .where(TransferRow.expires_at <= now, ~ended)
        .group_by(EntryRow.id)
        .order_by(func.min(TransferRow.expires_at))
        .limit(limit)
    ).all()


@dataclass(frozen=True, slots=True)
class Touch:
    """A transfer that touched one of some accounts."""

    account: str
    entry_id: UUID
    at: datetime
    kind: str
    memo: str
    phase: Phase
    amount: int
    held_amount: int | None
    """Of an ending: what its hold had reserved."""


def touching(session: Session, codes: Sequence[str], *, since: datetime, until: datetime) -> list[Touch]:
    """Every transfer that touched one of these accounts from a moment to before another, oldest first.

    One between two of them comes twice, once for each.
    """
    rows = session.execute(
        select(
            Account.code, EntryRow.id, EntryRow.at, EntryRow.kind, EntryRow.memo,
            TransferRow.phase, TransferRow.amount, TransferRow.held_amount,
        )
        .join(TransferRow, or_(TransferRow.debit_id == Account.id, TransferRow.credit_id == Account.id))
        .join(EntryRow, EntryRow.id == TransferRow.entry_id)
        .where(Account.code.in_(codes), EntryRow.at >= since, EntryRow.at < until)
        .order_by(EntryRow.at, EntryRow.id, TransferRow.leg, Account.code)
    )  # fmt: skip
    return [Touch(*row) for row in rows]


def transfers_of(session: Session, entry_ids: Sequence[UUID]) -> dict[UUID, list[Transfer]]:
    """The transfers of these entries, in the order of their legs."""
    found: dict[UUID, list[Transfer]] = {entry_id: [] for entry_id in entry_ids}
    for transfer in _transfers(session, entry_ids):
        found[transfer.entry_id].append(transfer)
    return found


def _entries(session: Session, wanted: Select[Any], *, replayed: bool = False) -> list[Entry]:
    rows = session.scalars(wanted).all()
    transfers = transfers_of(session, [row.id for row in rows])
    return [Entry(row.id, row.key, row.kind, row.at, row.memo, row.refs, tuple(transfers[row.id]), replayed) for row in rows]


def _transfers(session: Session, entry_ids: Sequence[UUID]) -> list[Transfer]:
    if not entry_ids:
        return []
    debit, credit = aliased(Account), aliased(Account)
    rows = session.execute(
        select(
            TransferRow.entry_id,
            TransferRow.leg,
            TransferRow.phase,
            debit.code,
            credit.code,
            TransferRow.commodity,
            TransferRow.amount,
            TransferRow.expires_at,
            TransferRow.hold_entry_id,
            TransferRow.hold_leg,
            TransferRow.held_amount,
        )
        .join(debit, debit.id == TransferRow.debit_id)
        .join(credit, credit.id == TransferRow.credit_id)
        .where(TransferRow.entry_id.in_(entry_ids))
        .order_by(TransferRow.entry_id, TransferRow.leg)
    )
    return [Transfer(*row) for row in rows]
