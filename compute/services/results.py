"""What an attempt leaves: its output and artefacts, taken over from the executor into the object store."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from compute.executors.base import Executor, ExecutorError, UnknownAttempt
from compute.models import Artefact, Job, JobAttempt
from compute.policies import output
from compute.policies.junit import NotJUnit, TestSummary, summarise
from compute.queries import attempts
from core import files
from core.db import new_id

Sessions = Callable[[], AbstractContextManager[Session]]

OUTPUT_READ_BYTES = 1_000_000

log = structlog.get_logger()


def collect(sessions: Sessions, executors: Mapping[str, Executor], attempt_id: UUID, *, now: datetime) -> bool:
    """Copy an ended attempt's output and artefacts, and note them. Doing it again is fine.

    False: nothing here is connected to its pool. What it left still lies there, so ask again later.

    Raises:
        ExecutorError: the executor can't be read now; another try may help.
    """
    with sessions() as session:
        attempt = attempts.locked(session, attempt_id)
    executor = executors.get(attempt.pool.executor)
    if executor is None:
        return False
    if attempt.collected_at is None:
        try:
            _copy_output(executor, attempt_id)
            kept = _copy_artefacts(executor, attempt_id)
        except UnknownAttempt:
            kept = []  # lost before it left anything
        summary = _test_summary(kept)
        with sessions() as session:
            attempt = attempts.locked(session, attempt_id)
            if attempt.collected_at is None:
                session.add_all(kept)
                attempt.test_summary = summary
                attempt.collected_at = now
    return True


def forget(sessions: Sessions, executors: Mapping[str, Executor], attempt_id: UUID) -> bool:
    """Let the executor delete what was collected. False: it is still busy with the attempt, ask again later."""
    with sessions() as session:
        attempt = attempts.locked(session, attempt_id)
    executor = executors.get(attempt.pool.executor)
    if executor is None or attempt.collected_at is None:
        return True
    try:
        executor.forget(attempt_id)
    except ExecutorError as error:
        if error.permanent:
            raise
        return False
    return True


def read_output(attempt: JobAttempt, executors: Mapping[str, Executor], *, offset: int, limit: int) -> output.Window:
    """A part of an attempt's output, from the object store once it lies there, else from the executor.

    A pool that can't be asked right now shows nothing new; the next look may.
    """
    ended = attempt.settled_at is not None
    if attempt.collected_at is not None:
        total = attempt.output_bytes
        raw = files.read_object_range(output_key(attempt.id), offset, limit) if total else b""
        return output.window(raw, offset=offset, total_bytes=max(total, offset + len(raw)), ended=True)
    executor = executors.get(attempt.pool.executor)
    if executor is None or attempt.launched_at is None:
        return output.Window("", offset, offset, offset, complete=ended)
    try:
        raw = executor.read_output(attempt.id, offset, limit)
        total = max(executor.status(attempt.id).output_bytes, offset + len(raw))
    except ExecutorError as error:
        log.warning("compute.output_unavailable", attempt=str(attempt.id), reason=error.message)
        return output.Window("", offset, offset, offset, complete=False)
    # Until it is collected the end may still lie with the executor only, whatever the row says.
    return output.window(raw, offset=offset, total_bytes=total, ended=ended)


@dataclass(frozen=True, slots=True)
class JobLog:
    """A part of a job's output, and of which attempt it is."""

    attempt: JobAttempt | None
    window: output.Window
    complete: bool
    """Whether nothing follows and nothing will, in this attempt or another."""


def job_log(job: Job, executors: Mapping[str, Executor], *, number: int | None, offset: int, limit: int) -> JobLog:
    """A part of the output of a job's newest attempt, or of attempt `number`."""
    chosen = [attempt for attempt in job.attempts if number in {None, attempt.number}]
    if not chosen:
        return JobLog(None, output.Window("", offset, offset, 0, complete=job.finished), complete=job.finished)
    window = read_output(chosen[-1], executors, offset=offset, limit=limit)
    # An attempt that has ended is complete, but while the job goes again its newest log is still to come.
    return JobLog(chosen[-1], window, complete=window.complete and (job.finished or number is not None))


def artefact_bytes(artefact: Artefact) -> bytes:
    """One kept file."""
    return files.read_object(artefact.object_key)


def output_key(attempt_id: UUID) -> str:
    """Where an attempt's output lies in the object store."""
    return f"jobs/{attempt_id}/output"


def _copy_output(executor: Executor, attempt_id: UUID) -> None:
    parts = []
    offset = 0
    while part := executor.read_output(attempt_id, offset, OUTPUT_READ_BYTES):
        parts.append(part)
        offset += len(part)
    files.write_object(output_key(attempt_id), b"".join(parts))


def _copy_artefacts(executor: Executor, attempt_id: UUID) -> list[Artefact]:
    rows = []
    for found in executor.artefacts(attempt_id):
        with executor.open_artefact(attempt_id, found.path) as source:
            content = source.read()
        digest = hashlib.sha256(content).hexdigest()
        key = f"jobs/{attempt_id}/artefacts/{hashlib.sha256(found.path.encode()).hexdigest()[:32]}"
        files.write_object(key, content)
        rows.append(
            Artefact(id=new_id(), attempt_id=attempt_id, name=found.path, size_bytes=len(content), sha256=digest, object_key=key)
        )
    return rows


def _test_summary(kept: list[Artefact]) -> dict[str, object] | None:
    """The JUnit reports among the artefacts, added up; none if there is no report."""
    total, reports = TestSummary(), 0
    for artefact in kept:
        if artefact.name.endswith(".xml"):
            try:
                total.add(summarise(artefact_bytes(artefact)))
                reports += 1
            except NotJUnit as error:
                log.info("compute.not_junit", artefact=artefact.name, reason=str(error))
    return total.to_json() if reports else None
