"""The export that carries its own proof: accounts, seals, entries, signed head. One record per line, for people with grep."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from core.ledger.models import Account, Commodity, Seal
from core.ledger.records import Record, Written, moment, stream
from core.ledger.sealing import head_record, seal_record

FORMAT = "pledgeworks-ledger"
VERSION = 1


def write(session: Session, *, now: datetime) -> Iterator[str]:
    """The ledger as one JSON object."""
    seals = session.scalars(select(Seal).order_by(Seal.no)).all()
    yield f'{{"format": "{FORMAT}", "version": {VERSION}, "exported_at": "{moment(now)}",\n'
    yield from _array("commodities", (_commodity(c) for c in session.scalars(select(Commodity).order_by(Commodity.code))))
    yield from _array("accounts", (_account(row) for row in session.execute(_ACCOUNTS)))
    yield from _array("seals", (_seal(seal) for seal in seals))
    yield f'"head": {_line(_head(seals))},\n'
    yield from _array("entries", (_entry(entry) for entry in stream(session)), last=True)
    yield "}\n"


def _array(name: str, records: Iterable[Record], *, last: bool = False) -> Iterator[str]:
    yield f'"{name}": ['
    separator = "\n"
    for record in records:
        yield separator + _line(record)
        separator = ",\n"
    yield "\n]\n" if last else "\n],\n"


def _line(record: Any) -> str:
    return json.dumps(record, ensure_ascii=False)


_ACCOUNTS = select(
    *(column for column in Account.__table__.columns if column.name != "id"),
).order_by(Account.code)


def _account(row: Any) -> Record:
    return {name: getattr(value, "value", value) for name, value in row._mapping.items()}


def _commodity(commodity: Commodity) -> Record:
    return {"code": commodity.code, "kind": commodity.kind.value, "scale": commodity.scale}


def _seal(seal: Seal) -> Record:
    return {
        **seal_record(seal.no, seal.entries, seal.content_hash, seal.previous_hash, seal.sealed_at),
        "hash": seal.hash.hex(),
        "signature": seal.signature.hex(),
        "public_key": seal.public_key.hex(),
    }


def _head(seals: Sequence[Seal]) -> Record | None:
    """The last seal, and how many entries the chain stands for."""
    return {**head_record(seals[-1]), "entries": sum(seal.entries for seal in seals)} if seals else None


def _entry(entry: Written) -> Record:
    sealed = {"seal": entry.seal_no, "hash": entry.sealed_hash.hex()} if entry.sealed_hash is not None else {}
    return {"seq": entry.seq, **sealed, **entry.record}
