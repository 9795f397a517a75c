"""Putting tasks in, taking them out one lease at a time, and finishing them exactly once."""

import dataclasses
import random
import traceback
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol, TypeVar, cast
from uuid import UUID, uuid4

import structlog
from pydantic import TypeAdapter
from sqlalchemy import select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.db import new_id
from core.errors import NotFound
from core.tasks.models import TaskRow, TaskStatus

LEASE = timedelta(minutes=5)
BACKOFF_FIRST = timedelta(seconds=5)
BACKOFF_MAX = timedelta(hours=1)
ERROR_CHARACTERS_MAX = 4000

log = structlog.get_logger()


class Task:
    """Base of the frozen dataclasses that describe work. Fields are JSON-able by pydantic (ids, dates, numbers, text)."""

    kind: ClassVar[str]
    tries_max: ClassVar[int] = 8
    lease: ClassVar[timedelta] = LEASE


class Postpone(Exception):
    """Raised by a handler whose work is not due yet: run again after `delay`, without counting a try."""

    def __init__(self, delay: timedelta) -> None:
        super().__init__(f"again in {delay}")
        self.delay = delay


class Run(Protocol):
    """What a handler is told about its own run."""

    @property
    def task_id(self) -> UUID: ...
    @property
    def tries(self) -> int:
        """1 on the first run."""
        ...

    @property
    def lease_until(self) -> datetime: ...
    def session(self) -> Any:
        """A context manager with a session that commits at its end; use one per step, none around a network call."""
        ...


T = TypeVar("T", bound=Task)
Handler = Callable[[Any, Run], None]
_handlers: dict[str, tuple[type[Task], Handler]] = {}
_adapters: dict[type[Task], TypeAdapter[Task]] = {}


def handler(task_type: type[T]) -> Callable[[Callable[[T, Run], None]], Callable[[T, Run], None]]:
    """Register the function that does a kind of task. It must bear being run twice: a worker can die after its last step."""

    def register(function: Callable[[T, Run], None]) -> Callable[[T, Run], None]:
        known = _handlers.get(task_type.kind)
        assert known is None or known[0] is task_type, f"two handlers for {task_type.kind}"
        _handlers[task_type.kind] = (task_type, function)
        return function

    return register


def registered() -> Mapping[str, tuple[type[Task], Handler]]:
    """Every kind of task this process can run."""
    return _handlers


def enqueue(
    session: Session, task: Task, *, now: datetime, run_at: datetime | None = None, dedupe_key: str | None = None
) -> UUID:
    """Write a task into the caller's transaction; it exists exactly if that transaction commits.

    With a `dedupe_key`, a second task of that key is not written while the first still waits to be run.
    Returns the id of the new row (with a duplicate: an id that was not used).
    """
    row = _row(task, now=now, run_at=run_at, dedupe_key=dedupe_key)
    session.execute(_INSERT, row)
    task_id: UUID = row["id"]
    return task_id


def enqueue_many(session: Session, wanted: Iterable[tuple[Task, str | None]], *, now: datetime) -> None:
    """`enqueue` for many tasks, each with its `dedupe_key` if it has one, in a few statements."""
    rows = [_row(task, now=now, run_at=None, dedupe_key=dedupe_key) for task, dedupe_key in wanted]
    if rows:
        session.execute(_INSERT, rows)


def _row(task: Task, *, now: datetime, run_at: datetime | None, dedupe_key: str | None) -> dict[str, Any]:
    return {
        "id": new_id(),
        "kind": task.kind,
        "arguments": adapter(type(task)).dump_python(task, mode="json") if dataclasses.fields(cast("Any", task)) else {},
        "dedupe_key": f"{task.kind}:{dedupe_key}" if dedupe_key else None,
        "status": TaskStatus.READY,
        "created_at": now,
        "run_at": run_at or now,
        "tries": 0,
        "tries_max": task.tries_max,
    }


# Words, not a parameter: once the driver prepares the statement, the server can't match a parameter to the index.
_INSERT = insert(TaskRow).on_conflict_do_nothing(index_elements=["dedupe_key"], index_where=text("status = 'ready'"))


def adapter(task_type: type[Task]) -> TypeAdapter[Task]:
    """What reads and writes the arguments of a kind of task, made once: making it takes longer than writing the row."""
    if task_type not in _adapters:
        _adapters[task_type] = TypeAdapter(task_type)
    return _adapters[task_type]


