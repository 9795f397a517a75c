"""Two officers set the first of its kind at the same moment: one is taken, and the other is told."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction

import pytest
from sqlalchemy import create_engine
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from compute.models import Pool, PriorityUse, RunLimit, SourceKind
from compute.scheduling import Limit
from compute.services import catalogue, priorities, quotas, run_limits
from compute.services.priorities import NewClass
from compute.services.quotas import Terms
from core.clock import utc_now
from core.db import new_id
from core.db.firsts import MadeMeanwhile, add_first
from core.identity.models import Membership, Person, Role
from tests.integration.compute.conftest import World, until_one_waits_for_a_lock

NOW = utc_now()
SPARE = NewClass("spare", "Spare", -10, PriorityUse.EVERYBODY, needs_reason=False, month_ticks=None)


def a_limit(session: Session, officer: Person) -> object:
    return run_limits.set_limit(session, None, Limit(jobs=5), reason="A loop.", actor=officer, now=NOW)


def a_class(session: Session, officer: Person) -> object:
    return priorities.set_class(session, SPARE, actor=officer, now=NOW)


def terms(session: Session, officer: Person) -> object:
    pool = session.query(Pool).one()
    return quotas.set_group(session, pool, Terms("shared", 60, 0), reason="Both pay.", actor=officer, now=NOW)


@pytest.mark.parametrize("act", [a_limit, a_class, terms])
def test_the_second_is_told_and_changes_nothing(fresh_database: str, act: Callable[[Session, Person], object]) -> None:
    engine = create_engine(fresh_database)
    with Session(engine) as session, session.begin():
        flavor = catalogue.add_flavor(session, slug="h100", name="H100", vendor="NVIDIA", author=None, now=NOW)
        catalogue.set_rate(session, flavor, Fraction(1), valid_from=NOW, source="test", author=None, now=NOW)
        pool = catalogue.add_pool(
            session, slug="p", name="P", flavor=flavor, executor="scripted", devices=8, runs=[SourceKind.COMMAND], author=None,
            now=NOW,
        )  # fmt: skip
        officer = World(session, NOW, flavor, pool).person("Olga")
        session.add(Membership(id=new_id(), person_id=officer.id, role=Role.PROGRAMME_OFFICER, from_on=NOW.date()))
        officer_id = officer.id

    def second() -> None:
        with Session(engine) as session, session.begin():
            act(session, session.get_one(Person, officer_id))

    with ThreadPoolExecutor(1) as thread:
        with Session(engine) as session, session.begin():
            act(session, session.get_one(Person, officer_id))
            answer = thread.submit(second)
            until_one_waits_for_a_lock(engine)
        with pytest.raises(MadeMeanwhile, match=r"Somebody else set .* a moment ago"):
            answer.result(timeout=20)
    second()  # what is there is set anew, as ever
    engine.dispose()


def test_what_else_the_database_refuses_is_no_such_thing(world: World) -> None:
    wrong = RunLimit(id=new_id(), jobs=0, reason="x", set_at=world.now)
    with pytest.raises(IntegrityError, match="ck_run_limit_sizes"):
        add_first(world.session, wrong, "this limit")
