"""The door to the past: nothing is posted into months that are closed.

Which months are closed is the books' affair (core/books/months.py); the ledger asks the database's function, as its trigger does.
Only dates before the current month are ever looked up: a month is closed when it is over.
"""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.ledger.errors import MonthClosed

LOCK = text("SELECT pg_advisory_xact_lock(ledger_closing_lock())")
CLOSED_UNTIL = text("SELECT ledger_closed_until()")
KNOWN = text("SELECT count(*) FROM ledger_entry WHERE key = ANY(CAST(:keys AS text[]))")


def lock(session: Session) -> None:
    """Wait for everybody who is posting into the past, and keep others from it until this transaction ends."""
    session.execute(LOCK)


def require_open(given: Session | Connection, dated: Iterable[tuple[datetime, str]]) -> None:
    """Refuse times in a closed month, unless the entries of these keys are there already and only asked for again.

    Raises:
        MonthClosed: a new one lies before the end of the last closed month.
    """
    this_month = utc_now().replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    past = [(at, key) for at, key in dated if at < this_month]
    if not past:
        return
    until: datetime | None = given.execute(CLOSED_UNTIL).scalar()
    late = {key: at for at, key in past if until is not None and at < until}
    if until is not None and late and given.execute(KNOWN, {"keys": list(late)}).scalar() != len(late):
        raise MonthClosed(min(late.values()), until.astimezone(UTC))
