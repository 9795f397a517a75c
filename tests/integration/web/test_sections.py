"""Sections of public pages: drawn once in a while for everybody, at once for whoever changed something."""

from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.identity import organisations
from core.identity.models import Project
from core.web import build_app, hooks, sections
from core.web.context import Application


@pytest.fixture
def drawn(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Application, Project, list[str]]]:
    engine = create_engine(fresh_database)
    asked: list[str] = []
    hook: hooks.Hook = hooks.Hook()

    @hook(order=1)
    def section(session: Session, project: Project) -> hooks.Section:
        asked.append(project.slug)
        return hooks.Section("Counted", "errors/_test_section.html", {"count": len(asked)})

    monkeypatch.setattr(sections, "render_template", lambda template, count: f"drawn {count}")
    monkeypatch.setattr("core.web.context.engine", lambda: engine)
    sections._kept.clear()
    app = build_app(pages=[], apis=[])
    with Session(engine, expire_on_commit=False) as session, session.begin():
        project = organisations.create_project(session, name="vLLM", actor=None, now=utc_now())
    app.add_url_rule("/page", "page", lambda: sections.sections_of(hook, project)[0].body)
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
    monkeypatch.setattr(sections, "LAG_SECONDS", 0.0)
    assert app.test_client().get("/page").get_data(as_text=True) == "drawn 2"


def test_whoever_changed_something_reads_its_own_writes(drawn: tuple[Application, Project, list[str]]) -> None:
    app, _, _ = drawn
    other, browser = app.test_client(), app.test_client()
    other.get("/page")
    browser.post("/change")
    assert browser.get("/page").get_data(as_text=True) == "drawn 2"
    assert other.get("/page").get_data(as_text=True) == "drawn 1"
