"""The worker: takes tasks under lease, runs their handlers, and holds the clock if no other worker does."""

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import FrameType
from uuid import UUID

import structlog
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.tasks import clock, queue

IDLE_SECONDS = 0.5
TROUBLE_SECONDS = 3.0
THREADS_MAX = 8
"""As many as the engine's pool has connections for, beside the clock's own and its recurring work; more work: more workers."""

log = structlog.get_logger()


def run_worker(engine: Engine, *, threads: int = 2, with_clock: bool = True) -> None:
    """Work until SIGTERM or SIGINT. Tasks in hand are finished; a second signal does not wait for them."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            raise SystemExit(128 + number)
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    hands = [threading.Thread(target=_work, args=(engine, stop), name=f"worker-{i}") for i in range(threads)]
    for hand in hands:
        hand.start()
    with clock.Clock(engine) as held:
        while not stop.is_set():
            if with_clock:
                try:
                    held.elect()
                except Exception as error:  # noqa: BLE001 - the threads below work on: the clock must come back to them
                    log.warning("clock.not_elected", cause=_cause(error))
            stop.wait(clock.ELECTION_SECONDS)
    for hand in hands:
        hand.join()


def work_off(engine: Engine, *, now: datetime | None = None) -> int:
    """Run every task that is due, in this thread, and say how many were run. For commands that wait, and for tests."""
    count = 0
    while run_one(engine, now=now):
        count += 1
    return count


def run_one(engine: Engine, *, now: datetime | None = None) -> bool:
    """Claim and run one task that is due. False if there was none."""
    with Session(engine) as session, session.begin():
        claimed = queue.claim(session, now=now or utc_now(), kinds=queue.registered())
    if claimed is None:
        return False
    task_type, handle = queue.registered()[claimed.kind]
    started = utc_now()
    try:
        task = queue.adapter(task_type).validate_python(claimed.arguments)
        handle(task, _Run(engine, claimed.task_id, claimed.tries, claimed.lease_until))
    except queue.Postpone as wish:
        with Session(engine) as session, session.begin():
            queue.postpone(session, claimed, delay=wish.delay, now=now or utc_now())
    except Exception as error:  # noqa: BLE001 - kept with the task, tried again later, finally parked where people look
        log.warning("task.failed", kind=claimed.kind, task=str(claimed.task_id), tries=claimed.tries, error=repr(error))
        with Session(engine) as session, session.begin():
            queue.fail(session, claimed, error, now=now or utc_now(), rng=random.Random())  # noqa: S311 - jitter, no secret
    else:
        with Session(engine) as session, session.begin():
            queue.finish(session, claimed, now=now or utc_now())
        seconds = (utc_now() - started).total_seconds()
        log.info("task.done", kind=claimed.kind, task=str(claimed.task_id), seconds=round(seconds, 3))
    return True


@dataclass(frozen=True)
class _Run:
    _engine: Engine = field(repr=False)
    task_id: UUID
    tries: int
    lease_until: datetime

    @contextmanager
    def session(self) -> Iterator[Session]:
        with Session(self._engine, expire_on_commit=False) as session, session.begin():
            yield session


def _work(engine: Engine, stop: threading.Event) -> None:
    while not stop.is_set():
        try:
            busy = run_one(engine)
        except Exception as error:  # noqa: BLE001 - a thread that ended here would leave a worker that lives and does nothing
            # The database is away (restart, fail-over) or has no connection left: leases outlive that, so wait and go on.
            log.warning("worker.trouble", cause=_cause(error))
            stop.wait(TROUBLE_SECONDS)
            continue
        if not busy:
            stop.wait(IDLE_SECONDS)


def _cause(error: Exception) -> str:
    return str(error.orig).strip() if isinstance(error, DBAPIError) else repr(error)
