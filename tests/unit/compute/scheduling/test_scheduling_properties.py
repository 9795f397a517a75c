"""What must hold in every world: the same answer as the slow reference, true reasons, nothing over any limit."""

import random
from dataclasses import replace
from typing import Any

import pytest
from scheduling_build import NOON, uid
from scheduling_slow import Reference
from scheduling_worlds import on_hosts
from scheduling_worlds import world as make_world

from compute.scheduling import Decision, Grant, Job, Offer, Plan, Pool, PoolState, Reason, Snapshot, Start, plan
from compute.scheduling.plan import events

SEEDS = [range(start, start + 250) for start in range(0, 2000, 250)]
"""Two thousand worlds: enough that each of a dozen mistakes planted while this was written was found."""

many_worlds = pytest.mark.parametrize("seeds", SEEDS, ids=lambda seeds: f"seeds {seeds.start}-{seeds.stop - 1}")


@many_worlds
def test_the_plan_is_that_of_the_slow_reference(seeds: range) -> None:
    for seed in seeds:
        _check_the_plan_is_that_of_the_slow_reference(make_world(seed))
        if seed % 3 == 0:
            _check_the_plan_is_that_of_the_slow_reference(on_hosts(make_world(seed), seed))


def _check_the_plan_is_that_of_the_slow_reference(world: Snapshot) -> None:
    answer, slow = plan(world), Reference({}, {}, world.knobs)
    slow.where = {start.job_id: ((start.host, start.gpus),) for start in answer.starts}
    expected = slow.apply(world.now, list(events(world)))

    assert [
        (s.job_id, s.ends_by, (s.pool_id, s.flavor), {d.offer_id: d.ticks for d in s.draws}) for s in answer.starts
    ] == expected
    assert [wait.job_id for wait in answer.waiting] == [job.name for job in slow.line()]
    promised = {wait.job_id: ((wait.pool_id, wait.flavor), wait.expected_start_at) for wait in answer.waiting}
    promised = {job: found for job, found in promised.items() if found[1] is not None}
    assert promised == {kept.job: (kept.choice.lane, kept.at) for kept in slow.kept}


@many_worlds
def test_the_order_of_the_parts_means_nothing(seeds: range) -> None:
    for seed in seeds:
        _check_order(make_world(seed), random.Random(seed))