@dataclass(frozen=True)
class Claim:
    """A task under lease: whoever holds the token may finish it, until somebody else claims it after the lease."""

    task_id: UUID
    kind: str
    arguments: Mapping[str, Any]
    token: UUID
    tries: int
    tries_max: int
    lease_until: datetime


def claim(session: Session, *, now: datetime, kinds: Mapping[str, tuple[type[Task], Handler]]) -> Claim | None:
    """Take the longest-due task nobody works on, whether it waits or its worker's lease has run out.

    A task that has had all its tries and is still under its last lease kills its workers: it is parked, not taken again.
    """
    row = _longest_due(session, now=now, kinds=kinds)
    while row is not None and row.status is TaskStatus.RUNNING and row.tries >= row.tries_max:
        _park_deadly(row, now=now)
        row = _longest_due(session, now=now, kinds=kinds)
    if row is None:
        return None
    row.status = TaskStatus.RUNNING
    row.lease_token = uuid4()
    row.tries += 1
    row.run_at = now + kinds[row.kind][0].lease
    return Claim(row.id, row.kind, row.arguments, row.lease_token, row.tries, row.tries_max, row.run_at)


def _longest_due(session: Session, *, now: datetime, kinds: Iterable[str]) -> TaskRow | None:
    return session.scalars(
        select(TaskRow)
        .where(TaskRow.status.in_([TaskStatus.READY, TaskStatus.RUNNING]), TaskRow.run_at <= now, TaskRow.kind.in_(kinds))
        .order_by(TaskRow.run_at)
        .limit(1)
        .with_for_update(skip_locked=True)
    ).first()


def _park_deadly(row: TaskRow, *, now: datetime) -> None:
    """Park a task whose workers never came back from it. An error that an earlier try did report stays above the sentence."""
    died = f"Its worker died {row.tries} times." if row.last_error is None else f"Its worker died on try {row.tries}, the last."
    row.last_error = "\n".join(filter(None, [row.last_error, died]))
    row.status, row.lease_token, row.finished_at = TaskStatus.PARKED, None, now
    log.warning("task.parked", kind=row.kind, task=str(row.id), reason=died)


def finish(session: Session, claimed: Claim, *, now: datetime) -> bool:
    """Mark done, if the lease is still ours."""
    return _close(session, claimed, status=TaskStatus.DONE, lease_token=None, last_error=None, finished_at=now)


def postpone(session: Session, claimed: Claim, *, delay: timedelta, now: datetime) -> bool:
    """Back to waiting without counting the try."""
    return _close(
        session, claimed, status=TaskStatus.READY, lease_token=None, dedupe_key=None,
        tries=TaskRow.tries - 1, run_at=now + delay,
    )  # fmt: skip


def fail(session: Session, claimed: Claim, error: BaseException, *, now: datetime, rng: random.Random) -> bool:
    """Back to waiting with exponential backoff and jitter, or parked after the last try."""
    text = error_text(error)
    if claimed.tries >= claimed.tries_max:
        return _close(session, claimed, status=TaskStatus.PARKED, lease_token=None, last_error=text, finished_at=now)
    pause = min(BACKOFF_FIRST * 2 ** (claimed.tries - 1), BACKOFF_MAX) * rng.uniform(0.5, 1.5)
    return _close(
        session,
        claimed,
        status=TaskStatus.READY,
        lease_token=None,
        dedupe_key=None,
        last_error=text,
        run_at=now + pause,
    )


def error_text(error: BaseException) -> str:
    """What is kept of a failure: the end of its traceback, whose last line is the error."""
    return "".join(traceback.format_exception(error))[-ERROR_CHARACTERS_MAX:]


def retry(session: Session, task_id: UUID, *, now: datetime) -> TaskRow:
    """Give a parked task all its tries again.

    Raises:
        NotFound: there is no parked task of this id.
    """
    row = session.get(TaskRow, task_id, with_for_update=True)
    if row is None or row.status is not TaskStatus.PARKED:
        raise NotFound(f"There is no parked task {task_id}; `pledgeworks task list` shows those there are.")
    row.status, row.tries, row.run_at, row.finished_at, row.dedupe_key = TaskStatus.READY, 0, now, None, None
    return row


def _close(session: Session, claimed: Claim, **values: Any) -> bool:
    """Apply an ending only while the lease token is ours: a worker that was thought dead changes nothing any more."""
    result = session.execute(
        update(TaskRow).where(TaskRow.id == claimed.task_id, TaskRow.lease_token == claimed.token).values(**values)
    )
    return bool(cast("Any", result).rowcount)
