"""kill -9 at every named point, then healthy workers: every payout exactly once, the ledger equal to the rail to the cent.

The second half leaves out one rule of the engine at a time and shows that money then does leave twice: the test can fail,
and each rule is needed.
"""

import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import NullPool

from core import ledger
from core.clock import utc_now
from core.money import Money
from payouts.models import Alarm, AttemptState, Payout, PayoutAttempt, PayoutStatus, RunStatus
from payouts.rails.fake_server import Behaviour, FakeRailServer, Fault
from tests.fakes import chaos_worker
from tests.fakes import payouts_world as world
from tests.fakes.rail_server import payments, serving

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(170)]

# Every worker is a process of its own, forked from one that has imported everything already: it starts in milliseconds.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.fakes.chaos_worker"])
POINTS = (
    "before_claim",
    "after_claim_before_commit",
    "after_reserve_commit",
    "before_send",
    "mid_send",
    "after_send_before_commit",
    "before_settle_commit",
    "after_accept_commit",
    "in_reconcile",
)


@dataclass
class Chaos:
    """A committed database, a trial rail over HTTP, and worker processes."""

    database: str
    server: FakeRailServer
    sent: int = 0

    def owe(self, count: int) -> None:
        """So many payouts on the rail with keys, and as many without, in one run on its way."""
        rails = chaos_worker.Trial(self.server.url).rails()
        now = utc_now()
        with self.session() as session:
            people = world.cast(session, now)
            world.fund(session, Money(20_000_000, "USD"), now=now)
            total = 0
            for number in range(2 * count):
                rail = rails["fake" if number < count else "plain"]
                who = world.recipient(session, f"R{number}", rail=rail, by=people.finance, now=now)
                cents = 1_000 + number
                world.owed(session, who, cents, by=people.officer, now=now, obligation=f"chaos:{number}")
                total += cents
            world.sent_run(session, people, rails=rails, now=now)
        self.sent = total

    @contextmanager
    def session(self) -> Iterator[Session]:
        store = create_engine(self.database, poolclass=NullPool)
        with Session(store) as session, session.begin():
            yield session
        store.dispose()

    def start(self, **options: Any) -> ForkServerProcess:
        where = chaos_worker.Trial(self.server.url)
        worker = PROCESSES.Process(target=chaos_worker.work, args=(self.database, where), kwargs=options)
        worker.start()
        return worker

    def heal(self, workers: int = 2) -> None:
        """Healthy workers, until nothing is left to do."""
        for worker in [self.start(seed=seed) for seed in range(workers)]:
            assert ended(worker) == 0

    def doubled(self) -> list[str]:
        """Recipients' amounts are all different: one that left twice was paid twice."""
        counted = Counter(amount for _, amount in payments(self.server))
        return [f"{amount} left {count} times" for amount, count in counted.items() if count > 1]

    def require_exactly_once(self) -> None:
        made = payments(self.server)
        with self.session() as session:
            statuses = Counter(session.scalars(select(Payout.status)))
            accepted = session.scalars(select(PayoutAttempt).where(PayoutAttempt.state == AttemptState.ACCEPTED)).all()
            assert set(statuses) == {PayoutStatus.PAID}, statuses
            assert self.doubled() == []
            assert sorted(made) == sorted((attempt.idem_key, attempt.payout.amount_minor) for attempt in accepted)
            assert sum(amount for _, amount in made) == self.sent
            fund = ledger.balance(session, world.FUND)
            assert (fund.posted, fund.available) == (20_000_000 - self.sent,) * 2
            assert session.scalar(select(func.count()).select_from(Alarm)) == 0
            run = session.scalars(select(Payout)).first()
            assert run is not None
            assert run.run is not None
            assert run.run.status is RunStatus.DONE


@pytest.fixture
def chaos(fresh_database: str, tmp_path: Path) -> Iterator[Chaos]:
    with serving(tmp_path / "rail.sqlite", seed=7) as server:
        yield Chaos(fresh_database, server)


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_every_point_each_payout_is_made_once(chaos: Chaos, point: str) -> None:
    late = chaos_worker.VISIBILITY.total_seconds() * 0.8
    faults = [Fault("cut_after", rate=0.5, times=4)] if point == "in_reconcile" else []
    chaos.server.misbehave(Behaviour(faults, visibility_seconds=late, latency_seconds=0.08 if point == "mid_send" else 0.0))
    chaos.owe(5)
    killed = 0
    for seed in range(6):
        killed += ended(chaos.start(kill=point, seed=seed)) == -signal.SIGKILL
    assert killed == 6, "the point was reached each time"
    chaos.heal()
    chaos.require_exactly_once()


