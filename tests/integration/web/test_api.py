"""The API's shell: tokens, scopes, idempotency, limits, description."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from apiflask import APIBlueprint
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session
from web_client import Client

from core import audit
from core.audit import Event
from core.clock import utc_now
from core.errors import DomainError
from core.identity import limits, tokens
from core.identity.models import Person
from core.web import api, current_person, db
from core.web.context import Application

READ = api.scope("things:read", "See things")
WRITE = api.scope("things:write", "Make things")


class ThingIn(BaseModel):
    name: str = Field(min_length=1, max_length=20)


class ThingOut(BaseModel):
    name: str
    made_by: str


bp = APIBlueprint("things_api", __name__, url_prefix="/api/v1")


@bp.post("/things")
@bp.input(ThingIn)
@bp.output(ThingOut, status_code=201)
@api.authenticated(WRITE)
@api.idempotent
def create_thing(json_data: ThingIn) -> ThingOut:
    """Make a thing."""
    if json_data.name == "refused":
        raise DomainError("There are enough things.")
    audit.record(db(), "thing.made", current_person(), actor=current_person(), at=utc_now())
    return ThingOut(name=json_data.name, made_by=current_person().email)


@bp.get("/things")
@bp.output(ThingOut)
@api.authenticated(READ)
def read_thing() -> ThingOut:
    """See a thing."""
    return ThingOut(name="one", made_by=current_person().email)


@pytest.fixture(autouse=True)
def things(app: Application) -> Iterator[None]:
    if "things_api" not in app.blueprints:
        app._got_first_request = False  # one application serves the whole run; these routes are added late
        app.extensions["csrf"].exempt(bp)
        app.register_blueprint(bp)
    app._spec = None
    yield
    app._spec = None


@pytest.fixture
def secret(session: Session, ada: Person, moment: datetime) -> str:
    return issue(session, ada, moment, READ, WRITE)


def issue(session: Session, person: Person, now: datetime, *scopes: str, lifetime: timedelta = timedelta(days=1)) -> str:
    made = tokens.issue(session, person, name="Test", scopes=scopes, known_scopes=api.SCOPES, lifetime=lifetime, now=now)
    return made.secret


def made(session: Session) -> int:
    return session.query(Event).filter_by(verb="thing.made").count()


def test_a_living_token_acts_as_its_person(client: Client, secret: str) -> None:
    answer = client.api("GET", "/api/v1/things", token=secret)
    assert (answer.status, answer.json) == (200, {"name": "one", "made_by": "ada@example.org"})


def test_a_session_cookie_opens_nothing_in_the_api(client: Client, ada: Person) -> None:
    client.sign_in(ada)
    assert client.api("GET", "/api/v1/things").status == 401


@pytest.mark.parametrize("wrong", [None, "pw_wrong", ""])
def test_without_a_living_token_nothing_is_said(client: Client, ada: Person, wrong: str | None) -> None:
    answer = client.api("GET", "/api/v1/things", token=wrong)
    assert (answer.status, answer.json["code"]) == (401, "bad_token")


def test_expired_revoked_and_closed_accounts_tokens_are_dead(
    client: Client, session: Session, ada: Person, moment: datetime
) -> None:
    old = issue(session, ada, moment - timedelta(days=2), READ)
    assert client.api("GET", "/api/v1/things", token=old).status == 401
    living = issue(session, ada, moment, READ)
    tokens.revoke(session, ada, tokens.find(session, living, now=moment).id, now=moment)
    assert client.api("GET", "/api/v1/things", token=living).status == 401
    another = issue(session, ada, moment, READ)
    ada.disabled_at = moment
    assert client.api("GET", "/api/v1/things", token=another).status == 401


def test_a_token_does_no_more_than_its_scopes(client: Client, session: Session, ada: Person, moment: datetime) -> None:
    reader = issue(session, ada, moment, READ)
    answer = client.api("POST", "/api/v1/things", token=reader, body={"name": "x"}, key="key-00001")
    assert (answer.status, answer.json["code"], answer.json["scope"]) == (403, "scope_missing", WRITE)


def test_a_repeated_post_gets_the_first_answer_and_does_nothing_again(client: Client, session: Session, secret: str) -> None:
    first = client.api("POST", "/api/v1/things", token=secret, body={"name": "x"}, key="key-00001")
    again = client.api("POST", "/api/v1/things", token=secret, body={"name": "x"}, key="key-00001")
    assert first.status == again.status == 201
    assert first.json == again.json
    assert again.headers["Idempotency-Replayed"] == "true"
    assert made(session) == 1


def test_a_key_used_for_another_request_is_refused(client: Client, session: Session, secret: str) -> None:
    client.api("POST", "/api/v1/things", token=secret, body={"name": "x"}, key="key-00001")
    other = client.api("POST", "/api/v1/things", token=secret, body={"name": "y"}, key="key-00001")
    assert (other.status, other.json["code"]) == (422, "idempotency_key_reused")
    assert made(session) == 1


def test_a_refused_post_leaves_its_key_free(client: Client, session: Session, secret: str) -> None:
    refused = client.api("POST", "/api/v1/things", token=secret, body={"name": "refused"}, key="key-00001")
    assert refused.status == 409
    retried = client.api("POST", "/api/v1/things", token=secret, body={"name": "x"}, key="key-00001")
    assert retried.status == 201


@pytest.mark.parametrize("key", [None, "short", "with space", "x" * 201])
def test_a_post_without_a_usable_key_is_refused(client: Client, session: Session, secret: str, key: str | None) -> None:
    answer = client.api("POST", "/api/v1/things", token=secret, body={"name": "x"}, key=key)
    assert (answer.status, answer.json["code"]) == (400, "idempotency_key_missing")
    assert made(session) == 0


def test_input_errors_name_their_place(client: Client, secret: str) -> None:
    answer = client.api("POST", "/api/v1/things", token=secret, body={"name": ""}, key="key-00001")
    assert (answer.status, answer.json["code"]) == (422, "invalid_input")
    assert answer.json["errors"][0]["path"] == "name"


def test_a_token_that_asks_too_often_waits(client: Client, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "PER_TOKEN", limits.Limit(count=2, per=timedelta(minutes=1)))
    statuses = [client.api("GET", "/api/v1/things", token=secret) for _ in range(3)]
    assert [answer.status for answer in statuses] == [200, 200, 429]
    assert 1 <= int(statuses[-1].headers["Retry-After"]) <= 60


def test_the_description_says_what_the_decorators_demand(client: Client, ada: Person) -> None:
    spec: dict[str, Any] = client.get("/api/v1/openapi.json").json
    assert spec["openapi"].startswith("3.1")
    operation = spec["paths"]["/api/v1/things"]["post"]
    assert operation["security"] == [{"token": []}]
    assert operation["x-scopes"] == [WRITE]
    assert [p["name"] for p in operation["parameters"] if p["in"] == "header"] == ["Idempotency-Key"]
    assert "application/problem+json" in operation["responses"]["default"]["content"]
    assert all(path.startswith("/api/v1/") for path in spec["paths"])
