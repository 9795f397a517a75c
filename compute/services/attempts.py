"""The life of an attempt: held, launched, watched, ended and settled. Each step is one short transaction, safe to repeat."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy.orm import Session

from compute import policies
from compute.executors import base as executors
from compute.models import (
    AttemptStatus,
    FailureCause,
    GrantStatus,
    Job,
    JobAttempt,
    JobStatus,
    SourceKind,
    UsageRecord,
)
from compute.policies import OfferPolicy, trust
from compute.queries import attempts, jobs, quotas
from compute.services import books, handover
from compute.services.submit import queue, require_submitter
from core import audit, tasks
from core.db import new_id
from core.identity.models import Person

LAUNCH_PATIENCE = timedelta(minutes=3)
"""How long an attempt may be unknown to its executor after it was handed over, before it counts as lost."""

WAITING_FOR_RETRY = "waiting_for_retry"

GAVE_BACK = "gave_back"
"""It was stopped because its GPUs are somebody else's, and waits again at its old place."""

TAKEN_BACK = "taken_back"
"""Its start was taken back before it began, and it waits again at its old place."""

_OUTCOMES: Mapping[executors.AttemptState, AttemptStatus] = {
    executors.AttemptState.SUCCEEDED: AttemptStatus.SUCCEEDED,
    executors.AttemptState.FAILED: AttemptStatus.FAILED,
    executors.AttemptState.TIMED_OUT: AttemptStatus.TIMED_OUT,
    executors.AttemptState.CANCELLED: AttemptStatus.CANCELLED,
    executors.AttemptState.EVICTED: AttemptStatus.EVICTED,
    executors.AttemptState.LOST: AttemptStatus.LOST,
}


@dataclass(frozen=True)
class LaunchAttempt(tasks.Task):
    """Hand a held attempt to its pool's executor."""

    kind: ClassVar[str] = "compute.launch_attempt"
    tries_max: ClassVar[int] = 5
    lease: ClassVar[timedelta] = timedelta(seconds=60)
    attempt_id: UUID


@dataclass(frozen=True)
class CollectResults(tasks.Task):
    """Take an ended attempt's output and artefacts over into the object store."""

    kind: ClassVar[str] = "compute.collect_results"
    attempt_id: UUID


@dataclass(frozen=True, slots=True)
class Ending:
    """How an attempt ended, as the executor or the platform saw it."""

    status: AttemptStatus
    cause: FailureCause | None
    reason: str
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    output_bytes: int = 0


def begin_launch(session: Session, attempt_id: UUID, *, now: datetime) -> executors.LaunchSpec | None:
    """Mark an attempt as handed over and say what to start; None if there is nothing to start (any more).

    What no longer can be handed over, see handover.py, goes back into the line. That is asked at every try to hand it over.

    Committed before the executor is called: from here on its answer is looked up, never assumed.
    """
    attempt = attempts.locked(session, attempt_id, with_pool=True)
    if attempt.status not in {AttemptStatus.HELD, AttemptStatus.STARTING} or attempt.stop is not None:
        return None
    obstacle = handover.obstacle(session, attempt, now=now)
    if obstacle is not None:
        ask_to_stop(session, attempt, executors.Stop.EVICTED, obstacle, now=now)
        return None
    if attempt.status is AttemptStatus.HELD:
        attempt.status, attempt.launched_at = AttemptStatus.STARTING, now
        attempt.job.advance(JobStatus.STARTING, now)
    job = attempt.job
    source: executors.Source = None
    if job.source is SourceKind.REPOSITORY:
        assert job.repository is not None
        assert job.commit_sha is not None
        # Trust in a ref is worth what is known of it: where an offer or the pool asks, the executor proves the submitter's claim.
        trusting = trust.must_prove(attempt.pool.trust, job.origin) or any(
            OfferPolicy.from_json(draw.offer.policy).trusted_refs for draw in attempt.draws
        )
        source = executors.Repository(job.repository, job.commit_sha, job.ref if trusting else None)
    elif job.source is SourceKind.IMAGE:
        assert job.image is not None
        source = executors.Image(job.image)
    return executors.LaunchSpec(
        attempt_id=attempt.id,
        job_id=job.id,
        source=source,
        command=("sh", "-c", job.command),
        environment=job.environment,
        # Those it asked for, however many it has to itself: what it measures must not depend on which host it got.
        gpus=job.gpus,
        flavor=attempt.flavor.slug,
        host=attempt.host or "",
        wall_seconds=attempt.wall_seconds,
        memory_bytes=job.memory_bytes,
        output_bytes_max=policies.OUTPUT_BYTES_MAX,
        artefact_globs=tuple(job.artefact_globs),
        artefact_bytes_max=policies.ARTEFACT_BYTES_MAX if job.artefact_globs else 0,
    )


def launch_failed(session: Session, attempt_id: UUID, reason: str, *, now: datetime) -> None:
    """The executor can't run it, now or ever: nothing was started, everything is credited back."""
    attempt = attempts.locked(session, attempt_id)
    if attempt.settled_at is None:
        end(session, attempt, Ending(AttemptStatus.LOST, FailureCause.INFRASTRUCTURE, reason), now=now)


