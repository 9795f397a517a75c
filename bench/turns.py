"""What a turn of production's scheduler costs with many jobs waiting and one that came: with a core that is kept, and without.

python -m bench.turns [--queued N] [--runs N] [--one-project]

All GPUs are in use, so nobody starts. A turn reads, decides, and writes what the scheduler remembers and why the new job waits.
What it writes is counted in the write-ahead log. With --one-project all jobs are of one project: its unfinished jobs are
remembered in one row, which each turn in which one came or went writes anew.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine, create_engine, select, text
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
    parser.add_argument("--one-project", action="store_true", help="all jobs are of one project")
    wanted, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="pw-bench-", ignore_cleanup_errors=True) as folder:
        server = EmbeddedServer.attach(Path(folder) / "data")
        engine = create_engine(server.url)
        try:
            upgrade(engine)
            lines = list(turns(engine, wanted.queued, wanted.runs, one_project=wanted.one_project))
        finally:
            engine.dispose()
            EmbeddedServer.detach_all()
    report(f"A turn of the scheduler: {wanted.queued:,} jobs wait, one came, {wanted.runs} runs each", lines)


def turns(engine: Engine, queued: int, runs: int, *, one_project: bool) -> Iterator[Line]:
    """Milliseconds of a turn after one job was submitted, and what it wrote."""

    @contextmanager
    def sessions() -> Iterator[Session]:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    now = utc_now()
    with sessions() as session:
        grants = _world(session, now)[: 1 if one_project else None]
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

    def written(keeper: Keeper) -> float:
        with engine.connect() as connection:
            before = connection.scalar(text("SELECT pg_current_wal_insert_lsn()::text"))
        turn(keeper, 2)
        with engine.connect() as connection:
            log = text("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), CAST(:before AS pg_lsn))")
            return float(connection.scalar(log, {"before": before}) or 0) / 1000

    one = [turn(kept, 2) for _ in range(runs)]
    kilobytes = [written(kept) for _ in range(runs)]
    everybody = [turn(kept, 10) for _ in range(runs)]
    anew = [turn(Keeper(), 2) for _ in range(runs)]
    stateless = [turn(None, 2) for _ in range(runs)]
    peer = Runs("told everything, no memory", stateless)
    yield Line(Runs("core kept", one), "ms", peer=peer)
    yield Line(Runs("... and reasons of a thousand that wait", everybody), "ms", peer=peer)
    yield Line(Runs("core built anew", anew), "ms", peer=peer)
    yield Line(Runs("core kept: write-ahead log, the new job's own row included", kilobytes), "kB")


if __name__ == "__main__":
    main()
