"""What a waiting job's remedy names, done to the world it was told in: one change for each way out that its words name.

A change takes how many units (GPUs, ticks, seconds) less is done than was named. Jobs ahead in line are left out where the remedy
says that they have their turn first.
"""

from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import UUID, uuid5

from bench._told import Told, with_pool
from compute.scheduling import Instant, Limit, Offer, PoolState, Quota, Reason, Running, Snapshot
from compute.scheduling.core import Core
from compute.scheduling.events import Submitted
from compute.scheduling.model import Name
from compute.scheduling.plan import events

Way = Callable[[int], Snapshot]
"""The world after it was done, so much short of what was named."""

BY_TIME = ("the beginning", "the opening", "time")
"""Ways out that time alone brings about."""


def ways_out(told: Told) -> Mapping[str, Way]:
    """Everything that the remedy of a decision names, by a name for the report."""
    return _WAYS[told.decision.reason](_there(told))


def _there(told: Told) -> Told:
    """What is said of GPUs is about one flavor in one pool: there it is checked."""
    decision = told.decision
    if decision.reason not in _ABOUT_GPUS:
        return told
    pool_id = _group(told).pool_id if decision.group else decision.pool_id
    job = replace(told.wish, pools=frozenset({pool_id}))
    queued = tuple(job if each.id == job.id else each for each in told.world.queued)
    return replace(told, job=job, world=replace(told.world, queued=queued))


_ABOUT_GPUS = {
    Reason.WAITING_FOR_WINDOW,
    Reason.WAITING_FOR_QUOTA,
    Reason.RESERVED_NEXT,
    Reason.WAITING_FOR_CAPACITY,
    Reason.WAITING_FOR_FAIR_TURN,
}


def _for_it_alone(told: Told, others: Container[UUID], short: int, do: Callable[[Snapshot], Snapshot]) -> Snapshot:
    """Do it while none of the others waits for the same but who was promised a start, and keeps that."""
    done = do(told.without(lambda each: each.job_id in others and each.reason is not Reason.RESERVED_NEXT))
    return told.less(done) if short else done


def _short_enough(told: Told) -> Mapping[str, Way]:
    """More time than was named may do: who declares less may come sooner in line, ahead of whoever has what is kept."""
    return {name: partial(_or_nothing, told.world, way) for name, way in _or_shorter(told).items()}


def _or_nothing(world: Snapshot, way: Way, short: int) -> Snapshot:
    return world if short else way(0)


def _or_shorter(told: Told) -> Mapping[str, Way]:
    return {"a shorter job": told.shorter} if told.decision.over_by is not None else {}


# GPUs -------------------------------------------------------------------------------------------------------------------


def _capacity(told: Told) -> Mapping[str, Way]:
    """So many GPUs more, and those ahead had their turn."""
    decision = told.decision

    def more(short: int) -> Snapshot:
        assert decision.gpus_short is not None
        return told.grown(told.without(told.is_ahead), decision.pool_id, decision.gpus_short - short)

    return {"more GPUs": more}


def _fair_turn(told: Told) -> Mapping[str, Way]:
    """Those ahead had their turn; or all of them but the next in line, who needs the GPUs."""

    def turns(short: int) -> Snapshot:
        if short and told.decision.would_borrow:
            return told.world
        had = told.without(lambda each: told.is_ahead(each) and not (short and each.reason is Reason.RESERVED_NEXT))
        return told.less(had) if short else had

    return {"turns": turns, **_short_enough(told)}


def _reserved(told: Told) -> Mapping[str, Way]:
    """Time passes in its pool. What runs ends as declared, and nobody else comes. It says “at the latest”: short of it is now."""
    decision = told.decision
    at = decision.expected_start_at
    assert at is not None

    def time(short: int) -> Snapshot:
        return told.world if short else _later(replace(told.world, queued=(told.job,)), at)

    return {"time": time}


def _later(world: Snapshot, now: Instant) -> Snapshot:
    """The same world at a later moment: whatever declared to be over by then, or was asked to leave by then, is."""
    leave = {each.job_id for each in world.leaving if each.at <= now}
    stays = (run for run in world.running if max(run.ends_by, world.now + 1) > now and run.job_id not in leave)
    return replace(world, now=now, running=tuple(stays), windows=tuple(each for each in world.windows if each.ends_at > now))


