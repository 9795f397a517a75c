"""The yardsticks of the scheduling benchmark, by hand and against every schedule there is."""

from itertools import permutations
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench._bounds import Dual, SquashedArea, bounds
from bench._fluid import _Line, ideal_completions, rhos, worst_project
from compute.simulation import PEERS, Ask, Schedule, TraceJob, figures, read_trace, simulate


def trace_job(index: int, at: int, gpus: int, run: int, project: str = "p") -> TraceJob:
    return TraceJob(f"j{index}", Ask(index, project, "u", at, gpus, run), run)


def test_two_projects_share_by_weight_and_inside_one_the_older_job_comes_first() -> None:
    jobs = [trace_job(0, 0, 4, 100, "a"), trace_job(1, 0, 4, 100, "a"), trace_job(2, 0, 4, 100, "b")]
    # 4 GPUs, a has three quarters: its first job's 400 GPU-seconds take 134 s, b's single GPU takes longer than a's second.
    assert ideal_completions(jobs, 4, {"a": 3, "b": 1}, step=1) == [134, 267, 300]


def test_what_a_project_cannot_use_the_others_get() -> None:
    jobs = [trace_job(0, 0, 1, 100, "a"), trace_job(1, 0, 3, 100, "b")]
    assert ideal_completions(jobs, 4, {"a": 10}, step=10) == [100, 100]


def test_sums_that_lost_a_little_do_not_keep_the_last_job_waiting_for_ever() -> None:
    line = _Line(step=10)
    line.add(0, gpus=2, work=20)
    line._demand = -1e-12  # what a hundred thousand additions and subtractions may leave
    assert line.serve(line.demand) == [0]


def test_the_worst_project_is_looked_for_among_those_with_many_jobs() -> None:
    jobs = [trace_job(n, 0, 1, 10, "many" if n < 51 else "few") for n in range(60)]
    schedule = Schedule(jobs, 60, [5] * 51 + [1000] * 9)
    name, rho = worst_project(schedule, rhos(schedule, [10.0] * 60))
    assert (name, rho) == ("many", pytest.approx(1.5))


def test_the_squashed_area_of_two_jobs_by_hand() -> None:
    # On one machine twice as fast: the first 0-5 s (middle 2.5, half its run 5), the second 5-25 s (15, 20).
    assert SquashedArea([trace_job(0, 0, 1, 10), trace_job(1, 0, 1, 40)], 2).bound == pytest.approx((7.5 + 35) / 2)


def test_without_prices_the_dual_is_the_mean_run_time() -> None:
    dual = Dual([trace_job(0, 0, 1, 10), trace_job(1, 3, 2, 40)], 2, step=7)
    dual.prices[:] = 0
    assert dual.evaluate()[0] == pytest.approx(25)


@given(
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 3), st.integers(1, 40)), min_size=1, max_size=6),
    st.integers(1, 20),
    st.sampled_from([1, 3, 1 << 16]),
    st.randoms(use_true_random=False),
)
def test_each_job_takes_the_start_that_is_cheapest_for_it(
    rows: list[tuple[int, int, int]], step: int, portion: int, chance: Random
) -> None:
    """Prices are constant between whole seconds, and so are jobs: no start between two of them is cheaper."""
    jobs = [trace_job(n, at, gpus, run) for n, (at, gpus, run) in enumerate(sorted(rows))]
    dual = Dual(jobs, 3, step=step)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("bench._bounds.PORTION", portion)
        for _ in range(3):  # the first guesses are those of other prices
            dual.prices[:] = [chance.choice([0, chance.random() * 3]) for _ in dual.prices]
            second = [price for price in map(float, dual.prices) for _ in range(step)]
            cheapest = [_cheapest(job, jobs[0].ask.submitted_at, second) for job in jobs]
            assert dual.evaluate()[0] == pytest.approx((sum(cheapest) - 3 * sum(second)) / len(jobs))


def _cheapest(job: TraceJob, zero: int, prices: list[float]) -> float:
    release, run = job.ask.submitted_at - zero, job.run_seconds
    return min(at - release + run + job.ask.gpus * sum(prices[at : at + run]) for at in range(release, release + len(prices) + 1))


_SMALL = st.lists(st.tuples(st.integers(0, 30), st.integers(1, 3), st.integers(1, 40)), min_size=1, max_size=5)


@settings(max_examples=40)
@given(_SMALL, st.integers(2, 20))
def test_no_schedule_beats_a_bound(rows: list[tuple[int, int, int]], step: int) -> None:
    """Every order of starting jobs as early as they fit: one of them is optimal."""
    rows.sort()
    jobs = [trace_job(n, at, gpus, run) for n, (at, gpus, run) in enumerate(rows)]
    found = bounds(jobs, 3, iterations=15, step=step)
    assert found.best <= min(_mean_completion(jobs, order) for order in permutations(range(len(jobs)))) + 1e-6


def _mean_completion(jobs: list[TraceJob], order: tuple[int, ...]) -> float:
    """Each job of the order at the earliest moment that leaves those before it their GPUs, of three."""
    placed: list[tuple[int, int, int]] = []
    total = 0
    for index in order:
        job = jobs[index]
        moments = sorted({job.ask.submitted_at, *(end for _, end, _ in placed if end > job.ask.submitted_at)})
        at = next(
            moment
            for moment in moments
            if all(
                job.ask.gpus + sum(gpus for begin, end, gpus in placed if begin <= second < end) <= 3
                for second in range(moment, moment + job.run_seconds)
            )
        )
        placed.append((at, at + job.run_seconds, job.ask.gpus))
        total += at + job.run_seconds - job.ask.submitted_at
    return total / len(jobs)


@pytest.mark.needs_shared
def test_a_bound_holds_for_a_real_trace_and_knows_more_than_the_run_times(shared: Path) -> None:
    jobs = read_trace(shared / "data" / "bench_ci_busy5000.csv.gz").jobs
    found = bounds(jobs, 48, iterations=10)
    best = figures(simulate(jobs, 48, PEERS["sjf"].start(48, {}))).mean_completion
    assert found.run_time < found.best < best
