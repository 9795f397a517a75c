"""The background work of `pledge`: once a day, time passes for every membership."""

from datetime import datetime, time

import structlog

from core.db import session_scope
from core.tasks import daily
from pledge.services import membership

log = structlog.get_logger()


@daily(at=time(2, 0))
def pass_a_day(now: datetime) -> None:
    """Move memberships to where their dates put them, and write the reminders that are due."""
    with session_scope() as session:
        moved, reminded = membership.run_clock(session, on=now.date(), now=now)
    log.info("pledge.clock", moved=moved, reminded=reminded)
