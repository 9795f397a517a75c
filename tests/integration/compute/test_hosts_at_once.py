"""Two officers change a host at the same moment: the second sees what the first one did."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from fractions import Fraction
from typing import Protocol

import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from compute.models import Pool, PoolHost, SourceKind
from compute.queries import hosts as host_queries
from compute.services import catalogue, hosts
from core.audit import Event
from core.clock import utc_now
from core.db import new_id
from core.errors import NotFound
from core.identity.models import Membership, Person, Role
from tests.integration.compute.conftest import World, until_one_waits_for_a_lock

NOW: datetime = utc_now()


class Act(Protocol):
    """What an officer does with host b, as they saw it."""

    def __call__(self, session: Session, row: PoolHost, officer: Person) -> None: ...


@pytest.fixture
def engine(fresh_database: str) -> Iterator[Engine]:
    """A pool of hosts a and b of four devices each, and an officer."""
    made = create_engine(fresh_database)
    with Session(made) as session, session.begin():
        flavor = catalogue.add_flavor(session, slug="h100", name="H100", vendor="NVIDIA", author=None, now=NOW)
        catalogue.set_rate(session, flavor, Fraction(1), valid_from=NOW, source="test", author=None, now=NOW)
        pool = catalogue.add_pool(
            session, slug="p", name="P", flavor=flavor, executor="scripted", devices=4, runs=[SourceKind.COMMAND], author=None,
            now=NOW,
        )  # fmt: skip
        officer = World(session, NOW, flavor, pool).person("Olga")
        session.add(Membership(id=new_id(), person_id=officer.id, role=Role.PROGRAMME_OFFICER, from_on=NOW.date()))
        session.flush()
        for name in ("a", "b"):
            hosts.add(session, pool, name=name, devices=4, reason="new", actor=officer, now=NOW)
    yield made
    made.dispose()


def at_once(engine: Engine, first: Act, second: Act) -> Future[None]:
    """Both have looked at host b before either writes, and the first one commits first."""

    def do_second() -> None:
        with Session(engine) as session, session.begin():
            second(session, *seen(session))

    with ThreadPoolExecutor(1) as thread, Session(engine) as session, session.begin():
        first(session, *seen(session))
        answer = thread.submit(do_second)
        until_one_waits_for_a_lock(engine)
        session.commit()
        answer.exception(timeout=20)
    return answer


def seen(session: Session) -> tuple[PoolHost, Person]:
    row = host_queries.named(session, session.scalars(select(Pool)).one(), "b")
    return row, session.scalars(select(Person)).one()


def removes(session: Session, row: PoolHost, officer: Person) -> None:
    hosts.remove(session, row, reason="sold", actor=officer, now=NOW)


def takes_out(session: Session, row: PoolHost, officer: Person) -> None:
    hosts.change(session, row, devices=None, in_service=False, reason="new fans", actor=officer, now=NOW)


def halves(session: Session, row: PoolHost, officer: Person) -> None:
    hosts.change(session, row, devices=2, in_service=None, reason="two are broken", actor=officer, now=NOW)


@pytest.mark.parametrize("second", [removes, takes_out])
def test_who_changes_or_removes_a_host_that_was_removed_a_moment_ago_is_told(engine: Engine, second: Act) -> None:
    answer = at_once(engine, removes, second)
    with pytest.raises(NotFound, match="no host “b” any more: somebody removed it a moment ago"):
        answer.result()
    with Session(engine) as session:
        assert [row.name for row in session.scalars(select(PoolHost))] == ["a"]
        assert session.scalars(select(Pool.devices)).one() == 4
        told = session.scalars(select(Event.verb).where(Event.verb == "pool.host_removed")).all()
        assert len(told) == 1


def test_who_takes_a_host_out_of_service_leaves_it_the_devices_that_another_one_counted(engine: Engine) -> None:
    at_once(engine, halves, takes_out).result()
    with Session(engine) as session:
        row, _ = seen(session)
        assert (row.devices, row.in_service, row.pool.devices) == (2, False, 4)
