"""A replay on nodes: a job's GPUs are together, under every policy."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from app import main
from compute.scheduling.hosts.placement import Host
from compute.simulation import POLICIES, Ask, TraceJob, simulate

TRACE = "job_id,project,user,submit_time_s,gpus,duration_s,declared_walltime_s\n"
HOSTS = [Host("a", 4), Host("b", 4)]

_JOBS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 8), st.integers(1, 30), st.integers(1, 30), st.sampled_from("abc")),
    min_size=1,
    max_size=30,
)


def trace_job(index: int, at: int, gpus: int, run: int, wall: int, project: str = "p") -> TraceJob:
    return TraceJob(f"j{index}", Ask(index, project, "u", at, gpus, wall), run)


@given(_JOBS, st.sampled_from(sorted(POLICIES)))
@settings(max_examples=30)
def test_at_every_moment_what_runs_fits_on_the_nodes(rows: list[tuple[int, int, int, int, str]], policy: str) -> None:
    rows.sort()
    jobs = [trace_job(n, at, gpus, min(run, wall), wall, project) for n, (at, gpus, run, wall, project) in enumerate(rows)]
    schedule = simulate(jobs, 8, POLICIES[policy](8, {}, HOSTS))
    for moment in schedule.starts:
        running = [j.ask.gpus for n, j in enumerate(jobs) if schedule.starts[n] <= moment < schedule.end(n)]
        assert _can_be_on_two_nodes_of_four(running)


def _can_be_on_two_nodes_of_four(gpus: list[int]) -> bool:
    """Large jobs take a whole node and a part of the other; the rest is put on the two in every way."""
    ways = {(4, 4)}
    for each in sorted(gpus, reverse=True):
        parts = [(each, 0), (0, each)] if each <= 4 else [(4, each - 4), (each - 4, 4)]
        ways = {(left - a, right - b) for left, right in ways for a, b in parts if left >= a and right >= b}
    return bool(ways)


@pytest.mark.parametrize("policy", sorted(POLICIES))
def test_three_and_three_of_four_leave_no_node_for_two(policy: str) -> None:
    """Two GPUs are free, one on each node: on nodes the third job waits, without them it starts."""
    jobs = [trace_job(0, 0, 3, 10, 10), trace_job(1, 0, 3, 20, 20), trace_job(2, 1, 2, 5, 5)]
    assert simulate(jobs, 8, POLICIES[policy](8, {}, HOSTS)).starts == [0, 0, 10]
    assert simulate(jobs, 8, POLICIES[policy](8, {})).starts == [0, 0, 1]


def test_the_command_takes_a_number_of_nodes_that_divides_the_gpus(tmp_path: Path) -> None:
    trace = tmp_path / "t.csv"
    trace.write_text(TRACE + "a,p,u,0,3,10,10\nb,p,u,0,3,20,20\nc,p,u,1,2,5,5\n")
    seen = CliRunner().invoke(main, ["simulate", str(trace), "--gpus", "8", "--nodes", "2", "--json"])
    assert seen.exit_code == 0, seen.output
    assert (json.loads(seen.stdout)["nodes"], json.loads(seen.stdout)["max_wait"]) == (2, 9)
    refused = CliRunner().invoke(main, ["simulate", str(trace), "--gpus", "8", "--nodes", "3"])
    assert refused.exit_code == 2
    assert "8 GPUs can't be in 3 equal nodes." in refused.stderr
