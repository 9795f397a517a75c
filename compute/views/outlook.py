"""A forecast as pages show it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from compute.policies import forecast_words
from compute.policies.forecast import Forecast, TooShort, Verdict, warning_dates


@dataclass(frozen=True, slots=True)
class Shown:
    """The sentences and dates of a forecast."""

    sentence: str
    method: str | None
    warns_at: Sequence[datetime]
    stands_out: bool
    """Whether somebody should do something."""


def outlook(found: Forecast | TooShort | None, remind_days: list[int], *, now: datetime) -> Shown | None:
    """A forecast for a page; none where nothing can be drawn."""
    if found is None:
        return None
    if isinstance(found, TooShort):
        return Shown(forecast_words.sentence(found), None, [], stands_out=False)
    return Shown(
        forecast_words.sentence(found),
        forecast_words.method(found),
        warning_dates(found, remind_days, now),
        stands_out=found.verdict is not Verdict.FITS,
    )
