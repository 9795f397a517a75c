"""Back to the version before hosts: only where it would not take several machines for one, or put others beside who is alone."""

from datetime import datetime
from fractions import Fraction

import pytest
from sqlalchemy import create_engine, delete, update
from sqlalchemy.orm import Session

from compute.models import Job, Pool, PoolHost, SourceKind
from compute.services import catalogue
from core.clock import utc_now
from core.db.migrate import downgrade
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import World

NOW: datetime = utc_now()


def test_a_way_back_that_would_make_one_machine_of_several_is_refused(fresh_database: str) -> None:
    engine = create_engine(fresh_database)
    with Session(engine) as session, session.begin():
        flavor = catalogue.add_flavor(session, slug="h100", name="H100", vendor="NVIDIA", author=None, now=NOW)
        catalogue.set_rate(session, flavor, Fraction(1), valid_from=NOW, source="test", author=None, now=NOW)
        pool = catalogue.add_pool(
            session, slug="p", name="P", flavor=flavor, executor="scripted", devices=8, runs=[SourceKind.COMMAND], author=None,
            now=NOW,
        )  # fmt: skip
        world = World(session, NOW, flavor, pool)
        for name in ("a", "b"):
            session.add(PoolHost(pool_id=pool.id, name=name, devices=4, reason="new", set_at=NOW))
        project = world.project("vllm")
        world.grant(project, ticks=10 * TICKS_PER_GPU_HOUR)
        world.offer(world.organisation("aws"), ticks=10 * TICKS_PER_GPU_HOUR)
        world.job(project, exclusive=True)
    for pools, jobs in ((1, 1), (0, 1)):
        with pytest.raises(RuntimeError, match=f"each of {pools} pools with several hosts .* beside {jobs} jobs"):
            downgrade(engine, "0050_what_if_limits")
        with Session(engine) as session, session.begin():
            session.execute(delete(PoolHost).where(PoolHost.name == "b"))
            session.execute(update(Pool).values(devices=4))
    with Session(engine) as session, session.begin():
        session.execute(update(Job).values(status="cancelled", finished_at=NOW))
    downgrade(engine, "0050_what_if_limits")
    engine.dispose()