# What it may use --------------------------------------------------------------------------------------------------------


def _budget(told: Told) -> Mapping[str, Way]:
    """Its grant has so much more, and nobody else waits for it but who was promised a start."""
    decision = told.decision
    others = {job.id for job in told.world.queued if job.grant_id == told.job.grant_id}

    def more(short: int) -> Snapshot:
        assert decision.ticks_needed is not None
        assert decision.ticks_available is not None
        missing = decision.ticks_needed - decision.ticks_available - short
        return _for_it_alone(told, others, short, lambda first: _with_grant(first, told.job.grant_id, more=missing))

    return {"more budget": more}


def _grant(told: Told) -> Mapping[str, Way]:
    """The grant begins; or it lasts as long as the job may take."""
    opens_at = told.decision.opens_at
    if opens_at is not None:
        return {"the beginning": lambda short: _later(replace(told.world, queued=(told.job,)), opens_at - short)}

    def lasts(short: int) -> Snapshot:
        return _with_grant(told.world, told.job.grant_id, closes_at=told.ends_by - short)

    return {"a longer grant": lasts, **_or_shorter(told)}


def _with_grant(world: Snapshot, grant_id: UUID | None, *, more: int = 0, **changes: Any) -> Snapshot:
    return replace(
        world,
        grants=tuple(
            replace(each, available_ticks=each.available_ticks + more, **changes) if each.id == grant_id else each
            for each in world.grants
        ),
    )


def _offer(told: Told) -> Mapping[str, Way]:
    """The offer opens; or those that close too soon last as long as the job may take; or there is one with what is missing."""
    decision, now = told.decision, told.world.now
    opens_at, closes_at = decision.opens_at, decision.closes_at
    if closes_at is not None:
        return {"longer offers": lambda short: _longer_offers(told, closes_at, told.ends_by - short), **_short_enough(told)}
    if opens_at is not None:
        here = replace(told.wish, pools=frozenset({decision.pool_id}))  # elsewhere something else may come sooner
        return {"the opening": lambda short: _later(replace(told.world, queued=(here,)), opens_at - short)}

    def given(short: int) -> Snapshot:
        assert decision.ticks_needed is not None
        assert decision.ticks_available is not None
        assert told.job.offers is not None
        ticks = decision.ticks_needed - decision.ticks_available - short
        made = Offer(uuid5(told.job.id, "offer"), decision.pool_id, told.wish.flavor, ticks, now, told.ends_by)
        return replace(told.with_job(offers=told.job.offers | {made.id}), offers=(*told.world.offers, made))

    return {"another offer": given}


def _longer_offers(told: Told, since: Instant, closes_at: Instant) -> Snapshot:
    offers = tuple(
        replace(each, closes_at=max(each.closes_at, closes_at))
        if (each.pool_id, each.flavor) == (told.decision.pool_id, told.wish.flavor) and each.closes_at >= since
        else each
        for each in told.world.offers
    )
    return replace(told.world, offers=offers)


def _limit(told: Told) -> Mapping[str, Way]:
    """The limit is raised by what is missing, and nobody else waits for it; whoever was promised a start keeps it."""
    decision, job = told.decision, told.job
    others = {each.id for each in told.world.queued if each.project_id == job.project_id or each.submitter_id == job.submitter_id}

    def raised(short: int) -> Snapshot:
        assert decision.in_use is not None
        to = decision.in_use + (1 if decision.limit_on == "jobs" else decision.gpus_needed) - short
        return _for_it_alone(told, others, short, lambda first: _with_limit(first, told, to))

    return {"a higher limit": raised}


def _with_limit(world: Snapshot, told: Told, to: int) -> Snapshot:
    """The limit that it waits for, of its submitter or its project, is another."""
    job, on = told.job, told.decision.limit_on
    if told.decision.reason is Reason.SUBMITTER_LIMIT:
        assert job.submitter_id is not None
        limit = _raised(world.submitter_limits[job.submitter_id], on, to)
        return replace(world, submitter_limits={**world.submitter_limits, job.submitter_id: limit})
    projects = (
        replace(each, limit=_raised(each.limit, on, to)) if each.id == job.project_id else each for each in world.projects
    )
    return replace(world, projects=tuple(projects))


