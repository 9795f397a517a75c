"""Public pages: drawn once in a while for everybody, at once for whoever changed something."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.identity import organisations, people
from core.identity.models import Project
from core.identity.pages import bp as identity
from core.web import build_app, hooks, public_pages
from core.web.context import Application
from core.web.views import bp as work


@pytest.fixture
def drawn(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Application, Project, list[str]]]:
    engine = create_engine(fresh_database)
    asked: list[str] = []
    hook: hooks.Hook = hooks.Hook()

    @hook(order=1)
    def section(session: Session, project: Project) -> hooks.Section:
        asked.append(project.slug)
        return hooks.Section("Counted", "errors/_test_section.html", {"count": len(asked)})

    monkeypatch.setattr(public_pages, "render_template", lambda template, count: f"drawn {count}")
    monkeypatch.setattr("core.web.context.engine", lambda: engine)
    public_pages._kept.clear()
    app = build_app(pages=[], apis=[])
    with Session(engine, expire_on_commit=False) as session, session.begin():
        project = organisations.create_project(session, name="vLLM", actor=None, now=utc_now())
    app.add_url_rule(
        "/page", "page", lambda: public_pages.kept(("page",), lambda: public_pages.sections_of(hook, project)[0]).body
    )
    app.add_url_rule("/change", "change", lambda: "done", methods=["POST"])
    app.config["WTF_CSRF_ENABLED"] = False
    yield app, project, asked
    engine.dispose()


def test_everybody_shares_what_was_drawn_a_moment_ago(drawn: tuple[Application, Project, list[str]]) -> None:
    app, _, asked = drawn
    assert app.test_client().get("/page").get_data(as_text=True) == "drawn 1"
    assert app.test_client().get("/page").get_data(as_text=True) == "drawn 1"
    assert len(asked) == 1


def test_it_is_drawn_again_after_the_lag(drawn: tuple[Application, Project, list[str]], monkeypatch: pytest.MonkeyPatch) -> None:
    app, _, _ = drawn
    app.test_client().get("/page")
    monkeypatch.setattr(public_pages, "LAG_SECONDS", 0.0)
    assert app.test_client().get("/page").get_data(as_text=True) == "drawn 2"


def test_whoever_changed_something_reads_its_own_writes(drawn: tuple[Application, Project, list[str]]) -> None:
    app, _, _ = drawn
    other, browser = app.test_client(), app.test_client()
    other.get("/page")
    browser.post("/change")
    assert browser.get("/page").get_data(as_text=True) == "drawn 2"
    assert other.get("/page").get_data(as_text=True) == "drawn 1"


def test_the_buttons_of_those_who_manage_it_are_shown_to_nobody_else(
    fresh_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = create_engine(fresh_database)
    monkeypatch.setattr("core.web.context.engine", lambda: engine)
    public_pages._kept.clear()
    with Session(engine) as session, session.begin():
        now = utc_now()
        organisations.create_project(session, name="vLLM", actor=None, now=now)
        account = {"email": "root@example.org", "password": "correct horse battery"}
        people.create(session, name="Root", is_admin=True, actor=None, now=now, **account)
    app = build_app(pages=[identity, work], apis=[])
    app.config["WTF_CSRF_ENABLED"] = False
    anybody, admin = app.test_client(), app.test_client()
    assert admin.post("/sign-in", data=account).status_code == 303
    admin.delete_cookie(public_pages.CHANGED)
    people_of = "/projects/vllm/people"
    pages = [browser.get("/projects/vllm").get_data(as_text=True) for browser in (anybody, admin, anybody, admin)]
    assert [people_of in page for page in pages] == [False, True, False, True]
    assert all("vLLM</h1>" in page for page in pages)
    engine.dispose()
