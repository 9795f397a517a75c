"""Calls that nobody signed: taken for a hint, bounded, and never believed; their secret address is in no log."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from web_client import Client

from core import hints
from core.config import settings
from core.errors import InvalidInput
from core.tasks import TaskRow
from core.web import logs

SECRET = "an-address-that-nobody-can-guess-01"
PLACE = f"/api/v1/webhooks/open-collective/{SECRET}"


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEDGEWORKS_OPENCOLLECTIVE_WEBHOOK_SECRET", SECRET)
    settings.cache_clear()


def waiting(session: Session) -> list[TaskRow]:
    return list(session.scalars(select(TaskRow).where(TaskRow.kind == hints.Hint.kind)))


@pytest.mark.usefixtures("taken")
def test_many_calls_are_one_look_a_little_later(client: Client, session: Session) -> None:
    for body in (b'{"type": "collective.expense.paid"}', b"not even JSON", b""):
        assert client.flask.post(PLACE, data=body).status_code == 200, body
    (task,) = waiting(session)
    assert task.run_at - task.created_at == hints.PAUSE
    assert task.arguments == {"provider": "open_collective"}, "nothing of what the calls said"


def test_without_the_secret_there_is_nothing(client: Client, session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client.flask.post(PLACE).status_code == 404
    monkeypatch.setenv("PLEDGEWORKS_OPENCOLLECTIVE_WEBHOOK_SECRET", SECRET)
    settings.cache_clear()
    assert client.flask.post(PLACE[:-1]).status_code == 404
    assert client.flask.post(PLACE[:-1] + "é").status_code == 404
    assert waiting(session) == []


@pytest.mark.usefixtures("taken")
def test_a_large_call_is_refused(client: Client, session: Session) -> None:
    assert client.flask.post(PLACE, data=b"x" * 200_000).status_code == 413
    assert waiting(session) == []


@pytest.mark.usefixtures("taken")
def test_the_secret_is_in_no_log(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    lines: list[dict[str, Any]] = []

    class Log:
        def info(self, event: str, **about: Any) -> None:
            lines.append({"event": event, **about})

    monkeypatch.setattr(logs, "log", Log())
    client.flask.post(PLACE)
    client.flask.post(PLACE[:-1])
    assert [each["status"] for each in lines] == [200, 404]
    assert not any(SECRET[:-1] in str(each) for each in lines)


def test_a_short_secret_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEDGEWORKS_OPENCOLLECTIVE_WEBHOOK_SECRET", "guess me")
    settings.cache_clear()
    with pytest.raises(InvalidInput, match="PLEDGEWORKS_OPENCOLLECTIVE_WEBHOOK_SECRET") as refused:
        settings()
    assert "guess me" not in refused.value.message
