"""How errors look, to people and to programs."""

from collections.abc import Iterator

import pytest
from flask import Blueprint, request
from psycopg.errors import OperationalError as DriverError
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session
from web_client import Client

from core import audit
from core.audit import Event
from core.clock import utc_now
from core.config import settings
from core.errors import DomainError, NotAllowed
from core.identity.models import Person
from core.web import build_app, db
from core.web.context import Application
from core.web.errors import SENTENCES


class NoMoney(DomainError):
    """A rule of a domain."""

    code = "insufficient_funds"


@pytest.fixture
def failing(app: Application, ada: Person) -> Iterator[None]:
    """Views that write something and then fail in every way."""
    known = dict(app.view_functions)
    bp = Blueprint("failing", __name__)

    @bp.route("/failing/<kind>", methods=["GET", "POST"])
    def fail(kind: str) -> str:
        audit.record(db(), "test.written", db().query(Person).one(), actor=None, at=utc_now())
        db().flush()
        match kind:
            case "rule":
                raise NoMoney("The fund holds $600.00, less than this $750.00 payout.", available=60_000)
            case "role":
                raise NotAllowed("This needs the role “finance”.")
            case "bug":
                raise ZeroDivisionError
            case "database":
                raise OperationalError("SELECT 1", {}, DriverError("server closed the connection unexpectedly"))
        return "written"

    if "failing.fail" not in known:
        app._got_first_request = False  # one application serves the whole run; these routes are added late
        bp.enable_openapi = False  # type: ignore[attr-defined]
        app.register_blueprint(bp)
    app.testing, app.config["PROPAGATE_EXCEPTIONS"] = False, False
    yield
    app.testing, app.config["PROPAGATE_EXCEPTIONS"] = True, None


def written(session: Session) -> int:
    return session.query(Event).filter_by(verb="test.written").count()


@pytest.mark.usefixtures("failing")
class TestFailures:
    @pytest.mark.parametrize(
        ("kind", "status", "says"),
        [
            ("rule", 409, "The fund holds $600.00, less than this $750.00 payout."),
            ("role", 403, "This needs the role “finance”."),
            ("bug", 500, "It has been written down"),
            ("database", 503, "Please try again in a moment."),
        ],
    )
    def test_people_get_a_page_that_says_what_to_do(
        self, client: Client, session: Session, kind: str, status: int, says: str
    ) -> None:
        page = client.get(f"/failing/{kind}")
        assert page.status == status
        assert page.h1 == SENTENCES[status][0]
        assert says in page.words
        assert written(session) == 0

    def test_programs_get_a_problem_with_the_numbers(self, client: Client, session: Session) -> None:
        page = client.get("/failing/rule", headers={"Accept": "application/json"})
        assert page.status == 409
        assert page.json["code"] == "insufficient_funds"
        assert page.json["available"] == 60_000
        assert page.json["detail"] == "The fund holds $600.00, less than this $750.00 payout."
        assert written(session) == 0

    def test_a_view_that_returns_is_committed(self, client: Client, session: Session) -> None:
        client.flask.get("/failing/not")
        assert written(session) == 1

    def test_the_bug_page_names_the_request_and_nothing_of_the_bug(self, client: Client) -> None:
        page = client.get("/failing/bug")
        assert page.headers["X-Request-Id"] in page.text
        assert "ZeroDivision" not in page.text


def test_no_page_is_a_page(client: Client, ada: Person) -> None:
    page = client.get("/no/such/page")
    assert (page.status, page.h1) == (404, "There is no such page")


def test_under_api_every_error_is_a_problem(client: Client, ada: Person) -> None:
    page = client.get("/api/v1/no/such/thing", headers={"Accept": "text/html"})
    assert page.status == 404
    assert page.json["code"] == "not_found"


def test_a_method_that_is_not_there_is_told_with_the_ones_that_are(client: Client, ada: Person) -> None:
    page = client.post("/projects")
    assert page.status == 405
    assert "GET" in page.headers["Allow"]


def test_another_hosts_name_is_refused(client: Client, ada: Person) -> None:
    page = client.get("/", headers={"Host": "evil.example"})
    assert page.status == 400
    assert "evil.example is not an address of this installation" in page.words
    assert client.get("/healthz", headers={"Host": "10.0.0.7:8000"}).status == 200


@pytest.mark.parametrize("address", ["/projects/a%00b", "/compute/pools/%00", "/jobs?project=%00", "/jobs?%00=vllm"])
def test_an_address_with_a_nul_is_refused_before_the_database_is_asked(client: Client, ada: Person, address: str) -> None:
    page = client.get(address)
    assert page.status == 400
    assert "NUL" in page.words


def test_a_body_beyond_the_limit_is_refused(client: Client, ada: Person) -> None:
    page = client.post("/sign-in", {"email": "x" * 3_000_000, "password": "y"})
    assert (page.status, page.h1) == (413, "That is too large")


def test_a_form_without_its_token_writes_nothing_and_keeps_what_was_typed(client: Client, ada: Person) -> None:
    client.sign_in(ada)
    page = client.post("/account/name", {"name": "Ada Lovelace"}, csrf=False, headers={"Sec-Fetch-Site": "same-origin"})
    assert (page.status, page.h1) == (400, "Please send this again")
    assert ada.name == "Ada Maintainer"
    again = client.submit(page, "Send it again")
    assert again.status == 303
    assert ada.name == "Ada Lovelace"


def test_another_sites_form_is_not_offered_to_be_sent_again(client: Client, ada: Person) -> None:
    client.sign_in(ada)
    page = client.post("/account/name", {"name": "Mallory"}, csrf=False, headers={"Sec-Fetch-Site": "cross-site"})
    assert page.status == 400
    assert "Mallory" not in page.text


def test_a_password_is_never_shown_again(client: Client, ada: Person) -> None:
    page = client.post(
        "/sign-in", {"email": "ada@example.org", "password": "my secret words"}, csrf=False,
        headers={"Sec-Fetch-Site": "same-origin"},
    )  # fmt: skip
    assert page.status == 400
    assert "my secret words" not in page.text
    assert "ada@example.org" in page.text


def test_static_files_carry_the_headers_too(client: Client, ada: Person) -> None:
    answer = client.get("/static/css/tokens.css")
    assert answer.status == 200
    assert "max-age=31536000" in answer.headers["Cache-Control"]


@pytest.mark.parametrize(("proxies", "address"), [(0, "127.0.0.1"), (1, "203.0.113.9")])
def test_only_trusted_proxies_say_where_somebody_comes_from(monkeypatch: pytest.MonkeyPatch, proxies: int, address: str) -> None:
    monkeypatch.setenv("PLEDGEWORKS_TRUSTED_PROXIES", str(proxies))
    settings.cache_clear()
    behind = build_app(pages=[], apis=[])
    behind.add_url_rule("/address", "web.healthz", lambda: request.remote_addr or "")
    answer = behind.test_client().get("/address", headers={"X-Forwarded-For": "198.51.100.1, 203.0.113.9"})
    assert answer.get_data(as_text=True) == address
