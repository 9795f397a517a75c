"""How fast the waiting line is planned ahead: a reservation for every job, on full platforms, beside Slurm's.

python -m bench.reservations [--repeats N]

Slurm's figures are of Slurm 22.05.8 on a machine of the same kind (2 cores, one of which its controller used): the depth of a
backfill cycle divided by its length, 2,000 jobs on 64 nodes × 8 GPUs and 5,000 jobs of 1 to 8 nodes on 1,000 nodes × 8. They are
not measured again here. Slurm's cycle reads and writes its own job records too; ours plans from plain data. Seconds are
those for which this process had a core: a planner is one thread, and what else the machine does says nothing about it.

Both platforms are full at the start. Jobs declare times that people type (10 minutes to a day), or, in the lines that say so, any
second of a day, where no two jobs are alike. Small jobs take 1, 2, 4 or 8 GPUs of one host; gangs take whole hosts.
"""

import argparse
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bench._figure import Figure
from bench._report import Line, Runs, report
from compute.scheduling.forecasts.ahead import Counted, Hosted

TYPED = tuple(minutes * 60 for minutes in (10, 20, 30, 60, 120, 240, 480, 720, 1440))
GPUS_PER_HOST = 8


@dataclass(frozen=True)
class Queue:
    """Jobs in line on a full platform."""

    hosts: int
    sizes: Sequence[int]  # GPUs of one host; hosts of a gang
    jobs: int
    is_gang: bool
    any_second: bool = False

    def busy(self, chance: random.Random) -> list[list[tuple[int, int]]]:
        """What runs on each host: when it is over, and its GPUs."""
        return [list(self._on_one(chance)) for _ in range(self.hosts)]

    def _on_one(self, chance: random.Random) -> list[tuple[int, int]]:
        left, running = GPUS_PER_HOST, []
        while left:
            gpus = GPUS_PER_HOST if self.is_gang else min(left, chance.choice(self.sizes))
            running.append((chance.randint(1, chance.choice(TYPED)), gpus))
            left -= gpus
        return running

    def line(self, chance: random.Random) -> list[tuple[int, int]]:
        """The size and the declared seconds of each job."""
        return [
            (chance.choice(self.sizes), chance.randint(60, 86_400) if self.any_second else chance.choice(TYPED))
            for _ in range(self.jobs)
        ]


def by_host(queue: Queue, chance: random.Random) -> float:
    """Reservations a second where each is on hosts of its own."""
    hosts, line = [(0, running) for running in queue.busy(chance)], queue.line(chance)
    begun = time.process_time()
    plan = Hosted(0, hosts)
    for size, seconds in line:
        reserved = plan.reserve(GPUS_PER_HOST, seconds, size) if queue.is_gang else plan.reserve(size, seconds)
        assert reserved is not None
    return queue.jobs / (time.process_time() - begun)


def counted(queue: Queue, chance: random.Random) -> float:
    """Reservations a second where GPUs, or whole hosts, are counted."""
    running = [(at, 1 if queue.is_gang else gpus) for host in queue.busy(chance) for at, gpus in host]
    line = queue.line(chance)
    begun = time.process_time()
    plan = Counted(0, 0, running)
    for size, seconds in line:
        assert plan.reserve(size, seconds) is not None
    return queue.jobs / (time.process_time() - begun)


SMALL = Queue(64, (1, 2, 4, 8), 2_000, is_gang=False)
SMALL_ANY = Queue(64, (1, 2, 4, 8), 2_000, is_gang=False, any_second=True)
LARGE = Queue(1_000, tuple(range(1, 9)), 5_000, is_gang=True)
LARGE_ANY = Queue(1_000, tuple(range(1, 9)), 5_000, is_gang=True, any_second=True)

Measure = Callable[[Queue, random.Random], float]

LINES: Sequence[tuple[str, Measure, Queue, float, float | None]] = (
    ("64 × 8, by host", by_host, SMALL, 244, 20_000),
    ("64 × 8, by host, any second", by_host, SMALL_ANY, 244, None),
    ("64 × 8, GPUs counted", counted, SMALL, 244, 20_000),
    ("1,000 × 8, whole hosts counted", counted, LARGE, 10, 10_000),
    ("1,000 × 8, counted, any second", counted, LARGE_ANY, 10, 10_000),
    ("1,000 × 8, gangs on named hosts", by_host, LARGE, 10, None),
)
"""Name, how, the line, Slurm's figure, and what is to be reached."""


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(prog="python -m bench.reservations", description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="how often each line is measured (default 5)")
    arguments, _ = parser.parse_known_args()
    lines = [Line(ours, "reservations/s", peer=peer, reach=reach) for ours, peer, reach in _measured(arguments.repeats)]
    report("Reservations of the waiting line", lines)


def rows(repeats: int) -> Iterator[Figure]:
    """What is to be reached, for the table of figures."""
    for ours, peer, reach in _measured(repeats):
        if reach is not None:
            yield Figure(f"backfill reservations, {ours.name}", "reservations/s", ours, reach, [peer])


def _measured(repeats: int) -> Iterator[tuple[Runs, Runs, float | None]]:
    """Ours, Slurm's, and what is to be reached."""
    for name, measure, queue, slurm, reach in LINES:
        figures = [measure(queue, random.Random(seed)) for seed in range(repeats)]
        yield Runs(name, figures), Runs("Slurm 22.05.8", [slurm]), reach


if __name__ == "__main__":
    main()
