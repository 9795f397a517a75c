"""A plan from a snapshot: the core, told everything at once.

For callers that keep nothing between turns. It costs some microseconds for everything there is; a core that is kept costs as
much as what changed.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import cast
from uuid import UUID

from compute.scheduling.core import Core
from compute.scheduling.events import (
    NEVER,
    Asked,
    Choice,
    Event,
    GrantSet,
    GroupSet,
    Kind,
    LaneSet,
    Leaving,
    OfferSet,
    Past,
    ProjectSet,
    Runs,
    Spared,
    Started,
    Submitted,
    SubmitterSet,
    WindowSet,
)
from compute.scheduling.model import (
    Asks,
    Decision,
    Instant,
    Job,
    Leave,
    Name,
    Plan,
    Pool,
    PoolState,
    Quota,
    Running,
    Snapshot,
    Start,
    Window,
)
from core.units import TICKS_PER_GPU_SECOND


def plan(snapshot: Snapshot) -> Plan:
    """Decide about every queued job. The same snapshot gives the same plan, whatever the order of its parts."""
    core = Core({}, {}, snapshot.knobs)
    started = core.apply(snapshot.now, events(snapshot))
    return replace(answer(snapshot, started, core.decisions()), asks=asked(core.asks()))


def answer(snapshot: Snapshot, started: Iterable[Started], waiting: Iterable[Decision]) -> Plan:
    """What a core decided about a snapshot, in the snapshot's words."""
    jobs: dict[Name, Job] = {job.id: job for job in snapshot.queued}
    starts = tuple(_start(each, jobs[each.job]) for each in started)
    return Plan(starts, tuple(_named(decision, jobs[decision.job_id], snapshot) for decision in waiting))


def events(snapshot: Snapshot) -> Iterator[Event]:
    """Everything that is so, as if it had happened just now."""
    pools = sorted(snapshot.pools, key=lambda pool: (pool.name, pool.id))
    reserved: dict[UUID | None, Window] = {window.id: window for window in snapshot.windows if window.project_id is not None}
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
                hosts=pool.hosts,
                spans=False,
            )
    for window in snapshot.windows:
        yield from _window(window, next(pool for pool in pools if pool.id == window.pool_id))
    for quota in snapshot.quotas:
        yield _group(quota, next(pool for pool in pools if pool.id == quota.pool_id))
    for grant in snapshot.grants:
        yield GrantSet(grant.id, grant.available_ticks, grant.opens_at, grant.closes_at)
    for offer in snapshot.offers:
        lane = (offer.pool_id, offer.flavor)
        yield OfferSet(offer.id, lane, offer.available_ticks, offer.opens_at, offer.closes_at)
    for project in snapshot.projects:
        past = None if project.used_ticks is None else project.used_ticks / TICKS_PER_GPU_SECOND
        yield ProjectSet(project.id, project.weight, project.limit, past)
    for submitter, limit in snapshot.submitter_limits.items():
        yield SubmitterSet(submitter, limit)
    for run in snapshot.past:
        yield Past(run.project_id, run.submitter_id, run.wall_seconds, run.gpus, run.jobs, run.ran_seconds)
    for running in snapshot.running:
        yield _runs(running, reserved.get(running.reservation_id), snapshot.now)
    for job in snapshot.queued:
        yield Submitted(job.id, _kind(job, pools, reserved.values()), job.submitted_at)
    for left in snapshot.leaving:
        lane = (left.pool_id, left.flavor)
        yield Leaving(left.job_id, lane, left.at, left.needed_for, left.asked_at, left.lost_gpu_seconds)


def _window(window: Window, pool: Pool) -> Iterator[Event]:
    """GPUs are taken from everybody; those of a reservation are a lane of its own as long."""
    lane = (window.pool_id, window.flavor)
    yield WindowSet(window.id, lane, window.gpus, window.begins_at, window.ends_at, window.why)
    if window.project_id is not None:
        yield LaneSet(
            (*lane, window.id),
            window.gpus,
            pool.state,
            window.begins_at,
            window.ends_at if pool.open_until is None else min(window.ends_at, pool.open_until),
            pool_id=pool.id,
            pool_name=f"{pool.name} (reserved: {window.why})",
            flavor=window.flavor,
            within=lane,
        )


def _runs(running: Running, reservation: Window | None, now: Instant) -> Runs:
    """What it holds is gone from the figures of grants and offers, so that it is metered by none."""
    begun = now if running.started_at is None else running.started_at
    wall = max(1, running.wall_seconds or running.ends_by - begun)
    lane = (running.pool_id, running.flavor)
    choice = Choice(lane if reservation is None else (*lane, reservation.id), running.rate * wall, gpus=running.gpus)
    asked = running.asked_gpus or running.gpus
    alone = asked < running.gpus
    kind = Kind(running.project_id, running.submitter_id, (choice,), asked, wall, priority=running.priority, alone=alone)
    return Runs(running.job_id, kind, begun, running.ends_by, ((running.host, running.gpus),))


