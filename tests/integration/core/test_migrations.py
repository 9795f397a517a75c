"""The migrations lead from nothing to exactly the models, and back."""

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect

import core.metadata
from core.db.migrate import downgrade, upgrade


def test_up_down_up_ends_where_the_models_are(empty_database: str) -> None:
    engine = create_engine(empty_database)
    upgrade(engine)
    downgrade(engine, "base")
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    upgrade(engine)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, core.metadata.complete()) == []
    engine.dispose()
