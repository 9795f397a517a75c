"""Recurring and dated work: registered here by the domains, fired by APScheduler in the one worker that holds the clock.

The clock is elected by a PostgreSQL advisory lock on a connection of its own: when that worker dies, the server drops the
connection and the lock with it, and another worker takes over within `ELECTION_SECONDS`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from types import TracebackType

import structlog
from apscheduler.schedulers.background import BackgroundScheduler
from sqlalchemy import Connection, Engine, delete, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.tasks.models import ClockRun, ClockTry
from core.tasks.queue import error_text

Recurring = Callable[[datetime], None]

CLOCK_LOCK_KEY = 0x434C4F43
ELECTION_SECONDS = 5
DAILY_CHECK_SECONDS = 30
DAILY_AGAIN = timedelta(hours=1)
"""How long failed daily work rests before it is tried again."""
NEVER_ENDED = "Its worker died while it ran."

log = structlog.get_logger()


@dataclass(frozen=True)
class _Daily:
    at: time
    work: Recurring


_every: dict[str, tuple[float, Recurring]] = {}
_daily: dict[str, _Daily] = {}


def every(*, seconds: float) -> Callable[[Recurring], Recurring]:
    """Run a function every so many seconds; never twice at once, and late ticks fall together into one."""

    def register(work: Recurring) -> Recurring:
        _every[f"{work.__module__}.{work.__qualname__}"] = (seconds, work)
        return work

    return register


def daily(*, at: time) -> Callable[[Recurring], Recurring]:
    """Run a function once a day, at or after a time of day (UTC). It must bear being run twice on a day."""

    def register(work: Recurring) -> Recurring:
        _daily[f"{work.__module__}.{work.__qualname__}"] = _Daily(at, work)
        return work

    return register


class Clock:
    """Try to be the worker that holds the clock; while it is, fire what is registered."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._held: Connection | None = None
        self._scheduler: BackgroundScheduler | None = None
        self._failing: set[str] = set()

    @property
    def elected(self) -> bool:
        return self._held is not None

    def elect(self) -> None:
        """Called every few seconds: take the clock if it is free, give it up if the connection that holds it broke."""
        if self._held is not None:
            try:
                self._held.execute(text("SELECT 1"))
                self._held.rollback()
            except DBAPIError:
                log.warning("clock.lost")
                self.stop()
            return
        connection = self._engine.connect()
        try:
            won = connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": CLOCK_LOCK_KEY})
            connection.rollback()
        except DBAPIError:
            connection.invalidate()
            raise
        if not won:
            connection.close()
            return
        self._held = connection
        self._start()
        log.info("clock.elected")

    def stop(self) -> None:
        """Stop firing and let another worker take the clock."""
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=True)
            self._scheduler = None
        if self._held is not None:
            self._held.invalidate()  # closes the connection itself: the lock belongs to it, not to a transaction
            self._held.close()
            self._held = None

    def __enter__(self) -> "Clock":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def _start(self) -> None:
        scheduler = BackgroundScheduler(timezone="UTC")
        options = {"max_instances": 1, "coalesce": True, "misfire_grace_time": None}
        with Session(self._engine) as session:
            self._failing = set(session.scalars(select(ClockTry.name)))
        for name, (seconds, work) in _every.items():
            scheduler.add_job(self._fire_every, "interval", seconds=seconds, args=[name, work], id=name, **options)
        scheduler.add_job(
            lambda: fire_due_days(self._engine, utc_now()),
            "interval",
            seconds=DAILY_CHECK_SECONDS,
            next_run_time=utc_now(),
            id="daily",
            **options,
        )
        scheduler.start()
        self._scheduler = scheduler

    def _fire_every(self, name: str, work: Recurring) -> None:
        """One tick. Work that fails is on record until a tick succeeds; one that went well costs no statement."""
        error = _fire(name, work)
        if error is None and name not in self._failing:
            return
        try:
            with Session(self._engine) as session, session.begin():
                if error is None:
                    session.execute(delete(ClockTry).where(ClockTry.name == name))
                else:
                    _note_failed(session, name, error, now=utc_now())
        except DBAPIError as trouble:  # the log has the error, and the next tick says it again
            log.warning("clock.not_noted", work=name, cause=type(trouble).__name__)
            return
        (self._failing.discard if error is None else self._failing.add)(name)


def failing(session: Session) -> Sequence[ClockTry]:
    """The recurring and daily work whose last try failed, longest-failing first."""
    known = [*_every, *_daily]
    return session.scalars(
        select(ClockTry).where(ClockTry.error.is_not(None), ClockTry.name.in_(known)).order_by(ClockTry.since, ClockTry.name)
    ).all()


def fire_due_days(engine: Engine, now: datetime) -> list[str]:
    """Do the daily work whose time of day has come and that was not done today. Returns the names of what was done.

    What fails is tried again after `DAILY_AGAIN`, not at the next check: daily work is heavy work.
    """
    done = []
    for name, entry in _daily.items():
        if now.timetz().replace(tzinfo=None) < entry.at:
            continue
        with Session(engine) as session, session.begin():
            if not _begin_day(session, name, now):
                continue
        error = _fire(name, entry.work, now)
        with Session(engine) as session, session.begin():
            if error is None:
                _note_done(session, name, now)
                done.append(name)
            else:
                session.get_one(ClockTry, name).error = error_text(error)
    return done


def _begin_day(session: Session, name: str, now: datetime) -> bool:
    """Note a try before it is made, so that one that takes the whole worker with it is not made again at the next start."""
    last = session.get(ClockRun, name)
    if last is not None and last.done_on >= now.date():
        return False
    tried = session.get(ClockTry, name)
    if tried is None:
        session.add(ClockTry(name=name, since=now, tried_at=now))
        return True
    if now < tried.tried_at + DAILY_AGAIN:
        return False
    tried.tried_at, tried.error = now, tried.error or NEVER_ENDED
    return True


def _note_failed(session: Session, name: str, error: Exception, *, now: datetime) -> None:
    row = insert(ClockTry).values(name=name, since=now, tried_at=now, error=error_text(error))
    session.execute(
        row.on_conflict_do_update(index_elements=["name"], set_={"tried_at": row.excluded.tried_at, "error": row.excluded.error})
    )


def _note_done(session: Session, name: str, now: datetime) -> None:
    session.execute(delete(ClockTry).where(ClockTry.name == name))
    row = insert(ClockRun).values(name=name, done_on=now.date(), finished_at=utc_now())
    session.execute(
        row.on_conflict_do_update(
            index_elements=["name"], set_={"done_on": row.excluded.done_on, "finished_at": row.excluded.finished_at}
        )
    )


def _fire(name: str, work: Recurring, now: datetime | None = None) -> Exception | None:
    """Run one piece of recurring work; its failure is logged and told, and the next tick comes all the same."""
    try:
        work(now or utc_now())
    except Exception as error:
        log.exception("clock.work_failed", work=name)
        return error
    return None