def _kind(job: Job, pools: list[Pool], reserved: Iterable[Window]) -> Kind:
    """Its choices. Of the lanes of a flavor what is reserved for its project comes first, so that others have the rest."""
    fitting = [pool for pool in pools if job.pools is None or pool.id in job.pools]
    choices = []
    for order, wish in enumerate(job.wishes):
        there = {pool.id for pool in fitting if wish.flavor in pool.capacity}
        own = [each for each in reserved if each.project_id == job.project_id and each.flavor == wish.flavor]
        lanes: list[tuple[Name, int]] = [((pool.id, wish.flavor), 2 * order) for pool in fitting if pool.id in there]
        lanes += [((each.pool_id, each.flavor, each.id), 2 * order - 1) for each in own if each.pool_id in there]
        choices += [_choice(wish, lane, place) for lane, place in lanes]
    return Kind(
        job.project_id,
        job.submitter_id,
        tuple(choices),
        job.gpus,
        job.wall_seconds,
        job.grant_id,
        job.offers,
        job.priority,
        job.wholes is not None,
    )


def _choice(wish: Job, lane: Name, order: int) -> Choice:
    if wish.wholes is None:
        return Choice(lane, wish.cost_ticks, wish.offer_ticks, order)
    assert isinstance(lane, tuple)
    there = wish.inside(lane[0])
    return Choice(lane, there.cost_ticks, there.offer_ticks, order, there.gpus)


def _group(quota: Quota, pool: Pool) -> GroupSet:
    """GPUs of the pool that nobody owns are lent to whoever comes."""
    unassigned = pool.capacity[quota.flavor] - sum(share.nominal for share in quota.shares.values())
    lanes = frozenset({(quota.pool_id, quota.flavor)})
    return GroupSet(quota.group, lanes, quota.shares, quota.terms, max(0, unassigned))


def asked(told: Iterable[Asked | Spared]) -> Asks:
    """What a core said to those who run, in the snapshot's words. Of what it said to one at the same moment the last holds."""
    said = list(told)
    last = {each.job: each for each in said}
    asked_anew = {each.job for each in said if isinstance(each, Asked)}
    leave = tuple(
        Leave(each.job, each.at, each.needed_for, each.lost_gpu_seconds) for each in last.values() if isinstance(each, Asked)
    )
    stay = (each.job for each in last.values() if isinstance(each, Spared) and each.job not in asked_anew)
    return Asks(leave, tuple(cast("UUID", job) for job in stay))


def _start(started: Started, job: Job) -> Start:
    assert isinstance(started.lane, tuple)
    pool_id, flavor, *reservation = started.lane
    return Start(
        started.job,
        pool_id,
        flavor,
        job.gpus if job.wholes is None else job.on(flavor).inside(pool_id).gpus,
        started.ends_by,
        started.draws,
        started.backfilled,
        started.passed,
        reservation[0] if reservation else None,
        started.held[0][0] if started.held else "",
    )


def _named(decision: Decision, job: Job, snapshot: Snapshot) -> Decision:
    """No lane knows the flavor if no pool has it, and none knows the others that a job accepts, or pools that it may not use.

    Of these it is told those that could take it.
    """
    if decision.flavor and not job.alternatives and not job.distrusted_in:
        return decision
    flavor = decision.flavor or job.flavor
    others = tuple(wish.flavor for wish in job.wishes if wish.flavor != flavor)
    ends_by = snapshot.now + job.wall_seconds + snapshot.knobs.overhead_seconds
    able = {pool.name for pool in snapshot.pools if any(_could_take(pool, job.gpus, each, ends_by) for each in (flavor, *others))}
    distrusted_in = tuple(name for name in job.distrusted_in if name in able)
    return replace(decision, flavor=flavor, or_else=others, distrusted_in=distrusted_in)


def _could_take(pool: Pool, gpus: int, flavor: str, ends_by: Instant) -> bool:
    """Whether it is open for so long, and large enough, whoever it trusts."""
    is_open = pool.state is PoolState.OPEN and (pool.open_until is None or ends_by <= pool.open_until)
    on_one_host = not pool.hosts or any(host.is_open and gpus <= host.gpus for host in pool.hosts)
    return is_open and on_one_host and gpus <= pool.capacity.get(flavor, 0)