def observe(session: Session, attempt_id: UUID, seen: executors.AttemptStatus, *, now: datetime) -> JobAttempt:
    """Take over what the executor says of an attempt. Saying it again, or saying something older, changes nothing."""
    attempt = attempts.locked(session, attempt_id)
    if attempt.settled_at is not None:
        return attempt
    if seen.state.is_final:
        end(session, attempt, _ending(attempt, seen), now=now)
        return attempt
    attempt.output_bytes = max(attempt.output_bytes, seen.output_bytes)
    if seen.state is executors.AttemptState.RUNNING and attempt.status is AttemptStatus.STARTING:
        attempt.status, attempt.started_at = AttemptStatus.RUNNING, seen.started_at
        attempt.job.advance(JobStatus.RUNNING, now)
        audit.record(session, "job.started", attempt.job, actor=None, at=now, attempt=attempt.number)
    return attempt


def missing(session: Session, attempt_id: UUID, *, now: datetime) -> None:
    """The executor does not know the attempt. Just after the hand-over that is normal; later it is lost."""
    attempt = attempts.locked(session, attempt_id)
    if attempt.settled_at is not None:
        return
    assert attempt.launched_at is not None
    if attempt.status is AttemptStatus.RUNNING or now - attempt.launched_at > LAUNCH_PATIENCE:
        _lose(session, attempt, f"Pool {attempt.pool.name} does not know this attempt (any more).", now=now)


def out_of_reach(session: Session, attempt_id: UUID, *, now: datetime) -> None:
    """Nothing here is connected to the attempt's pool. That says nothing about the attempt: what was started there goes on.

    So it keeps its devices and its hold, and is given up only when its wall time must have passed over there too.
    """
    attempt = attempts.locked(session, attempt_id)
    if attempt.settled_at is not None:
        return
    assert attempt.launched_at is not None
    wall = timedelta(seconds=attempt.wall_seconds)
    if now > (attempt.started_at or attempt.launched_at) + wall + policies.OVERHEAD + LAUNCH_PATIENCE:
        reason = f"Nothing here was connected to pool {attempt.pool.name} until the attempt's time was over."
        _lose(session, attempt, reason, now=now)


def ask_to_stop(session: Session, attempt: JobAttempt, stop: executors.Stop, reason: str, *, now: datetime) -> None:
    """Have an attempt ended: at once if it was never handed over, else the executor is told until it has happened."""
    if attempt.settled_at is not None or attempt.stop is not None:
        return
    attempt.stop, attempt.stop_reason = stop, reason
    if attempt.status is AttemptStatus.HELD:
        end(session, attempt, _stopped(attempt, None, None), now=now)


def end(session: Session, attempt: JobAttempt, ending: Ending, *, now: datetime) -> None:
    """Write the outcome, the usage and the settlement of an attempt in one transaction, once.

    The project pays for what its job used, also when the job failed or was cancelled. A failure of the infrastructure is
    credited back in full and tried once more; what was burnt then the offers bear, not the grant.
    """
    assert attempt.settled_at is None
    infrastructure = ending.cause is FailureCause.INFRASTRUCTURE
    seconds = policies.charged_seconds(ending.started_at, ending.ended_at, attempt.wall_seconds)
    ticks = policies.device_ticks(attempt.gpus, attempt.flavor.slices_per_gpu, seconds)
    reference_ticks = 0 if infrastructure else policies.in_reference(ticks, attempt.rate)
    for draw, part in zip(attempt.draws, policies.soonest_first(ticks, [draw.held_ticks for draw in attempt.draws]), strict=True):
        if infrastructure:
            draw.lost_ticks = part
        else:
            draw.used_ticks = part
    attempt.status, attempt.cause, attempt.reason = ending.status, ending.cause, ending.reason or None
    attempt.started_at, attempt.ended_at, attempt.exit_code = ending.started_at, ending.ended_at, ending.exit_code
    attempt.output_bytes = max(attempt.output_bytes, ending.output_bytes)
    attempt.settled_at = now
    session.add(
        UsageRecord(
            id=new_id(),
            attempt_id=attempt.id,
            project_id=attempt.job.project_id,
            grant_id=attempt.job.grant_id,
            seconds=seconds,
            ticks=ticks,
            reference_ticks=reference_ticks,
            cause=ending.cause,
            at=now,
        )
    )
    session.flush()
    if reference_ticks:
        books.settle(session, attempt, reference_ticks=reference_ticks, at=now, refs=ledger_refs(attempt, attempt.job))
    else:
        books.release(session, attempt, at=now, refs=ledger_refs(attempt, attempt.job))
    _finish_job(session, attempt, now=now)
    if attempt.launched_at is not None:
        tasks.enqueue(session, CollectResults(attempt.id), now=now)


