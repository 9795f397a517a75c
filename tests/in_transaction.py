"""A task's run whose steps share the test's transaction."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from uuid import uuid4

from sqlalchemy.orm import Session


class RunInTransaction:
    """Implements core.tasks.Run; what a step writes is seen by the next, and gone with the test."""

    task_id, tries = uuid4(), 1
    lease_until = datetime.max.replace(tzinfo=UTC)

    def __init__(self, session: Session) -> None:
        self._session = session

    @contextmanager
    def session(self) -> Iterator[Session]:
        yield self._session
        self._session.flush()
