"""What a turn of production's scheduler costs with many jobs waiting and one that came: with a core that is kept, and without.

python -m bench.turns [--queued N] [--runs N]

All GPUs are in use, so nobody starts. A turn reads, decides, and writes what the scheduler remembers and why the new job waits.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from bench._report import Line, Runs, report
from bench._starts import _queue, _world
from compute import scheduling
from compute.models import Pool
from compute.queries import snapshot
from compute.services import tick
from compute.services.keeper import Keeper
from core.clock import utc_now
from core.db.embedded import EmbeddedServer
from core.db.migrate import upgrade

QUEUED = 10_000
RUNS = 5
GPUS = 500


def main() -> None:
    """Measure both and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.turns", description=__doc__.partition("\n")[0])
    parser.add_argument("--queued", type=int, default=QUEUED, help=f"jobs in the queue (default {QUEUED:,})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"repeats (default {RUNS})")
    wanted, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="pw-bench-", ignore_cleanup_errors=True) as folder:
        server = EmbeddedServer.attach(Path(folder) / "data")
        engine = create_engine(server.url)
        try:
            upgrade(engine)
            lines = list(turns(engine, wanted.queued, wanted.runs))
        finally:
            engine.dispose()
            EmbeddedServer.detach_all()
    report(f"A turn of the scheduler: {wanted.queued:,} jobs wait, one came, {wanted.runs} runs each", lines)


def turns(engine: Engine, queued: int, runs: int) -> Iterator[Line]:
    """Milliseconds of a turn after one job was submitted."""

    @contextmanager
    def sessions() -> Iterator[Session]:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    now = utc_now()
    with sessions() as session:
        grants = _world(session, now)
        session.scalars(select(Pool)).one().devices = GPUS
    with sessions() as session:
        _queue(session, grants, queued, now)
    kept = Keeper()
    tick.schedule(sessions, {"none"}, now=now, keeper=kept)

    def turn(keeper: Keeper | None, seconds: int) -> float:
        nonlocal now
        now += timedelta(seconds=seconds)
        with sessions() as session:
            _queue(session, grants, 1, now)
        begun = time.perf_counter()
        if keeper is not None:
            tick.schedule(sessions, {"none"}, now=now, keeper=keeper)
        else:
            with sessions() as session:
                plan = scheduling.plan(snapshot.take(session, now=now))
            with sessions() as session:
                tick.note_waiting(session, plan.waiting, now=now)
        return 1000 * (time.perf_counter() - begun)

    one = [turn(kept, 2) for _ in range(runs)]
    everybody = [turn(kept, 10) for _ in range(runs)]
    anew = [turn(Keeper(), 2) for _ in range(runs)]
    stateless = [turn(None, 2) for _ in range(runs)]
    peer = Runs("told everything, no memory", stateless)
    yield Line(Runs("core kept", one), "ms", peer=peer)
    yield Line(Runs("... and reasons of a thousand that wait", everybody), "ms", peer=peer)
    yield Line(Runs("core built anew", anew), "ms", peer=peer)


if __name__ == "__main__":
    main()
