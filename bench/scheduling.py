"""How fast the scheduler decides: starts a second, durable, and how long one event takes at most.

python -m bench.scheduling [--queued N] [--runs N]

10,000 GPUs in three lanes, 500 projects, N jobs in the queue (100,000 unless said otherwise), under grants, offers, limits,
maintenance, flavors with alternatives, priorities, fair turns, learnt run times, gangs and EASY backfill (bench/_platform.py).
Durable: a process of its own commits the starts to PostgreSQL (fsync and synchronous_commit on), up to 200 in a transaction, by
COPY, while the next ones are decided (bench/_writer.py). A row is what was decided; it is not all that production writes for a
start (the last lines). No start counts before its commit, and no end of a job is told before its start is durable. The bound is
what the same server takes of the same rows in the same batches, with no scheduler.

Where a C compiler is, the core path is compiled first (compute/compiling.py), and the figures are those of the compiled core;
beside them stands the same source interpreted. “Decided only” and “of its own time” count the time that the scheduler's thread
had a core: other work on the machine does not lengthen it.

Slurm's figure is that of slurmctld 22.05 from Debian 12 on such a machine: starts decided in one pass of its main loop over
64 nodes. Launching is in none of the figures, and Slurm's end-to-end rate (50 jobs/s) is no peer of them. The last lines are what
production does for a start: locks, budgets, the ledger's holds, the attempt, the audit, the launch task.
"""

import argparse
import gc
import heapq
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import make_url

from bench._figure import Figure
from bench._platform import GPUS, LANES, Platform
from bench._report import Line, Runs, report
from bench._starts import production
from bench._writer import BATCH, Writer, writer
from compute import compiled, compiling
from compute.scheduling.core import Core
from compute.scheduling.events import Ended, Event, Started, Submitted
from core.db.embedded import EmbeddedServer

QUEUED = 100_000
RUNS = 5
LATENCY_EVENTS = 20_000
STEADY_EVENTS = 40_000
LOADS = (0.95, 1.5)
SLURM = Runs("Slurm, decided", [427])

DRAIN, EVENT, STEADY = "drain", "event", "steady"
"""What can be measured of a core."""

DURABLE = 20_000  # starts/s
P99 = 1.0  # ms
"""To be reached."""

Figures = Mapping[str, Sequence[float]]
"""By name, one of each run."""


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.scheduling", description=__doc__.partition("\n")[0])
    parser.add_argument("--queued", type=int, default=QUEUED, help=f"jobs in the queue (default {QUEUED:,})")
    parser.add_argument("--runs", type=int, default=RUNS, help=f"repeats (default {RUNS})")
    parser.add_argument("--figures-of", metavar="ADDRESS", help=argparse.SUPPRESS)  # how this command calls itself, ...
    parser.add_argument("--measure", nargs="+", default=[DRAIN], help=argparse.SUPPRESS)  # ... and of what
    wanted, _ = parser.parse_known_args()
    if wanted.figures_of:
        print(json.dumps(measured(wanted.figures_of, wanted.queued, wanted.runs, wanted.measure)))
        return
    missing = compiling.what_is_missing()
    print(f"Only interpreted: {missing}" if missing else f"Compiled in {compiling.build()}")
    with _server() as server:
        fast, source = _both(server, wanted.queued, wanted.runs, (DRAIN, EVENT, STEADY))
        lines = [*decisions(fast or source, wanted.queued, source if fast else None)]
        lines += production(server.url, wanted.runs)
    report(f"Scheduling: {GPUS:,} GPUs, {wanted.queued:,} jobs queued, {wanted.runs} runs each", lines)


def rows(repeats: int, queued: int = QUEUED) -> Iterator[Figure]:
    """What is to be reached, for the table of figures."""
    with _server() as server:
        fast, source = _both(server, queued, repeats, (DRAIN, EVENT))
    seen = fast or source
    beside = [SLURM, Runs("ours, decided only, by time on a core", seen["decided"])]
    if fast:
        beside += [Runs("ours, interpreted", source["durable"]), Runs("the same by time on a core", source["decided"])]
    alone = Runs("PostgreSQL alone", seen["bare"])
    yield Figure(f"durable decided starts, {queued:,} queued", "starts/s", Runs("ours", seen["durable"]), DURABLE, beside, alone)
    own = Runs("by time on a core", seen["p99 own"])
    yield Figure(f"one event at {queued:,} queued, p99", "ms", Runs("ours", seen["p99 wall"]), P99, [own])


@contextmanager
def _server() -> Iterator[EmbeddedServer]:
    with tempfile.TemporaryDirectory(prefix="pw-bench-", ignore_cleanup_errors=True) as folder:
        try:
            yield EmbeddedServer.attach(Path(folder) / "data")
        finally:
            EmbeddedServer.detach_all()


def _both(server: EmbeddedServer, queued: int, runs: int, measure: Sequence[str]) -> tuple[Figures | None, Figures]:
    """Of the compiled core, if it can be compiled here, and of the source: then the drain alone."""
    address = make_url(server.url).set(drivername="postgresql").render_as_string(hide_password=False)
    if compiling.what_is_missing():
        return None, _figures(address, queued, runs, measure, use_compiled=False)
    compiling.build()
    source = _figures(address, queued, runs, (DRAIN,), use_compiled=False)
    return _figures(address, queued, runs, measure, use_compiled=True), source


