"""Why a job waits, in full: the reason it has, and every fact the reason came from."""

from collections import Counter
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from compute import scheduling
from compute.models import ComputeOffer, Flavor, Job, JobStatus, Pool
from compute.policies import OfferPolicy, Request
from compute.queries import attempts, budget, expected, hosts, overview, snapshot
from compute.queries.budget import Budget

KEPT_SECONDS = 10.0
"""So long an explanation is shown again: it takes a plan of the whole line."""


@dataclass(frozen=True, slots=True)
class PoolFact:
    """A pool as the job meets it."""

    pool: Pool
    free: int
    fits: bool
    """Whether the job could run there at all."""
    trusts: bool
    """Whether the pool takes it by where its code comes from."""


@dataclass(frozen=True, slots=True)
class OfferFact:
    """An offer as the job meets it."""

    offer: ComputeOffer
    left: int
    permits: bool
    opens_later: bool
    closes_too_soon: bool
    """Whether its window closes before the job could end if it started now."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything that decides when a job starts."""

    job: Job
    code: str | None
    reason: str | None
    since: datetime | None
    place: int | None
    """1 is the first in line."""
    remedy: str | None
    """What would have to happen for the reason to hold no more."""
    expected: scheduling.Expected | None
    """When it probably starts, as of now; none if it waits for somebody to act."""
    passed_by: Mapping[str, int]
    """How many waiting jobs go first because of which priority class."""
    would_start_now: bool
    needed: Sequence[tuple[Flavor, int]]
    """What it may use on each flavor it accepts, in reference ticks; the flavor it prefers first."""
    grant: Budget
    pools: Sequence[PoolFact]
    offers: Sequence[OfferFact]


def explain(session: Session, job: Job, *, connected: Container[str], now: datetime) -> Explanation:
    """Ask the scheduler about this moment, with these executors in reach, and lay open what it saw. Nothing is changed.

    Costly for a job that waits, as the whole line is planned; of any other the line is not even read.
    """
    state = snapshot.take(session, connected=connected, now=now) if job.status is JobStatus.QUEUED else None
    seen = next((queued for queued in state.queued if queued.id == job.id), None) if state is not None else None
    code, reason, place, would_start = job.waiting_code, job.waiting_reason, None, False
    remedy, expectation = job.waiting_remedy, None
    if state is not None and seen is not None:
        plan = scheduling.plan(state)
        would_start = any(start.job_id == job.id for start in plan.starts)
        decision = next((waiting for waiting in plan.waiting if waiting.job_id == job.id), None)
        if decision is not None:
            code, reason, place, remedy = str(decision.reason), decision.detail, decision.place, decision.remedy
            # Only those ahead of it matter.
            starts = expected.expected_starts(session, state, plan, now=now, jobs_max=min(place, expected.JOBS_MAX))
            expectation = starts.get(job.id)
    asked = Request(project_id=job.project_id, host_id=job.project.parent_id, kind=job.kind, ref=job.ref)
    ends_by = snapshot.ends_by(job, now)
    offers = overview.offers(session, statuses=snapshot.COMING)
    left = budget.of_offers(session, offers)
    pools = [pool for pool in overview.pools(session) if pool.flavor in job.accepts]
    named = hosts.of_pools(session, [pool.id for pool in pools])
    return Explanation(
        job=job,
        code=code,
        reason=reason,
        since=job.waiting_since if job.status is JobStatus.QUEUED else None,
        place=place,
        remedy=remedy,
        expected=expectation,
        passed_by=_passed_by(state, seen) if state is not None and seen is not None else {},
        would_start_now=would_start,
        needed=[(flavor, _needed(wish)) for flavor, wish in zip(job.accepts, seen.wishes, strict=True)] if seen else [],
        grant=budget.of_grant(session, job.grant),
        pools=[
            PoolFact(
                pool=pool,
                free=pool.devices - attempts.devices_in_use(session, pool),
                fits=snapshot.fits(pool, job)
                and hosts.takes(pool, named.get(pool.id, []), job.gpus, exclusive=job.exclusive) is not None,
                trusts=snapshot.trusts(pool, job),
            )
            for pool in pools
        ],
        offers=[
            OfferFact(
                offer,
                left[offer.id].left,
                OfferPolicy.from_json(offer.policy).permits(asked),
                offer.opens_at > now,
                offer.closes_at < ends_by,
            )
            for offer in offers
            if offer.flavor in job.accepts
        ],
    )


def _needed(wish: scheduling.Job) -> int:
    """Reference ticks that it may use on a flavor: where it has its host alone, in the pool where that is most."""
    return max((each.cost_ticks for each in wish.wholes or () if each.flavor == wish.flavor), default=wish.cost_ticks)


def _passed_by(state: scheduling.Snapshot, seen: scheduling.Job) -> Mapping[str, int]:
    ahead = [other.priority for other in state.queued if other.priority.rank > seen.priority.rank]
    return Counter(priority.why or "Ordinary" for priority in sorted(ahead, key=lambda priority: -priority.rank))
