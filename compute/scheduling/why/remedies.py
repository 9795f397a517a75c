"""What would have to happen for a waiting job to start, and when that is expected, in words for the person who waits."""

from compute.scheduling.model import Decision, Expected, Reason
from compute.scheduling.why.sentences import amounts, count, hours, moment


def remedy(decision: Decision) -> str:
    """What has to happen, as a clause: after it, this reason holds no more."""
    return _WORDS[decision.reason](decision)


def expectation(expected: Expected) -> str:
    """When it probably starts and when at the latest, as a clause that says what both assume."""
    probably = f"probably at {expectation_in_short(expected)} if jobs run for as long as those before them did"
    if expected.latest_at is None:
        return f"{probably}; those ahead in line may use up what it needs, so nothing is certain"
    return f"{probably}; at {moment(expected.latest_at, expected.as_of)} at the latest while the line stays as it is"


def expectation_in_short(expected: Expected) -> str:
    """When it probably starts, and the range, for a column of a list."""
    moments = (expected.likely_at, expected.soonest_at, expected.late_at)
    likely, soonest, late = (moment(at, expected.as_of) for at in moments)
    return f"{likely} (between {soonest} and {late})" if soonest != late else likely


def _pool(d: Decision) -> str:
    if d.closes_at is not None:
        return f"pool {d.pool_name} stays open for longer, or the job is submitted again with less time"
    if d.out_of_reach:
        return f"pool {d.out_of_reach} is connected again"
    on_one_host = " on one host" if d.on_one_host is not None else ""
    grows = f"a pool that it may use opens or grows to {d.gpus_needed} × {' or '.join((d.flavor, *d.or_else))}{on_one_host}"
    if d.distrusted_in:
        return f"{grows}, or a maintainer of its project, signed in, submits it again, or it comes from a reviewed branch"
    return grows


def _grant(d: Decision) -> str:
    if d.opens_at is not None:
        return f"its compute grant starts at {moment(d.opens_at, d.decided_at)}"
    assert d.closes_at is not None
    if d.closes_at <= d.decided_at:
        return "its compute grant is extended"
    return "its compute grant is extended past the end of this job, or the job is submitted again with less time"


def _budget(d: Decision) -> str:
    needed, available = amounts(d)
    return (
        f"its compute grant gets {hours(needed - available)} reference GPU-hours more, or its other jobs end and give back "
        "as much of what they hold"
    )


def _offer(d: Decision) -> str:
    needed, available = amounts(d)
    where = f"in pool {d.pool_name}"
    if d.closes_at is not None:
        return f"an offer {where} lasts longer, or the job is submitted again with less time"
    if d.opens_at is not None:
        return f"the next offer {where} opens at {moment(d.opens_at, d.decided_at)}"
    return f"a donor gives {hours(needed - available)} {d.flavor} GPU-hours more {where}, or jobs there give back what they hold"


def _project_limit(d: Decision) -> str:
    return _limit(d, "its project")


def _submitter_limit(d: Decision) -> str:
    return _limit(d, "its submitter")


def _limit(d: Decision, whose: str) -> str:
    assert d.limit is not None
    assert d.in_use is not None
    wanted = 1 if d.limit_on == "jobs" else d.gpus_needed
    noun = "job" if d.limit_on == "jobs" else "GPU"
    if wanted > d.limit:
        return f"{whose} may use {count(wanted, noun)} at a time"
    free = count(d.in_use + wanted - d.limit, noun)
    return f"{whose} has {free} less running or promised, or the limit is raised by as much"


def _quota(d: Decision) -> str:
    assert d.limit is not None
    assert d.in_use is not None
    if d.never_fits:
        return f"its project gets more of quota group {d.group}, or may borrow more there"
    if d.expected_start_at is not None:
        return f"nothing but time: its project's own GPUs in quota group {d.group} are being given back"
    if d.may_borrow is not None and d.in_use + d.gpus_needed > d.limit + d.may_borrow:
        too_many = d.in_use + d.gpus_needed - d.limit - d.may_borrow
        return f"its project has {count(too_many, 'GPU')} less in use, or may borrow as many more in quota group {d.group}"
    return f"members of quota group {d.group} use fewer GPUs, or asking back what they borrowed costs less work than its limit"


def _reserved(d: Decision) -> str:
    assert d.expected_start_at is not None
    return f"nothing but time: {d.gpus_needed} × {d.flavor} are kept for it in pool {d.pool_name} as they get free"


def _capacity(d: Decision) -> str:
    assert d.gpus_free is not None
    ahead = f", once those ahead of it had their turn ({count(d.place - 1, 'job')})" if d.place > 1 else ""
    if d.on_one_host is not None:
        where = "are free together" if not d.alone else "of one host are free"
        return f"{d.gpus_needed} × {d.flavor} {where} in pool {d.pool_name}{ahead}"
    return f"{d.gpus_needed - d.gpus_free} more {d.flavor} get free in pool {d.pool_name}{ahead}"


def _window(d: Decision) -> str:
    return f"{d.window} in pool {d.pool_name} is over or takes fewer GPUs, or this job is submitted again with less time"


def _fair_turn(d: Decision) -> str:
    if d.kept_until is None:
        return f"the {count(d.place - 1, 'job')} ahead of it had their turn"
    until = moment(d.kept_until, d.decided_at)
    return f"the job that is next in line has its GPUs, or this one is submitted again so short that it is over by {until}"


_WORDS = {
    Reason.WAITING_FOR_POOL: _pool,
    Reason.WAITING_FOR_WINDOW: _window,
    Reason.WAITING_FOR_GRANT: _grant,
    Reason.WAITING_FOR_BUDGET: _budget,
    Reason.WAITING_FOR_OFFER: _offer,
    Reason.PROJECT_LIMIT: _project_limit,
    Reason.SUBMITTER_LIMIT: _submitter_limit,
    Reason.WAITING_FOR_QUOTA: _quota,
    Reason.RESERVED_NEXT: _reserved,
    Reason.WAITING_FOR_CAPACITY: _capacity,
    Reason.WAITING_FOR_FAIR_TURN: _fair_turn,
}
assert _WORDS.keys() == set(Reason)