def _figures(address: str, queued: int, runs: int, measure: Sequence[str], *, use_compiled: bool) -> Figures:
    """Measured by another process, since a process imports the core once."""
    command = [sys.executable, "-m", "bench.scheduling", "--queued", f"{queued}", "--runs", f"{runs}"]
    command += ["--figures-of", address, "--measure", *measure]
    environment = {**os.environ, "PLEDGEWORKS_COMPILED": "yes" if use_compiled else "no"}
    answer = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True, cwd=compiled.ROOT).stdout
    figures: Figures = json.loads(answer)
    assert figures["compiled"] == [use_compiled] * runs, "it ran what it was told to run"
    return figures


def measured(address: str, queued: int, runs: int, measure: Collection[str]) -> Figures:
    """What this process's core does."""
    seen: dict[str, list[float]] = {}
    for seed in range(runs):
        seen.setdefault("compiled", []).append(compiled.in_use())
        if DRAIN in measure:
            with writer(address) as sink:
                rows, seconds, deciding = Replay(Platform(seed), queued).drain(sink)
                seen.setdefault("durable", []).append(rows / seconds)
                seen.setdefault("decided", []).append(rows / deciding)
                seen.setdefault("commit", []).append(1000 * sorted(sink.waits)[len(sink.waits) // 2])
                seen.setdefault("bare", []).append(rows / sink.again())
        if EVENT in measure:
            clocks = zip(*Replay(Platform(seed), queued).one_by_one(LATENCY_EVENTS), strict=True)
            for clock, latencies in zip(("wall", "own"), map(sorted, clocks), strict=True):
                seen.setdefault(f"p99 {clock}", []).append(1000 * latencies[len(latencies) * 99 // 100])
                seen.setdefault(f"longest {clock}", []).append(1000 * latencies[-1])
        for load in LOADS if STEADY in measure else ():
            seen.setdefault(f"{load}", []).append(Replay(Platform(seed), 0).steady(load, STEADY_EVENTS))
    return seen


def decisions(seen: Figures, queued: int, interpreted: Figures | None) -> Iterator[Line]:
    """What the core decides, in the order of the table."""

    def line(name: str, key: str, unit: str, *, peer: Runs | None = None, reach: float | None = None) -> Line:
        return Line(Runs(name, seen[key]), unit, peer=peer, reach=reach)

    yield line("drain, durable", "durable", "starts/s", peer=SLURM, reach=DURABLE)
    yield line("drain, durable", "durable", "starts/s", peer=Runs("PostgreSQL alone", seen["bare"]))
    yield line("drain, decided only", "decided", "starts/s", peer=SLURM)
    if interpreted is not None:
        for name, key in (("drain, durable", "durable"), ("drain, decided only", "decided")):
            yield line(name, key, "starts/s", peer=Runs("interpreted", interpreted[key]))
    yield Line(Runs("from a batch's decision to its commit", seen["commit"]), "ms")
    for load in LOADS:
        yield line(f"steady at load {load}", f"{load}", "events/s")
    yield line(f"one event at {queued:,} queued, p99", "p99 wall", "ms", reach=P99)
    yield line("... of its own time on a core", "p99 own", "ms", reach=P99)
    yield line(f"one event at {queued:,} queued, longest", "longest wall", "ms")
    yield line("... of its own time on a core", "longest own", "ms")


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
        # What is there lives as long as the scheduler, and what it drops is freed by its reference counts: a worker that holds it
        # keeps the collector from looking through it again and again.
        gc.collect()
        gc.freeze()
        gc.disable()

    def drain(self, sink: Writer) -> tuple[int, float, float]:
        """Let all that may start do so and end: starts, seconds until they are durable, and seconds on a core to decide them."""
        starts, deciding, begun = 0, 0.0, time.perf_counter()
        while self._ends:
            events = self._due()
            for event in events:
                assert isinstance(event, Ended)
                assert isinstance(event.job, int)
                sink.wait_for(event.job)
            own = time.thread_time()
            decided = self._apply(events)
            deciding += time.thread_time() - own
            for started in decided:
                gpus, passed = self._seconds[started.job][1], "t" if started.backfilled else "f"
                assert isinstance(started.job, int)
                sink.take(started.job, f"{started.job}\t{started.lane}\t{gpus}\t{self._now}\t{started.ends_by}\t{passed}\n")
                self._run(started)
            sink.moment_over()
            starts += len(decided)
        sink.flush()
        seconds = time.perf_counter() - begun
        _collect_again()
        return starts, seconds, deciding

    def one_by_one(self, events: int) -> Iterator[tuple[float, float]]:
        """Seconds, and seconds on a core, of single events: so many ends, and a submission for each job that starts."""
        for _ in range(events):
            if not self._ends:
                break  # a short queue whose jobs all wait for grants and limits
            started = yield from self._timed(Ended(self._next_end()))
            for _ in started:
                yield from self._timed(self._fresh())
        _collect_again()

    def steady(self, load: float, events: int) -> float:
        """Events a second, with submissions at random and ends when they come."""
        arrives, seen, begun = 0.0, 0, time.perf_counter()
        while seen < events:
            arrives += self._platform.pause(load)
            while self._ends and self._ends[0][0] <= arrives:
                seen += self._tell(self._due())
            self._now = int(arrives)
            seen += self._tell([self._fresh()])
        _collect_again()
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


def _collect_again() -> None:
    gc.enable()
    gc.unfreeze()


if __name__ == "__main__":
    main()
