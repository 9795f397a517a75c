"""Decisions in words for the person who waits."""

from datetime import UTC, datetime

from compute.scheduling.model import Decision, Instant, Reason, Start
from core.units import TICKS_PER_GPU_HOUR, format_gpu_hours


def sentence(decision: Decision) -> str:
    """One sentence that says what the job needs, what there is, and what has to happen."""
    return _WORDS[decision.reason](decision)


def choice(start: Start) -> str | None:
    """Why a job starts on a flavor that is not the one it likes best; None if it is."""
    if not start.passed:
        return None
    return "; ".join(_IN_THE_WAY.get(reason, "{flavor} could not take it").format(flavor=each) for each, reason in start.passed)


_IN_THE_WAY = {
    Reason.WAITING_FOR_POOL: "no open pool had enough {flavor} for it",
    Reason.WAITING_FOR_WINDOW: "{flavor} were to be taken away before it could end",
    Reason.WAITING_FOR_BUDGET: "its grant had too little left for {flavor}",
    Reason.WAITING_FOR_OFFER: "no offer of {flavor} could carry it",
    Reason.WAITING_FOR_CAPACITY: "fewer {flavor} were free than it needs",
    Reason.WAITING_FOR_FAIR_TURN: "the free {flavor} were kept for the next in line",
}


def _asked(d: Decision) -> str:
    """`2 × h100`, `2 × h100 or h200` if others will do as well, `8 × h100 (a host to itself)`."""
    asked = f"{d.gpus_needed} × {' or '.join((d.flavor, *d.or_else))}"
    return f"{asked} (a host to itself)" if d.alone else asked


def _pool(d: Decision) -> str:
    needs = f"needs {_asked(d)}"
    if d.closes_at is not None:
        return f"{needs}; pool {d.pool_name} closes at {moment(d.closes_at, d.decided_at)}, before this job could end"
    if d.opens_at is not None:
        return f"{needs}; the pool it may use opens at {moment(d.opens_at, d.decided_at)}"
    if d.out_of_reach:
        return f"{needs}; pool {d.out_of_reach} has them, and nothing here is connected to it at the moment"
    most = "any" if not d.gpus_free else f"more than {d.gpus_free}{' on one host' if d.on_one_host is not None else ''}"
    if d.distrusted_in:
        return f"{needs}; {distrust(d)}, and no other open pool has {most}"
    return f"{needs}; no open pool it may use has {most}"


def distrust(d: Decision) -> str:
    """`pool berlin takes reviewed code only`."""
    names = " and ".join(d.distrusted_in)
    return f"pool {names} takes reviewed code only" if len(d.distrusted_in) == 1 else f"pools {names} take reviewed code only"


def _window(d: Decision) -> str:
    assert d.closes_at is not None
    begins = moment(d.closes_at, d.decided_at)
    return f"needs {_asked(d)}; from {begins} on pool {d.pool_name} has {d.gpus_free} left for it ({d.window})"


def _grant(d: Decision) -> str:
    if d.opens_at is not None:
        return f"its compute grant starts at {moment(d.opens_at, d.decided_at)}"
    assert d.closes_at is not None
    if d.closes_at <= d.decided_at:
        return f"its compute grant ended at {moment(d.closes_at, d.decided_at)}"
    return f"its compute grant ends at {moment(d.closes_at, d.decided_at)}, before this job could end"


def _budget(d: Decision) -> str:
    needed, available = amounts(d)
    where = f" on {d.flavor}" if d.or_else else ""
    return (
        f"may use {hours(needed)} reference GPU-hours{where}; its compute grant has {hours(available)} left "
        f"that no other job holds, {hours(needed - available)} short"
    )


def _offer(d: Decision) -> str:
    needed, available = amounts(d)
    where = f"in pool {d.pool_name}"
    if d.closes_at is not None:
        until = moment(d.closes_at, d.decided_at)
        return f"the offers it may use {where} have enough for it until {until} only, and this job could end later"
    if d.opens_at is not None:
        return f"the next offer it may use {where} opens at {moment(d.opens_at, d.decided_at)}"
    if not available:
        return f"no offer it may use {where} has any {d.flavor} time for it"
    return f"may use {hours(needed)} {d.flavor} GPU-hours; the offers it may use {where} have {hours(available)} left"


