"""GPU time in whole ticks of 1/840 GPU-second.

840 = lcm(1..8): halves to eighths of a GPU, seventh slices (MIG 1g) included, are exact integers, so that seven 1/7 slices
for an hour are one GPU-hour to the tick. People see GPU-hours; the ledger keeps ticks.
"""

from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from core.errors import InvalidInput

TICKS_PER_GPU_SECOND = 840
TICKS_PER_GPU_HOUR = TICKS_PER_GPU_SECOND * 3600


def gpu_ticks(gpus: int | Fraction, seconds: int) -> int:
    """GPU time of `gpus` (whole, or a slice such as 1/7) over whole seconds, in ticks.

    Raises:
        InvalidInput: the slice does not divide into ticks (only parts up to sevenths and eighths do).
    """
    ticks = Fraction(gpus) * seconds * TICKS_PER_GPU_SECOND
    if ticks.denominator != 1:
        raise InvalidInput(f"{gpus} of a GPU is not a slice the platform can meter; use halves to eighths.", field="gpus")
    return int(ticks)


def gpu_hours(ticks: int) -> Fraction:
    """Ticks as exact GPU-hours."""
    return Fraction(ticks, TICKS_PER_GPU_HOUR)


def ticks_from_gpu_hours(hours: Fraction | Decimal | int) -> int:
    """GPU-hours as ticks.

    Raises:
        InvalidInput: finer than a tick, or negative.
    """
    ticks = Fraction(hours) * TICKS_PER_GPU_HOUR
    if ticks.denominator != 1 or ticks < 0:
        raise InvalidInput(f"{hours} GPU-hours is not an amount the platform can meter.", field="gpu_hours")
    return int(ticks)


def format_gpu_hours(ticks: int, places: int = 2) -> str:
    """GPU-hours for people, rounded half up, with grouped thousands: `1,234.50`. Exact values stay in the exports."""
    hours = Decimal(ticks) / Decimal(TICKS_PER_GPU_HOUR)
    return f"{hours.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP):,}"


def format_seconds(seconds: float) -> str:
    """A duration for people: `3 h 20 min`, `12 min 5 s`, `8 s`."""
    whole = round(seconds)
    days, rest = divmod(whole, 86_400)
    hours, rest = divmod(rest, 3600)
    minutes, secs = divmod(rest, 60)
    parts = [f"{days} d" if days else "", f"{hours} h" if hours else "", f"{minutes} min" if minutes else ""]
    if not days and not hours and (secs or not minutes):
        parts.append(f"{secs} s")
    return " ".join(part for part in parts if part)
