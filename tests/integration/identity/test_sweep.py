"""What is over is swept away, and nothing else."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.identity import limits, sign_in, tasks
from core.identity.models import IdempotentAnswer, Person, RateCount, SignInSession


def test_old_sessions_answers_and_counters_go(
    session: Session, ada: Person, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def this_session() -> Iterator[Session]:
        yield session

    monkeypatch.setattr(tasks, "session_scope", this_session)
    ages = [timedelta(), timedelta(days=60)]
    for age in ages:
        sign_in.open_session(session, ada, user_agent="X", address="Y", second_factor=False, now=now - age)
        limits.take(session, f"key-{age.days}", limits.Limit(1, timedelta(hours=1)), now=now - age)
        session.add(
            IdempotentAnswer(
                person_id=ada.id, route="POST /x", key=f"key-{age.days}", request_hash=b"", status=201, body=b"",
                media_type="", location=None, created_at=now - age,
            )
        )  # fmt: skip
    session.flush()
    tasks.sweep(now)
    assert [row.created_at for row in session.scalars(select(SignInSession))] == [now]
    assert session.scalars(select(IdempotentAnswer.key)).all() == ["key-0"]
    assert session.scalars(select(RateCount.key)).all() == ["key-0"]
