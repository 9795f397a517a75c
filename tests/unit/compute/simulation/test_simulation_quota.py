"""Preemption in the replay, and quota groups at work in it."""

from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.kueue import CONFIGURATIONS, DECLARED, SETTINGS, Configuration, Setting, Writing, replay
from compute.scheduling.quotas.preemption import Terms
from compute.scheduling.quotas.quota import Share
from compute.simulation import Ask, TraceJob, simulate
from compute.simulation.engine import Decision, Leave, Schedule, Stay
from compute.simulation.ours import Ours

GROUPS = {"g": {"p": Share(4), "q": Share(4)}}


def trace_job(index: int, at: int, gpus: int, run: int, project: str, rank: int = 0) -> TraceJob:
    return TraceJob(f"j{index}", Ask(index, project, "u", at, gpus, 1000, rank), run)


def replayed(jobs: Sequence[TraceJob], terms: Terms) -> Schedule:
    return simulate(jobs, 8, Ours(8, {}, groups=GROUPS, terms=terms))


# The engine ------------------------------------------------------------------------------------------------------------


class Scripted:
    """Decides what a test wrote down, moment by moment."""

    def __init__(self, script: dict[int, list[Decision]]) -> None:
        self.script = script
        self.heard: list[tuple[str, int, int]] = []

    def submitted(self, ask: Ask, now: int) -> None:
        self.heard.append(("submitted", ask.index, now))

    def ended(self, index: int, now: int) -> None:
        self.heard.append(("ended", index, now))

    def evicted(self, index: int, now: int) -> None:
        self.heard.append(("evicted", index, now))

    def decide(self, now: int) -> Iterator[Decision]:
        yield from self.script.get(now, [])


def test_who_leaves_loses_its_work_and_runs_in_full_another_time() -> None:
    policy = Scripted({0: [0], 5: [Leave(0, 8)], 8: [1], 12: [0]})
    schedule = simulate([trace_job(0, 0, 2, 20, "p"), trace_job(1, 5, 2, 4, "p")], 2, policy)
    assert policy.heard == [
        ("submitted", 0, 0),
        ("submitted", 1, 5),
        ("evicted", 0, 8),
        ("ended", 1, 12),
        ("ended", 0, 32),
    ]
    assert (schedule.starts, schedule.evictions, schedule.lost_gpu_seconds) == ([12, 8], 1, 16)


def test_who_is_over_within_the_grace_or_told_to_stay_is_not_evicted() -> None:
    policy = Scripted({0: [0, 1], 5: [Leave(0, 10), Leave(1, 10)], 7: [2, Stay(1)]})
    jobs = [trace_job(0, 0, 1, 9, "p"), trace_job(1, 0, 1, 20, "p"), trace_job(2, 5, 1, 1, "p"), trace_job(3, 7, 1, 1, "p")]
    policy.script[8] = [3]
    schedule = simulate(jobs, 4, policy)
    assert schedule.evictions == 0
    assert [schedule.end(index) for index in range(4)] == [9, 20, 8, 9]


class Slow:
    """Each decision takes seven seconds."""

    def reach(self, moment: int) -> int:
        return moment

    def begin(self) -> None:
        """Nothing to remember."""

    def lap(self, decision: Decision | None) -> int:
        return 7


def test_what_takes_time_to_decide_starts_later_and_what_comes_meanwhile_waits() -> None:
    jobs = [trace_job(0, 0, 1, 10, "p"), trace_job(1, 3, 1, 10, "p"), trace_job(2, 6, 1, 10, "q")]
    schedule = simulate(jobs, 8, Ours(8, {}, groups=GROUPS), stopwatch=Slow())
    assert schedule.starts == [7, 14, 14]


# Quota groups ----------------------------------------------------------------------------------------------------------


def test_an_owner_gets_its_quota_back_within_the_grace() -> None:
    borrowed = [trace_job(n, 0, 2, 500, "q") for n in range(4)]
    schedule = replayed([*borrowed, trace_job(4, 10, 4, 5, "p")], Terms(20, 10**6))
    assert schedule.starts[4] == 30
    assert (schedule.evictions, schedule.lost_gpu_seconds) == (2, 2 * 2 * 30)
    assert sorted(schedule.starts[:4]) == [0, 0, 35, 35]


def test_a_cost_limit_lets_the_owner_wait() -> None:
    borrowed = [trace_job(n, 0, 2, 500, "q") for n in range(4)]
    schedule = replayed([*borrowed, trace_job(4, 10, 4, 5, "p")], Terms(20, 119))
    assert (schedule.starts[4], schedule.evictions) == (500, 0)


def test_a_higher_class_makes_room_in_its_own_project_only() -> None:
    jobs = [trace_job(0, 0, 4, 100, "p"), trace_job(1, 0, 4, 100, "q"), trace_job(2, 10, 4, 5, "p", rank=1)]
    schedule = replayed(jobs, Terms(3, 10**6))
    assert schedule.starts == [18, 0, 13]


_JOBS = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 8), st.integers(1, 30), st.sampled_from("pq"), st.integers(0, 2)),
    min_size=1,
    max_size=25,
)


@settings(deadline=None)
@given(_JOBS, st.integers(0, 40), st.sampled_from([0, 50, 10**6]))
def test_every_job_runs_in_full_and_the_group_is_never_over_its_quota(
    rows: list[tuple[int, int, int, str, int]], grace: int, limit: int
) -> None:
    jobs = [trace_job(n, *row) for n, row in enumerate(sorted(rows))]
    schedule = replayed(jobs, Terms(grace, limit))
    for moment in schedule.starts:
        running = [j.ask.gpus for n, j in enumerate(jobs) if schedule.starts[n] <= moment < schedule.end(n)]
        assert sum(running) <= 8
    assert all(start >= job.ask.submitted_at for start, job in zip(schedule.starts, jobs, strict=True))


# The benchmark ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("place", "workloads", "queues", "bound"), [(0, 15_000, 30, 66.0), (1, 50_000, 1_000, 4.025)])
def test_the_generator_is_kueues(place: int, workloads: int, queues: int, bound: float) -> None:
    chosen = CONFIGURATIONS[place]
    jobs = chosen.jobs()
    assert (len(jobs), len({job.ask.project for job in jobs}), chosen.bound) == (workloads, queues, bound)
    assert [job.ask.submitted_at for job in jobs] == sorted(job.ask.submitted_at for job in jobs)
    assert {job.ask.wall_seconds for job in jobs} == {DECLARED}, "it says nothing about how long a workload runs"


SMALL = Configuration("small", 1, 2, CONFIGURATIONS[0].classes, 1.0, {}, "")


def test_no_replay_beats_the_bound_and_writing_takes_its_time() -> None:
    jobs = SMALL.jobs()
    assert all(replay(SMALL, jobs, setting).wall >= SMALL.bound for setting in SETTINGS)
    assert replay(SMALL, jobs, Setting("42/s", 1, Writing)).wall >= len(jobs) / 42
