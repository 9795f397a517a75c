"""The replay agrees with other simulators to the second, and its figures with counting by hand."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from app import main
from compute.simulation import PEERS, POLICIES, Ask, TraceJob, figures, read_trace, simulate

TRACE = "job_id,project,user,submit_time_s,gpus,duration_s,declared_walltime_s\n"


def trace_job(index: int, at: int, gpus: int, run: int, wall: int, project: str = "p") -> TraceJob:
    return TraceJob(f"j{index}", Ask(index, project, "u", at, gpus, wall), run)


@pytest.mark.needs_shared
@pytest.mark.parametrize(
    ("policy", "mean_wait", "makespan"),
    [("fifo", 70_055.93, 262_482), ("greedy", 51_652.30, 257_074), ("easy", 66_515.09, 259_978), ("sjf", 26_767.95, 261_995)],
)
def test_a_real_trace_waits_as_long_as_in_other_simulators(shared: Path, policy: str, mean_wait: float, makespan: int) -> None:
    """5,000 jobs on 48 GPUs: AccaSim's FIFO, Alibaba's simulator's FIFO and shortest-declared-first, and strict EASY."""
    jobs = read_trace(shared / "data" / "bench_ci_busy5000.csv.gz").jobs
    seen = figures(simulate(jobs, 48, PEERS[policy].start(48, {})))
    assert round(seen.mean_wait, 2) == mean_wait
    assert seen.makespan == makespan


@pytest.mark.needs_shared
def test_shortest_first_by_true_run_time_agrees_too(shared: Path) -> None:
    """Only a test may tell a policy the run times: here they are declared."""
    told = [
        TraceJob(job.id, Ask(job.ask.index, "", "", job.ask.submitted_at, job.ask.gpus, job.run_seconds), job.run_seconds)
        for job in read_trace(shared / "data" / "bench_ci_busy5000.csv.gz").jobs
    ]
    assert round(figures(simulate(told, 48, PEERS["sjf"].start(48, {}))).mean_wait, 2) == 23_688.06


def test_backfill_lets_the_short_pass_and_never_delays_the_first_in_line() -> None:
    jobs = [
        trace_job(0, 0, 3, 100, 100),
        trace_job(1, 1, 5, 10, 10),  # first in line, promised 100
        trace_job(2, 2, 1, 98, 98),  # over by then: passes
        trace_job(3, 3, 1, 99, 99),  # would delay it by two seconds: waits
    ]
    assert simulate(jobs, 5, PEERS["easy"].start(5, {})).starts == [0, 100, 2, 110]
    assert simulate(jobs, 5, PEERS["fifo"].start(5, {})).starts == [0, 100, 110, 110]
    assert simulate(jobs, 5, PEERS["greedy"].start(5, {})).starts == [0, 102, 2, 3]


def test_weights_decide_who_gets_what_becomes_free() -> None:
    jobs = [trace_job(n, 0, 1, 10, 10, "ab"[n % 2]) for n in range(12)]
    starts = simulate(jobs, 3, PEERS["drf"].start(3, {"a": 2})).starts
    assert [jobs[n].ask.project for n in range(12) if starts[n] == 0].count("a") == 2


_JOBS = st.lists(
    st.tuples(st.integers(0, 50), st.integers(1, 4), st.integers(0, 30), st.integers(1, 30), st.sampled_from("abc")), min_size=1
)


@given(_JOBS, st.sampled_from(sorted(POLICIES)))
def test_every_job_starts_once_not_before_its_submission_and_no_gpu_is_used_twice(
    rows: list[tuple[int, int, int, int, str]], policy: str
) -> None:
    rows.sort()
    jobs = [trace_job(n, at, gpus, min(run, wall), wall, project) for n, (at, gpus, run, wall, project) in enumerate(rows)]
    schedule = simulate(jobs, 4, POLICIES[policy](4, {}))
    for index, job in enumerate(jobs):
        assert schedule.starts[index] >= job.ask.submitted_at
    for moment in schedule.starts:
        running = [j.ask.gpus for n, j in enumerate(jobs) if schedule.starts[n] <= moment < schedule.end(n)]
        assert sum(running) <= 4


def test_the_command_writes_a_schedule_figures_and_a_report(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(TRACE + "a,<p>,u,0,1,60,100\nb,<p>,u,0,1,30,100\nc,q,u,0,2,5,10\n")
    (tmp_path / "w.csv").write_text("project,weight\n<p>,3\n")
    out, report = tmp_path / "s.csv", tmp_path / "r.html"
    arguments = [str(tmp_path / "t.csv"), "--gpus", "2", "--policy", "fifo", "--weights", str(tmp_path / "w.csv")]
    seen = CliRunner().invoke(main, ["simulate", *arguments, "--out", str(out), "--report", str(report), "--json"])
    assert seen.exit_code == 0, seen.output
    assert json.loads(seen.stdout)["mean_wait"] == 20
    assert out.read_text().splitlines() == [
        "job_id,project,submit_time_s,start_time_s,end_time_s,gpus",
        "a,<p>,0,0,60,1",
        "b,<p>,0,0,30,1",
        "c,q,0,60,65,2",
    ]
    assert report.read_text().count("<polyline") == 3
    assert "&lt;p&gt;" in report.read_text(), "names are text, not markup"


@pytest.mark.parametrize(
    ("gpus", "weights", "words"),
    [
        ("1", "project,weight\n", "Job a needs 2 GPUs and would wait for ever on 1."),
        ("2", "project,weight\np,0\n", "w.csv gives p the weight 0; 1 is the least."),
        ("2", "project\np\n", "w.csv must have the columns project and weight"),
    ],
)
def test_the_command_refuses_what_makes_no_sense(tmp_path: Path, gpus: str, weights: str, words: str) -> None:
    (tmp_path / "t.csv").write_text(TRACE + "a,p,u,0,2,60,100\n")
    (tmp_path / "w.csv").write_text(weights)
    seen = CliRunner().invoke(main, ["simulate", str(tmp_path / "t.csv"), "--gpus", gpus, "--weights", str(tmp_path / "w.csv")])
    assert seen.exit_code == 2
    assert words in seen.stderr
