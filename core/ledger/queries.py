"""Reading entries back."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, func, select
from sqlalchemy.orm import Session, aliased

from core.ledger.entries import Entry, Transfer
from core.ledger.models import Account, EntryRow, TransferRow


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