def cancel(session: Session, job_id: UUID, *, actor: Person | None, reason: str, now: datetime) -> Job:
    """Stop a job, wherever it is. What it has used is charged; what it has not is free again. Cancelling twice is fine.

    Raises:
        NotFound: there is no such job.
        NotAllowed: the person may not cancel jobs of this project.
    """
    job = jobs.locked(session, job_id)
    if actor is not None:
        require_submitter(session, actor, job.project, on=now.date())
    if job.finished:
        return job
    said = reason.strip() or f"Cancelled by {actor.name if actor else 'the platform'}."
    audit.record(session, "job.cancel_requested", job, actor=actor, at=now, reason=said)
    attempt = attempts.open_of_job(session, job)
    if attempt is None:
        job.advance(JobStatus.CANCELLED, now)
        job.finished_at = now
        job.wait_no_more()
        audit.record(session, "job.cancelled", job, actor=actor, at=now, reason=said)
    else:
        ask_to_stop(session, attempts.locked(session, attempt.id), executors.Stop.CANCELLED, said, now=now)
    return job


def _lose(session: Session, attempt: JobAttempt, reason: str, *, now: datetime) -> None:
    lost = Ending(AttemptStatus.LOST, FailureCause.INFRASTRUCTURE, reason, started_at=attempt.started_at, ended_at=now)
    never_began = attempt.stop is not None and attempt.started_at is None
    end(session, attempt, _stopped(attempt, None, None) if never_began else lost, now=now)


def _finish_job(session: Session, attempt: JobAttempt, *, now: datetime) -> None:
    """The job follows its attempt. After a failure of the infrastructure it goes back into the line once, and as often as the
    platform took back a start: what never began was no try.
    """
    job = attempt.job
    job.advance(JobStatus(attempt.status), now)
    audit.record(
        session,
        f"job.{attempt.status}",
        job,
        actor=None,
        at=now,
        reason=attempt.reason,
        attempt=attempt.number,
        exit_code=attempt.exit_code,
    )
    again = attempt.cause is FailureCause.INFRASTRUCTURE and attempt.stop is not executors.Stop.CANCELLED
    if again and _gave_back(session, attempt) and job.grant.status in {GrantStatus.ACTIVE, GrantStatus.LOW}:
        queue(job, GAVE_BACK, f"goes again at its old place: attempt {attempt.number} gave its GPUs back", now=now)
    elif again and _never_began(attempt) and job.grant.status in {GrantStatus.ACTIVE, GrantStatus.LOW}:
        reason = (attempt.reason or "").removesuffix(".")
        queue(job, TAKEN_BACK, f"goes again at its old place, as attempt {attempt.number} had not begun: {reason}", now=now)
    elif again and job.retries_left > 0 and job.grant.status in {GrantStatus.ACTIVE, GrantStatus.LOW}:
        job.retries_left -= 1
        queue(job, WAITING_FOR_RETRY, f"goes again: attempt {attempt.number} was {job.status}, credited back in full", now=now)
    else:
        job.finished_at = now
    session.flush()


def _gave_back(session: Session, attempt: JobAttempt) -> bool:
    """Whether it was stopped for a project that owns its GPUs: however often that happens, it goes again."""
    notice = quotas.notice_of(session, attempt) if attempt.stop is executors.Stop.EVICTED else None
    return notice is not None and notice.stopped_at is not None


def _never_began(attempt: JobAttempt) -> bool:
    """Whether the platform stopped it before its command ran."""
    return attempt.stop is executors.Stop.EVICTED and attempt.started_at is None


def _ending(attempt: JobAttempt, seen: executors.AttemptStatus) -> Ending:
    if seen.state in {executors.AttemptState.CANCELLED, executors.AttemptState.EVICTED} and attempt.stop is not None:
        return _stopped(attempt, seen.started_at, seen.ended_at, output_bytes=seen.output_bytes)
    if seen.infrastructure:
        cause: FailureCause | None = FailureCause.INFRASTRUCTURE
    else:
        cause = {
            executors.AttemptState.SUCCEEDED: None,
            executors.AttemptState.TIMED_OUT: FailureCause.LIMIT,
            executors.AttemptState.CANCELLED: FailureCause.PERSON,
        }.get(seen.state, FailureCause.TEST)
    status = _OUTCOMES[seen.state]
    if cause is FailureCause.INFRASTRUCTURE and status is AttemptStatus.FAILED:
        status = AttemptStatus.LOST  # it never ran as asked: nothing about the job itself is known
    return Ending(status, cause, seen.reason, seen.started_at, seen.ended_at, seen.exit_code, seen.output_bytes)


def _stopped(attempt: JobAttempt, started_at: datetime | None, ended_at: datetime | None, *, output_bytes: int = 0) -> Ending:
    reason = attempt.stop_reason or ""
    if attempt.stop is executors.Stop.EVICTED:
        status, cause = AttemptStatus.EVICTED, FailureCause.INFRASTRUCTURE
    else:
        status, cause = AttemptStatus.CANCELLED, FailureCause.PERSON
    return Ending(status, cause, reason, started_at, ended_at, output_bytes=output_bytes)


def ledger_refs(attempt: JobAttempt, job: Job) -> dict[str, str]:
    """What the ledger's entries about an attempt refer to."""
    return {
        "job": str(job.id),
        "attempt": str(attempt.id),
        "compute_grant": str(job.grant_id),
        "project": str(job.project_id),
    }
