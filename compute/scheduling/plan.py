"""A plan from a snapshot: the core, told everything at once.

For callers that keep nothing between turns. It costs some microseconds for everything there is; a core that is kept costs as
much as what changed.
"""

from collections.abc import Iterator
from dataclasses import replace

from compute.scheduling.core import Core
from compute.scheduling.estimates import Name
from compute.scheduling.events import (
    NEVER,
    Choice,
    Event,
    GrantSet,
    Kind,
    LaneSet,
    OfferSet,
    Past,
    ProjectSet,
    Runs,
    Submitted,
    SubmitterSet,
)
from compute.scheduling.model import Decision, Job, Plan, Pool, Running, Snapshot, Start
from core.units import TICKS_PER_GPU_SECOND


def plan(snapshot: Snapshot) -> Plan:
    """Decide about every queued job. The same snapshot gives the same plan, whatever the order of its parts."""
    core = Core({}, {}, snapshot.knobs)
    started = core.apply(snapshot.now, events(snapshot))
    jobs: dict[Name, Job] = {job.id: job for job in snapshot.queued}
    starts = tuple(
        Start(each.job, *_pool_and_flavor(each.lane), jobs[each.job].gpus, each.ends_by, each.draws, each.backfilled, each.passed)
        for each in started
    )
    return Plan(starts, tuple(_named(decision, jobs[decision.job_id]) for decision in core.decisions()))


def events(snapshot: Snapshot) -> Iterator[Event]:
    """Everything that is so, as if it had happened just now."""
    pools = sorted(snapshot.pools, key=lambda pool: (pool.name, pool.id))
    for pool in pools:
        for flavor, gpus in pool.capacity.items():
            yield LaneSet(
                (pool.id, flavor),
                gpus,
                pool.state,
                pool_id=pool.id,
                pool_name=pool.name,
                flavor=flavor,
                open_until=NEVER if pool.open_until is None else pool.open_until,
            )
    for grant in snapshot.grants:
        yield GrantSet(grant.id, grant.available_ticks, grant.opens_at, grant.closes_at)
    for offer in snapshot.offers:
        lane = (offer.pool_id, offer.flavor)
        yield OfferSet(offer.id, lane, offer.available_ticks, offer.opens_at, offer.closes_at)
    for project in snapshot.projects:
        past = project.used_ticks / TICKS_PER_GPU_SECOND
        yield ProjectSet(project.id, project.weight, project.limit, past)
    for submitter, limit in snapshot.submitter_limits.items():
        yield SubmitterSet(submitter, limit)
    for run in snapshot.past:
        yield Past(run.project_id, run.submitter_id, run.wall_seconds, run.gpus, run.jobs, run.ran_seconds)
    for running in snapshot.running:
        yield _runs(running, snapshot.now)
    for job in snapshot.queued:
        yield Submitted(job.id, _kind(job, pools), job.submitted_at)


def _runs(running: Running, now: int) -> Runs:
    """What it holds is gone from the figures of grants and offers, so that it is metered by none."""
    begun = now if running.started_at is None else running.started_at
    wall = max(1, running.wall_seconds or running.ends_by - begun)
    choice = Choice((running.pool_id, running.flavor), running.rate * wall)
    kind = Kind(running.project_id, running.submitter_id, (choice,), running.gpus, wall)
    return Runs(running.job_id, kind, begun, running.ends_by)


def _kind(job: Job, pools: list[Pool]) -> Kind:
    choices = tuple(
        Choice((pool.id, wish.flavor), wish.cost_ticks, wish.offer_ticks, order)
        for order, wish in enumerate(job.wishes)
        for pool in pools
        if wish.flavor in pool.capacity and (job.pools is None or pool.id in job.pools)
    )
    return Kind(job.project_id, job.submitter_id, choices, job.gpus, job.wall_seconds, job.grant_id, job.offers, job.priority)


def _pool_and_flavor(lane: Name) -> tuple[Name, str]:
    assert isinstance(lane, tuple)
    pool_id, flavor = lane
    return pool_id, flavor


def _named(decision: Decision, job: Job) -> Decision:
    """No lane knows the flavor if no pool has it, and none knows the others that a job accepts."""
    if decision.flavor and not job.alternatives:
        return decision
    flavor = decision.flavor or job.flavor
    return replace(decision, flavor=flavor, or_else=tuple(wish.flavor for wish in job.wishes if wish.flavor != flavor))
