"""Two programs with one key at the same moment: one deed, one answer."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from apiflask import APIBlueprint
from pydantic import BaseModel
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from core import audit
from core.audit import Event
from core.clock import utc_now
from core.identity import limits, people, tokens
from core.web import api, build_app, current_person, db
from core.web.context import Application

SCOPE = api.scope("races:run", "Run races")
RUNNERS = 6


class Done(BaseModel):
    by: str


bp = APIBlueprint("races_api", __name__, url_prefix="/api/v1")


@bp.post("/races")
@bp.output(Done, status_code=201)
@api.authenticated(SCOPE)
@api.idempotent
def run_race() -> Done:
    """Do something once."""
    audit.record(db(), "race.run", current_person(), actor=current_person(), at=utc_now())
    return Done(by=current_person().email)


@pytest.fixture
def racing(fresh_database: str) -> Iterator[tuple[Application, str]]:
    app = build_app(pages=[], apis=[bp])
    engine = create_engine(fresh_database, pool_size=RUNNERS * 2)
    app.bind = engine
    with Session(engine) as session, session.begin():
        ada = people.create(session, email="ada@example.org", name="Ada", actor=None, now=utc_now())
        made = tokens.issue(
            session, ada, name="CI", scopes=[SCOPE], known_scopes=api.SCOPES, lifetime=timedelta(days=1), now=utc_now()
        )
    yield app, made.secret
    engine.dispose()


def test_one_key_at_the_same_moment_is_one_deed(racing: tuple[Application, str]) -> None:
    app, secret = racing
    start = Barrier(RUNNERS)

    def post(_: int) -> tuple[int, str]:
        start.wait()
        answer = app.test_client().post(
            "/api/v1/races", headers={"Authorization": f"Bearer {secret}", "Idempotency-Key": "one-and-only"}
        )
        return answer.status_code, answer.get_data(as_text=True)

    with ThreadPoolExecutor(RUNNERS) as pool:
        answers = list(pool.map(post, range(RUNNERS)))
    assert {status for status, _ in answers} == {201}
    assert len({body for _, body in answers}) == 1
    with Session(app.bind) as session:
        assert len(session.scalars(select(Event).where(Event.verb == "race.run")).all()) == 1


def test_a_limit_counts_every_one_of_many_at_once(racing: tuple[Application, str]) -> None:
    app, _ = racing
    start = Barrier(RUNNERS)

    def take(_: int) -> int:
        with Session(app.bind) as session:
            start.wait()
            return limits.take(session, "race", limits.Limit(3, timedelta(minutes=1)), now=utc_now()).count

    with ThreadPoolExecutor(RUNNERS) as pool:
        assert sorted(pool.map(take, range(RUNNERS))) == list(range(1, RUNNERS + 1))
