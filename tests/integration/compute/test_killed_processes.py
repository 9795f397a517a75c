"""Schedulers and launchers that are killed at any moment lose nothing and do nothing twice."""

import os
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from sqlalchemy import create_engine, event, func, select, text
from sqlalchemy.orm import Session

import core.db
from compute.models import AttemptDraw, Job, JobAttempt, JobStatus, Pool, ProjectWeight, SourceKind, UsageRecord
from compute.queries import attempts as attempt_queries
from compute.queries import snapshot
from compute.scheduling.learning import estimates
from compute.services import catalogue, starts, tick
from compute.services.keeper import Keeper
from core import ledger
from core.clock import utc_now
from core.config import settings
from core.identity.models import Project
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute import wheel_process
from tests.integration.compute.conftest import World

JOBS, DEVICES, PROCESSES, KILLING_SECONDS = 36, 6, 3, 10
IN_BATCH = 12


@pytest.mark.chaos
def test_killed_schedulers_hold_once_start_once_and_settle_once(fresh_database: str, tmp_path: Path) -> None:
    engine = create_engine(fresh_database)
    with Session(engine, expire_on_commit=False) as session, session.begin():
        _fill(session)
    rng = random.Random(7)
    kills = 0
    processes: list[int] = []
    ends = time.monotonic() + KILLING_SECONDS
    try:
        while time.monotonic() < ends:
            while len(processes) < PROCESSES:
                processes.append(_fork_wheel(fresh_database, tmp_path, seed=rng.randrange(10**6)))
            time.sleep(rng.uniform(0.02, 0.3))
            _kill(processes.pop(0))
            kills += 1
        while len(processes) < 2:
            processes.append(_fork_wheel(fresh_database, tmp_path, seed=1))
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            with Session(engine) as session:
                _pool_holds(session)
                if session.scalar(select(func.count(Job.id)).where(Job.finished_at.is_(None))) == 0:
                    break
            time.sleep(0.2)
    finally:
        for process in processes:
            _kill(process)

    assert kills >= 20
    with Session(engine) as session:
        states = Counter(session.scalars(select(Job.status)))
        assert states == {JobStatus.SUCCEEDED: JOBS}, "no job is lost"
        assert session.scalar(select(func.count(JobAttempt.id))) == JOBS, "no job was tried twice"
        starts = Counter((tmp_path / "runs" / "starts").read_text().split())
        assert set(starts.values()) == {1}
        assert session.scalar(select(func.count(UsageRecord.id))) == JOBS
        holds = session.execute(text("SELECT count(*) FROM ledger_entry WHERE kind = 'gpu.hold'")).scalar_one()
        settled = session.execute(text("SELECT count(*) FROM ledger_entry WHERE kind = 'gpu.use'")).scalar_one()
        assert (holds >= JOBS, settled) == (True, JOBS)
        charged = session.scalar(select(func.sum(UsageRecord.reference_ticks))) or 0
        used = session.scalar(select(func.sum(AttemptDraw.used_ticks))) or 0
        grants = ledger.balances(session, "liabilities:gpu:grant")
        given = ledger.balances(session, "assets:gpu:offer")
        assert sum(balance.pending_out for balance in [*grants, *given]) == 0, "no hold is left over"
        assert sum(balance.debits_posted for balance in grants) == charged
        assert sum(balance.credits_posted for balance in given) == used
    engine.dispose()


@pytest.mark.chaos
def test_a_batch_of_starts_is_there_whole_or_not_at_all(fresh_database: str) -> None:
    """One scheduler after the other is killed, each a statement later than the one before, until all jobs are held."""
    engine = create_engine(fresh_database)
    with Session(engine, expire_on_commit=False) as session, session.begin():
        _fill(session, devices=1000)
    held, seen, statements = 0, set(), 0
    while held < JOBS:
        statements += 1
        assert statements < 100, "each scheduler goes a little further"
        _kill_at_statement(fresh_database, statements)
        with Session(engine) as session:
            held = _held_soundly(session)
        assert held % IN_BATCH == 0
        seen.add(held)
    assert len(seen) > 2, "some were killed between two batches"
    engine.dispose()


