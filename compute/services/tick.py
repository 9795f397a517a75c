"""One turn of the wheel: let time pass, ask the scheduler, carry out what it decided, look at what runs.

Every change is a short transaction of its own, so that a process killed at any point leaves either the state before a step or the
state after it, and the next turn, in whichever process, goes on. What is kept between turns (keeper.py) can be lost at any time.
"""

from collections.abc import Callable, Container, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy import text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError
from sqlalchemy.orm import Session

from compute import scheduling
from compute.executors.base import Executor, ExecutorError, UnknownAttempt
from compute.models import AttemptStatus, JobAttempt
from compute.queries import attempts, jobs
from compute.services import attempts as attempt_services
from compute.services import lifecycle, reclaim, starts, windows
from compute.services.keeper import Keeper
from core.errors import DomainError

Sessions = Callable[[], AbstractContextManager[Session]]
"""Makes a session that commits at the end of its block."""

log = structlog.get_logger()


def tick(sessions: Sessions, executors: Mapping[str, Executor], *, now: datetime, keeper: Keeper | None = None) -> None:
    """One whole turn."""
    let_time_pass(sessions, now=now)
    start_and_watch(sessions, executors, now=now, keeper=keeper)


def start_and_watch(
    sessions: Sessions, executors: Mapping[str, Executor], *, now: datetime, keeper: Keeper | None = None
) -> None:
    """Decide who starts, and look at what runs. Jobs end, and are stopped, also while nothing can be decided."""
    try:
        schedule(sessions, executors, now=now, keeper=keeper)
    finally:
        watch(sessions, executors, now=now)


def let_time_pass(sessions: Sessions, *, now: datetime) -> None:
    """Open and end offers and grants, and drain what outlived its window. A step that fails keeps none of the others.

    Raises:
        ExceptionGroup: what failed, once all the steps were taken.
    """
    failed: list[Exception] = []
    for step in (lifecycle.pass_offers, lifecycle.pass_grants, lifecycle.drain, windows.pass_windows):
        try:
            with sessions() as session:
                step(session, now=now)
        except Exception as error:  # noqa: BLE001 - raised below, all together
            failed.append(error)
    if failed:
        raise ExceptionGroup("Time could not pass for offers, grants or windows", failed)


def schedule(sessions: Sessions, executors: Container[str], *, now: datetime, keeper: Keeper | None = None) -> None:
    """Decide who starts where an executor is in reach, hold for those, and write down what everybody else waits for.

    `keeper`: of the process that takes all turns; none: a turn of its own.
    """
    keeper = keeper or Keeper()
    with sessions() as session:
        reclaim.end_graces(session, now=now)
    try:
        with sessions() as session:
            decided = keeper.decide(session, executors, now=now)
        batches = [decided[first : first + starts.BATCH] for first in range(0, len(decided), starts.BATCH)]
        refused = sum(carry_out(sessions, batch, now=now) for batch in batches)
        give_back(sessions, keeper.asks, now=now)
        with sessions() as session:
            note_waiting(session, keeper.note(session, now=now), now=now)
    except Exception:
        keeper.forget()
        raise
    if refused:  # for something that the core does not know, and would not be told: it would decide the same again
        keeper.forget()


def give_back(sessions: Sessions, asks: scheduling.Asks, *, now: datetime) -> None:
    """Ask those to leave whose GPUs others own and need, and let stay whom nobody needs gone any more."""
    for job_id in asks.stay:
        with sessions() as session:
            reclaim.spare(session, job_id, now=now)
    for leave in asks.leave:
        with sessions() as session:
            reclaim.ask(session, leave, now=now)


def carry_out(sessions: Sessions, batch: Sequence[scheduling.Start], *, now: datetime) -> int:
    """Hold for many starts in one transaction; if one is refused, for each in its own, so that it holds up no other.

    Returns how many were refused.
    """
    try:
        with sessions() as session:
            starts.hold_many(session, batch, now=now)
    except (DomainError, DBAPIError) as error:
        if len(batch) > 1:
            log.info("compute.batch_refused", starts=len(batch), reason=str(error))
            return sum(carry_out(sessions, [start], now=now) for start in batch)
        if isinstance(error, DomainError):
            # Another scheduler held these hours a moment ago, say. Nothing was written; the next turn sees what is left.
            log.info("compute.start_raced", job=str(batch[0].job_id), reason=error.message)
        elif isinstance(error, DataError | IntegrityError):
            # Its own rows are such that the database refuses it, at every turn: all others start without it.
            log.error("compute.start_refused", job=str(batch[0].job_id), reason=str(error))
        else:
            raise
        return 1
    return 0


