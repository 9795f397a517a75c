"""Dated work happens once a day, and one worker alone holds the clock."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta

import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.orm import Session

from core import tasks
from core.tasks import clock
from core.tasks.models import ClockTry
from tests.executor_jobs import until

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


@pytest.fixture
def broken(monkeypatch: pytest.MonkeyPatch) -> list[datetime]:
    """When daily work was tried that fails twice, then takes the worker with it, then succeeds."""
    monkeypatch.setattr(clock, "_daily", {})
    tries: list[datetime] = []

    @tasks.daily(at=time(2, 0))
    def compare(now: datetime) -> None:
        tries.append(now)
        if len(tries) <= 2:
            raise RuntimeError(f"3 accounts differ at try {len(tries)}")
        if len(tries) == 3:
            raise SystemExit

    return tries


def failing(engine: Engine) -> list[ClockTry]:
    with Session(engine) as session:
        return list(clock.failing(session))


def test_failed_daily_work_rests_for_an_hour_and_is_shown_until_it_succeeds(own_engine: Engine, broken: list[datetime]) -> None:
    for minute in range(0, 90, 15):
        assert clock.fire_due_days(own_engine, MORNING + timedelta(minutes=minute)) == []
    assert broken == [MORNING, MORNING + timedelta(hours=1)]
    (shown,) = failing(own_engine)
    assert (shown.since, shown.tried_at) == (MORNING, MORNING + timedelta(hours=1))
    assert shown.name.endswith("compare")
    assert (shown.error or "").endswith("RuntimeError: 3 accounts differ at try 2\n")

    with pytest.raises(SystemExit):
        clock.fire_due_days(own_engine, MORNING + timedelta(hours=2))
    assert clock.fire_due_days(own_engine, MORNING + timedelta(hours=2, minutes=1)) == [], "not at once in the next worker"
    assert len(clock.fire_due_days(own_engine, MORNING + timedelta(hours=3))) == 1
    assert failing(own_engine) == []
    assert clock.fire_due_days(own_engine, MORNING + timedelta(hours=5)) == []


def test_daily_work_that_kills_its_worker_is_shown_too(own_engine: Engine, broken: list[datetime]) -> None:
    broken.extend([MORNING, MORNING])
    with pytest.raises(SystemExit):
        clock.fire_due_days(own_engine, MORNING)
    broken.clear()
    broken.extend([MORNING, MORNING])
    with pytest.raises(SystemExit):
        clock.fire_due_days(own_engine, MORNING + timedelta(hours=1))
    (shown,) = failing(own_engine)
    assert shown.error == clock.NEVER_ENDED


def test_one_of_two_holds_the_clock_until_its_connection_is_gone(own_engine: Engine, days: list[datetime]) -> None:
    with clock.Clock(own_engine) as first, clock.Clock(own_engine) as second:
        first.elect()
        second.elect()
        assert (first.elected, second.elected) == (True, False)
        with own_engine.connect() as connection:
            connection.execute(
                text("SELECT pg_terminate_backend(pid, 5000) FROM pg_locks WHERE locktype = 'advisory' AND objid = :key"),
                {"key": clock.CLOCK_LOCK_KEY},
            )
        second.elect()
        first.elect()
        assert (first.elected, second.elected) == (False, True)


def test_recurring_work_that_fails_is_shown_until_it_succeeds_in_whichever_worker(
    own_engine: Engine, days: list[datetime]
) -> None:
    works = threading.Event()

    @tasks.every(seconds=0.05)
    def look_around(now: datetime) -> None:
        if not works.is_set():
            raise RuntimeError("the provider is away")

    with clock.Clock(own_engine) as first:
        first.elect()
        until(lambda: len(failing(own_engine)) > 0, "the failure is on record")
        shown = failing(own_engine)
    assert [each.name.rpartition(".")[2] for each in shown] == ["look_around"]
    assert (shown[0].error or "").endswith("RuntimeError: the provider is away\n")
    works.set()
    with clock.Clock(own_engine) as second:
        second.elect()
        until(lambda: failing(own_engine) == [], "the note of the worker before it is removed, too")
