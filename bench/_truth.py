"""Whether what waiting jobs are told is true: what was named is done, exactly, and the scheduler is asked again.

Each way out that a remedy names is a change of the world (_remedies.py). Done in full, the job waits for that no more; one
unit short of it (a GPU, a tick, a second), it still does. So a check can fail in both directions.
"""

from collections.abc import Container, Hashable
from dataclasses import dataclass, replace

from bench._remedies import BY_TIME, ways_out
from bench._told import Told
from compute.scheduling import Decision, Plan, Reason, Snapshot, plan

What = tuple[Hashable, ...]
"""A thing that a job waits for."""


@dataclass(frozen=True)
class Verdict:
    """What came of one check."""

    decision: Decision
    helped_not: tuple[str, ...]  # ways out that it names, after which the job waited for this all the same ...
    needed_not: tuple[str, ...]  # ... and those of which less would have done

    @property
    def true(self) -> bool:
        return not self.helped_not and not self.needed_not


def check(world: Snapshot, decided: Plan, decision: Decision) -> Verdict:
    """Check what one waiting job was told. Nothing starts in this world: whoever may, has."""
    assert not decided.starts
    told = Told(world, decided, decision, next(job for job in world.queued if job.id == decision.job_id))
    ways = ways_out(told)
    assert ways, "every reason has a way out"
    return Verdict(
        decision,
        tuple(name for name, way in ways.items() if _waits_for(way(0), decision) == _what(decision)),
        tuple(name for name, way in ways.items() if _waits_for(way(1), decision) not in _the_same(name, decision)),
    )


def _waits_for(world: Snapshot, decision: Decision) -> What | None:
    """What the job waits for there; None: it starts."""
    found = next((each for each in plan(world).waiting if each.job_id == decision.job_id), None)
    return _what(found) if found is not None else None


def _the_same(way: str, decision: Decision) -> Container[What | None]:
    """What it may wait for short of a way out. Until a moment comes, something else may come in its way; yet it waits."""
    if (
        way in BY_TIME or decision.would_borrow
    ):  # of what gets free, members may keep a part for themselves: then its group says no
        return _Anything()
    if decision.reason is Reason.WAITING_FOR_QUOTA and not decision.never_fits:
        # With less than was named, asking back the rest may be possible; or it may borrow, and waits for GPUs like anybody else.
        return {_what(decision), _what(replace(decision, expected_start_at=decision.decided_at)), _GPUS}
    return {_what(decision)}


class _Anything:
    def __contains__(self, what: object) -> bool:
        return what is not None


def _what(decision: Decision) -> What:
    """Whoever waits for GPUs waits until it starts, whatever that is called."""
    if decision.reason in _FOR_GPUS:
        return _GPUS
    window = (decision.window, decision.closes_at) if decision.window else ()
    own = (decision.never_fits, decision.expected_start_at is not None, decision.behind_one_like_it)
    return (decision.reason, decision.limit_on, window, own)


_GPUS = ("GPUs",)
_FOR_GPUS = {Reason.RESERVED_NEXT, Reason.WAITING_FOR_CAPACITY, Reason.WAITING_FOR_FAIR_TURN}
