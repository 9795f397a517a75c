"""Whole days replayed: promises are kept to the second, and a real trace waits as long as other simulators say."""

import csv
import gzip
import random
from pathlib import Path
from uuid import UUID

import pytest
from scheduling_build import HOUR, NOON, job, project, running, snapshot, uid
from scheduling_simulator import Arrival, replay

from compute.scheduling import Job, Pool, Project, Reason, Rules, Running, plan

FIRST_COME = Rules(patience_seconds=0)
"""One project whose jobs have all lost patience: first come, first served."""


@pytest.mark.parametrize("seed", range(30))
def test_a_promise_is_kept_whatever_passes_through_the_gaps(seed: int) -> None:
    """First come, first served, jobs end at or before their declared time: the next in line never starts after the promise."""
    chance = random.Random(seed)
    waiting = {
        each.id: each for each in (job(f"j{n}", chance.choice([1, 2, 5, 8]), chance.randint(1, 6), minute=n) for n in range(25))
    }
    busy = {r.job_id: r for r in (running(f"r{n}", 2, chance.randint(1, 5)) for n in range(chance.randint(0, 4)))}
    promised: dict[UUID, int] = {}
    ends_early: dict[UUID, int] = {}
    now = NOON
    while waiting or busy:
        answer = plan(snapshot(*waiting.values(), now=now, running=tuple(busy.values()), rules=FIRST_COME, projects=(project(),)))
        for start in answer.starts:
            assert now <= promised.get(start.job_id, now), "it starts when it was promised, or before"
            each = waiting.pop(start.job_id)
            ends_by = now + chance.choice([each.wall_seconds, each.wall_seconds, each.wall_seconds // 3])
            busy[each.id] = Running(each.id, each.project_id, None, start.pool_id, "H100", each.gpus, each.rate, start.ends_by)
            ends_early[each.id] = ends_by
        for wait in answer.waiting:
            if wait.reason is Reason.RESERVED_NEXT:
                assert wait.expected_start_at is not None
                assert wait.expected_start_at <= promised.get(wait.job_id, wait.expected_start_at), "a promise never moves back"
                promised[wait.job_id] = wait.expected_start_at
        if busy:
            now = min(ends_early.get(r.job_id, r.ends_by) for r in busy.values())
            busy = {key: r for key, r in busy.items() if ends_early.get(key, r.ends_by) > now}


@pytest.mark.needs_shared
def test_a_real_trace_waits_first_come_first_served_as_long_as_in_other_simulators(shared: Path) -> None:
    """5,000 jobs on 48 GPUs, mean wait 70,056 s and makespan 262,482 s: the figures of AccaSim and of a prototype.

    48 GPUs start at most 48 jobs at a time and nobody is passed, so the first 49 in line decide everything.
    """
    with gzip.open(shared / "data" / "bench_ci_busy5000.csv.gz", "rt") as rows:
        trace = [
            Arrival(
                Job(UUID(int=n), uid("vllm"), None, int(row["submit_time_s"]), "H100", int(row["gpus"]), HOUR, 840 * HOUR, None),
                int(row["duration_s"]),
            )
            for n, row in enumerate(csv.DictReader(rows))
        ]

    rules = Rules(patience_seconds=0, backfill=False)
    started = replay(trace, Pool(uid("p"), "p", {"H100": 48}), Project(uid("vllm")), rules, first_in_line=49)

    waits = [started[each.job.id] - each.job.submitted_at for each in trace]
    ends = max(started[each.job.id] + each.runs_seconds for each in trace)
    assert round(sum(waits) / len(waits)) == 70_056
    assert ends - min(each.job.submitted_at for each in trace) == 262_482
