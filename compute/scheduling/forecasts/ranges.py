"""How wide the range of an expected start is, learnt from how earlier ranges came out.

The futures of forecast.py know the line as it is. Who comes meanwhile, how turns move and what changes in pools and grants moves
starts too, mostly to later, and no model of that would hold for long. So each of the three moments that are told is corrected by
a factor, and what came of earlier ones moves it: one start in ten is to come before the range, every other one before the likely
moment, one in ten after the range. A start after its moment makes the next one a bit later, a start before it a bit earlier, by
amounts that only balance at the wished share. Over time that share is reached whatever the arrivals do; nothing is assumed of
them. How fast, and how wide ranges are meanwhile, is another matter: so each is told with how often such ranges held lately.

This is quantile tracking (Angelopoulos, Candès and Tibshirani, Conformal PID Control for Time Series Prediction, NeurIPS 2023,
after Gibbs and Candès, Adaptive Conformal Inference Under Distribution Shift, NeurIPS 2021). Waits of minutes and waits of days
go wrong in different ways, so each horizon has factors of its own.
"""

import math
from bisect import bisect_right
from dataclasses import dataclass, replace

from compute.scheduling.model import Expected, Instant

SHARES = (0.1, 0.5, 0.9)
"""Of starts that are to come before the soonest, the likely and the late moment."""

HORIZONS = (15 * 60, 3600, 4 * 3600, 16 * 3600)
"""In seconds until the likely start: waits between two of them are one sort."""

STEP = 0.2
"""How far one outcome moves a factor, in logarithms: a start after the late moment moves it by 0.9 of this."""

FURTHEST = 5.0
"""No factor goes further from 0, some 150 times: while nothing starts every late moment passes, and dates must stay dates."""

AT_LEAST_SECONDS = 300
"""Added to a wait before it is multiplied, since a wait of none is not certain either."""


@dataclass(frozen=True, slots=True)
class Correction:
    """The factors of one horizon, in natural logarithms."""

    soonest: float = -1.0  # wide, as long as nothing is known
    likely: float = 0.0
    late: float = 1.0


def horizon(planned: Expected) -> int:
    """Which sort of wait it is, by the plan alone."""
    return bisect_right(HORIZONS, planned.likely_at - planned.as_of)


def corrected(planned: Expected, by: Correction) -> Expected:
    """What is told, in order: the plan's moments moved by what earlier ones taught."""
    soonest, likely, late = sorted(
        (
            _moved(planned.as_of, planned.soonest_at, by.soonest),
            _moved(planned.as_of, planned.likely_at, by.likely),
            _moved(planned.as_of, planned.late_at, by.late),
        )
    )
    return replace(planned, soonest_at=soonest, likely_at=likely, late_at=late)


def came_out(by: Correction, told: Expected, started_at: Instant | None) -> Correction:
    """The factors after one more outcome; None: the late moment passed, and the job still waits."""
    moments = (told.soonest_at, told.likely_at, told.late_at)
    soonest, likely, late = (
        max(-FURTHEST, min(FURTHEST, factor + STEP * (share if started_at is None or started_at > at else share - 1)))
        for factor, share, at in zip((by.soonest, by.likely, by.late), SHARES, moments, strict=True)
    )
    return Correction(soonest, likely, late)


def held(told: Expected, started_at: Instant | None) -> bool:
    """Whether a start came in the range that was told."""
    return started_at is not None and told.soonest_at <= started_at <= told.late_at


def _moved(now: Instant, at: Instant, factor: float) -> Instant:
    return now + max(0, round((at - now + AT_LEAST_SECONDS) * math.exp(factor)) - AT_LEAST_SECONDS)