def test_random_kills_and_every_fault_at_once(chaos: Chaos) -> None:
    faults = [
        Fault("cut_before", 0.1), Fault("cut_after", 0.1), Fault("500_before", 0.1), Fault("500_after", 0.1),
        Fault("slow", 0.05, seconds=0.9), Fault("429", 0.1, seconds=0.2),
    ]  # fmt: skip
    chaos.server.misbehave(Behaviour(faults, visibility_seconds=0.8, latency_seconds=0.02))
    chaos.owe(10)
    codes: list[int | None] = []
    workers: list[ForkServerProcess] = []
    until = time.monotonic() + 60
    # Twelve kills, unless the survivors are done before: on a busy machine that takes longer, not fewer.
    while codes.count(-signal.SIGKILL) < 12 and 0 not in codes and time.monotonic() < until:
        codes += [worker.exitcode for worker in workers if not worker.is_alive()]
        workers = [worker for worker in workers if worker.is_alive()]
        while len(workers) < 3:
            workers.append(chaos.start(rate=0.05, seed=len(codes) + len(workers)))
        time.sleep(0.05)
    for worker in workers:
        worker.kill()
        worker.join()
    assert codes.count(-signal.SIGKILL) >= 6, f"the kills did not happen: {codes}"
    chaos.server.misbehave(Behaviour(visibility_seconds=0.8))
    chaos.heal()
    chaos.require_exactly_once()


def test_the_rail_itself_may_be_killed_and_come_back(fresh_database: str, tmp_path: Path) -> None:
    journal = tmp_path / "rail.sqlite"
    with serving(journal) as server:
        chaos = Chaos(fresh_database, server)
        chaos.owe(5)
        worker = chaos.start()
        while len(payments(server)) < 3:
            time.sleep(0.02)
    worker.kill()
    worker.join()
    with serving(journal) as server:
        chaos.server = server
        chaos.heal()
        chaos.require_exactly_once()


# ------------------------------------------------------------------------------------------------ negative controls


def weakened(chaos: Chaos, weak: str, faults: list[Fault], *, visibility: float = 0.0) -> list[str]:
    """Run one weakened worker among faults, and say what was paid twice."""
    chaos.server.misbehave(Behaviour(faults, visibility_seconds=visibility))
    chaos.owe(6)
    worker = chaos.start(weak=weak)
    deadline = time.monotonic() + 30
    while worker.is_alive() and time.monotonic() < deadline and not chaos.doubled():
        time.sleep(0.1)
    worker.kill()
    worker.join()
    return chaos.doubled()


@pytest.mark.parametrize(
    ("weak", "faults", "visibility"),
    [
        ("new_key", [Fault("cut_after", 0.5)], 0.0),
        ("unknown_failed", [Fault("cut_after", 0.5)], 0.0),
        ("resend", [Fault("cut_after", 0.5)], 0.0),
        ("impatient", [Fault("cut_after", 0.5)], 0.9),
    ],
)
def test_without_one_of_the_rules_money_leaves_twice(chaos: Chaos, weak: str, faults: list[Fault], visibility: float) -> None:
    assert weakened(chaos, weak, faults, visibility=visibility), f"“{weak}” did no harm: is the rule needed?"


@pytest.mark.parametrize(("weak", "doubles"), [("no_deadline", True), (None, False)])
def test_a_frozen_worker_thawed_late_sends_only_without_the_deadline(chaos: Chaos, weak: str | None, doubles: bool) -> None:
    """Workers are stopped by SIGSTOP after they counted a send and before they made it, and thawed when others are done."""
    chaos.owe(4)
    frozen = [chaos.start(weak=weak, freeze="before_send", seed=seed) for seed in range(2)]
    for worker in frozen:
        _until_stopped(worker)
    chaos.heal(workers=1)
    assert chaos.doubled() == []
    for worker in frozen:
        os.kill(_pid(worker), signal.SIGCONT)
        assert ended(worker) == 0
    assert bool(chaos.doubled()) is doubles
    if not doubles:
        chaos.require_exactly_once()


def ended(worker: ForkServerProcess, timeout: float = 120) -> int | None:
    """Its exit code; minus nine after a kill."""
    worker.join(timeout)
    return worker.exitcode


def _until_stopped(worker: ForkServerProcess) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if psutil.Process(_pid(worker)).status() == psutil.STATUS_STOPPED:
            return
        time.sleep(0.02)
    raise AssertionError("the worker never reached the point where it stops")


def _pid(worker: ForkServerProcess) -> int:
    assert worker.pid is not None
    return worker.pid
