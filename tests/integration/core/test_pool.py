"""Pooled connections that died while they rested are replaced, not handed out."""

import pytest
from sqlalchemy import create_engine, text

from core.db import session as db_session
from core.db.session import make_engine

END_THEM = text(
    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
    "WHERE datname = current_database() AND application_name = 'pledgeworks'"
)


def test_a_connection_that_died_at_rest_is_replaced(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(db_session, "REST_SECONDS", 0.0)
    engine, other = make_engine(fresh_database), create_engine(fresh_database)
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    with other.connect() as connection:
        assert connection.scalar(END_THEM) == 1
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()
    other.dispose()
