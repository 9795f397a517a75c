"""When GPU time will be used up, from the use of the last weeks: pure rules, whole ticks.

The pace is read from every seven days in a row within the last four weeks, so that weekends count as they are, a few jobs a week
are enough, and one odd day does not carry the figure. The middle one of these weeks says what to expect; the tenth and the
ninetieth in a hundred of them, by rank, are a quiet and a busy week (nearest rank: definition 1 of Hyndman and Fan, Sample
Quantiles in Statistical Packages, The American Statistician 1996). The weeks overlap, so this is the range of what was seen
lately, not a confidence interval.
"""

import enum
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction
from uuid import UUID

DAYS = 28
"""How far back use is looked at."""

DAYS_MIN = 14
"""With less history nothing is said: every day of the week must have come twice."""

WEEK_DAYS = 7
WEEK_SECONDS = WEEK_DAYS * 24 * 3600

FITS_WITHIN = Fraction(1, 20)
"""A rest of less than a twentieth at the end counts as used up by the end: no forecast is better than that."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Ticks used in a quiet, a middle and a busy week, and from how many days this is known."""

    quiet: int
    middle: int
    busy: int
    days: int


@dataclass(frozen=True, slots=True)
class Outlook:
    """What becomes of a budget at one pace."""

    used_up_at: datetime | None
    """None: not before its end."""
    unused: int
    """Ticks that are left at its end and lapse then."""


class Verdict(enum.StrEnum):
    """What a forecast comes down to."""

    RUNS_OUT = "runs_out"  # used up before its end
    LAPSES = "lapses"  # a good part of it is left at its end
    FITS = "fits"  # it lasts about to its end


@dataclass(frozen=True, slots=True)
class Forecast:
    """What becomes of a budget at a quiet, the middle and a busy pace."""

    given: int
    left: int
    """Ticks not settled yet, those in flight included: a hold is no use."""
    ends_at: datetime
    pace: Pace
    quiet: Outlook
    expected: Outlook
    busy: Outlook

    @property
    def verdict(self) -> Verdict:
        """Judged by the middle pace."""
        if self.expected.used_up_at is not None:
            return Verdict.RUNS_OUT
        return Verdict.LAPSES if self.expected.unused >= self.given * FITS_WITHIN else Verdict.FITS

    @property
    def date(self) -> datetime:
        """What warnings count down to: the day it is used up, else its end."""
        return self.expected.used_up_at or self.ends_at


@dataclass(frozen=True, slots=True)
class TooShort:
    """There is too little history to say anything."""

    days: int


@dataclass(frozen=True, slots=True)
class Gift:
    """An offer that can be drawn, now or later; ticks of its flavor."""

    id: UUID
    left: int
    opens_at: datetime
    closes_at: datetime


@dataclass(frozen=True, slots=True)
class Demand:
    """Use of one kind (a project's CI, say), and the gifts it may draw on."""

    used: int
    """Ticks over the whole time looked at."""
    gifts: frozenset[UUID]


def pace(daily: Sequence[int]) -> Pace | None:
    """The pace of a run of whole days in order of time, at most the last `DAYS` of them; None: too few."""
    days = daily[-DAYS:]
    if len(days) < DAYS_MIN:
        return None
    weeks = sorted(sum(days[at : at + WEEK_DAYS]) for at in range(len(days) - WEEK_DAYS + 1))
    return Pace(_ranked(weeks, 10), _ranked(weeks, 50), _ranked(weeks, 90), len(days))


def forecast(daily: Sequence[int], *, given: int, left: int, now: datetime, ends_at: datetime) -> Forecast | TooShort:
    """What becomes of a budget that only this use draws on."""
    known = pace(daily)
    if known is None:
        return TooShort(len(daily))
    quiet, expected, busy = (_outlook(left, week, now, ends_at) for week in (known.quiet, known.middle, known.busy))
    return Forecast(given, left, ends_at, known, quiet, expected, busy)


def draw_down(gifts: Sequence[Gift], demands: Sequence[Demand], *, per_week: int, now: datetime) -> Mapping[UUID, Outlook]:
    """What becomes of gifts that the same use draws on, soonest end first, as jobs draw them.

    `per_week` ticks are used in all, shared among the demands as they were used. Exact: time goes from one event (a gift opens,
    closes or is used up) to the next.
    """
    order = sorted(gifts, key=lambda gift: (gift.closes_at, gift.id))
    left = {gift.id: Fraction(gift.left) for gift in order}
    used = sum(demand.used for demand in demands)
    seconds = {gift.id: (_seconds(gift.opens_at, now), _seconds(gift.closes_at, now)) for gift in order}
    ended: dict[UUID, Outlook] = {}
    clock = Fraction(0)
    while len(ended) < len(order):
        for gift in order:
            if gift.id not in ended and seconds[gift.id][1] <= clock:
                ended[gift.id] = Outlook(None, math.ceil(left[gift.id]))
        open_now = [gift.id for gift in order if gift.id not in ended and seconds[gift.id][0] <= clock]
        drain: dict[UUID, Fraction] = {}
        for demand in demands if used else ():
            drawn = next((gift_id for gift_id in open_now if gift_id in demand.gifts), None)
            if drawn is not None:
                drain[drawn] = drain.get(drawn, Fraction(0)) + Fraction(per_week * demand.used, used * WEEK_SECONDS)
        dates = [moment for gift in order if gift.id not in ended for moment in seconds[gift.id] if moment > clock]
        empties = [clock + left[gift_id] / rate for gift_id, rate in drain.items() if rate]
        if not dates:
            break
        following = min([*dates, *empties])
        for gift_id, rate in drain.items():
            left[gift_id] -= rate * (following - clock)
            if left[gift_id] == 0 and following < seconds[gift_id][1]:
                ended[gift_id] = Outlook(now + timedelta(seconds=math.ceil(following)), 0)
        clock = following
    return ended


def due_mark(days: Sequence[int], date: datetime, now: datetime) -> int | None:
    """The reminder this moment belongs to: the smallest number of days before a date that is reached; None before and after."""
    return min((mark for mark in days if now < date <= now + timedelta(days=mark)), default=None)


def warning_dates(found: Forecast, days: Sequence[int], now: datetime) -> list[datetime]:
    """When warnings are still to come if the pace stays, soonest first; none for what lasts about to its end."""
    if found.verdict is Verdict.FITS:
        return []
    return sorted(moment for mark in set(days) if (moment := found.date - timedelta(days=mark)) > now)


def _outlook(left: int, per_week: int, now: datetime, ends_at: datetime) -> Outlook:
    """One budget at one pace: used up before its end, or with a rest."""
    window = max(Fraction(0), _seconds(ends_at, now))
    used = window * per_week / WEEK_SECONDS
    if left < used:
        return Outlook(now + timedelta(seconds=math.ceil(Fraction(left * WEEK_SECONDS, per_week))), 0)
    return Outlook(None, math.ceil(left - used))


def _ranked(ordered: Sequence[int], percent: int) -> int:
    return ordered[max(0, math.ceil(Fraction(len(ordered) * percent, 100)) - 1)]


def _seconds(moment: datetime, since: datetime) -> Fraction:
    return Fraction((moment - since) // timedelta(microseconds=1), 10**6)
