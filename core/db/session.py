"""The engine and the unit of work."""

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, cast

from psycopg import Connection
from psycopg import Error as DriverError
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError, NoSuchModuleError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from core.config import settings
from core.db.embedded import EmbeddedServer
from core.errors import InfrastructureError

LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "30s"
MAX_OVERFLOW = 20
"""Connections beyond the kept ones, opened when needed: a worker with all its threads, its clock and what the clock fires."""
REST_SECONDS = 2.0
"""A pooled connection that rested longer is asked whether it lives before it is used."""


@cache
def engine() -> Engine:
    """This process's engine: `DATABASE_URL` if set, else the embedded server, started if nobody runs it yet.

    Raises:
        InfrastructureError: the database does not answer.
    """
    given = settings().database_url
    if given is None:
        embedded = EmbeddedServer.attach(settings().data_folder)
        made, named, way_out = make_engine(embedded.url), "The embedded PostgreSQL", f"Its log is {embedded.log}."
    else:
        try:
            made = make_engine(given)
        except (ArgumentError, NoSuchModuleError, ImportError):
            raise InfrastructureError(
                "DATABASE_URL is not the address of a PostgreSQL. It looks like postgresql://user:password@host/database."
            ) from None
        named = f"DATABASE_URL names {made.url.render_as_string(hide_password=True)}, which"
        way_out = "Start that server, correct the address, or unset DATABASE_URL to use the embedded database."
    try:
        with made.connect():
            return made
    except OperationalError as error:
        made.dispose()
        cause = str(error.orig).strip().splitlines()[0]
        raise InfrastructureError(f"{named} does not answer: {cause}. {way_out}") from None


def make_engine(url: str, *, pool_size: int = 5, statement_timeout: str = STATEMENT_TIMEOUT) -> Engine:
    """An engine with the platform's time-outs, in READ COMMITTED, every session in UTC."""
    parsed = make_url(url)
    if parsed.drivername in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    if parsed.get_backend_name() != "postgresql":
        raise ArgumentError(f"{parsed.drivername} is no PostgreSQL")
    options = f"-c lock_timeout={LOCK_TIMEOUT} -c statement_timeout={statement_timeout} -c timezone=UTC"
    made = create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=MAX_OVERFLOW,
        connect_args={"options": options, "connect_timeout": 5, "application_name": "pledgeworks"},
    )
    event.listen(made, "checkin", _note_use)
    event.listen(made, "checkout", _ping_after_rest)
    return made


def _note_use(_connection: Any, record: ConnectionPoolEntry) -> None:
    record.info["used_at"] = time.monotonic()


def _ping_after_rest(connection: Any, record: ConnectionPoolEntry, _proxy: Any) -> None:
    """A connection that rested may have died with its server; one used a moment ago is not asked again (pool_pre_ping would)."""
    if time.monotonic() - record.info.get("used_at", math.inf) <= REST_SECONDS:
        return
    try:
        connection.autocommit = True
        connection.execute("")
        connection.autocommit = False
    except DriverError as error:
        raise DisconnectionError("the connection is gone") from error  # the pool makes a new one and tries again


@contextmanager
def session_scope() -> Iterator[Session]:
    """One unit of work: committed at the end, rolled back whole if anything is raised."""
    with Session(engine(), expire_on_commit=False) as session, session.begin():
        yield session


def driver_row(session: Session, statement: str, parameters: Sequence[Any]) -> tuple[Any, ...]:
    """The one row of a statement, straight from psycopg in the session's transaction.

    For the rare statement that runs so often that SQLAlchemy's own work on it would be most of its time. Parameters stand as
    `%s` and say their types; errors are SQLAlchemy's.

    Raises:
        DBAPIError: whatever the database refuses, as `session.execute` would say it.
    """
    connection = session.connection()
    driver = cast("Connection[tuple[Any, ...]]", connection.connection.driver_connection)
    with driver_errors(connection, statement):
        row = driver.execute(statement.encode(), parameters).fetchone()
    assert row is not None
    return row


@contextmanager
def driver_errors(connection: SqlConnection, statement: str) -> Iterator[None]:
    """Whatever psycopg raises in here, as SQLAlchemy's DBAPIError."""
    try:
        yield
    except DriverError as error:
        raise DBAPIError.instance(statement, None, error, DriverError, dialect=connection.dialect) from error


def dispose_engine() -> None:
    """Forget the engine and leave the embedded server; the last to leave stops it."""
    if engine.cache_info().currsize:
        engine().dispose()
        engine.cache_clear()
    EmbeddedServer.detach_all()
