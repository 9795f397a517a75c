"""Several processes on the same keys, holds and accounts, some of them killed in the middle of their work."""

import io
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

import ledger_chaos_worker as worker
import pytest
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from core import ledger
from core.config import ROOT
from core.ledger import Guard, Leg, NewEntry, Side
from core.ledger.export import Format, export, snapshot
from core.ledger.rebuild import rebuild
from core.ledger.sealing import seal_all
from core.ledger.verify import verify

SECONDS_OF_KILLING = 8.0
PROCESSES = 4


@pytest.fixture
def own_engine(fresh_database: str, now: datetime) -> Iterator[Engine]:
    """A database of this test's own, with the workers' accounts and some money."""
    made = create_engine(fresh_database)
    with Session(made) as session:
        ledger.ensure_account(session, worker.BANK, "USD", normal=Side.DEBIT, guard=Guard.DEBIT)
        for fund in worker.FUNDS:
            ledger.ensure_account(session, fund, "USD", normal=Side.CREDIT, guard=Guard.CREDIT)
            legs = [Leg(worker.BANK, fund, 1_000)]
            ledger.post(session, key=f"first:{fund}", kind="pay-in", legs=legs, at=now)
        session.commit()
    yield made
    made.dispose()


def start(url: str, seed: int, deeds: int) -> subprocess.Popen[bytes]:
    script = Path(worker.__file__)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{script.parent}"}
    return subprocess.Popen([sys.executable, script, url, str(seed), str(deeds)], env=environment)


def test_killed_and_racing_processes_leave_an_exact_ledger(own_engine: Engine, now: datetime) -> None:
    url = own_engine.url.render_as_string(hide_password=False)
    rng = random.Random(20261122)
    running = {i: start(url, i, 100_000) for i in range(PROCESSES)}
    until, seed, kills = time.monotonic() + SECONDS_OF_KILLING, PROCESSES, 0
    while time.monotonic() < until:
        time.sleep(rng.uniform(0.3, 0.9))
        place = rng.randrange(PROCESSES)
        victim = running[place]
        assert victim.poll() is None, f"a worker ended by itself with {victim.returncode}"
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        kills += 1
        running[place] = start(url, seed, 100_000)
        seed += 1
    for process in running.values():
        process.kill()
        process.wait()
    survivors = [start(url, 1_000 + i, 150) for i in range(2)]
    assert [process.wait(timeout=60) for process in survivors] == [0, 0]

    assert kills >= 5
    with Session(own_engine) as session:
        entries = session.execute(text("SELECT count(*) FROM ledger_entry")).scalar_one()
        endings = session.execute(text("SELECT count(*) FROM ledger_transfer WHERE hold_entry_id IS NOT NULL")).scalar_one()
        assert entries > 100
        assert endings > 10
        assert_every_key_is_written_once_and_as_asked(session)
        assert rebuild(session, now=now).differences == []
        for account in ledger.balances(session):
            assert account.posted >= 0
            assert account.available >= 0
        session.commit()
        seal_all(session, now=now, thorough=True)
    with snapshot(own_engine) as session:
        report = verify(io.StringIO("".join(export(session, Format.JSON, now=now))))
    assert report.findings == []
    assert report.unsealed_entries == 0
    assert report.entries == entries


