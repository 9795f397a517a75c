"""What GPU time is worth, exactly: devices and seconds to ticks, flavors to reference, holds to settlements."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from fractions import Fraction

from core.units import TICKS_PER_GPU_HOUR, gpu_ticks

OVERHEAD = timedelta(seconds=60)
"""How long an attempt may keep its devices beyond its wall time: fetching sources, being stopped."""

AHEAD_MAX = timedelta(days=3653)
"""Offers and grants end within ten years: more devices for longer give more time than the books can count."""


def handed_over_by(held_at: datetime, wall_seconds: int, now: datetime) -> datetime:
    """When an attempt is over at the latest if it is handed to its executor now.

    Half of `OVERHEAD` covers what it lay in a queue since it was held: a start that just fits is not refused for seconds.
    """
    wall = timedelta(seconds=wall_seconds)
    return max(held_at + wall + OVERHEAD, now + wall + OVERHEAD / 2)


def device_ticks(devices: int, slices_per_gpu: int, seconds: int) -> int:
    """Time on `devices` schedulable devices, each 1/`slices_per_gpu` of a GPU, in flavor ticks. Exact for 1 to 8 slices."""
    return gpu_ticks(Fraction(devices, slices_per_gpu), seconds)


def in_reference(ticks: int, rate: Fraction) -> int:
    """Flavor ticks as reference ticks at `rate` reference GPU-hours an hour, rounded up to the whole tick.

    Rounding up (by less than 1/840 GPU-second, once per attempt) keeps the conversion monotonic: what is settled never
    exceeds what was held. Rates whose denominator divides 120 are exact on every slice, without any rounding.
    """
    return math.ceil(ticks * rate)


def charged_seconds(started_at: datetime | None, ended_at: datetime | None, wall_seconds: int) -> int:
    """Whole seconds an attempt took its devices: rounded up, at most the declared wall time, nothing if it never began."""
    if started_at is None or ended_at is None:
        return 0
    return min(wall_seconds, math.ceil(max(0.0, (ended_at - started_at).total_seconds())))


def soonest_first(ticks: int, held: Sequence[int]) -> list[int]:
    """Share what was used over the held parts, which are in the order of their offers' expiry: each is used up before the next.

    Raises:
        ValueError: more was used than held; whoever measured must have bounded it.
    """
    parts = []
    for part in held:
        taken = min(ticks, part)
        parts.append(taken)
        ticks -= taken
    if ticks:
        raise ValueError(f"{ticks} ticks more were used than held")
    return parts


def say_gpu_time(ticks: int) -> str:
    """An amount of GPU time for a sentence: exact minutes while they are whole and few, else hours."""
    minutes = Fraction(ticks * 60, TICKS_PER_GPU_HOUR)
    hours = minutes / 60
    if hours.denominator == 1:
        return _count(int(hours), "GPU-hour")
    if minutes.denominator == 1 and minutes < 6000:
        return _count(int(minutes), "GPU-minute")
    places = 2 if hours >= Fraction(1, 100) else 6
    return f"{float(hours):,.{places}f} GPU-hours"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
