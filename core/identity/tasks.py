"""Recurring work of identity: what is over is swept away."""

from datetime import datetime, time, timedelta

from sqlalchemy import delete, or_

from core import tasks
from core.db import session_scope
from core.identity import limits
from core.identity.models import IdempotentAnswer, SignInSession

KEEP_ANSWERS_FOR = timedelta(days=7)
"""How long a repeated POST still gets the first answer."""
KEEP_ENDED_SESSIONS_FOR = timedelta(days=30)


@tasks.daily(at=time(3, 20))
def sweep(now: datetime) -> None:
    """Drop counters whose window is over, old answers of the API, and sessions that ended a month ago."""
    with session_scope() as session:
        session.execute(delete(IdempotentAnswer).where(IdempotentAnswer.created_at < now - KEEP_ANSWERS_FOR))
        ended = now - KEEP_ENDED_SESSIONS_FOR
        session.execute(delete(SignInSession).where(or_(SignInSession.expires_at < ended, SignInSession.revoked_at < ended)))
        limits.drop_expired(session, now=now)
