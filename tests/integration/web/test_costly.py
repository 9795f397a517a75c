"""Public pages that read a whole history: however often and by however many they are asked for, the database works once."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from datetime import timedelta
from fractions import Fraction
from itertools import islice
from typing import Any
from uuid import UUID

import pytest
from flask.testing import FlaskClient
from markupsafe import Markup
from sqlalchemy import Engine, create_engine, event
from sqlalchemy.orm import Session

from compute.api import bp as jobs_api
from compute.models import Job, JobKind, OfferKind, SourceKind
from compute.queries import explain as explaining
from compute.services import attempts, catalogue, compute_grants, lifecycle, offers, submit
from compute.services.new_jobs import NewJob
from compute.services.offers import NewOffer
from compute.views import bp as compute
from core.clock import utc_now
from core.db import new_id
from core.identity import people, tokens
from core.identity.models import Organisation, Project
from core.identity.pages import bp as identity
from core.ledger.views import bp as books
from core.units import TICKS_PER_GPU_HOUR
from core.web import build_app, costly, public_pages
from core.web.views import bp as work

HISTORY = ("job_attempt", "usage_record", "attempt_draw", "job_wait", "ledger_transfer")
"""Tables that grow with every job."""


@pytest.fixture
def engine(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    made = create_engine(fresh_database)
    monkeypatch.setattr("core.web.context.engine", lambda: made)
    monkeypatch.setattr(costly, "PATIENCE_SECONDS", 0.0)
    costly._kept.clear()
    now = utc_now()
    with Session(made) as session, session.begin():
        people.create(session, email="root@example.org", name="Root", password="correct horse battery", actor=None, now=now)
        donor = Organisation(id=new_id(), slug="aws", name="AWS", created_at=now)
        session.add(donor)
        session.flush()
        flavor = catalogue.add_flavor(session, slug="cpu", name="CPU slot", vendor="Anybody", author=None, now=now)
        catalogue.set_rate(session, flavor, Fraction(1), valid_from=now, source="A test", author=None, now=now)
        pool = catalogue.add_pool(
            session, slug="here", name="Here", flavor=flavor, executor="local", devices=2, runs=[SourceKind.COMMAND], author=None,
            now=now,
        )  # fmt: skip
        new = NewOffer(
            name="Two slots", kind=OfferKind.MACHINE, flavor=flavor, devices=2, opens_at=now,
            closes_at=now + timedelta(days=20), given_ticks=100 * TICKS_PER_GPU_HOUR,
        )  # fmt: skip
        offer = offers.propose(session, donor, new, actor=None, now=now)
        offers.accept(session, offer, pool, actor=None, now=now)
        lifecycle.pass_offers(session, now=now)
    yield made
    costly._kept.clear()
    made.dispose()


@pytest.fixture
def visitor(engine: Engine) -> FlaskClient:
    return build_app(pages=[identity, work, compute, books], apis=[jobs_api]).test_client()


@contextmanager
def statements_of(engine: Engine) -> Iterator[list[str]]:
    """Every SQL statement that reads a history meanwhile."""
    seen: list[str] = []

    def keep(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        if any(table in statement for table in HISTORY):
            seen.append(statement)

    event.listen(engine, "before_cursor_execute", keep)
    yield seen
    event.remove(engine, "before_cursor_execute", keep)


MONTH = f"{utc_now():%Y-%m}"
ADDRESSES = [
    "/compute/fairness?flavor=cpu",
    "/compute/fairness?flavor=cpu&days=90",
    "/compute/utilisation",
    "/compute/donors/aws",
    f"/compute/donors/aws/statements/{MONTH}",
    f"/compute/donors/aws/statements/{MONTH}.csv",
    f"/compute/donors/aws/statements/{MONTH}.pdf",
    f"/compute/donors/aws/statements/{MONTH}/entries.csv",
]


def test_asked_for_again_no_history_is_read_whatever_the_request_says(engine: Engine, visitor: FlaskClient) -> None:
    first = {}
    for address in ADDRESSES:
        with statements_of(engine) as read:
            first[address] = visitor.get(address)
        assert first[address].status_code == 200, address
        assert read, address
    visitor.set_cookie(public_pages.CHANGED, "1")
    for address in ADDRESSES:
        with statements_of(engine) as read:
            again = visitor.get(address + ("&" if "?" in address else "?") + "anything=1")
        assert again.status_code == 200, address
        assert not read, address
        if address.endswith(("csv", "pdf")):
            assert again.get_data() == first[address].get_data()


def test_it_is_drawn_again_later(engine: Engine, visitor: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    visitor.get("/compute/donors/aws")
    monkeypatch.setattr("time.monotonic", lambda: 10**9)
    with statements_of(engine) as read:
        visitor.get("/compute/donors/aws")
    assert read


def test_two_are_never_drawn_at_once_and_the_other_is_told_when_to_come_again(engine: Engine, visitor: FlaskClient) -> None:
    visitor.get(ADDRESSES[0])
    with costly._drawing[costly.Reads.HISTORY], statements_of(engine) as read:
        assert visitor.get(ADDRESSES[0]).status_code == 200  # this one is kept
        for address in ADDRESSES[1:]:
            refused = visitor.get(address)
            assert (refused.status_code, refused.headers["Retry-After"]) == (429, "5"), address
    assert not read
    with costly._drawing[costly.Reads.HISTORY]:
        assert visitor.get("/compute").status_code == 200, "whoever has all statements drawn closes the overview to nobody"
    assert visitor.get(ADDRESSES[1]).status_code == 200


def test_while_others_are_drawn_an_older_copy_is_shown(
    engine: Engine, visitor: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    visitor.get(ADDRESSES[3])
    began = time.monotonic()
    with costly._drawing[costly.Reads.HISTORY], statements_of(engine) as read:
        monkeypatch.setattr("core.web.costly.time.monotonic", lambda: began + costly.KEPT_SECONDS * 9)
        assert visitor.get(ADDRESSES[3]).status_code == 200
        monkeypatch.setattr("core.web.costly.time.monotonic", lambda: began + costly.KEPT_SECONDS * 11)
        refused = visitor.get(ADDRESSES[3])
    assert not read
    page = refused.get_data(as_text=True)
    assert refused.status_code == 429
    assert "Other visitors are having pages like this drawn. Wait 5 seconds, then ask again." in page
    assert '<a class="button" href="">Try again</a>' in page
    assert page.lower().count("try again") == 1
    assert "Nothing was changed" not in page


def test_refusals_take_no_thread_from_the_rest_of_the_site(
    engine: Engine, visitor: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A dozen for addresses that are being drawn, and then a cheap page: all by the three threads of one process."""
    monkeypatch.setattr(costly, "PATIENCE_SECONDS", 60.0)
    app = visitor.application

    def asked(address: str) -> int:
        return app.test_client().get(address).status_code

    addresses = [f"/compute/{page}?flavor=cpu&days={days}" for page in ("fairness", "utilisation") for days in (7, 30, 90)] * 2
    with ThreadPoolExecutor(3) as process, costly._drawing[costly.Reads.HISTORY]:
        refused = [process.submit(asked, address) for address in addresses]
        assert process.submit(asked, "/healthz").result(timeout=20) == 200
        told = list(islice(as_completed(refused, timeout=20), len(refused) - 1))  # one may wait
        assert {each.result() for each in told} == {429}


