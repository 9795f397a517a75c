"""When a running job holds its devices and does nothing: from looks a minute apart, and honest about what can't be seen.

A look says how busy the busiest of an attempt's GPUs was within the last second, and how much processor time its processes have
used. One look proves little (a job may be between two kernels), so only an unbroken row of idle looks counts: a job that computes
three tenths of the time shows fifteen idle looks in a row once in two hundred.
"""

import enum
from dataclasses import dataclass
from datetime import datetime, timedelta

IDLE_GPU_PERCENT = 1
"""Up to this a GPU does nothing: drivers show 1 for a desktop's or a monitor's touch."""

IDLE_CPU_SHARE = 0.01
"""Less of one core than this is waiting: a sleeping shell or a blocked read."""

WORKING_CPU_SHARE = 0.05
"""From this on the processes of a job with idle GPUs do something: they fetch, unpack or compile."""

GAP_MAX = timedelta(minutes=5)
"""After a longer time without a look nothing is known of what was between."""

LOOKS_MIN = 5


class Seen(enum.StrEnum):
    """What a look tells."""

    BUSY = "busy"
    IDLE = "idle"
    NOT_MEASURED = "not_measured"


@dataclass(frozen=True, slots=True)
class Look:
    """One look at an attempt."""

    at: datetime
    has_gpus: bool
    gpu_percent: int | None
    cpu_seconds: float | None


@dataclass(frozen=True, slots=True)
class Stretch:
    """An unbroken row of idle looks."""

    since: datetime
    looks: int

    def holds(self, at: datetime, after: timedelta) -> bool:
        """Whether it is long enough to be called idle holding."""
        return at - self.since >= after and self.looks >= LOOKS_MIN


def seen(before: Look | None, look: Look) -> Seen:
    """Judge a look; processor time needs the one before."""
    if look.has_gpus:
        if look.gpu_percent is None:
            return Seen.NOT_MEASURED  # busy processes say nothing about a GPU
        return Seen.IDLE if look.gpu_percent <= IDLE_GPU_PERCENT else Seen.BUSY
    share = cpu_share(before, look)
    if share is None:
        return Seen.NOT_MEASURED
    return Seen.IDLE if share < IDLE_CPU_SHARE else Seen.BUSY


def cpu_share(before: Look | None, look: Look) -> float | None:
    """Cores in use between two looks, on average; None: not measured."""
    if before is None or before.cpu_seconds is None or look.cpu_seconds is None or look.at <= before.at:
        return None
    return max(0.0, look.cpu_seconds - before.cpu_seconds) / (look.at - before.at).total_seconds()


def stretch(before: Stretch | None, last_look: datetime | None, look: Look, found: Seen) -> Stretch | None:
    """The row of idle looks after another look; None: it is broken."""
    if found is not Seen.IDLE:
        return None
    if before is None or last_look is None or look.at - last_look > GAP_MAX:
        return Stretch(look.at, 1)
    return Stretch(before.since, before.looks + 1)


def advice(*, has_gpus: bool, cpu: float | None) -> str:
    """What whoever submitted it should do."""
    if has_gpus and cpu is not None and cpu >= WORKING_CPU_SHARE:
        return (
            "Its processes work meanwhile, perhaps fetching, unpacking or compiling: do that before, in a job without GPUs, and "
            "declare a shorter time here."
        )
    return "Look at its output. If it hangs, cancel it: what it used is charged, the rest of what it holds is free at once."
