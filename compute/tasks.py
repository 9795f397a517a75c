"""The background work of `compute`: the scheduler's wheel, launches, results, reminders."""

from datetime import datetime, time, timedelta
from functools import cache

import structlog

from compute import compiled
from compute.runtime import executors
from compute.services import activity, expectations, forecast_warnings, lifecycle, reclaim, results, tick, what_if
from compute.services.attempts import CollectResults, LaunchAttempt
from compute.services.forecast_warnings import MailWarning
from compute.services.keeper import Keeper
from compute.services.reclaim import MailNotice
from compute.services.what_if import ReplayHistory
from core import mail, tasks
from core.clock import utc_now
from core.db import session_scope

_keeper = Keeper()

TICK_SECONDS = 2
LIFECYCLE_SECONDS = 15
LOOK_AHEAD_SECONDS = 30
ACTIVITY_SECONDS = 60
FORGET_AGAIN = timedelta(seconds=5)
REPLAY_AGAIN = timedelta(seconds=10)
CONNECT_AGAIN = timedelta(minutes=5)

log = structlog.get_logger()


@tasks.every(seconds=TICK_SECONDS)
def turn_wheel(now: datetime) -> None:
    """Decide who starts, and look at what runs."""
    _say_which_core()
    tick.start_and_watch(session_scope, executors(), now=now, keeper=_keeper)


@cache
def _say_which_core() -> None:
    """Once in a process."""
    log.info("compute.scheduler", compiled=compiled.in_use())


@tasks.every(seconds=LOOK_AHEAD_SECONDS)
def look_ahead(now: datetime) -> None:
    """Say when waiting jobs are expected to start."""
    expectations.look_ahead(session_scope, executors(), now=now)


@tasks.every(seconds=LIFECYCLE_SECONDS)
def let_time_pass(now: datetime) -> None:
    """Open and end offers and grants. That nothing is drawn after an end does not depend on this: every start checks it."""
    tick.let_time_pass(session_scope, now=now)


@tasks.every(seconds=ACTIVITY_SECONDS)
def look_around(now: datetime) -> None:
    """See what running jobs do with their devices."""
    activity.look_around(session_scope, executors(), now=now)


@tasks.daily(at=time(6, 0))
def remind(now: datetime) -> None:
    """Say which grants and offers end soon."""
    with session_scope() as session:
        lifecycle.remind(session, now=now)


@tasks.daily(at=time(6, 10))
def warn(now: datetime) -> None:
    """Say which grants and offers will be used up early, or will lapse in part, at the pace of the last weeks."""
    with session_scope() as session:
        forecast_warnings.warn(session, now=now)


@tasks.handler(MailWarning)
def mail_warning(task: MailWarning, run: tasks.Run) -> None:
    """Run twice, it may be mailed twice under one Message-ID."""
    with run.session() as session:
        letter = forecast_warnings.letter(session, task)
    mail.send(letter)


@tasks.handler(MailNotice)
def mail_notice(task: MailNotice, run: tasks.Run) -> None:
    """Run twice, it may be mailed twice under one Message-ID."""
    with run.session() as session:
        letter = reclaim.letter(session, task)
    mail.send(letter)


@tasks.handler(LaunchAttempt)
def launch_attempt(task: LaunchAttempt, run: tasks.Run) -> None:
    """Hand an attempt to its executor. Run twice it starts the attempt once: executors know it by its id."""
    last_try = run.tries >= LaunchAttempt.tries_max
    tick.launch(session_scope, executors(), task.attempt_id, now=utc_now(), last_try=last_try)


@tasks.handler(CollectResults)
def collect_results(task: CollectResults, run: tasks.Run) -> None:
    """Take over what an ended attempt left."""
    if not results.collect(session_scope, executors(), task.attempt_id, now=utc_now()):
        raise tasks.Postpone(CONNECT_AGAIN)
    if not results.forget(session_scope, executors(), task.attempt_id):
        raise tasks.Postpone(FORGET_AGAIN)


@tasks.handler(ReplayHistory)
def replay_history(task: ReplayHistory, run: tasks.Run) -> None:
    """Answer a what-if question from our own history."""
    if not what_if.reply(run.session, task.what_if_id):
        raise tasks.Postpone(REPLAY_AGAIN)
