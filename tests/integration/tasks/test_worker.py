"""A worker's threads and its clock outlive what goes wrong around them, and the pool has room for all of them."""

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
from sqlalchemy import Engine, QueuePool, create_engine

import app
from core.db.session import make_engine
from core.tasks import clock, worker


@pytest.fixture
def narrow_engine(fresh_database: str) -> Iterator[Engine]:
    """A connection for one thread and one for the clock, and nobody waits for them."""
    made = create_engine(fresh_database, pool_size=2, max_overflow=0, pool_timeout=0.05)
    yield made
    made.dispose()


@pytest.fixture(autouse=True)
def own_signals() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_worker_goes_on_after_the_pool_had_no_connection_for_it(narrow_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "TROUBLE_SECONDS", 0.05)
    monkeypatch.setattr(clock, "ELECTION_SECONDS", 0.05)
    monkeypatch.setattr(clock, "_every", {})
    monkeypatch.setattr(clock, "_daily", {})
    told = {"worker.trouble": threading.Event(), "clock.not_elected": threading.Event()}
    elected, worked, look = threading.Event(), threading.Event(), worker.run_one

    def run_one(engine: Engine) -> bool:
        busy = look(engine)
        worked.set()
        return busy

    monkeypatch.setattr(worker.log, "warning", lambda event, **_: told[event].set(), raising=False)
    monkeypatch.setattr(clock.log, "info", lambda _event: elected.set(), raising=False)
    monkeypatch.setattr(worker, "run_one", run_one)
    begun = threading.Event()

    def hold_all_connections_for_a_while() -> list[bool]:
        try:
            with narrow_engine.connect(), narrow_engine.connect():
                begun.set()
                met = [event.wait(10) for event in told.values()]
            return [*met, worked.wait(10), elected.wait(10)]
        finally:
            signal.raise_signal(signal.SIGTERM)

    with ThreadPoolExecutor(1) as aside:
        seen = aside.submit(hold_all_connections_for_a_while)
        assert begun.wait(10)
        worker.run_worker(narrow_engine, threads=1)
    assert seen.result() == [True, True, True, True]


def test_the_pool_has_room_for_every_thread_and_for_all_that_the_clock_fires() -> None:
    assert app.create_app, "imports every domain, and with them their recurring work"
    made = make_engine("postgresql://nowhere/none")
    pool = cast("QueuePool", made.pool)
    daily_at_once = 1
    assert pool.size() + pool._max_overflow >= worker.THREADS_MAX + 1 + len(clock._every) + daily_at_once
    made.dispose()
