"""How many GPUs stay unused because of where jobs were put: Alibaba's OpenB trace, as Weng et al. replay it (USENIX ATC 2023).

python -m bench.placement [--workload NAME] [--seeds N] [--policy NAME]
python -m bench.placement --turnover [--seeds N]

All pods of the trace arrive once, in random order, then pods drawn from it at random, until the GPUs they ask for are 130 % of
all there are. None ends. What counts is the part of all GPUs that is allocated to nobody then. The published figures are means of
ten seeds of the authors' simulator. Every policy here sees the same draws, and memory counts, too.

`ours` puts a pod where it takes least from the work that is expected, and lets pods wait that would make more of a GPU useless
than they use, once all GPUs that are free or come back will be asked for (compute/scheduling/hosts/booking.py). It learns what is
expected from the pods that came so far; FGD is given the mix of the whole trace beforehand. `ours, whoever fits starts` is the
same without the waiting. What waiting costs while load is lower is printed below the table: nothing ends here, so that any pool
is on its way to being full. `--turnover` prints what it costs in a pool in which pods end (bench/_turnover.py).

Only `default` is at hand. The other workloads are made from it, like the published ones of that name by their description, so
that nothing is judged on one trace alone: multigpu50 draws pods so that those of several GPUs ask for half of all, gpushare100
has only those that ask for a part of one, gpuspec33 gives a third of the GPU pods a model to ask for, drawn by how many GPUs of
it there are.
"""

import argparse
import csv
import gzip
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Protocol

from bench._figure import Figure
from bench._placement_peers import AtRandom, Scan, best_fit, gradient_descent
from bench._report import Runs
from bench._turnover import LOADS, turnover
from compute.scheduling.hosts.booking import Limits, Line
from compute.scheduling.hosts.fragments import WHOLE, Need
from compute.scheduling.hosts.placement import Host, Hosts

LOAD_PERCENT = 130
FIRST_SEED = 42
STEPS = (50, 60, 70, 80, 90, 100, 110, 120, 130)
"""Arrived load in percent, at which the part in use is noted."""


EVERY = 8
"""Only so many-th hosts where pods end, to save time."""

REACH_PERCENT = 3.5
"""Of GPUs that nobody has at the end, at most, on `default`."""


class Placer(Protocol):
    """Takes pods as they come."""

    def arrived(self, need: Need) -> int:
        """Thousandths of GPUs that somebody got because of it; -1: it fits nowhere, or waits."""


class Ours:
    """Our rule, with or without letting the wasteful wait."""

    def __init__(self, hosts: Sequence[Host], limits: Limits | None) -> None:
        self._line = Line(Hosts(hosts), limits)
        self._count = 0

    def arrived(self, need: Need) -> int:
        self._count += 1
        started = self._line.arrived(self._count, need)
        return sum(place.need.parts for _, place in started) if started else -1


POLICIES: dict[str, Callable[[Sequence[Host], Sequence[Need], Random], Placer]] = {
    "random": lambda hosts, pods, rng: AtRandom(hosts, rng),
    "best fit": lambda hosts, pods, rng: Scan(hosts, best_fit, rng),
    "FGD": lambda hosts, pods, rng: Scan(hosts, gradient_descent(pods), rng),
    "ours": lambda hosts, pods, rng: Ours(hosts, Limits()),
    "ours, whoever fits starts": lambda hosts, pods, rng: Ours(hosts, None),
}

PUBLISHED = {"random": "01-Random", "best fit": "05-BestFit", "FGD": "06-FGD"}
"""The columns of the published figures."""


def main() -> None:
    """Print one table for each workload."""
    parser = argparse.ArgumentParser(prog="python -m bench.placement", description=__doc__.partition("\n")[0])
    parser.add_argument("--workload", choices=[*WORKLOADS], help="one workload only")
    parser.add_argument("--policy", choices=[*POLICIES], help="one policy only")
    parser.add_argument("--seeds", type=int, default=10, help="draws for each policy (default 10)")
    parser.add_argument("--turnover", action="store_true", help="pods end, on every eighth host")
    arguments, _ = parser.parse_known_args()
    shared = os.environ.get("PLEDGEWORKS_SHARED")
    if not shared:
        print("The trace is not at hand: PLEDGEWORKS_SHARED must name the folder with data/.")
        return
    folder = Path(shared) / "data"
    hosts, pods = _hosts(folder / "openb_nodes.csv.gz"), _pods(folder / "openb_default.csv.gz")
    if arguments.turnover:
        _report_turnover(hosts[::EVERY], pods, arguments.seeds)
        return
    for workload in WORKLOADS:
        if arguments.workload in {None, workload}:
            chosen = [name for name in POLICIES if arguments.policy in {None, name}]
            _report(workload, chosen, hosts, pods, arguments.seeds, _published(folder, workload))