def _raised(limit: Limit, on: str, to: int) -> Limit:
    return replace(limit, jobs=to) if on == "jobs" else replace(limit, gpus=to)


# Where it may run -------------------------------------------------------------------------------------------------------


def _pool(told: Told) -> Mapping[str, Way]:
    """A pool stays open as long as the job may take, is connected again, or grows to the job's size; or it trusts the job."""
    decision, world = told.decision, told.world
    if decision.closes_at is not None:
        pool_id = decision.pool_id
        return {
            "a longer pool": lambda short: with_pool(world, pool_id, open_until=told.ends_by - short),
            **_or_shorter(told),
        }
    if decision.out_of_reach:
        (away,) = (pool for pool in world.pools if pool.name == decision.out_of_reach)
        return {"connection": lambda short: with_pool(world, away.id, state=PoolState.OUT_OF_REACH if short else PoolState.OPEN)}
    (first, *_) = (pool for pool in world.pools if told.job.pools is None or pool.id in told.job.pools)

    def grows(short: int) -> Snapshot:
        grown = {**first.capacity, **{wish.flavor: decision.gpus_needed - short for wish in told.job.wishes}}
        return with_pool(world, first.id, capacity=grown, state=PoolState.OPEN, open_until=None)

    def trusted(short: int) -> Snapshot:
        assert told.job.pools is not None
        named = {pool.id for pool in world.pools if pool.name in decision.distrusted_in}
        return told.with_job(pools=told.job.pools | (frozenset() if short else named))

    return {"a larger pool": grows} | ({"trust": trusted} if decision.distrusted_in else {})


def _window(told: Told) -> Mapping[str, Way]:
    """What is planned is over, or takes fewer GPUs."""
    decision, world = told.decision, told.world
    (window,) = (
        each
        for each in world.windows
        if (each.pool_id, each.begins_at, each.why) == (decision.pool_id, decision.closes_at, decision.window)
    )
    others = tuple(each for each in world.windows if each is not window)
    over: Way = lambda short: world if short else replace(world, windows=others)  # noqa: E731

    def fewer(short: int) -> Snapshot:
        assert decision.gpus_short is not None
        smaller = replace(window, gpus=window.gpus - decision.gpus_short + short)
        # Who was promised a start may have it beside a smaller window, and is one of those who have their turn first.
        waits = told.without(lambda each: not short or each.reason is not Reason.RESERVED_NEXT)
        done = replace(waits, windows=(*others, smaller))
        return told.less(done) if short else done

    return {"an end": over, **({"a smaller window": fewer} if decision.gpus_short else {}), **_short_enough(told)}


# Quota groups -----------------------------------------------------------------------------------------------------------


def _quota(told: Told) -> Mapping[str, Way]:
    """GPUs are given back in time; or its share is larger, and those that members lend get free, after those ahead."""
    decision = told.decision
    at, own, lent = decision.expected_start_at, decision.own_short, decision.gpus_short
    assert lent is not None
    if at is not None:
        return {"time": lambda short: told.world if short else _later(_only(told), at)}
    if decision.behind_one_like_it:
        return {"older ones": lambda short: told.world if short else told.without(told.is_ahead)}
    if decision.never_fits:
        return _larger(told, own, lent)
    ways: dict[str, Way] = {}

    def free(more: int, borrows: int) -> Snapshot:
        return _shared(told.grown(_only(told), _group(told).pool_id, more), told, borrows=borrows)

    if own:
        ways["a larger share"] = lambda short: free(lent, own - short)
    if lent:
        # What is being given back to others may get free sooner, so that less may do.
        waits = decision.kept_for_others > 0
        ways["GPUs that are lent"] = lambda short: told.world if short and waits else free(lent - short, own)
    used = sum(run.gpus for run in _own(told))
    if own and used >= max(own, lent):
        ways["less of its own"] = lambda short: _with_less(_only(told), _own(told), max(own, lent) - short)
    if decision.asking_costs is not None:
        ways["a higher limit of work lost"] = lambda short: _terms(told, decision.asking_costs - short)  # type: ignore[operator]
    return ways


