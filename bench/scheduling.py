"""How fast the scheduler decides: starts a second, durable, and how long one event takes at most.

python -m bench.scheduling [--queued N] [--runs N]

10,000 GPUs in three lanes, 500 projects, N jobs in the queue (100,000 unless said otherwise), under grants, offers, limits,
maintenance, flavors with alternatives, priorities, fair turns, learnt run times, gangs and EASY backfill (bench/_platform.py).
Durable: every start is committed to a PostgreSQL of its own (fsync and synchronous_commit on) before the next batch is decided,
200 in a transaction, by COPY. The bound is what the same server takes of the same rows in the same batches, with no scheduler.
“Decided only” and “of its own time” count the time that the scheduler's thread had a core: other work on the machine does not
lengthen it.

Slurm's figure is that of slurmctld 22.05 from Debian 12 on such a machine: starts decided in one pass of its main loop over
64 nodes. Launching is in none of the figures, and Slurm's end-to-end rate (50 jobs/s) is no peer of them. The last lines are what
production does for a start: locks, budgets, the ledger's holds, the attempt, the audit, the launch task.
"""

import argparse
import gc
import heapq
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy import make_url

from bench._platform import GPUS, LANES, Platform
from bench._report import Line, Runs, report
from bench._starts import production
from compute.scheduling.core import Core
from compute.scheduling.events import Ended, Event, Started, Submitted
from core.db.embedded import EmbeddedServer

QUEUED = 100_000
RUNS = 5
BATCH = 200
LATENCY_EVENTS = 20_000
STEADY_EVENTS = 40_000
LOADS = (0.95, 1.5)
SLURM = Runs("Slurm, decided", [427])

TABLE = """
CREATE TABLE start (job bigint PRIMARY KEY, lane text NOT NULL, gpus bigint NOT NULL, started_at bigint NOT NULL,
                    ends_by bigint NOT NULL, backfilled boolean NOT NULL)
"""
COPY = "COPY start FROM STDIN"


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.scheduling", description=__doc__.partition("\n")[0])
    parser.add_argument("--queued", type=int, default=QUEUED, help=f"jobs in the queue (default {QUEUED:,})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"repeats (default {RUNS})")
    wanted, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="pw-bench-", ignore_cleanup_errors=True) as folder:
        server = EmbeddedServer.attach(Path(folder) / "data")
        try:
            address = make_url(server.url).set(drivername="postgresql").render_as_string(hide_password=False)
            lines = [*decisions(address, wanted.queued, wanted.runs), *production(server.url, wanted.runs)]
        finally:
            EmbeddedServer.detach_all()
    report(f"Scheduling: {GPUS:,} GPUs, {wanted.queued:,} jobs queued, {wanted.runs} runs each", lines)