@pytest.mark.chaos
def test_who_takes_over_decides_as_the_killed_scheduler_would_have(fresh_database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler keeps its core, and copies of it are killed in the middle of their turn, each a statement later.

    After each blow a process that knows nothing decides from the tables. Where nothing was committed it decides as the scheduler
    that was copied. Expectations are learnt anew at each turn here; else that one would have some that are minutes old. No two
    projects weigh the same; else what sums of floating-point numbers lose could break ties.
    """
    monkeypatch.setattr(snapshot, "KNOBS", replace(snapshot.KNOBS, refresh_seconds=1, renewals_max=1000))
    monkeypatch.setattr(estimates, "BATCH_GAP", -1)  # what was learnt of a batch is forgotten at a restart
    engine = create_engine(fresh_database)
    with Session(engine, expire_on_commit=False) as session, session.begin():
        _fill(session, devices=16)
        for project, weight in zip(session.scalars(select(Project).order_by(Project.slug)).all(), (3, 5, 7), strict=True):
            session.add(ProjectWeight(project_id=project.id, weight=weight, reason="to tell them apart", set_at=utc_now()))
    monkeypatch.setattr(starts, "BATCH", 4)

    @contextmanager
    def sessions() -> Iterator[Session]:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    keeper, now = Keeper(), utc_now()
    tick.schedule(sessions, {"folder"}, now=now, keeper=keeper)
    with sessions() as session:
        held = _held_soundly(session)
        assert 0 < held < JOBS
        _submit_more(session)
    compared = 0
    for statement in range(1, 90, 4):
        now += timedelta(seconds=2)
        engine.dispose()
        died = _kill_at_statement(fresh_database, statement, keeper=keeper, now=now, batch=4)
        with Session(engine) as session:
            _pool_holds(session, 32)
            before, held = held, _held_soundly(session)
        if not died:
            break
        heir = Keeper()
        with Session(engine) as session:
            ours, theirs = (each.decide(session, {"folder"}, now=now) for each in (keeper, heir))
        if held == before:
            assert ours == theirs
            assert keeper.reasons() == heir.reasons()
            compared += len(ours)
        keeper = heir
    assert not died, "the last one took its whole turn"
    assert compared > 10
    with sessions() as session:
        tick.schedule(sessions, {"folder"}, now=now, keeper=Keeper())
        _pool_holds(session, 32)
        assert _held_soundly(session) >= held
    engine.dispose()


def _submit_more(session: Session) -> None:
    """More GPUs, and more jobs."""
    now = utc_now()
    pool = session.scalars(select(Pool)).one()
    pool.devices = 32
    world = World(session, now, pool.flavor, pool)
    for number, project in enumerate(session.scalars(select(Project).order_by(Project.slug)).all()):
        world.job(project, gpus=1 + number, wall_seconds=900)


def _held_soundly(session: Session) -> int:
    """How many jobs are held: each with its attempt, its draws, its holds in the ledger, its event and its launch, once."""
    found = session.scalars(select(JobAttempt)).all()
    jobs = session.scalars(select(Job.id).where(Job.status == JobStatus.HELD)).all()
    assert Counter(attempt.job_id for attempt in found) == Counter(jobs)
    for attempt in found:
        assert sum(draw.held_ticks for draw in attempt.draws) == attempt.held_ticks
    promised = [balance.pending_out for balance in ledger.balances(session, "liabilities:gpu:grant")]
    given = [balance.pending_out for balance in ledger.balances(session, "assets:gpu:offer")]
    assert sum(promised) == sum(attempt.held_reference_ticks for attempt in found)
    assert sum(given) == sum(attempt.held_ticks for attempt in found)
    for table in (
        "event WHERE verb = 'job.held'",
        "ledger_entry WHERE kind = 'gpu.hold'",
        "task WHERE kind = 'compute.launch_attempt'",
    ):
        assert session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one() == len(found)
    return len(found)


def _kill_at_statement(
    database: str, number: int, *, keeper: Keeper | None = None, now: datetime | None = None, batch: int = IN_BATCH
) -> bool:
    """A scheduler that dies by SIGKILL when it has sent so many statements, in the middle of whatever it does. Whether it did."""
    child = os.fork()
    if not child:
        try:
            _use_database(database)
            starts.BATCH = batch
            countdown = iter(range(number))

            def sent(*_: object) -> None:
                if next(countdown, None) is None:
                    os.kill(os.getpid(), signal.SIGKILL)

            event.listen(core.db.engine(), "after_cursor_execute", sent)
            tick.schedule(core.db.session_scope, {"folder"}, now=now or utc_now(), keeper=keeper)
        except BaseException:  # noqa: BLE001 - said aloud, then the child ends below
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "it failed by itself; its traceback is above"
    return os.WIFSIGNALED(status)


def _use_database(address: str) -> None:
    os.environ["DATABASE_URL"] = address
    settings.cache_clear()
    core.db.engine.cache_clear()


def _fill(session: Session, devices: int = DEVICES) -> None:
    now = utc_now()
    flavor = catalogue.add_flavor(session, slug="h100", name="H100", vendor="NVIDIA", author=None, now=now)
    catalogue.set_rate(session, flavor, Fraction(7, 5), valid_from=now, source="test", author=None, now=now)
    pool = catalogue.add_pool(
        session,
        slug="p",
        name="P",
        flavor=flavor,
        executor="folder",
        devices=devices,
        runs=[SourceKind.COMMAND],
        author=None,
        now=now,
    )
    world = World(session, now, flavor, pool)
    world.offer(world.organisation("aws"), ticks=10 * TICKS_PER_GPU_HOUR, name="runs dry in the middle")
    world.offer(world.organisation("nvidia"), ticks=1000 * TICKS_PER_GPU_HOUR)
    projects = [world.project(name) for name in ("one", "two", "three")]
    for project in projects:
        world.grant(project, ticks=100 * TICKS_PER_GPU_HOUR)
    for number in range(JOBS):
        world.job(projects[number % 3], gpus=1 + number % 4, wall_seconds=600)


def _pool_holds(session: Session, devices: int = DEVICES) -> None:
    pool = session.scalars(select(Pool)).one()
    assert attempt_queries.devices_in_use(session, pool) <= devices


def _fork_wheel(database: str, folder: Path, *, seed: int) -> int:
    """A child that has everything imported already, so that the blow falls into its work and not into Python's start."""
    child = os.fork()
    if child:
        return child
    try:
        _use_database(database)
        wheel_process.main(folder / "runs", seed)
    except BaseException:  # noqa: BLE001 - said aloud, then the child ends below
        traceback.print_exc()
    finally:
        os._exit(1)  # nothing of the test's own run may go on in the child


def _kill(child: int) -> None:
    """SIGKILL; it must have been alive: a wheel that stops by itself is broken."""
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the process ended by itself; its traceback is above"
