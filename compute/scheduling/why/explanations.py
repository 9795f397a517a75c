"""Why a job waits, derived when somebody asks: the rules are asked again for its kind, so the answer is true at that moment.

Where a job has several lanes to choose from, the one that it came furthest in speaks: the obstacle that is last in the order of
the reasons, of equals the one with most left, of those the one that opens first, and of those the one that needs least.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from compute.scheduling.events import NEVER
from compute.scheduling.line import Batch, Place
from compute.scheduling.model import Decision, Instant, Name, Passed, PoolState, Reason
from compute.scheduling.parking import Obstacle

_ORDER = {reason: number for number, reason in enumerate(Reason)}
_ABOUT_A_LANE = {Reason.WAITING_FOR_POOL, Reason.WAITING_FOR_WINDOW, Reason.WAITING_FOR_OFFER}
_BY_TIME = {Reason.WAITING_FOR_POOL, Reason.WAITING_FOR_WINDOW, Reason.WAITING_FOR_GRANT, Reason.WAITING_FOR_OFFER}


@dataclass(frozen=True, slots=True)
class Question:
    """A waiting job, and how the rules are asked about it."""

    job: Name
    batch: Batch
    turn: int  # its place in line; 1 is the first
    now: Instant
    refusal: Callable[[Place, Instant], Obstacle | None]
    is_oldest: bool  # of its kind
    overhead_seconds: int  # how long a job may keep its GPUs beyond its declared time


def explain(question: Question) -> Decision:
    """The reason of this moment."""
    batch, now = question.batch, question.now
    large = [p for p in batch.places if p.bucket.lane.is_open(now) and p.gpus <= p.bucket.lane.most]
    if not large:
        return _no_lane(question)
    for place in large:
        lane = place.bucket.lane
        if lane.promise is not None and lane.promise.job == question.job:
            return _decision(question, Reason.RESERVED_NEXT, place, gpus_free=lane.free, expected_start_at=lane.promise.at)
    refusals = [(place, question.refusal(place, now)) for place in large]
    able = [place for place, obstacle in refusals if obstacle is None]
    if able:
        return _no_room(question, able)
    obstacles = [(place, each.reason, _of_use(question, place, each)) for place, each in refusals if each is not None]
    place, reason, facts = max(obstacles, key=lambda found: _how_far(found[1], found[2]))
    return _decision(question, reason, place, names_pool=reason in _ABOUT_A_LANE, **facts)


def passed_over(place: Place, now: Instant, refusal: Callable[[Place, Instant], Obstacle | None]) -> tuple[Passed, ...]:
    """Why a job that starts here starts on no flavor it likes better: of each, the reason of the lane it came furthest in."""
    found: dict[str, Reason] = {}
    for other in place.batch.places:
        flavor = other.bucket.lane.facts.flavor
        if other.choice.order < place.choice.order and flavor != place.bucket.lane.facts.flavor:
            reason = _in_its_way(other, now, refusal(other, now))
            found[flavor] = max(found.get(flavor, reason), reason, key=_ORDER.__getitem__)
    return tuple(found.items())


def _in_its_way(place: Place, now: Instant, obstacle: Obstacle | None) -> Reason:
    lane = place.bucket.lane
    if not lane.is_open(now) or place.gpus > lane.most:
        return Reason.WAITING_FOR_POOL
    if obstacle is not None:
        return obstacle.reason
    fits = lane.fits(place.gpus, 0, place.batch.kind.alone)
    return Reason.WAITING_FOR_FAIR_TURN if fits else Reason.WAITING_FOR_CAPACITY


def _of_use(question: Question, place: Place, obstacle: Obstacle) -> Mapping[str, Any]:
    """The facts of an obstacle. An offer that opens is named only if lane and grant last for the whole run then.

    What a quota group gets back for a kind is for its oldest job.
    """
    if not question.is_oldest and obstacle.facts.get("expected_start_at") is not None:
        return {**obstacle.facts, "expected_start_at": None, "behind_one_like_it": True}
    opens_at = obstacle.facts.get("opens_at")
    if obstacle.reason is Reason.WAITING_FOR_OFFER and opens_at is not None:
        then = question.refusal(place, opens_at)
        if then is not None and then.reason in _BY_TIME:
            return {**obstacle.facts, "opens_at": None}
    return obstacle.facts


def _how_far(reason: Reason, facts: Mapping[str, Any]) -> tuple[int, int, int, int]:
    left = facts.get("ticks_available") or facts.get("closes_at") or 0
    return _ORDER[reason], left, -(facts.get("opens_at") or NEVER), -(facts.get("ticks_needed") or 0)


def _no_lane(question: Question) -> Decision:
    """No lane it may use is open and large enough."""
    places, now = question.batch.places, question.now
    lanes = [place.bucket.lane for place in places if place.bucket.lane.is_open(now)]
    large = [place.bucket.lane for place in places if place.gpus <= place.bucket.lane.most]
    away = (each.facts for each in large if each.facts.state is PoolState.OUT_OF_REACH)
    opens = (each.facts.opens_at for each in large if each.facts.state is PoolState.OPEN)
    by_host = any(lane.most < lane.facts.gpus for lane in lanes)
    most = max((lane.most for lane in lanes), default=0)
    return _decision(
        question,
        Reason.WAITING_FOR_POOL,
        None,
        gpus_free=most,
        on_one_host=most if by_host else None,
        out_of_reach=next((facts.pool_name for facts in away), ""),
        opens_at=min(opens, default=None),
    )


def _no_room(question: Question, places: list[Place]) -> Decision:
    """Nothing but GPUs is in its way."""
    kind, alone = question.batch.kind, question.batch.kind.alone
    place = max(places, key=lambda place: (place.bucket.lane.fits(place.gpus, 0, alone), place.bucket.lane.free))
    lane, gpus = place.bucket.lane, place.gpus
    facts: dict[str, Any] = {"gpus_free": lane.free, "would_borrow": place.member.borrows(kind, gpus)}
    if not lane.fits(gpus, 0, alone):
        on_one_host = lane.hosts.most_free(gpus if alone else None) if lane.hosts is not None else None
        # Of what gets free, members may keep a part for themselves.
        short = max(gpus - lane.free, place.member.lent_short(kind))
        return _decision(question, Reason.WAITING_FOR_CAPACITY, place, on_one_host=on_one_host, gpus_short=short, **facts)
    kept_until = lane.promise.at if lane.promise is not None else None
    return _decision(question, Reason.WAITING_FOR_FAIR_TURN, place, kept_until=kept_until, **facts)


def _decision(question: Question, reason: Reason, place: Place | None, *, names_pool: bool = True, **facts: Any) -> Decision:
    kind = question.batch.kind
    facts["gpus_free"] = None if facts.get("gpus_free") is None else max(0, facts["gpus_free"])
    closes_at = facts.get("closes_at") or facts.get("kept_until")
    if closes_at is not None and closes_at - question.overhead_seconds > question.now:
        facts["over_by"] = closes_at - question.overhead_seconds
    spoken = place if place is not None else next(iter(question.batch.places), None)
    lane = place.bucket.lane.facts if place is not None and names_pool else None
    return Decision(
        job_id=question.job,
        reason=reason,
        decided_at=question.now,
        place=question.turn,
        flavor=spoken.bucket.lane.facts.flavor if spoken is not None else "",
        gpus_needed=spoken.gpus if spoken is not None else kind.gpus,
        alone=kind.alone,
        pool_id=lane.pool_id if lane is not None else None,
        pool_name=lane.pool_name if lane is not None else "",
        **facts,
    )
