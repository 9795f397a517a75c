"""Pages by key: where a list goes on is a signed cursor of the last row's sort values, so new rows shift nothing."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import ColumnElement, Select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session

from core.config import settings
from core.errors import InvalidInput

SIZE, SIZE_MAX = 50, 200

Item = TypeVar("Item")
Column = InstrumentedAttribute[Any] | ColumnElement[Any]


@dataclass(frozen=True, slots=True)
class Page(Generic[Item]):
    """One page of a list, and where the next begins."""

    items: Sequence[Item]
    next_cursor: str | None
    is_first: bool = True


def paginate(
    session: Session,
    statement: Select[Item],
    *,
    by: Sequence[Column],
    descending: bool = True,
    cursor: str | None = None,
    size: int = SIZE,
) -> Page[Item]:
    """One page of the statement's entities, sorted by columns that together are unique (end with the id).

    Raises:
        InvalidInput: the cursor is not one of this list.
    """
    size = max(1, min(size, SIZE_MAX))
    if cursor:
        start = [_typed(column, value) for column, value in zip(by, _read(cursor, by), strict=True)]
        after = tuple_(*by) < tuple_(*start) if descending else tuple_(*by) > tuple_(*start)
        statement = statement.where(after)
    ordered = statement.order_by(*[column.desc() if descending else column.asc() for column in by])
    rows: list[Item] = list(session.scalars(ordered.limit(size + 1)))
    more = len(rows) > size
    items = rows[:size]
    next_cursor = _write([getattr(items[-1], _name(column)) for column in by], by) if more else None
    return Page(items, next_cursor, is_first=not cursor)


def _write(values: Sequence[Any], by: Sequence[Column]) -> str:
    plain = [value.isoformat() if isinstance(value, date | datetime) else str(value) for value in values]
    return str(_signer(by).dumps(plain))


def _read(cursor: str, by: Sequence[Column]) -> list[str]:
    try:
        values = _signer(by).loads(cursor)
    except (BadSignature, json.JSONDecodeError):
        values = None
    if not isinstance(values, list) or len(values) != len(by):
        raise InvalidInput("This is not a place in this list; start from its first page.", field="cursor")
    return values


def _signer(by: Sequence[Column]) -> URLSafeSerializer:
    # The salt names the columns: a cursor of one list is worthless in another.
    return URLSafeSerializer(settings().secret("cursor"), salt=",".join(str(column) for column in by))


def _typed(column: Column, value: str) -> Any:
    kind = column.type.python_type
    if issubclass(kind, datetime):
        return datetime.fromisoformat(value)
    if issubclass(kind, date):
        return date.fromisoformat(value)
    return UUID(value) if issubclass(kind, UUID) else kind(value)


def _name(column: Column) -> str:
    return str(column.key)