def rows(folder: Path, repeats: int) -> Iterator[Figure]:
    """The trace itself, for the table of figures: every policy on the same draws."""
    hosts, pods = _hosts(folder / "openb_nodes.csv.gz"), _pods(folder / "openb_default.csv.gz")
    seen = {name: Runs(name, [each.unused_percent for each in _runs("default", name, hosts, pods, repeats)]) for name in POLICIES}
    published = [Runs(f"{name}, as published", [figure]) for name, figure in _published(folder, "default").items()]
    peers = [each for name, each in seen.items() if name != "ours"]
    yield Figure("OpenB default, unallocated GPUs at 130 % arrived load", "%", seen["ours"], REACH_PERCENT, [*peers, *published])


# One run ---------------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """One policy on one draw."""

    unused_percent: float  # of all GPUs, at the end
    refused: int  # pods without a place at the end
    in_use_percent: tuple[float, ...]  # at each of STEPS
    per_second: float  # pods looked at


def run(placer: Placer, hosts: Sequence[Host], arrivals: Sequence[Need]) -> Run:
    """Let the pods arrive."""
    total = sum(host.gpus for host in hosts) * WHOLE
    steps = iter(STEPS)
    step, asked, used, refused = next(steps), 0, 0, 0
    levels = []
    begun = time.perf_counter()
    for need in arrivals:
        asked += need.parts
        got = placer.arrived(need)
        used += max(got, 0)
        refused += got < 0
        if asked * 100 >= step * total:
            levels.append(100 * used / total)
            step = next(steps, LOAD_PERCENT + 1)
    took = time.perf_counter() - begun
    levels += [100 * used / total] * (len(STEPS) - len(levels))
    return Run(100 * (1 - used / total), refused, tuple(levels), len(arrivals) / took)


def _runs(workload: str, policy: str, hosts: Sequence[Host], pods: Sequence[Need], seeds: int) -> list[Run]:
    """One policy on so many draws of a workload."""
    gpus = sum(host.gpus for host in hosts)
    found = []
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        trace = WORKLOADS[workload](pods, hosts, Random(seed))
        found.append(run(POLICIES[policy](hosts, trace, Random(f"ties {seed}")), hosts, draw(trace, gpus, Random(seed))))
    return found


def draw(pods: Sequence[Need], gpus: int, rng: Random) -> list[Need]:
    """All pods in random order, then more of them, until they ask for LOAD_PERCENT of all GPUs."""
    arrivals = list(pods)
    rng.shuffle(arrivals)
    asked = sum(need.parts for need in arrivals)
    most = gpus * WHOLE * LOAD_PERCENT // 100
    while asked > most:
        asked -= arrivals.pop().parts
    while asked + (need := rng.choice(pods)).parts <= most:
        asked += need.parts
        arrivals.append(need)
    return arrivals


# Workloads -------------------------------------------------------------------------------------------------------------------


def _default(pods: Sequence[Need], hosts: Sequence[Host], rng: Random) -> Sequence[Need]:
    return pods


def _several_gpus(pods: Sequence[Need], hosts: Sequence[Host], rng: Random) -> Sequence[Need]:
    """Pods of several GPUs are repeated until they ask for half."""
    several = [need for need in pods if need.gpus > 1]
    wanted = sum(need.parts for need in pods if need.gpus <= 1)
    found = [need for need in pods if need.gpus <= 1]
    while wanted > 0:
        found.append(rng.choice(several))
        wanted -= found[-1].parts
    return found


def _shares_only(pods: Sequence[Need], hosts: Sequence[Host], rng: Random) -> Sequence[Need]:
    return [need for need in pods if need.share < WHOLE or not need.gpus]


