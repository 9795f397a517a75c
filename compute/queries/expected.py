"""When waiting jobs are expected to start: the plan of this moment, and how long jobs ran before."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from compute import scheduling
from compute.models import Job, JobAttempt
from compute.queries import attempts, told_starts

JOBS_MAX = 10_000
"""So many of the line are planned ahead; whoever stands further back is told no time."""


def expected_starts(
    session: Session, state: scheduling.Snapshot, plan: scheduling.Plan, *, now: datetime, jobs_max: int = JOBS_MAX
) -> Mapping[UUID, scheduling.Expected]:
    """What to expect for the first so many jobs of the line, by the job's id. Who is missing waits for somebody to act."""
    return told(session, planned(session, state, plan, now=now, jobs_max=jobs_max))


def planned(
    session: Session, state: scheduling.Snapshot, plan: scheduling.Plan, *, now: datetime, jobs_max: int = JOBS_MAX
) -> Mapping[UUID, scheduling.Expected]:
    """What plans of the line say, before what came of earlier ones corrects it."""
    return scheduling.forecast(state, plan, _likely_seconds(session, state, now=now), jobs_max=jobs_max)


def told(session: Session, found: Mapping[UUID, scheduling.Expected]) -> dict[UUID, scheduling.Expected]:
    """What is told of what was planned: corrected by what came of earlier ones, and how often such ranges held."""
    corrections, records = told_starts.corrections(session), told_starts.records(session)
    told = {}
    for job_id, each in found.items():
        sort = scheduling.horizon(each)
        ranges, held = records.get(sort, (0, 0))
        known = scheduling.corrected(each, corrections.get(sort, scheduling.Correction()))
        told[job_id] = replace(known, ranges=ranges, held=held)
    return told


def of_job(job: Job) -> scheduling.Expected | None:
    """What was kept beside the job when the line was last planned ahead."""
    if not (job.expected_as_of and job.expected_soonest_at and job.expected_likely_at and job.expected_late_at):
        return None
    return scheduling.Expected(
        as_of=int(job.expected_as_of.timestamp()),
        soonest_at=int(job.expected_soonest_at.timestamp()),
        likely_at=int(job.expected_likely_at.timestamp()),
        late_at=int(job.expected_late_at.timestamp()),
        latest_at=int(job.expected_latest_at.timestamp()) if job.expected_latest_at else None,
        ranges=job.expected_ranges or 0,
        held=job.expected_held or 0,
    )


def _likely_seconds(session: Session, state: scheduling.Snapshot, *, now: datetime) -> dict[UUID, int]:
    """How long each waiting job will probably keep its devices, and each that has them from now on."""
    known, at = _learnt(state), int(now.timestamp())
    overhead = state.knobs.overhead_seconds
    likely = {}
    running = session.execute(
        select(JobAttempt.job_id, Job.project_id, Job.submitted_by_id, JobAttempt.wall_seconds, Job.gpus, JobAttempt.held_at)
        .join(Job, Job.id == JobAttempt.job_id)
        .where(attempts.OPEN)
    ).all()
    lineages = [known.lineage(*row[1:5]) for row in running]
    for lineage, row in zip(lineages, running, strict=True):
        known.started(lineage, int(row.held_at.timestamp()))
    for lineage, row in zip(lineages, running, strict=True):
        # An exponential run time forgets how long it has taken: what is left is expected to be as long as a whole one.
        likely[row.job_id] = round(known.expected(lineage, row.wall_seconds + overhead, at))
    for job in state.queued:
        lineage = known.lineage(job.project_id, job.submitter_id, job.wall_seconds, job.gpus)
        likely[job.id] = round(known.expected(lineage, job.wall_seconds + overhead, at))
    return likely


def _learnt(state: scheduling.Snapshot) -> scheduling.Estimates:
    """What the past says of jobs by project, submitter, declared time and size."""
    known = scheduling.Estimates()
    for ran in state.past:
        lineage = known.lineage(ran.project_id, ran.submitter_id, ran.wall_seconds, ran.gpus)
        known.remember(lineage, seconds=ran.ran_seconds, jobs=ran.jobs)
    return known
