"""How well jobs fare: real traces under each policy, beside a bound that no scheduler can beat and an ideal of fairness.

python -m bench.scheduling_quality [--set NAME] [--iterations N] [--patience-days N]

Reads the traces from the folder that PLEDGEWORKS_SHARED names. A processor of the traces counts as a GPU. Declared times are
what users typed in lcg2005 and wagap2013; in philly-ci they are synthetic. Every policy has the same settings on all sets. The
peers are our models of them (compute/simulation/peers.py).
"""

import argparse
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from bench._bounds import bounds
from bench._fluid import ideal_completions, p95, rhos, worst_project
from compute.scheduling.knobs import DEFAULTS, Knobs
from compute.simulation import POLICIES, Trace, figures, read_trace, simulate
from compute.simulation.ours import Ours


@dataclass(frozen=True)
class Set:
    """One trace and the size of the platform it is replayed on."""

    name: str
    file: str
    gpus: int
    ideal_step: int  # seconds
    bound_step: int  # seconds; any certifies, finer ones certify a little more and take longer
    bound_iterations: int = 240  # the same holds for more steps uphill
    user_as_project: bool = False
    weighted: bool = False

    def weights(self, projects: Sequence[str]) -> Mapping[str, int]:
        """All one, or drawn for the sorted names by a fixed seed."""
        if not self.weighted:
            return {}
        return dict(zip(projects, map(int, np.random.default_rng(5).choice([1, 2, 3, 5], len(projects))), strict=True))


SETS = (
    Set("lcg", "lcg2005.csv.gz", 1500, 900, 3600),
    Set("wagap", "wagap2013_first.csv.gz", 1100, 900, 3600, user_as_project=True),
    Set("philly-ci", "bench_philly_ci.csv.gz", 64, 300, 1800, bound_iterations=1500, weighted=True),
)

DAY = 24 * 3600

COLUMNS = ("policy", "mean completion", "÷ bound", "rho p95", "worst project", "slowdown", "longest wait", "took")


def main() -> None:
    """Print one table for each set."""
    parser = argparse.ArgumentParser(prog="python -m bench.scheduling_quality", description=__doc__.partition("\n")[0])
    parser.add_argument("--set", choices=[each.name for each in SETS], help="one set only")
    parser.add_argument("--iterations", type=int, help="steps uphill for the bound (default 240, and 1,500 for philly-ci)")
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
            report(each, Path(shared) / "data", arguments.iterations or each.bound_iterations, knobs)


def report(chosen: Set, folder: Path, iterations: int, knobs: Knobs) -> None:
    """Replay one set under every policy."""
    trace = read_trace(folder / chosen.file, user_as_project=chosen.user_as_project)
    weights = chosen.weights(trace.projects)
    least = bounds(trace.jobs, chosen.gpus, iterations=iterations, step=chosen.bound_step)
    ideal = ideal_completions(trace.jobs, chosen.gpus, weights, step=chosen.ideal_step)
    print(f"\n{chosen.name}: {len(trace.jobs):,} jobs on {chosen.gpus:,} GPUs, {len(trace.projects)} projects")
    print(
        f"No schedule completes jobs in less than {least.best:,.0f} s on average (run time {least.run_time:,.0f},"
        f" squashed area {least.squashed_area:,.0f}, dual {least.dual:,.0f})"
    )
    print(_row(COLUMNS))
    for name in POLICIES:
        print(_row(_measure(name, trace, chosen.gpus, weights, least.best, ideal, knobs)), flush=True)


def _measure(
    name: str, trace: Trace, gpus: int, weights: Mapping[str, int], bound: float, ideal: Sequence[float], knobs: Knobs
) -> tuple[str, ...]:
    begun = time.perf_counter()
    policy = Ours(gpus, weights, knobs=knobs) if name == "ours" else POLICIES[name](gpus, weights)
    schedule = simulate(trace.jobs, gpus, policy)
    took = time.perf_counter() - begun
    seen, rho = figures(schedule), rhos(schedule, ideal)
    project, worst = worst_project(schedule, rho)
    return (
        name,
        f"{seen.mean_completion:,.0f} s",
        f"{seen.mean_completion / bound:.3f}",
        f"{p95(rho):.2f}",
        f"{worst:.2f} {project}",
        f"{seen.mean_slowdown:.1f}",
        f"{seen.max_wait:,} s",
        f"{took:.1f} s",
    )


def _row(cells: Sequence[str]) -> str:
    return "  ".join(cell.ljust(16) for cell in cells).rstrip()


if __name__ == "__main__":
    main()
