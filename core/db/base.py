"""The declarative base and the column types every table uses."""

import enum
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    DateTime,
    Dialect,
    Enum,
    MetaData,
    String,
    Text,
    TypeDecorator,
    any_,
    literal,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.dialects.postgresql import UUID as PG_UUID
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, mapped_column
from uuid_utils.compat import uuid7


def new_id() -> UUID:
    """A UUIDv7 (RFC 9562): random, yet sorting by the time it was made."""
    return uuid7()


class UtcDateTime(TypeDecorator[datetime]):
    """TIMESTAMPTZ that refuses naive times on the way in and answers in UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    @property
    def python_type(self) -> type[datetime]:
        return datetime

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is not None and value.tzinfo is None:
            raise TypeError(f"{value!r} has no time zone; times are aware and in UTC")
        return value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.astimezone(UTC)


Id = Annotated[UUID, mapped_column(PG_UUID(as_uuid=True), primary_key=True, default=new_id)]
Utc = Annotated[datetime, mapped_column(UtcDateTime())]
MinorUnits = Annotated[int, mapped_column(BigInteger())]
CurrencyCode = Annotated[str, mapped_column(String(3))]
ShortText = Annotated[str, mapped_column(String(250))]
JsonObject = Annotated[dict[str, Any], mapped_column(JSONB())]


def among(column: InstrumentedAttribute[Any], values: Collection[Any]) -> ColumnElement[bool]:
    """The column has one of these values, however many: one parameter, where `in_` makes as many as there are values."""
    return column == any_(literal(list(values), ARRAY(column.type)))


class Base(DeclarativeBase):
    """All tables. Constraint names are derived, so that migrations can name what they change."""

    metadata = MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads this class attribute as it is
        str: Text(),
        datetime: UtcDateTime(),
        UUID: PG_UUID(as_uuid=True),
        int: BigInteger(),
        dict[str, Any]: JSONB(),
        # States are words checked by the database (a CHECK, not a PostgreSQL ENUM: adding one is an ordinary migration).
        enum.StrEnum: Enum(
            enum.StrEnum,
            native_enum=False,
            create_constraint=True,
            length=40,
            validate_strings=True,
            values_callable=lambda states: [state.value for state in states],
        ),
    }