def note_waiting(session: Session, decisions: Sequence[scheduling.Decision], *, now: datetime) -> None:
    """Keep the current reasons of waiting jobs. The same reason writes nothing; new numbers keep the since-when of its kind."""
    known = jobs.waiting_reasons(session, [each.job_id for each in decisions])
    fresh = [each for each in decisions if each.job_id in known and known[each.job_id] != (each.reason, each.detail, each.remedy)]
    if fresh:
        session.execute(
            _NOTE,
            {
                "ids": [each.job_id for each in fresh],
                "codes": [str(each.reason) for each in fresh],
                "sentences": [each.detail for each in fresh],
                "remedies": [each.remedy for each in fresh],
                "now": now,
            },
        )


# Locked in the order in which everybody locks many jobs; one that was started or cancelled since keeps what it has.
_NOTE = text("""
    WITH fresh AS (
        SELECT * FROM unnest(
            CAST(:ids AS uuid[]), CAST(:codes AS text[]), CAST(:sentences AS text[]), CAST(:remedies AS text[])
        ) AS f (id, code, sentence, remedy)
    ), still AS (
        SELECT id FROM job JOIN fresh USING (id) WHERE status = 'queued' ORDER BY id FOR UPDATE OF job
    )
    UPDATE job SET waiting_code = fresh.code, waiting_reason = fresh.sentence, waiting_remedy = fresh.remedy,
                   waiting_since = CASE WHEN waiting_code = fresh.code THEN waiting_since ELSE :now END
    FROM fresh JOIN still USING (id)
    WHERE job.id = fresh.id
""")


def watch(sessions: Sessions, executors: Mapping[str, Executor], *, now: datetime) -> None:
    """Ask the executors about everything that was handed to them, and tell them what is to stop."""
    with sessions() as session:
        open_attempts = list(attempts.launched(session))
    out_of_reach = set()
    for attempt in open_attempts:
        executor = executors.get(attempt.pool.executor)
        if executor is not None:
            _look(sessions, executor, attempt, now=now)
            continue
        out_of_reach.add(attempt.pool.slug)
        with sessions() as session:
            attempt_services.out_of_reach(session, attempt.id, now=now)
    if out_of_reach:
        log.warning("compute.no_executor", pools=sorted(out_of_reach))


def _look(sessions: Sessions, executor: Executor, attempt: JobAttempt, *, now: datetime) -> None:
    try:
        if attempt.stop is not None:
            executor.cancel(attempt.id, reason=attempt.stop_reason or "", stop=attempt.stop)
        seen = executor.status(attempt.id)
    except UnknownAttempt:
        with sessions() as session:
            attempt_services.missing(session, attempt.id, now=now)
        return
    except ExecutorError as error:
        log.warning("compute.executor_unavailable", attempt=str(attempt.id), reason=error.message)
        return
    if not seen.state.is_final and attempt.status is AttemptStatus.RUNNING:
        return  # still running: nothing to write
    with sessions() as session:
        attempt_services.observe(session, attempt.id, seen, now=now)


def launch(sessions: Sessions, executors: Mapping[str, Executor], attempt_id: UUID, *, now: datetime, last_try: bool) -> None:
    """Hand an attempt to its executor: read and mark, call with no transaction open, look at what happened meanwhile.

    Raises:
        ExecutorError: not now; another try may help.
    """
    with sessions() as session:
        attempt = attempts.locked(session, attempt_id, with_pool=True)
        executor = executors.get(attempt.pool.executor)
        if executor is None:
            if attempt.status is AttemptStatus.HELD:  # else another process handed it over, and it may run
                reason = f"Nothing here is connected to pool {attempt.pool.name} (executor “{attempt.pool.executor}”)."
                attempt_services.launch_failed(session, attempt_id, reason, now=now)
            return
        spec = attempt_services.begin_launch(session, attempt_id, now=now)
    if spec is not None:
        try:
            executor.start(spec)
        except ExecutorError as error:
            if not error.permanent and not last_try:
                raise
            with sessions() as session:
                attempt_services.launch_failed(session, attempt_id, error.message, now=now)
    with sessions() as session:
        attempt = attempts.locked(session, attempt_id)
    if attempt.settled_at is not None and attempt.launched_at is not None:
        # This process slept so long that the attempt was given up: it must not run after its settlement.
        _stop_orphan(executor, attempt)


def _stop_orphan(executor: Executor, attempt: JobAttempt) -> None:
    try:
        if not executor.status(attempt.id).state.is_final:
            executor.cancel(attempt.id, reason="This attempt was given up and settled.")
    except UnknownAttempt:
        return
