"""Running Alembic from code: `pledgeworks db upgrade`, the start of `make run`, and the tests."""

import io
from collections.abc import Callable

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, Engine

from core.config import ROOT

LOCK_KEY = 0x504C4544
"""Advisory lock held while migrating, so that web and worker starting together migrate once."""


def alembic_config() -> Config:
    """Alembic's configuration, without a file: the scripts lie in migrations/."""
    config = Config()
    config.set_main_option("script_location", str(ROOT / "migrations"))
    config.set_main_option("path_separator", "os")
    return config


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Bring the database to a revision, one migrating process at a time."""
    _run(engine, lambda config: command.upgrade(config, revision))


def downgrade(engine: Engine, revision: str) -> None:
    """Bring the database back to a revision (`base` for empty)."""
    _run(engine, lambda config: command.downgrade(config, revision))


def sql() -> str:
    """The SQL of all migrations, for people and linters."""
    config = alembic_config()
    config.output_buffer = io.StringIO()
    command.upgrade(config, "head", sql=True)
    return config.output_buffer.getvalue()


def _run(engine: Engine, act: Callable[[Config], None]) -> None:
    with engine.connect() as connection:
        connection.exec_driver_sql(f"SELECT pg_advisory_lock({LOCK_KEY})")
        connection.commit()
        try:
            config = alembic_config()
            config.attributes["connection"] = connection
            act(config)
        finally:
            connection.rollback()
            connection.exec_driver_sql(f"SELECT pg_advisory_unlock({LOCK_KEY})")
            connection.commit()


def reset(connection: Connection) -> None:
    """Drop everything in the schema `public`. For `pledgeworks db reset` and tests."""
    connection.exec_driver_sql("DROP SCHEMA public CASCADE")
    connection.exec_driver_sql("CREATE SCHEMA public")