def decisions(address: str, queued: int, runs: int) -> Iterator[Line]:
    """What the core decides, in the order of the table."""
    seen: dict[str, list[float]] = {}
    for seed in range(runs):
        with psycopg.connect(address) as connection, written(connection) as sink:
            full = Replay(Platform(seed), queued)
            rows, seconds, deciding = full.drain(sink)
            seen.setdefault("durable", []).append(rows / seconds)
            seen.setdefault("decided", []).append(rows / deciding)
            seen.setdefault("bare", []).append(rows / sink.again())
        clocks = zip(*Replay(Platform(seed), queued).one_by_one(LATENCY_EVENTS), strict=True)
        for clock, latencies in zip(("wall", "own"), map(sorted, clocks), strict=True):
            seen.setdefault(f"p99 {clock}", []).append(1000 * latencies[len(latencies) * 99 // 100])
            seen.setdefault(f"longest {clock}", []).append(1000 * latencies[-1])
        for load in LOADS:
            seen.setdefault(f"{load}", []).append(Replay(Platform(seed), 0).steady(load, STEADY_EVENTS))
    bare = Runs("PostgreSQL alone", seen["bare"])
    yield Line(Runs("drain, durable", seen["durable"]), "starts/s", peer=SLURM, reach=20_000)
    yield Line(Runs("drain, durable", seen["durable"]), "starts/s", peer=bare)
    yield Line(Runs("drain, decided only", seen["decided"]), "starts/s", peer=SLURM)
    for load in LOADS:
        yield Line(Runs(f"steady at load {load}", seen[f"{load}"]), "events/s")
    yield Line(Runs(f"one event at {queued:,} queued, p99", seen["p99 wall"]), "ms", reach=1.0)
    yield Line(Runs("... of its own time on a core", seen["p99 own"]), "ms", reach=1.0)
    yield Line(Runs(f"one event at {queued:,} queued, longest", seen["longest wall"]), "ms")
    yield Line(Runs("... of its own time on a core", seen["longest own"]), "ms")


class Sink:
    """Commits starts in batches."""

    def __init__(self, connection: psycopg.Connection[object]) -> None:
        self._connection = connection
        self._waiting: list[str] = []
        self._batches: list[str] = []
        self.own_seconds = 0.0  # on a core

    def take(self, started: Started, gpus: int, at: int) -> None:
        """A decision; with the last of a batch, all of it is durable."""
        passed = "t" if started.backfilled else "f"
        self._waiting.append(f"{started.job}\t{started.lane}\t{gpus}\t{at}\t{started.ends_by}\t{passed}\n")
        if len(self._waiting) >= BATCH:
            self.flush()

    def flush(self) -> None:
        """Commit what is left."""
        if self._waiting:
            own = time.thread_time()
            batch = "".join(self._waiting)
            self._batches.append(batch)
            self._waiting.clear()
            self._write(batch)
            self.own_seconds += time.thread_time() - own

    def again(self) -> float:
        """Seconds for the same batches once more, with nothing in between."""
        self._connection.execute("TRUNCATE start")
        self._connection.commit()
        begun = time.perf_counter()
        for batch in self._batches:
            self._write(batch)
        return time.perf_counter() - begun

    def _write(self, batch: str) -> None:
        with self._connection.cursor() as cursor, cursor.copy(COPY) as copy:
            copy.write(batch)
        self._connection.commit()


@contextmanager
def written(connection: psycopg.Connection[object]) -> Iterator[Sink]:
    """A table to commit starts to, gone afterwards."""
    connection.execute(TABLE)
    connection.commit()
    yield Sink(connection)
    connection.execute("DROP TABLE start")
    connection.commit()


class Replay:
    """A platform that is full, with so many jobs waiting."""

    def __init__(self, platform: Platform, queued: int) -> None:
        self._platform = platform
        self._core = Core(LANES, platform.weights)
        self._core.apply(0, platform.rules())
        self._seconds: dict[object, tuple[int, int]] = {}  # run time and GPUs by job
        self._ends: list[tuple[int, int]] = []
        self._now = 0
        self._waiting = 0
        while self._waiting < queued:
            for started in self._apply([self._fresh() for _ in range(min(BATCH, queued))]):
                self._run(started)
        # What is there lives as long as the scheduler: a worker that holds it keeps the collector from counting it each time.
        gc.collect()
        gc.freeze()

    def drain(self, sink: Sink) -> tuple[int, float, float]:
        """Let all that may start do so and end: starts, seconds, and seconds on a core without writing."""
        starts, begun, own = 0, time.perf_counter(), time.thread_time()
        while self._ends:
            for started in self._apply(self._due()):
                sink.take(started, self._seconds[started.job][1], self._now)
                self._run(started)
                starts += 1
        sink.flush()
        seconds, deciding = time.perf_counter() - begun, time.thread_time() - own - sink.own_seconds
        gc.unfreeze()
        return starts, seconds, deciding

    def one_by_one(self, events: int) -> Iterator[tuple[float, float]]:
        """Seconds, and seconds on a core, of single events: so many ends, and a submission for each job that starts."""
        for _ in range(events):
            if not self._ends:
                break  # a short queue whose jobs all wait for grants and limits
            started = yield from self._timed(Ended(self._next_end()))
            for _ in started:
                yield from self._timed(self._fresh())
        gc.unfreeze()

    def steady(self, load: float, events: int) -> float:
        """Events a second, with submissions at random and ends when they come."""
        arrives, seen, begun = 0.0, 0, time.perf_counter()
        while seen < events:
            arrives += self._platform.pause(load)
            while self._ends and self._ends[0][0] <= arrives:
                seen += self._tell(self._due())
            self._now = int(arrives)
            seen += self._tell([self._fresh()])
        gc.unfreeze()
        return seen / (time.perf_counter() - begun)

    def _tell(self, events: Sequence[Event]) -> int:
        for started in self._apply(events):
            self._run(started)
        return len(events)

    def _timed(self, event: Event) -> Generator[tuple[float, float], None, list[Started]]:
        begun, own = time.perf_counter(), time.thread_time()
        started = self._apply([event])
        yield time.perf_counter() - begun, time.thread_time() - own
        for each in started:
            self._run(each)
        return started

    def _apply(self, events: Sequence[Event]) -> list[Started]:
        started = self._core.apply(self._now, events)
        self._waiting -= len(started)
        return started

    def _run(self, started: Started) -> None:
        assert isinstance(started.job, int)
        heapq.heappush(self._ends, (self._now + self._seconds[started.job][0], started.job))

    def _fresh(self) -> Submitted:
        asked = next(iter(self._platform.jobs(1)))
        self._seconds[asked.name] = (asked.run_seconds, asked.kind.gpus)
        self._waiting += 1
        return Submitted(asked.name, asked.kind)

    def _next_end(self) -> int:
        self._now, job = heapq.heappop(self._ends)
        return job

    def _due(self) -> list[Event]:
        """What happens at the next moment: ends, or something that opens or closes by itself."""
        moment = self._core.next_moment()
        if moment is not None and moment < self._ends[0][0]:
            self._now = moment
            return []
        events: list[Event] = [Ended(self._next_end())]
        while self._ends and self._ends[0][0] == self._now:
            events.append(Ended(self._next_end()))
        return events


if __name__ == "__main__":
    main()
