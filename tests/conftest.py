"""One PostgreSQL for the whole run, a migrated template database, and a rolled-back transaction per test.

`PLEDGEWORKS_TEST_DATABASE_URL` names another server to use (a superuser's address); else an embedded one is started in
a temporary folder. `PLEDGEWORKS_SHARED` names the folder of facts and data that some tests read.
"""

import os
import tempfile
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

ROOT = Path(__file__).resolve().parent.parent
# How long an example takes to make is the machine's affair; no property depends on it.
hypothesis_settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("untimed")


ONLY_HERE = """
[[terms]]
rail = "plain"
title = "Trial rail without keys"
since = 2026-01-01
source = "tests"

[[terms]]
rail = "github_api"
title = "GitHub Sponsors by its API, beside the files"
since = 2026-01-01
source = "tests"
"""


def pytest_configure(config: pytest.Config) -> None:
    """Two rails are in tests alone, so only they have terms of them; worker processes read the same file."""
    folder = tempfile.TemporaryDirectory(prefix="pw-terms-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    place = Path(folder.name) / "rail_terms.toml"
    place.write_text((ROOT / "payouts" / "data" / "rail_terms.toml").read_text(encoding="utf-8") + ONLY_HERE, encoding="utf-8")
    os.environ["PLEDGEWORKS_RAIL_TERMS"] = str(place)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where everything is required (`PLEDGEWORKS_REQUIRE_ALL=1`, as in continuous integration) a skip is a failure."""
    report = yield
    if report.skipped and os.environ.get("PLEDGEWORKS_REQUIRE_ALL") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped, but everything is required here: {report.longrepr}"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that look at what the others did come after them."""
    items.sort(key=lambda item: item.get_closest_marker("last") is not None)


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a PostgreSQL server (its maintenance database)."""
    given = os.environ.get("PLEDGEWORKS_TEST_DATABASE_URL")
    if given:
        yield given
        return
    from core.db.embedded import EmbeddedServer

    # A short path: the server's socket lies in it, and socket addresses hold 107 bytes.
    with tempfile.TemporaryDirectory(prefix="pw-test-", ignore_cleanup_errors=True) as folder:
        server = EmbeddedServer.attach(Path(folder))
        maintenance = create_engine(server.url, isolation_level="AUTOCOMMIT")
        with maintenance.connect() as connection:
            # Tests kill clients, never the machine: waiting for the disk would prove nothing here.
            connection.execute(text("ALTER SYSTEM SET fsync = off"))
            connection.execute(text("ALTER SYSTEM SET full_page_writes = off"))
            connection.execute(text("SELECT pg_reload_conf()"))
        maintenance.dispose()
        yield server.url
        EmbeddedServer.detach_all()


@pytest.fixture(scope="session")
def template_database(database_server: str) -> Iterator[str]:
    """The name of a database migrated to head, to be copied."""
    from core.db.migrate import upgrade

    name = f"template_{uuid7().hex}"
    _maintain(database_server, f'CREATE DATABASE "{name}"')
    engine = create_engine(_named(database_server, name))
    upgrade(engine)
    engine.dispose()
    yield name
    _maintain(database_server, f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture(scope="session")
def engine(database_server: str, template_database: str) -> Iterator[Engine]:
    """An engine on a migrated database that rolled-back tests share."""
    with _copy(database_server, template_database) as url:
        made = create_engine(url)
        yield made
        made.dispose()


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    """A session whose every commit is undone after the test."""
    with engine.connect() as connection:
        outer = connection.begin()
        with Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as made:
            yield made
        outer.rollback()


@pytest.fixture
def app(session: Session) -> Iterator[Any]:
    """The web application on this test's rolled-back connection."""
    made = _application()
    made.bind = session.get_bind()
    made.extensions.pop("has_people", None)
    yield made
    made.bind = None


@pytest.fixture
def client(app: Any, session: Session) -> Any:
    """A client that checks every page it fetches; see web_client.py."""
    from web_client import Client

    return Client(app, session)


@pytest.fixture
def fresh_database(database_server: str, template_database: str) -> Iterator[str]:
    """The address of a migrated database of this test's own, for tests with several connections or processes."""
    with _copy(database_server, template_database) as url:
        yield url


@pytest.fixture
def empty_database(database_server: str) -> Iterator[str]:
    """The address of a database without any table."""
    with _copy(database_server, "template0") as url:
        yield url


@pytest.fixture
def now() -> datetime:
    """A fixed moment for services that take `now`."""
    return datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of facts and data; tests that read it are skipped, with this reason, where it is not."""
    folder = os.environ.get("PLEDGEWORKS_SHARED")
    if not folder:
        pytest.skip("PLEDGEWORKS_SHARED names no folder with the shared facts and data")
    return Path(folder)


@pytest.fixture(scope="session", autouse=True)
def cheap_passwords() -> None:
    """argon2id with its smallest parameters: production's take 64 MiB and a tenth of a second each."""
    from argon2 import PasswordHasher

    from core.identity import passwords

    passwords._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@pytest.fixture(autouse=True)
def own_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test has its own data folder, so that none touches the developer's var/."""
    from core.config import settings

    monkeypatch.setenv("PLEDGEWORKS_DATA", str(tmp_path / "data"))
    settings.cache_clear()
    yield
    settings.cache_clear()


@cache
def _application() -> Any:
    """One for the run: building it costs more than most tests."""
    from app import create_app

    made = create_app()
    made.testing = True
    return made


class _copy:  # noqa: N801 - a context manager, used like a function
    """A copy of a template database, dropped at the end."""

    def __init__(self, server: str, template: str) -> None:
        self._server, self._template, self._name = server, template, f"test_{uuid7().hex}"

    def __enter__(self) -> str:
        _maintain(self._server, f'CREATE DATABASE "{self._name}" TEMPLATE "{self._template}"')
        return _named(self._server, self._name)

    def __exit__(self, *_: object) -> None:
        _maintain(self._server, f'DROP DATABASE "{self._name}" WITH (FORCE)')


def _named(server: str, name: str) -> str:
    return make_url(server).set(drivername="postgresql+psycopg", database=name).render_as_string(hide_password=False)


def _maintain(server: str, statement: str) -> None:
    engine = create_engine(make_url(server).set(drivername="postgresql+psycopg"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(statement))
    engine.dispose()
