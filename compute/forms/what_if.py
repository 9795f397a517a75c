"""A change to try on our own history."""

from compute import policies
from compute.models import RUN_LIMIT_MAX, WEIGHT_MAX
from core.errors import InvalidInput
from core.web.forms import Form, IntegerField, NumberRange, Optional, SelectField, TextField, required

WHAT_IF_DAYS = (7, 14, 30, 60, 90)


class WhatIfForm(Form):
    """A change to try on our own history."""

    flavor = SelectField("Kind of accelerator", [required("Choose a kind of accelerator.")])
    days = SelectField("History", choices=[(str(days), f"the last {days} days") for days in WHAT_IF_DAYS], default="30")
    gpus = IntegerField("GPUs more or fewer", [Optional(), NumberRange(-10_000, 10_000, "Between −10,000 and 10,000.")])
    wall_time = TextField("Longest declared time", length_max=20)
    project = SelectField("Project whose weight changes")
    weight = IntegerField("Its weight", [Optional(), NumberRange(1, WEIGHT_MAX, f"Between 1 and {WEIGHT_MAX:,}.")])
    limited = SelectField("Whose running jobs are limited")
    limit_jobs = IntegerField("Jobs at a time", [Optional(), NumberRange(1, RUN_LIMIT_MAX, "At least one.")])
    limit_gpus = IntegerField("GPUs at a time", [Optional(), NumberRange(1, RUN_LIMIT_MAX, "At least one.")])

    def wall_seconds_max(self) -> int | None:
        """The limit in seconds; none if it stays as it is.

        Raises:
            InvalidInput: not a duration, or none at all.
        """
        if not self.wall_time.data:
            return None
        seconds = policies.parse_duration(self.wall_time.data)
        if seconds < 60:
            raise InvalidInput("Let jobs run for a minute at least.", field="wall_time")
        return seconds
