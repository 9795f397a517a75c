"""How well jobs fare: real traces under each policy, beside a bound that no scheduler can beat and an ideal of fairness.

python -m bench.scheduling_quality [--set NAME] [--iterations N] [--patience-days N]

Reads the traces from the folder that PLEDGEWORKS_SHARED names. A processor of the traces counts as a GPU. Declared times are
what users typed in lcg2005 and wagap2013; in philly-ci they are synthetic. Every policy has the same settings on all sets. The
peers are our models of them (compute/simulation/peers.py).
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench._bounds import ITERATIONS, Bounds, bounds
from bench._figure import Figure
from bench._fluid import ideal_completions, p95, rhos, worst_project
from bench._report import Runs
from compute.scheduling.knobs import DEFAULTS, Knobs
from compute.simulation import POLICIES, Figures, figures, read_trace, simulate
from compute.simulation.ours import Ours


@dataclass(frozen=True)
class Set:
    """One trace and the size of the platform it is replayed on."""

    name: str
    file: str
    gpus: int
    ideal_step: int  # seconds
    bound_step: int  # seconds; any certifies, finer ones certify a little more and take longer
    reach: float  # mean completion ÷ bound at most ...
    reach_worst: float  # ... and the worst project's finish-time unfairness, in the same run
    minutes: int  # that all of it takes on a slow machine, about
    user_as_project: bool = False
    weighted: bool = False

    def weights(self, projects: Sequence[str]) -> Mapping[str, int]:
        """All one, or drawn for the sorted names by a fixed seed."""
        if not self.weighted:
            return {}
        return dict(zip(projects, map(int, np.random.default_rng(5).choice([1, 2, 3, 5], len(projects))), strict=True))


SETS = (
    Set("lcg", "lcg2005.csv.gz", 1500, 900, 3600, reach=1.45, reach_worst=1.4, minutes=4),
    Set("wagap", "wagap2013_first.csv.gz", 1100, 900, 3600, reach=1.9, reach_worst=8, minutes=2, user_as_project=True),
    Set(
        "philly-ci",
        "bench_philly_ci.csv.gz",
        64,
        300,
        1800,
        reach=1.35,
        reach_worst=1.15,
        minutes=3,
        weighted=True,
    ),
)

DAY = 24 * 3600

COLUMNS = ("policy", "mean completion", "÷ bound", "rho p95", "worst project", "slowdown", "longest wait", "took")


def main() -> None:
    """Print one table for each set."""
    parser = argparse.ArgumentParser(prog="python -m bench.scheduling_quality", description=__doc__.partition("\n")[0])
    parser.add_argument("--set", choices=[each.name for each in SETS], help="one set only")
    parser.add_argument("--iterations", type=int, default=ITERATIONS, help=f"steps uphill for the bound (default {ITERATIONS})")
    patience = DEFAULTS.patience_seconds // DAY
    parser.add_argument(
        "--patience-days", type=int, default=patience, help=f"after this wait ours lets a job come nearer (default {patience})"
    )
    arguments, _ = parser.parse_known_args()
    knobs = replace(DEFAULTS, patience_seconds=arguments.patience_days * DAY)
    shared = os.environ.get("PLEDGEWORKS_SHARED")
    if not shared:
        print("The traces are not at hand: PLEDGEWORKS_SHARED must name the folder with data/.")
        return
    for each in SETS:
        if arguments.set in {None, each.name}:
            report(each, Path(shared) / "data", arguments.iterations, knobs)


def report(chosen: Set, folder: Path, iterations: int, knobs: Knobs) -> None:
    """Replay one set under every policy."""
    run = Run(chosen, folder, iterations, knobs)
    jobs, least = run.trace.jobs, run.least
    print(f"\n{chosen.name}: {len(jobs):,} jobs on {chosen.gpus:,} GPUs, {len(run.trace.projects)} projects")
    print(
        f"No schedule completes jobs in less than {least.best:,.0f} s on average (run time {least.run_time:,.0f},"
        f" squashed area {least.squashed_area:,.0f}, dual {least.dual:,.0f})"
    )
    print(_row(COLUMNS))
    for seen in run.outcomes():
        print(_row(_cells(seen, least.best)), flush=True)


def rows(chosen: Set, folder: Path) -> Iterator[Figure]:
    """Both columns of the claim, from one run, for the table of figures."""
    run = Run(chosen, folder, ITERATIONS, DEFAULTS)
    seen = list(run.outcomes())

    def runs(figure: Callable[[Outcome], float]) -> tuple[Runs, Sequence[Runs]]:
        ours, *peers = (Runs(each.policy, [figure(each)]) for each in seen)
        return ours, peers

    bound = Runs("certified", [run.least.best])
    of = f"{chosen.name} on {chosen.gpus:,}"
    ours, peers = runs(lambda each: each.figures.mean_completion)
    yield Figure(f"{of}, mean completion", "s", ours, chosen.reach, peers, bound, reach_is_ratio=True)
    ours, peers = runs(lambda each: each.worst)
    yield Figure(f"{of}, worst project's finish-time unfairness", "", ours, chosen.reach_worst, peers)


@dataclass(frozen=True)
class Outcome:
    """How jobs fared under one policy."""

    policy: str
    figures: Figures
    rho_p95: float
    worst_project: str
    worst: float
    took_seconds: float


class Run:
    """One set, its bound and its ideal; and every policy held against them."""

    def __init__(self, chosen: Set, folder: Path, iterations: int, knobs: Knobs) -> None:
        self.trace = read_trace(folder / chosen.file, user_as_project=chosen.user_as_project)
        self._gpus, self._knobs = chosen.gpus, knobs
        self._weights = chosen.weights(self.trace.projects)
        self.least: Bounds = bounds(self.trace.jobs, chosen.gpus, iterations=iterations, step=chosen.bound_step)
        self._ideal = ideal_completions(self.trace.jobs, chosen.gpus, self._weights, step=chosen.ideal_step)

    def outcomes(self) -> Iterator[Outcome]:
        """Ours first. A replay is the same each time, so there is one of each."""
        for name, start in POLICIES.items():
            begun = time.perf_counter()
            policy = Ours(self._gpus, self._weights, knobs=self._knobs) if name == "ours" else start(self._gpus, self._weights)
            schedule = simulate(self.trace.jobs, self._gpus, policy)
            took = time.perf_counter() - begun
            rho = rhos(schedule, self._ideal)
            project, worst = worst_project(schedule, rho)
            yield Outcome(name, figures(schedule), p95(rho), project, worst, took)


def _cells(seen: Outcome, bound: float) -> tuple[str, ...]:
    return (
        seen.policy,
        f"{seen.figures.mean_completion:,.0f} s",
        f"{seen.figures.mean_completion / bound:.3f}",
        f"{seen.rho_p95:.2f}",
        f"{seen.worst:.2f} {seen.worst_project}",
        f"{seen.figures.mean_slowdown:.1f}",
        f"{seen.figures.max_wait:,} s",
        f"{seen.took_seconds:.1f} s",
    )


def _row(cells: Sequence[str]) -> str:
    return "  ".join(cell.ljust(16) for cell in cells).rstrip()


if __name__ == "__main__":
    main()