def _check_order(world: Snapshot, chance: random.Random) -> None:

    def shuffled(parts: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(chance.sample(parts, len(parts)))

    mixed = replace(
        world,
        pools=shuffled(world.pools),
        projects=shuffled(world.projects),
        queued=shuffled(world.queued),
        running=shuffled(world.running),
        offers=shuffled(world.offers),
        grants=shuffled(world.grants),
    )
    assert plan(mixed) == plan(world)


@many_worlds
def test_every_job_is_decided_once_with_a_reason_in_words(seeds: range) -> None:
    for seed in seeds:
        _check_every_job_is_decided_once_with_a_reason_in_words(make_world(seed))


def _check_every_job_is_decided_once_with_a_reason_in_words(world: Snapshot) -> None:
    answer = plan(world)

    decided = [start.job_id for start in answer.starts] + [wait.job_id for wait in answer.waiting]
    assert sorted(decided) == sorted(job.id for job in world.queued)
    assert [wait.place for wait in answer.waiting] == list(range(1, len(answer.waiting) + 1))
    assert all(wait.detail for wait in answer.waiting)


@many_worlds
def test_nothing_starts_over_capacity_budget_window_or_limit(seeds: range) -> None:
    for seed in seeds:
        _check_nothing_starts_over_capacity_budget_window_or_limit(make_world(seed))


def _check_nothing_starts_over_capacity_budget_window_or_limit(world: Snapshot) -> None:
    answer = plan(world)

    jobs = {job.id: job for job in world.queued}
    for start in answer.starts:
        job = jobs[start.job_id]
        (pool,) = (pool for pool in world.pools if pool.id == start.pool_id)
        assert (start.gpus, start.flavor) == (job.gpus, job.flavor), "a gang starts whole"
        assert start.ends_by == NOON + job.wall_seconds + world.knobs.overhead_seconds
        assert pool.state is PoolState.OPEN
        assert pool.open_until is None or start.ends_by <= pool.open_until
        assert job.pools is None or pool.id in job.pools
        if job.offers is not None:
            assert sum(draw.ticks for draw in start.draws) == job.offer_ticks
        for draw in start.draws:
            (offer,) = (offer for offer in world.offers if offer.id == draw.offer_id)
            assert offer.id in (job.offers or ())
            assert (offer.pool_id, offer.flavor) == (start.pool_id, start.flavor)
            assert offer.opens_at <= NOON
            assert start.ends_by <= offer.closes_at
            assert draw.ticks > 0
    for pool in world.pools:
        for flavor, capacity in pool.capacity.items():
            new = sum(s.gpus for s in answer.starts if (s.pool_id, s.flavor) == (pool.id, flavor))
            old = sum(r.gpus for r in world.running if (r.pool_id, r.flavor) == (pool.id, flavor))
            assert new == 0 or new + old <= capacity
    for offer in world.offers:
        assert sum(d.ticks for s in answer.starts for d in s.draws if d.offer_id == offer.id) <= offer.available_ticks
    for grant in world.grants:
        costs = [jobs[s.job_id].cost_ticks for s in answer.starts if jobs[s.job_id].grant_id == grant.id]
        assert sum(costs) <= grant.available_ticks
        assert not costs or grant.opens_at <= NOON
    for project in world.projects:
        new_jobs = [jobs[s.job_id] for s in answer.starts if jobs[s.job_id].project_id == project.id]
        old_jobs = [run for run in world.running if run.project_id == project.id]
        if new_jobs and project.limit.jobs is not None:
            assert len(new_jobs) + len(old_jobs) <= project.limit.jobs
        if new_jobs and project.limit.gpus is not None:
            assert sum(j.gpus for j in new_jobs) + sum(r.gpus for r in old_jobs) <= project.limit.gpus


@many_worlds
def test_backfill_never_delays_a_promised_start(seeds: range) -> None:
    for seed in seeds:
        _check_backfill_never_delays_a_promised_start(make_world(seed))


def _check_backfill_never_delays_a_promised_start(world: Snapshot) -> None:
    """By declared times, with everything that was started, the promised GPUs are there when they were promised."""
    answer = plan(world)

    for wait in answer.waiting:
        if wait.reason is Reason.RESERVED_NEXT:
            assert wait.expected_start_at is not None
            assert _free(world, answer, wait, wait.expected_start_at) >= wait.gpus_needed
            ends = [e for e in _ends(world, answer, wait) if e < wait.expected_start_at]
            assert all(_free(world, answer, wait, end) < wait.gpus_needed for end in ends if not _backfilled(answer, end))


@many_worlds
def test_reasons_are_true(seeds: range) -> None:
    for seed in seeds:
        _check_reasons_are_true(make_world(seed))


def _check_reasons_are_true(world: Snapshot) -> None:
    """Each reason is checked against the world, or by taking the obstacle away for this one job and planning again."""
    answer = plan(world)

    for wait in answer.waiting:
        _check_reason(world, answer, wait)


def _check_reason(world: Snapshot, answer: Plan, wait: Decision) -> None:
    (job,) = (job for job in world.queued if job.id == wait.job_id)
    match wait.reason:
        case Reason.WAITING_FOR_POOL:
            free = Pool(uid("new"), "new", {job.flavor: job.gpus})
            opened = replace(job, pools=frozenset({free.id}))
            assert _again(replace(world, pools=(*world.pools, free)), opened).reason is not Reason.WAITING_FOR_POOL
        case Reason.WAITING_FOR_GRANT | Reason.WAITING_FOR_BUDGET:
            plenty = Grant(uid("new"), job.cost_ticks, NOON, NOON + 10**9)
            changed = _again(replace(world, grants=(*world.grants, plenty)), replace(job, grant_id=plenty.id))
            assert changed.reason not in {Reason.WAITING_FOR_GRANT, Reason.WAITING_FOR_BUDGET}
            if wait.reason is Reason.WAITING_FOR_BUDGET:
                assert wait.ticks_needed is not None
                assert wait.ticks_available is not None
                assert wait.ticks_needed > wait.ticks_available
        case Reason.WAITING_FOR_OFFER:
            enough = tuple(
                Offer(uid(f"new {pool.id}"), pool.id, job.flavor, job.offer_ticks, NOON, NOON + 10**9) for pool in world.pools
            )
            permitted = replace(job, offers=(job.offers or frozenset()) | {offer.id for offer in enough})
            assert _again(replace(world, offers=(*world.offers, *enough)), permitted).reason is not Reason.WAITING_FOR_OFFER
        case Reason.SUBMITTER_LIMIT:
            assert _again(world, replace(job, submitter_id=None)).reason is not Reason.SUBMITTER_LIMIT
        case Reason.PROJECT_LIMIT:
            (project,) = (each for each in world.projects if each.id == job.project_id)
            limit = {"jobs": project.limit.jobs, "gpus": project.limit.gpus}[wait.limit_on]
            more = {"jobs": 1, "gpus": job.gpus}[wait.limit_on]
            assert limit == wait.limit
            assert limit is not None
            assert wait.in_use is not None
            assert wait.in_use + more > limit
        case Reason.RESERVED_NEXT | Reason.WAITING_FOR_CAPACITY:
            assert wait.gpus_free is not None
            assert wait.gpus_free < wait.gpus_needed
            assert _free(world, answer, wait, NOON) <= wait.gpus_free
        case Reason.WAITING_FOR_FAIR_TURN:
            assert wait.gpus_free is not None
            assert wait.kept_until is not None
            assert wait.gpus_free >= wait.gpus_needed
            lane = (wait.pool_id, wait.flavor, wait.kept_until)
            promised = [w for w in answer.waiting if (w.pool_id, w.flavor, w.expected_start_at) == lane]
            assert promised, "it is kept for somebody"
            if world.knobs.backfill:
                ends_by = NOON + job.wall_seconds + world.knobs.overhead_seconds
                assert ends_by > wait.kept_until
                left = _free(world, answer, wait, wait.kept_until) - job.gpus
                assert left < promised[0].gpus_needed, "starting it would delay them"


class _Started:
    """Stands for a changed job that now starts."""

    reason = None


def _again(world: Snapshot, changed: Job) -> Decision | _Started:
    """Plan again with one job changed; what was decided about the jobs ahead of it stays the same."""
    queued = tuple(changed if job.id == changed.id else job for job in world.queued)
    answer = plan(replace(world, queued=queued))
    return next((wait for wait in answer.waiting if wait.job_id == changed.id), _Started())


def _lane(world: Snapshot, answer: Plan, wait: Decision) -> list[tuple[int, int]]:
    """(ends by, GPUs) of what runs and was started where `wait` is about."""
    old = [(max(r.ends_by, NOON + 1), r.gpus) for r in world.running if (r.pool_id, r.flavor) == (wait.pool_id, wait.flavor)]
    new = [(s.ends_by, s.gpus) for s in answer.starts if (s.pool_id, s.flavor) == (wait.pool_id, wait.flavor)]
    return old + new


def _free(world: Snapshot, answer: Plan, wait: Decision, at: int) -> int:
    (pool,) = (pool for pool in world.pools if pool.id == wait.pool_id)
    return max(0, pool.capacity[wait.flavor] - sum(gpus for ends_by, gpus in _lane(world, answer, wait) if ends_by > at))


def _ends(world: Snapshot, answer: Plan, wait: Decision) -> list[int]:
    return [ends_by for ends_by, _ in _lane(world, answer, wait)]


def _backfilled(answer: Plan, end: int) -> bool:
    return any(isinstance(start, Start) and start.backfilled and start.ends_by == end for start in answer.starts)
