"""A forecast in sentences: the same on pages, in mails, in the API and on the command line."""

from datetime import datetime

from compute.policies.accounting import say_gpu_time
from compute.policies.forecast import DAYS_MIN, WEEK_DAYS, Forecast, Outlook, TooShort, Verdict
from core.units import TICKS_PER_GPU_HOUR, format_gpu_hours


def sentence(found: Forecast | TooShort) -> str:
    """What is to be expected, with its range."""
    if isinstance(found, TooShort):
        return f"No forecast yet: it needs {DAYS_MIN} days of history, and there are {found.days}."
    if found.left == 0:
        return "All of it is used."
    match found.verdict:
        case Verdict.RUNS_OUT:
            early = (found.ends_at - found.date).days
            before = f", {early} {'day' if early == 1 else 'days'} before its end" if early else ", shortly before its end"
            return f"At the pace of the last weeks it is used up about {_day(found.date)}{before} ({_dates(found)})."
        case Verdict.LAPSES:
            return (
                f"At the pace of the last weeks about {_about(found.expected.unused)} are not used when it ends on "
                f"{_day(found.ends_at)}, and lapse ({_rests(found)})."
            )
        case Verdict.FITS:
            return f"At the pace of the last weeks it lasts about to its end on {_day(found.ends_at)} ({_dates(found)})."


def method(found: Forecast) -> str:
    """How the forecast was made."""
    quiet, middle, busy = (format_gpu_hours(week) for week in (found.pace.quiet, found.pace.middle, found.pace.busy))
    return (
        f"Method: of every {WEEK_DAYS} days in a row within the last {found.pace.days} days, the middle one used {middle} "
        f"GPU-hours, a quiet one (one in ten is quieter) {quiet}, a busy one {busy}. Use counts when a job has ended. "
        "This is the range seen lately, no promise."
    )


def _dates(found: Forecast) -> str:
    return f"in busy weeks {_when(found.busy)}, in quiet ones {_when(found.quiet)}"


def _rests(found: Forecast) -> str:
    return f"in busy weeks {_rest(found.busy)}, in quiet ones {_rest(found.quiet)}"


def _when(outlook: Outlook) -> str:
    return _day(outlook.used_up_at) if outlook.used_up_at else f"with {_about(outlook.unused)} left"


def _rest(outlook: Outlook) -> str:
    return f"used up on {_day(outlook.used_up_at)}" if outlook.used_up_at else _about(outlook.unused)


def _about(ticks: int) -> str:
    """Whole hours where there are ten or more: no forecast is better than that."""
    return f"{format_gpu_hours(ticks, 0)} GPU-hours" if ticks >= 10 * TICKS_PER_GPU_HOUR else say_gpu_time(ticks)


def _day(moment: datetime) -> str:
    return f"{moment:%-d %b %Y}"
