"""Whole days replayed: promises are kept to the second."""

import random
from uuid import UUID

import pytest
from scheduling_build import NOON, job, project, running, snapshot

from compute.scheduling import Knobs, Reason, Running, plan

STEADY = Knobs(own_weight=0.0, looks_max=10**6)
"""With one project, whose jobs all count its use alike, nobody's turn changes."""


@pytest.mark.parametrize("seed", range(30))
def test_a_promise_is_kept_whatever_passes_through_the_gaps(seed: int) -> None:
    """Jobs end at or before their declared time: the next in line never starts after the promise."""
    chance = random.Random(seed)
    waiting = {
        each.id: each for each in (job(f"j{n}", chance.choice([1, 2, 5, 8]), chance.randint(1, 6), minute=n) for n in range(25))
    }
    busy = {r.job_id: r for r in (running(f"r{n}", 2, chance.randint(1, 5)) for n in range(chance.randint(0, 4)))}
    promised: dict[UUID, int] = {}
    ends_early: dict[UUID, int] = {}
    now = NOON
    while waiting or busy:
        answer = plan(
            snapshot(
                *waiting.values(), now=now, running=tuple(busy.values()), knobs=STEADY, projects=(project(used_gpu_hours=99),)
            )
        )
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