def _project_limit(d: Decision) -> str:
    return f"its project {_limit(d)}"


def _submitter_limit(d: Decision) -> str:
    return f"its submitter {_limit(d)}"


def _limit(d: Decision) -> str:
    assert d.limit is not None
    assert d.in_use is not None
    if d.limit_on == "jobs":
        return f"may run {count(d.limit, 'job')} at a time and has {d.in_use} running or about to start"
    in_use = f"{d.in_use} in use or promised, {d.gpus_needed} more needed" if d.in_use else f"{d.gpus_needed} needed"
    return f"may use {count(d.limit, 'GPU')} at a time: {in_use}"


def _quota(d: Decision) -> str:
    assert d.limit is not None
    assert d.in_use is not None
    own = f"its project uses {d.in_use} of its own {d.limit} in quota group {d.group}"
    if d.never_fits:
        return f"needs {d.gpus_needed} × {d.flavor}, more than its project can ever have in quota group {d.group}"
    if d.expected_start_at is not None:
        at = moment(d.expected_start_at, d.decided_at)
        return f"needs {d.gpus_needed} × {d.flavor}; {own}, and gets back what others borrowed by {at}"
    if d.behind_one_like_it:
        return f"needs {d.gpus_needed} × {d.flavor}; {own}, and what is being given back to it goes to an older job like this one"
    if d.may_borrow is not None and d.in_use + d.gpus_needed > d.limit + d.may_borrow:
        return f"needs {d.gpus_needed} × {d.flavor}; {own} and may borrow {d.may_borrow}"
    kept = f", {d.kept_for_others} more being given back to others" if d.kept_for_others else ""
    return f"needs {d.gpus_needed} × {d.flavor}; {own}, and all together {d.group_in_use} of {d.group_quota}{kept}"


def _reserved(d: Decision) -> str:
    assert d.expected_start_at is not None
    at = moment(d.expected_start_at, d.decided_at)
    return f"{_needs(d)}; next in line, expected at {at} at the latest unless another’s turn comes sooner"


def _capacity(d: Decision) -> str:
    assert d.gpus_free is not None
    if d.on_one_host is None or d.gpus_free < d.gpus_needed:
        return f"{_needs(d)}; number {d.place} in line"
    if d.alone:
        return f"{_needs(d)}, but no host of its size is empty: {d.on_one_host} at most on one; number {d.place} in line"
    return f"{_needs(d)}, but not together: {d.on_one_host} at most on one host; number {d.place} in line"


def _fair_turn(d: Decision) -> str:
    if d.kept_until is None:
        return f"{_needs(d)}; number {d.place} in line, and those ahead of it come first"
    return (
        f"{_needs(d)}; starting it now would delay the job that is next in line, "
        f"which is expected at {moment(d.kept_until, d.decided_at)} at the latest"
    )


def _needs(d: Decision) -> str:
    return f"needs {_asked(d)}, {d.gpus_free} {f'{d.flavor} ' if d.or_else else ''}free in pool {d.pool_name}"


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


def amounts(d: Decision) -> tuple[int, int]:
    """What it needs and what there is of the grant or the offers, in ticks."""
    assert d.ticks_needed is not None
    assert d.ticks_available is not None
    return d.ticks_needed, d.ticks_available


def moment(at: Instant, today_at: Instant) -> str:
    """`14:20 UTC` on the day of the decision, `24 Nov 14:20 UTC` else."""
    when, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(today_at, UTC).date()
    if when.date() == today:
        return f"{when:%H:%M} UTC"
    year = f" {when.year}" if when.year != today.year else ""
    return f"{when.day} {when:%b}{year} {when:%H:%M} UTC"


def hours(ticks: int) -> str:
    """GPU-hours: two places, or as many as it takes to tell a small amount from nothing."""
    places = 2 if ticks == 0 or ticks * 100 >= TICKS_PER_GPU_HOUR else 6
    return format_gpu_hours(ticks, places)


def count(number: int, noun: str) -> str:
    """`1 job`, `2 jobs`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
