"""What would have to happen for a waiting job to start, and when that is expected, in words for the person who waits."""

from compute.scheduling.model import Decision, Expected, Reason
from compute.scheduling.why.sentences import amounts, count, hours, moment


def remedy(decision: Decision) -> str:
    """What has to happen, as a clause: after it, this reason holds no more."""
    return _WORDS[decision.reason](decision)


def expectation(expected: Expected) -> str:
    """When it probably starts, and when by declared times, as a clause that says what both assume."""
    probably = f"probably at {expectation_in_short(expected)}"
    if not expected.ranges:
        probably += ", a wide guess: no earlier guess of this sort could be checked yet"
    if expected.latest_at is None:
        return f"{probably}; those ahead in line may use up what it needs, so nothing is certain"
    planned = moment(expected.latest_at, expected.as_of)
    return f"{probably}; at {planned} if all take as long as they declared and the line stays as it is"


def expectation_in_short(expected: Expected) -> str:
    """When it probably starts, the range, and how often such ranges held, for a column of a list."""
    moments = (expected.likely_at, expected.soonest_at, expected.late_at)
    likely, soonest, late = (moment(at, expected.as_of) for at in moments)
    return f"{likely} (between {soonest} and {late}{_held(expected)})"


def _held(expected: Expected) -> str:
    if expected.ranges == 1:
        return "; the last such range held" if expected.held else "; the last such range did not hold"
    return f"; {expected.held} of the last {expected.ranges} such ranges held" if expected.ranges else ""


def _pool(d: Decision) -> str:
    if d.closes_at is not None:
        return f"pool {d.pool_name} stays open for longer{_or_shorter(d)}"
    if d.out_of_reach:
        return f"pool {d.out_of_reach} is connected again"
    on_one_host = " on one host" if d.on_one_host is not None else ""
    grows = f"a pool that it may use opens or grows to {d.gpus_needed} × {' or '.join((d.flavor, *d.or_else))}{on_one_host}"
    if d.distrusted_in:
        return f"{grows}, or a maintainer of its project, signed in, submits it again, or it comes from a reviewed branch"
    return grows


def _or_shorter(d: Decision) -> str:
    """The other way out of everything that ends too soon, if there is time for a job at all."""
    if d.over_by is None:
        return ""
    return f", or the job is submitted again so short that it is over by {moment(d.over_by, d.decided_at)}"


def _grant(d: Decision) -> str:
    if d.opens_at is not None:
        return f"its compute grant starts at {moment(d.opens_at, d.decided_at)}"
    assert d.closes_at is not None
    if d.closes_at <= d.decided_at:
        return "its compute grant is extended"
    return f"its compute grant is extended past the end of this job{_or_shorter(d)}"


def _budget(d: Decision) -> str:
    needed, available = amounts(d)
    return (
        f"its compute grant gets {hours(needed - available)} reference GPU-hours more, or its other jobs end and give back "
        "as much of what they hold, and none of them takes it first"
    )


def _offer(d: Decision) -> str:
    needed, available = amounts(d)
    where = f"in pool {d.pool_name}"
    if d.closes_at is not None:
        until = moment(d.closes_at, d.decided_at)
        return f"offers {where} that last until {until} are extended past the end of this job{_or_shorter(d)}"
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
        return f"{whose} may use {count(d.in_use + wanted, noun)} at a time"
    free = count(d.in_use + wanted - d.limit, noun)
    return f"{whose} has {free} less running or promised, or the limit is raised by as much"


def _quota(d: Decision) -> str:
    assert d.gpus_short is not None
    if d.expected_start_at is not None:
        return f"nothing but time: its project's own GPUs in quota group {d.group} are being given back"
    if d.behind_one_like_it:
        return "the older jobs like this one have started"
    own, lent = count(d.own_short, "GPU"), count(d.gpus_short, "GPU")
    if d.never_fits:
        more = f"its project has {own} more of its own in quota group {d.group}, or may borrow as many more there"
        lend = f"other members of quota group {d.group} lend {lent} more"
        borrow = f", and its project may borrow {own} more" if d.own_short else ""
        return lend + borrow if d.gpus_short else more
    if not d.own_short:
        free = f"{lent} of those that members of quota group {d.group} lend each other get free"
        work = f", or as much as {(d.asking_costs or 0) / 3600:.2f} GPU-hours of work may be lost there for one job"
        return f"{free}, once the others there had their turn{work if d.asking_costs is not None else ''}"
    less = f"its project has {count(max(d.own_short, d.gpus_short), 'GPU')} less in use in quota group {d.group}"
    if not d.gpus_short:
        return f"{less}, or may borrow as many more"
    return f"{less}, or it may borrow {own} more and {lent} of those that members lend each other get free"


def _reserved(d: Decision) -> str:
    assert d.expected_start_at is not None
    return f"nothing but time: {d.gpus_needed} × {d.flavor} are kept for it in pool {d.pool_name} as they get free"


def _capacity(d: Decision) -> str:
    if d.on_one_host is not None:
        where = "are free together" if not d.alone else "of one host are free"
        return f"{d.gpus_needed} × {d.flavor} {where} in pool {d.pool_name}{_after_others(d)}"
    return f"{d.gpus_short} more {d.flavor} get free in pool {d.pool_name}{_after_others(d)}"


def _after_others(d: Decision) -> str:
    if d.would_borrow:
        return ", once the others there had their turn"
    return f", once those ahead of it had their turn ({count(d.place - 1, 'job')})" if d.place > 1 else ""


def _window(d: Decision) -> str:
    gpus = count(d.gpus_short or 0, "GPU")
    less = f" or takes {gpus} less, once the others there had their turn" if d.gpus_short else ""
    return f"{d.window} in pool {d.pool_name} is over{less}{_or_shorter(d)}"


def _fair_turn(d: Decision) -> str:
    if d.kept_until is None:
        ahead = "others there" if d.would_borrow else f"{count(d.place - 1, 'job')} ahead of it"
        return f"the {ahead} had their turn"
    return f"the job that is next in line has its GPUs{_or_shorter(d)}"


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