def assert_every_key_is_written_once_and_as_asked(session: Session) -> None:
    for number in range(worker.KEYS):
        asked = {
            f"post:{number}": worker.legs_of(number),
            f"batch:{number}": worker.legs_of(number // 4 * 4),
            f"hold:{number}": worker.hold_legs(number),
        }
        for key, legs in asked.items():
            entry = ledger.entry_by_key(session, key)
            if entry is not None:
                assert [Leg(t.debit, t.credit, t.amount) for t in entry.transfers] == legs


def together(*deeds: Callable[[], object]) -> list[object]:
    """Run functions at the same moment, each in its own thread; their results or exceptions, in order."""
    barrier = threading.Barrier(len(deeds))
    results: list[object] = [None] * len(deeds)

    def run(i: int, act: Callable[[], object]) -> None:
        barrier.wait()
        try:
            results[i] = act()
        except Exception as error:  # noqa: BLE001 - the error is this thread's result
            results[i] = error

    threads = [threading.Thread(target=run, args=(i, act)) for i, act in enumerate(deeds)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_sessions_with_one_key_end_with_one_entry_that_both_see(own_engine: Engine, now: datetime) -> None:
    def pay_in(key: str) -> ledger.Entry:
        with Session(own_engine) as session, session.begin():
            return ledger.post(session, key=key, kind="pay-in", legs=[Leg(worker.BANK, worker.FUNDS[0], 100)], at=now)

    for attempt in range(15):
        one, other = together(lambda key=f"race:{attempt}": pay_in(key), lambda key=f"race:{attempt}": pay_in(key))
        assert one.id == other.id
        assert {one.replayed, other.replayed} == {True, False}
    with Session(own_engine) as session:
        assert ledger.balance(session, worker.FUNDS[0]).posted == 1_000 + 15 * 100


def test_one_key_on_different_accounts_at_once_is_reused_for_the_second(own_engine: Engine, now: datetime) -> None:
    def move(key: str, debit: str, credit: str) -> ledger.Entry:
        with Session(own_engine) as session, session.begin():
            return ledger.post(session, key=key, kind="move", legs=[Leg(debit, credit, 1)], at=now)

    a, b, c, d = worker.FUNDS
    for attempt in range(15):
        results = together(lambda k=f"race:{attempt}": move(k, a, b), lambda k=f"race:{attempt}": move(k, c, d))
        assert sorted(type(result).__name__ for result in results) == ["Entry", "KeyReused"]


def test_a_hold_that_is_settled_and_voided_at_once_ends_once(own_engine: Engine, now: datetime) -> None:
    def end(verb: Callable[..., ledger.Entry], number: int) -> ledger.Entry:
        with Session(own_engine) as session, session.begin():
            return verb(session, key=f"{verb.__name__}:{number}", hold_key=f"hold:{number}", at=now)

    for number in range(15):
        with Session(own_engine) as session, session.begin():
            ledger.hold(session, key=f"hold:{number}", kind="hold", legs=[Leg(worker.FUNDS[0], worker.BANK, 10)], at=now)
        results = together(lambda n=number: end(ledger.settle, n), lambda n=number: end(ledger.void, n))
        assert sorted(type(result).__name__ for result in results) == ["AlreadyResolved", "Entry"]


def test_ten_at_once_spend_the_last_money_once(own_engine: Engine, now: datetime) -> None:
    def spend(i: int) -> ledger.Entry:
        with Session(own_engine) as session, session.begin():
            legs = [Leg(worker.FUNDS[0], worker.BANK, 1_000)]
            return ledger.post(session, key=f"spend:{i}", kind="spend", legs=legs, at=now)

    results = together(*(lambda n=i: spend(n) for i in range(10)))
    assert sum(isinstance(result, ledger.Entry) for result in results) == 1
    assert sum(isinstance(result, ledger.InsufficientFunds) for result in results) == 9


def test_two_batches_that_overlap_write_each_entry_once(own_engine: Engine, now: datetime) -> None:
    def batch(numbers: range) -> ledger.Posted:
        with Session(own_engine) as session, session.begin():
            entries = [ledger.NewEntry(f"b:{n}", "move", [Leg(worker.BANK, worker.FUNDS[n % 4], 1)], now) for n in numbers]
            return ledger.post_many(session, entries)

    one, other = together(lambda: batch(range(300)), lambda: batch(range(299, 99, -1)))
    assert one.written + other.written == 300
    assert one.replayed + other.replayed == 200


def test_transfers_in_opposite_directions_never_wait_in_a_circle(own_engine: Engine, now: datetime) -> None:
    def move(name: str, debit: str, credit: str) -> None:
        for i in range(40):
            with Session(own_engine) as session, session.begin():
                ledger.post(session, key=f"{name}:{i}", kind="move", legs=[Leg(debit, credit, 1)], at=now)

    a, b, c, _ = worker.FUNDS
    results = together(lambda: move("x", a, b), lambda: move("y", b, a), lambda: move("z", b, c), lambda: move("w", c, a))
    assert results == [None] * 4


def test_two_batches_that_spend_the_same_money_spend_it_once(own_engine: Engine, now: datetime) -> None:
    def spend(name: str) -> ledger.Posted:
        with Session(own_engine) as session, session.begin():
            entries = [ledger.NewEntry(f"{name}:{n}", "spend", [Leg(worker.FUNDS[0], worker.BANK, 6)], now) for n in range(100)]
            return ledger.post_many(session, entries)

    results = together(lambda: spend("a"), lambda: spend("b"))
    assert sorted(type(result).__name__ for result in results) == ["InsufficientFunds", "Posted"]
    with Session(own_engine) as session:
        assert ledger.balance(session, worker.FUNDS[0]).posted == 400


def test_batches_that_share_keys_and_accounts_write_each_entry_once(own_engine: Engine, now: datetime) -> None:
    """The same entries in four batches at once, in different company and order: everybody gets an answer, nothing comes twice."""
    shared = [NewEntry(f"usage:{n}", "usage", [Leg(worker.FUNDS[n % 2], worker.FUNDS[1 - n % 2], 1)], now) for n in range(200)]
    written, troubles = [], []

    def post(number: int) -> None:
        rng = random.Random(number)
        with Session(own_engine) as session:
            for turn in range(5):
                own = [NewEntry(f"own:{number}:{turn}", "usage", [Leg(worker.BANK, worker.FUNDS[0], 1)], now)]
                batch = [*rng.sample(shared, 150), *own]
                try:
                    written.append(ledger.post_many(session, batch).written)
                    session.commit()
                except Exception as error:  # noqa: BLE001 - told below, all of them
                    troubles.append(error)
                    session.rollback()

    threads = [threading.Thread(target=post, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert troubles == []
    with Session(own_engine) as session:
        entries = session.scalar(text("SELECT count(*) FROM ledger_entry WHERE kind = 'usage'"))
        assert entries == sum(written) <= 220
        assert rebuild(session, now=now).differences == []


def test_a_batch_gives_up_on_accounts_that_stay_locked(own_engine: Engine, now: datetime) -> None:
    entry = NewEntry("usage:late", "usage", [Leg(worker.FUNDS[0], worker.FUNDS[1], 1)], now)
    with own_engine.begin() as holder, Session(own_engine) as session:
        holder.execute(text("SELECT 1 FROM ledger_account WHERE code = :code FOR UPDATE"), {"code": worker.FUNDS[0]})
        session.execute(text("SET lock_timeout = '50ms'"))
        with pytest.raises(DBAPIError, match="lock timeout"):
            ledger.post_many(session, [entry])
        holder.rollback()
        assert ledger.post_many(session, [entry]).written == 1, "the caller's transaction can go on"
