"""The one place that reads the wall clock. Services take `now`; only views, commands and workers ask for it."""

from datetime import UTC, date, datetime


def utc_now() -> datetime:
    """The present moment, aware, in UTC."""
    return datetime.now(UTC)


def today() -> date:
    """Today's date in UTC, the calendar every due date of the platform is kept in."""
    return utc_now().date()