def test_nobody_waits_while_two_kinds_are_drawn(engine: Engine, visitor: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costly, "PATIENCE_SECONDS", 60.0)
    with costly._drawing[costly.Reads.LINE], costly._drawing[costly.Reads.HISTORY], ThreadPoolExecutor(1) as thread:
        answer = thread.submit(visitor.get, ADDRESSES[0])
        assert answer.result(timeout=20).status_code == 429


def test_a_line_is_planned_for_one_visitor_at_a_time_and_keeps_nobody_from_the_histories(
    engine: Engine, visitor: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[str] = []
    monkeypatch.setattr("compute.views.jobs.executors", dict)
    monkeypatch.setattr("compute.views.jobs.explaining.explain", lambda _session, job, **_given: planned.append(job.name))
    monkeypatch.setattr("compute.views.jobs.draw", lambda title, *_template, **_shown: public_pages.Drawn(title, Markup("drawn")))
    with Session(engine) as session, session.begin():
        job = waiting_job(session)
    for _ in range(3):
        assert "drawn" in visitor.get(f"/jobs/{job}/explanation").get_data(as_text=True)
    assert planned == ["kernel tests"]
    costly._kept.clear()
    with costly._drawing[costly.Reads.LINE]:
        assert visitor.get(f"/jobs/{job}/explanation").status_code == 429
        assert visitor.get(ADDRESSES[0]).status_code == 200
    assert planned == ["kernel tests"]


def test_programs_that_ask_for_many_explanations_have_one_planned_at_a_time(
    engine: Engine, visitor: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    planned: list[str] = []
    explain = explaining.explain

    def counted(session: Session, job: Job, **given: Any) -> explaining.Explanation:
        planned.append(job.name)
        return explain(session, job, **given)

    monkeypatch.setattr("compute.api.explaining.explain", counted)
    monkeypatch.setattr("compute.api.executors", dict)
    with Session(engine) as session, session.begin():
        job, root = waiting_job(session), people.by_email(session, "root@example.org")
        assert root is not None
        issued = tokens.issue(
            session, root, name="CI", scopes=["jobs:read"], known_scopes=["jobs:read"], lifetime=timedelta(days=1), now=utc_now()
        )
    asked = {"path": f"/api/v1/jobs/{job}/explanation", "headers": {"Authorization": f"Bearer {issued.secret}"}}
    first = visitor.get(**asked)
    assert (first.status_code, first.json["id"]) == (200, str(job))
    assert visitor.get(**asked).json == first.json
    assert planned == ["kernel tests"]
    costly._kept.clear()
    with costly._drawing[costly.Reads.LINE]:
        refused = visitor.get(**asked)
    assert (refused.status_code, refused.headers["Retry-After"], refused.json["code"]) == (429, "5", "too_many")
    assert planned == ["kernel tests"]


def test_what_waits_no_more_is_said_at_once_and_keeps_nobody_from_an_explanation(
    engine: Engine, visitor: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Jobs that ended are many more than those that wait: whoever goes round them must not keep the line busy."""
    for place in ("api", "views.jobs"):
        monkeypatch.setattr(f"compute.{place}.executors", dict)
    with Session(engine) as session, session.begin():
        job, root = waiting_job(session), people.by_email(session, "root@example.org")
        assert root is not None
        issued = tokens.issue(
            session, root, name="CI", scopes=["jobs:read"], known_scopes=["jobs:read"], lifetime=timedelta(days=1), now=utc_now()
        )
    asked = {"path": f"/api/v1/jobs/{job}/explanation", "headers": {"Authorization": f"Bearer {issued.secret}"}}
    assert visitor.get(**asked).json["status"] == "queued"
    assert "It does not wait" not in visitor.get(f"/jobs/{job}/explanation").get_data(as_text=True)
    with Session(engine) as session, session.begin():
        attempts.cancel(session, job, actor=None, reason="Not needed.", now=utc_now())
    monkeypatch.setattr("compute.queries.snapshot.take", lambda *_, **__: pytest.fail("The line was read."))
    with costly._drawing[costly.Reads.LINE]:
        assert visitor.get(**asked).json["status"] == "cancelled"
        assert "It does not wait: it is cancelled." in visitor.get(f"/jobs/{job}/explanation").get_data(as_text=True)


def waiting_job(session: Session) -> UUID:
    now, root = utc_now(), people.by_email(session, "root@example.org")
    assert root is not None
    project = Project(id=new_id(), slug="vllm", name="vLLM", created_at=now)
    session.add(project)
    session.flush()
    grant = compute_grants.request(
        session, project, title="Hours", purpose="CI", ticks=10 * TICKS_PER_GPU_HOUR, starts_at=now,
        expires_at=now + timedelta(days=9), requested_by=None, now=now,
    )  # fmt: skip
    compute_grants.review(session, grant, note="Sound.", reviewer=root, now=now)
    compute_grants.approve(session, grant, decided_by=root, now=now)
    given = NewJob(
        name="kernel tests", kind=JobKind.CI, source=SourceKind.COMMAND, command="true", flavor="cpu", gpus=1, wall_seconds=60
    )
    return submit.submit(session, project, given, submitter=None, now=now).id


def test_months_without_a_statement_cost_nothing(engine: Engine, visitor: FlaskClient) -> None:
    with statements_of(engine) as read:
        for month in ("2001-01", "2099-12"):
            answer = visitor.get(f"/compute/donors/aws/statements/{month}")
            assert answer.status_code == 404
            assert f"There is no statement of AWS for {month}" in answer.get_data(as_text=True)
    assert not read


def test_what_is_kept_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(costly, "KEPT_CHARACTERS_MAX", 100)
    costly._kept.clear()
    for number in range(5):
        costly._keep((number,), b"x" * 40)
    assert list(costly._kept) == [(3,), (4,)]
    costly._keep((5,), b"x" * 101)
    assert not costly._kept