def _larger(told: Told, own: int, lent: int) -> Mapping[str, Way]:
    """A job that never fits."""
    alone = told.without(lambda _: True)
    if lent:
        others = lambda short: _lending(_shared(alone, told, borrows=own), told, lent - short)  # noqa: E731
        return {"others that lend more": others}
    return {
        "a larger share": lambda short: _shared(alone, told, nominal=own - short),
        "more that it may borrow": lambda short: _shared(alone, told, borrows=own - short),
    }


def _only(told: Told) -> Snapshot:
    """The job alone waits, with those whom GPUs are being given back to."""
    claiming = _claiming(told.world)
    return told.without(lambda each: each.job_id not in claiming)


def _claiming(world: Snapshot) -> set[Name]:
    """Whom GPUs are being given back to: the oldest job of each kind that asked."""
    core = Core({}, {}, world.knobs)
    core.apply(world.now, events(world))
    kinds = {claim.wish.job for claim in core.claims()}
    oldest: dict[Name, tuple[Instant, Name]] = {}
    for each in events(world):
        if isinstance(each, Submitted) and each.kind in kinds:
            asks = (each.at or 0, each.job)
            oldest[each.kind] = min(asks, oldest.get(each.kind, asks))
    return {job for _, job in oldest.values()}


def _group(told: Told) -> Quota:
    (group,) = (each for each in told.world.quotas if each.group == told.decision.group)
    return group


def _with_group(world: Snapshot, changed: Quota) -> Snapshot:
    return replace(world, quotas=tuple(changed if each.group == changed.group else each for each in world.quotas))


def _shared(world: Snapshot, told: Told, *, nominal: int = 0, borrows: int = 0) -> Snapshot:
    """Its project has so many GPUs more of its own, or may borrow so many more."""
    group = _group(told)
    share = group.shares.get(told.job.project_id)
    if share is None:
        assert not nominal
        assert not borrows
        return world
    more = None if share.borrows is None else share.borrows + borrows
    changed = replace(share, nominal=share.nominal + nominal, borrows=more)
    return _with_group(world, replace(group, shares={**group.shares, told.job.project_id: changed}))


def _lending(world: Snapshot, told: Told, more: int) -> Snapshot:
    """Other members lend so many GPUs more."""
    (group,) = (each for each in world.quotas if each.group == told.decision.group)
    shares = dict(group.shares)
    for key, share in sorted(group.shares.items()):
        if key != told.job.project_id and share.lends is not None:
            part = min(more, share.kept)
            shares[key], more = replace(share, lends=share.lends + part), more - part
    assert more == 0, "others keep as much"
    return _with_group(world, replace(group, shares=shares))


def _terms(told: Told, most: int) -> Snapshot:
    group = _group(told)
    terms = replace(group.terms, lost_gpu_seconds_max=most)
    return _with_group(told.world, replace(group, terms=terms))


def _own(told: Told) -> tuple[Running, ...]:
    """What its project runs of the group."""
    group = _group(told)
    return tuple(
        run
        for run in told.world.running
        if (run.project_id, run.pool_id, run.flavor) == (told.job.project_id, group.pool_id, group.flavor)
    )


def _with_less(world: Snapshot, runs: tuple[Running, ...], less: int) -> Snapshot:
    """These use so many GPUs fewer in all."""
    changed: dict[UUID, Running | None] = {}
    for run in runs:
        part = min(less, run.gpus)
        less -= part
        changed[run.job_id] = replace(run, gpus=run.gpus - part) if part < run.gpus else None
    assert less == 0
    stays = (changed.get(run.job_id, run) for run in world.running)
    return replace(world, running=tuple(run for run in stays if run is not None))


_WAYS: Mapping[Reason, Callable[[Told], Mapping[str, Way]]] = {
    Reason.WAITING_FOR_POOL: _pool,
    Reason.WAITING_FOR_WINDOW: _window,
    Reason.WAITING_FOR_GRANT: _grant,
    Reason.WAITING_FOR_BUDGET: _budget,
    Reason.WAITING_FOR_OFFER: _offer,
    Reason.PROJECT_LIMIT: _limit,
    Reason.SUBMITTER_LIMIT: _limit,
    Reason.WAITING_FOR_QUOTA: _quota,
    Reason.RESERVED_NEXT: _reserved,
    Reason.WAITING_FOR_CAPACITY: _capacity,
    Reason.WAITING_FOR_FAIR_TURN: _fair_turn,
}
assert _WAYS.keys() == set(Reason)
