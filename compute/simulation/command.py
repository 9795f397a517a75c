"""`pledgeworks simulate`: a trace replayed under a policy."""

import csv
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from compute.scheduling.hosts.placement import Host
from compute.simulation.engine import Schedule
from compute.simulation.engine import simulate as replay
from compute.simulation.outcome import figures, write_schedule
from compute.simulation.policies import POLICIES
from compute.simulation.report import render
from compute.simulation.trace import Trace, read_trace
from core.cli import json_option, print_json
from core.errors import InvalidInput
from core.units import format_seconds


@click.command()
@click.argument("trace", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--gpus", type=click.IntRange(min=1), required=True, help="How many GPUs there are.")
@click.option("--nodes", type=click.IntRange(min=1), help="In so many equal nodes: a job gets its GPUs on one, if one is enough.")
@click.option("--policy", type=click.Choice([*POLICIES]), default="ours", show_default=True, help="Who starts when.")
@click.option("--project-is", type=click.Choice(["project", "user"]), default="project", show_default=True, help="Who shares.")
@click.option("--flavor", help="Which kind of accelerator, where the trace names several.")
@click.option(
    "--weights",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="CSV: project,weight. A project it does not name weighs 1.",
)
@click.option("--out", type=click.Path(path_type=Path), help="Write when each job started, as CSV.")
@click.option("--report", "report_path", type=click.Path(path_type=Path), help="Write a page with plots, as HTML.")
@json_option
def simulate(
    trace: Path,
    gpus: int,
    nodes: int | None,
    policy: str,
    project_is: str,
    flavor: str | None,
    weights: Path | None,
    out: Path | None,
    report_path: Path | None,
    as_json: bool,
) -> None:
    """Replay TRACE (.swf or .csv, gzipped or not) and say how long its jobs wait.

    A job runs for its duration or its declared time, whichever is shorter; the policy never sees the duration.
    """
    hosts = _hosts(gpus, nodes) if nodes else ()
    found = read_trace(trace, user_as_project=project_is == "user", flavor=flavor)
    _require_fitting(found, gpus, trace.name)
    weight_of = _read_weights(weights) if weights else {}
    with _progress(len(found.jobs)) as progress:
        schedule = replay(found.jobs, gpus, POLICIES[policy](gpus, weight_of, hosts), progress=progress)
    if out is not None:
        with out.open("w", encoding="utf-8", newline="") as file:
            write_schedule(schedule, file)
    if report_path is not None:
        report_path.write_text(render(schedule, title=trace.name, policy=policy, weights=weight_of), encoding="utf-8")
    _print(schedule, found, policy, nodes, as_json=as_json)


def _hosts(gpus: int, nodes: int) -> tuple[Host, ...]:
    if gpus % nodes:
        raise InvalidInput(
            f"{gpus} GPUs can't be in {nodes} equal nodes. Give a number of nodes that divides the number of GPUs.", field="nodes"
        )
    return tuple(Host(f"{number:06}", gpus // nodes) for number in range(1, nodes + 1))


def _require_fitting(found: Trace, gpus: int, name: str) -> None:
    if not found.jobs:
        raise InvalidInput(f"{name} describes no job that ran.")
    widest = max(found.jobs, key=lambda job: job.ask.gpus)
    if widest.ask.gpus > gpus:
        raise InvalidInput(
            f"Job {widest.id} needs {widest.ask.gpus} GPUs and would wait for ever on {gpus}. Give at least as many with --gpus.",
            field="gpus",
        )


def _read_weights(path: Path) -> dict[str, int]:
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        weights = {row["project"]: int(row["weight"]) for row in rows}
    except (KeyError, TypeError, ValueError):  # text that is not UTF-8 is a ValueError too
        raise InvalidInput(
            f"{path.name} must have the columns project and weight, a whole number each.", field="weights"
        ) from None
    wrong = next((project for project, weight in weights.items() if weight < 1), None)
    if wrong is not None:
        raise InvalidInput(f"{path.name} gives {wrong} the weight {weights[wrong]}; 1 is the least.", field="weights")
    return weights


@contextmanager
def _progress(jobs: int) -> Iterator[Any]:
    """A bar on stderr, so that stdout holds the answer alone; nothing where nobody looks."""
    with click.progressbar(length=jobs, label="Replaying", file=sys.stderr) as bar:
        yield lambda over, _: bar.update(over - bar.pos)
        bar.update(jobs - bar.pos)


def _print(schedule: Schedule, found: Trace, policy: str, nodes: int | None, *, as_json: bool) -> None:
    seen = figures(schedule)
    if as_json:
        print_json({"policy": policy, "gpus": schedule.gpus, "nodes": nodes, "left_out": found.left_out, **asdict(seen)})
        return
    if found.left_out:
        click.echo(f"{found.left_out} lines describe no job that ran and are left out.", err=True)
    for label, seconds in (
        ("Mean wait", seen.mean_wait),
        ("Median wait", seen.median_wait),
        ("Wait of 95 in 100", seen.p95_wait),
        ("Longest wait", seen.max_wait),
        ("Mean completion", seen.mean_completion),
        ("Whole trace", seen.makespan),
    ):
        click.echo(f"{label:<22}{format_seconds(round(seconds)):>14}  {seconds:>14,.0f} s")
    click.echo(f"{'Mean bounded slowdown':<22}{seen.mean_slowdown:>14.2f}")
    click.echo(f"{'GPU time used':<22}{seen.utilisation:>14.1%}")