def _with_models(pods: Sequence[Need], hosts: Sequence[Host], rng: Random) -> Sequence[Need]:
    models = [host.model for host in hosts for _ in range(host.gpus)]
    return [replace(need, models=(rng.choice(models),)) if need.gpus and rng.randrange(3) == 0 else need for need in pods]


WORKLOADS: dict[str, Callable[[Sequence[Need], Sequence[Host], Random], Sequence[Need]]] = {
    "default": _default,
    "multigpu50": _several_gpus,
    "gpushare100": _shares_only,
    "gpuspec33": _with_models,
}


def _hosts(path: Path) -> list[Host]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [
            Host(row["sn"], int(row["gpu"]), row["model"], int(row["cpu_milli"]), int(row["memory_mib"]))
            for row in csv.DictReader(file)
        ]


def _pods(path: Path) -> list[Need]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [
            Need(
                int(row["num_gpu"]),
                int(row["gpu_milli"]) if row["num_gpu"] == "1" else WHOLE,
                int(row["cpu_milli"]),
                int(row["memory_mib"]),
            )
            for row in csv.DictReader(file)
        ]


def _published(folder: Path, workload: str) -> dict[str, float]:
    with (folder / "openb_published_unalloc_at130.csv").open(encoding="utf-8") as file:
        row = next(row for row in csv.DictReader(file) if row["workload"] == f"openb_pod_list_{workload}")
    return {name: float(row[column]) for name, column in PUBLISHED.items()}


# Words -----------------------------------------------------------------------------------------------------------------------

COLUMNS = ("policy", "unallocated %", "spread", "min", "max", "published", "without a place", "pods/s")


def _report(
    workload: str, chosen: Sequence[str], hosts: Sequence[Host], pods: Sequence[Need], seeds: int, published: dict[str, float]
) -> None:
    gpus = sum(host.gpus for host in hosts)
    made = "" if workload == "default" else ", made from default; the published figures are of other pods"
    print(f"\n{workload}{made}: {len(hosts):,} hosts, {gpus:,} GPUs, {seeds} draws", flush=True)
    print(_row(COLUMNS))
    curves = []
    for name in chosen:
        runs = _runs(workload, name, hosts, pods, seeds)
        print(_row(_cells(name, runs, published.get(name))), flush=True)
        levels = zip(*(each.in_use_percent for each in runs), strict=True)
        curves.append((name, *(f"{statistics.fmean(level):.1f}" for level in levels)))
    print("GPUs in use, in %, when so much of them has been asked for:")
    print("".join(cell.ljust(24 if place == 0 else 8) for place, cell in enumerate(("", *(f"{step} %" for step in STEPS)))))
    for curve in curves:
        print("".join(cell.ljust(24 if place == 0 else 8) for place, cell in enumerate(curve)), flush=True)


def _report_turnover(hosts: Sequence[Host], pods: Sequence[Need], seeds: int) -> None:
    print(f"default, pods end: {len(hosts):,} hosts, {sum(host.gpus for host in hosts):,} GPUs, {seeds} draws; GPUs in use, in %")
    print(_row(("asked for", "whoever fits starts", "ours", "held back on average")))
    for load in LOADS:
        pairs = [[turnover(hosts, pods, limits, load, FIRST_SEED + seed) for limits in (None, Limits())] for seed in range(seeds)]
        without, ours = (statistics.fmean(each.in_use_percent for each in column) for column in zip(*pairs, strict=True))
        held = statistics.fmean(ours.held_back for _, ours in pairs)
        print(_row((f"{load} %", f"{without:.2f}", f"{ours:.2f}", f"{held:.1f}")), flush=True)


def _cells(name: str, runs: Sequence[Run], published: float | None) -> tuple[str, ...]:
    unused = [each.unused_percent for each in runs]
    return (
        name,
        f"{statistics.fmean(unused):.2f}",
        f"{statistics.pstdev(unused):.2f}",
        f"{min(unused):.2f}",
        f"{max(unused):.2f}",
        "" if published is None else f"{published:.2f}",
        f"{statistics.fmean(each.refused for each in runs):,.0f}",
        f"{statistics.median(each.per_second for each in runs):,.0f}",
    )


def _row(cells: Sequence[str]) -> str:
    return "".join(cell.ljust(24 if place == 0 else 16) for place, cell in enumerate(cells)).rstrip()


if __name__ == "__main__":
    main()
