"""Dated work happens once a day, and one worker alone holds the clock."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import Engine, create_engine, text

from core import tasks
from core.tasks import clock

MORNING = datetime(2026, 11, 2, 6, 0, tzinfo=UTC)


@pytest.fixture
def own_engine(fresh_database: str) -> Iterator[Engine]:
    made = create_engine(fresh_database)
    yield made
    made.dispose()


@pytest.fixture
def days(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    monkeypatch.setattr(clock, "_daily", {})
    monkeypatch.setattr(clock, "_every", {})
    done: list[datetime] = []

    @tasks.daily(at=time(2, 0))
    def remind(now: datetime) -> None:
        done.append(now)

    return done


def test_a_day_is_done_once_and_a_missed_one_is_made_up_for(own_engine: Engine, days: list[datetime]) -> None:
    before = MORNING.replace(hour=1)
    assert clock.fire_due_days(own_engine, before) == [], "not before its time of day"
    clock.fire_due_days(own_engine, MORNING)
    clock.fire_due_days(own_engine, MORNING + timedelta(hours=3))
    assert days == [MORNING]
    late = MORNING + timedelta(days=1, hours=15)
    clock.fire_due_days(own_engine, late)
    assert days == [MORNING, late], "no worker ran at two o'clock; the first one after it does the work"


def test_failed_daily_work_is_tried_again(own_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "_daily", {})
    tries = []

    @tasks.daily(at=time(2, 0))
    def remind(now: datetime) -> None:
        tries.append(now)
        if len(tries) == 1:
            raise RuntimeError("the first try fails")

    assert clock.fire_due_days(own_engine, MORNING) == []
    assert len(clock.fire_due_days(own_engine, MORNING + timedelta(minutes=1))) == 1


def test_one_of_two_holds_the_clock_until_its_connection_is_gone(own_engine: Engine, days: list[datetime]) -> None:
    with clock.Clock(own_engine) as first, clock.Clock(own_engine) as second:
        first.elect()
        second.elect()
        assert (first.elected, second.elected) == (True, False)
        with own_engine.connect() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = :key"),
                {"key": clock.CLOCK_LOCK_KEY},
            )
        second.elect()
        first.elect()
        assert (first.elected, second.elected) == (False, True)
