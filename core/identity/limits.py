"""Counting per window, in the database, because several web processes share one limit."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast

from sqlalchemy import Connection, Engine, case, delete, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.errors import DomainError
from core.identity.models import RateCount


class TooMany(DomainError):
    """A limit of requests per time is reached; `retry_after_seconds` says when it opens again."""

    code = "too_many"
    status = 429

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds)
        self.retry_after_seconds = retry_after_seconds


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` in a window of `per`."""

    count: int
    per: timedelta


@dataclass(frozen=True, slots=True)
class Taken:
    """Where a key stands after counting one more."""

    count: int
    over: bool
    resets_at: datetime


def require(session: Session, key: str, limit: Limit, *, sentence: str, now: datetime) -> None:
    """Count one more and refuse what is over; `{minutes}` in the sentence becomes how long to wait.

    Raises:
        TooMany: the limit is reached.
    """
    taken = take(session, key, limit, now=now)
    if taken.over:
        wait = max(1, int((taken.resets_at - now).total_seconds()))
        raise TooMany(sentence.format(minutes=f"{-(-wait // 60)} min"), retry_after_seconds=wait)


def take(session: Session, key: str, limit: Limit, *, now: datetime) -> Taken:
    """Count one more under this key, in a transaction of its own: a request that is refused or fails counts all the same."""
    fresh = RateCount.window_until <= now
    statement = (
        insert(RateCount)
        .values(key=key[:250], window_from=now, window_until=now + limit.per, count=1)
        .on_conflict_do_update(
            index_elements=[RateCount.key],
            set_={
                "window_from": case((fresh, now), else_=RateCount.window_from),
                "window_until": case((fresh, now + limit.per), else_=RateCount.window_until),
                "count": case((fresh, 1), else_=RateCount.count + 1),
            },
        )
        .returning(RateCount.count, RateCount.window_until)
    )
    with apart(session) as connection:
        count, until = connection.execute(statement).one()
    return Taken(count=count, over=count > limit.count, resets_at=until)


def forget(session: Session, *keys: str) -> None:
    """Start these keys anew: what they counted turned out to be the person itself."""
    with apart(session) as connection:
        connection.execute(delete(RateCount).where(RateCount.key.in_([key[:250] for key in keys])))


def give_back(session: Session, key: str) -> None:
    """Take one count back: this request was no attempt of the kind that is limited."""
    with apart(session) as connection:
        connection.execute(delete(RateCount).where(RateCount.key == key[:250], RateCount.count == 1))
        one_less = update(RateCount).where(RateCount.key == key[:250], RateCount.count > 1).values(count=RateCount.count - 1)
        connection.execute(one_less)


def drop_expired(session: Session, *, now: datetime) -> int:
    """Delete windows that are over."""
    with apart(session) as connection:
        result = connection.execute(delete(RateCount).where(RateCount.window_until <= now))
    return int(cast("Any", result).rowcount)


@contextmanager
def apart(session: Session) -> Iterator[Connection]:
    """A transaction beside the session's own; in a test that rolls back its only connection, a savepoint."""
    bind = session.get_bind()
    if isinstance(bind, Engine):
        with bind.begin() as connection:
            yield connection
    else:
        with bind.begin_nested():
            yield bind
