"""PostgreSQL: one engine per process, one session per unit of work, typed columns."""

from core.db.base import Base, CurrencyCode, Id, JsonObject, MinorUnits, ShortText, Utc, among, new_id
from core.db.session import dispose_engine, driver_errors, driver_row, engine, session_scope

__all__ = [
    "Base",
    "CurrencyCode",
    "Id",
    "JsonObject",
    "MinorUnits",
    "ShortText",
    "Utc",
    "among",
    "dispose_engine",
    "driver_errors",
    "driver_row",
    "engine",
    "new_id",
    "session_scope",
]
