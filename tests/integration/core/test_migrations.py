"""The migrations lead from nothing to exactly the models, and back."""

from datetime import UTC, datetime

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, delete, inspect, update
from sqlalchemy.orm import Session

import core.metadata
from compute.models import Flavor, Pool, Trust
from core.books.models import Explanation, Subject
from core.db import new_id
from core.db.migrate import downgrade, upgrade
from core.identity.models import Person


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


def test_a_way_back_that_would_lose_what_people_said_is_refused(fresh_database: str) -> None:
    engine = create_engine(fresh_database)
    now = datetime(2026, 11, 2, tzinfo=UTC)
    with Session(engine) as session, session.begin():
        author = Person(id=new_id(), email="fin@example.org", name="Fin", created_at=now)
        said = {"text": "A fee of theirs.", "proposed_by": author, "proposed_at": now}
        session.add(Explanation(id=new_id(), subject=Subject.PROVIDER_BALANCE, subject_id=new_id(), **said))
    with pytest.raises(RuntimeError, match=r"this database has 1\. Export them"):
        downgrade(engine, "0039_idle_holding")
    with Session(engine) as session, session.begin():
        assert session.scalar(delete(Explanation).returning(Explanation.subject)) is Subject.PROVIDER_BALANCE
    downgrade(engine, "0039_idle_holding")
    engine.dispose()


def test_a_way_back_that_would_open_a_pool_to_everybodys_code_is_refused(fresh_database: str) -> None:
    engine = create_engine(fresh_database)
    with Session(engine) as session, session.begin():
        now = datetime(2026, 11, 2, tzinfo=UTC)
        flavor = Flavor(id=new_id(), slug="h100", name="H100", vendor="NVIDIA", created_at=now)
        session.add(
            Pool(
                id=new_id(), slug="lab", name="Lab", flavor=flavor, executor="local", endpoint="", region="", devices=1,
                runs=["repository"], trust=Trust.REVIEWED, created_at=now,
            )
        )  # fmt: skip
    with pytest.raises(RuntimeError, match="would let everybody's code into Lab"):
        downgrade(engine, "0045_run_limits")
    with Session(engine) as session, session.begin():
        session.execute(update(Pool).values(trust=Trust.OPEN))
    downgrade(engine, "0045_run_limits")
    engine.dispose()
