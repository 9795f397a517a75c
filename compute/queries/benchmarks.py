"""The same benchmarks on several kinds of accelerators: what was measured, and what other rates would mean."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from statistics import median
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from compute.models import (
    AttemptStatus,
    ComputeGrant,
    Flavor,
    Job,
    JobAttempt,
    JobKind,
    Pool,
    PoolStatus,
    RateProposal,
    UsageRecord,
)
from compute.models.grants import DRAWABLE
from compute.queries import budget
from compute.queries.budget import Budget
from core.errors import NotFound
from core.identity.models import Project

LOOKED_BACK = timedelta(days=180)
"""Older runs are of older drivers and libraries."""

RUNS_MIN = 3
"""Fewer runs say too little: their median would be one run's luck."""

PER_PROJECT_MAX = 20
"""Benchmarks of one project that count, those that ran last: nobody decides the rates, or how long they take to find, alone."""

EFFECT_DAYS = 28


@dataclass(frozen=True, slots=True)
class Measured:
    """One benchmark of one project: the same command, commit, image, variables and number of devices."""

    name: str
    project: Project
    key: str
    runs: Mapping[UUID, Sequence[Fraction]]
    """GPU-seconds of each run that succeeded, by flavor, in whole GPUs."""

    def median(self, flavor_id: UUID) -> Fraction:
        """The middle run."""
        return Fraction(median(self.runs[flavor_id]))


@dataclass(frozen=True, slots=True)
class Effect:
    """What other rates would make of a grant's last weeks, in reference ticks."""

    grant: ComputeGrant
    budget: Budget
    now: int
    """Used in the last weeks at present rates."""
    then: int
    """The same use at the proposed rates."""


def measured(session: Session, *, now: datetime) -> list[Measured]:
    """The benchmarks that ran often enough on two kinds of accelerators or more, by project and name.

    Of each project so many at most as count, the ones that ran last.
    """
    rows = session.execute(
        select(Job, UsageRecord.seconds)
        .join(JobAttempt, JobAttempt.job_id == Job.id)
        .join(UsageRecord, UsageRecord.attempt_id == JobAttempt.id)
        .where(
            Job.kind == JobKind.BENCHMARK,
            JobAttempt.status == AttemptStatus.SUCCEEDED,
            UsageRecord.seconds > 0,
            UsageRecord.at > now - LOOKED_BACK,
        )
        .order_by(UsageRecord.at.desc())
    ).all()
    runs: dict[str, dict[UUID, list[Fraction]]] = {}
    newest: dict[str, Job] = {}
    for job, seconds in rows:
        key = _key(job)
        newest.setdefault(key, job)
        took = Fraction(seconds * job.gpus, job.flavor.slices_per_gpu)
        runs.setdefault(key, {}).setdefault(job.flavor_id, []).append(took)
    enough = {key: {kind: took for kind, took in by.items() if len(took) >= RUNS_MIN} for key, by in runs.items()}
    found = [Measured(newest[key].name, newest[key].project, key, by) for key, by in enough.items() if len(by) > 1]
    taken: dict[UUID, list[Measured]] = {}
    for each in found:  # what ran last comes first, as in `rows`
        taken.setdefault(each.project.id, []).append(each)
    found = [each for mine in taken.values() for each in mine[:PER_PROJECT_MAX]]
    return sorted(found, key=lambda each: (each.project.name, each.name, each.key))


def gpus(session: Session) -> dict[UUID, Fraction]:
    """Whole GPUs of each flavor in open pools."""
    rows = session.execute(
        select(Flavor.id, Flavor.slices_per_gpu, func.sum(Pool.devices))
        .join(Pool, Pool.flavor_id == Flavor.id)
        .where(Pool.status == PoolStatus.OPEN)
        .group_by(Flavor.id)
    )
    return {flavor_id: Fraction(int(devices), slices) for flavor_id, slices, devices in rows}


def effects(session: Session, rates: Mapping[UUID, Fraction], *, now: datetime) -> list[Effect]:
    """What these rates would have made of each open grant's use in the last weeks; the most changed first.

    Both sides are the same metered time, at present and at these rates, to the nearest tick: what was charged differs where a
    rate changed meanwhile.
    """
    present = budget.rates_at(session, now)
    rows = session.execute(
        select(UsageRecord.grant_id, Pool.flavor_id, func.sum(UsageRecord.ticks))
        .join(JobAttempt, JobAttempt.id == UsageRecord.attempt_id)
        .join(Pool, Pool.id == JobAttempt.pool_id)
        .where(UsageRecord.at > now - timedelta(days=EFFECT_DAYS), UsageRecord.reference_ticks > 0)
        .group_by(UsageRecord.grant_id, Pool.flavor_id)
    )
    used: dict[UUID, list[tuple[UUID, int]]] = {}
    for grant_id, flavor_id, ticks in rows:
        used.setdefault(grant_id, []).append((flavor_id, int(ticks)))
    grants = session.scalars(select(ComputeGrant).where(ComputeGrant.status.in_(DRAWABLE))).all()
    budgets = budget.of_grants(session, grants)
    found = [
        Effect(
            grant,
            budgets[grant.id],
            _reference(used.get(grant.id, ()), present),
            _reference(used.get(grant.id, ()), {**present, **rates}),
        )
        for grant in grants
    ]
    return sorted(found, key=lambda each: (-abs(each.then - each.now), each.grant.title, each.grant.id))


def proposals(session: Session) -> Sequence[RateProposal]:
    """Every proposal, newest first."""
    return session.scalars(select(RateProposal).order_by(RateProposal.id.desc())).all()


def proposal(session: Session, proposal_id: UUID, *, locked: bool = False) -> RateProposal:
    """One proposal; locked, as it is now and until the end of the transaction.

    Raises:
        NotFound: there is none of this id.
    """
    query = select(RateProposal).where(RateProposal.id == proposal_id)
    if locked:
        query = query.with_for_update(of=RateProposal).execution_options(populate_existing=True)
    found = session.scalars(query).one_or_none()
    if found is None:
        raise NotFound(f"There is no proposal {proposal_id}.")
    return found


def _key(job: Job) -> str:
    """Equal for runs of the same work: another commit, image or number of devices is another benchmark."""
    parts = [
        *(str(job.project_id), job.source.value, job.command, job.repository, job.commit_sha, job.image),
        *(job.gpus, job.environment),
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _reference(used: Sequence[tuple[UUID, int]], rates: Mapping[UUID, Fraction]) -> int:
    return round(sum((ticks * rates[flavor_id] for flavor_id, ticks in used), Fraction(0)))
