"""The page of background work shows an administrator what fails."""

from datetime import datetime, time, timedelta

import pytest
from sqlalchemy.orm import Session
from web_client import Client

from core import tasks
from core.clock import utc_now
from core.identity import people
from core.identity.models import Person
from core.tasks import clock
from core.tasks.models import ClockTry


@pytest.fixture
def admin(session: Session) -> Person:
    made = people.create(
        session, email="ada@example.org", name="Ada", password="correct horse battery", actor=None, now=utc_now()
    )
    made.is_admin = True
    return made


def test_daily_work_that_fails_is_shown_with_its_error_until_it_succeeds(
    client: Client, admin: Person, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "_daily", {})

    @tasks.daily(at=time(2, 30))
    def compare_balances(now: datetime) -> None:
        """Never run here."""

    (name,) = clock._daily
    error = 'Traceback (most recent call last):\n  File "x.py"\nBalancesDiffer: 2 of 40 accounts differ\n'
    now = utc_now()
    session.add(ClockTry(name=name, since=now - timedelta(days=3), tried_at=now - timedelta(minutes=5), error=error))
    session.add(ClockTry(name="gone.with_an_upgrade", since=now, tried_at=now, error=error))
    session.flush()
    client.sign_in(admin)

    page = client.get("/admin/tasks")
    assert "Recurring work that fails" in page.words
    assert "compare_balances" in page.words
    assert "BalancesDiffer: 2 of 40 accounts differ" in page.words
    assert "gone.with_an_upgrade" not in page.words
    assert "Recurring work that fails" in client.get("/work").words

    session.delete(session.get_one(ClockTry, name))
    session.flush()
    assert "Recurring work that fails" not in client.get("/admin/tasks").words
