"""Days and GPU-hours of a form, as services take them."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from core.errors import InvalidInput
from core.units import ticks_from_gpu_hours


def ticks(hours: Decimal) -> int:
    """GPU-hours of a form as ticks.

    Raises:
        InvalidInput: negative, or finer than the platform meters.
    """
    if hours > Decimal(10**9):
        raise InvalidInput("That is more GPU-hours than there are.", field="gpu_hours")
    return ticks_from_gpu_hours(hours)


def day_begins(day: date) -> datetime:
    """Midnight UTC."""
    return datetime.combine(day, time(), tzinfo=UTC)


def day_ends(day: date) -> datetime:
    """Midnight UTC after it; the last day that a calendar knows ends when it begins, and is refused as any so far ahead."""
    return day_begins(min(day, date.max - timedelta(days=1)) + timedelta(days=1))
