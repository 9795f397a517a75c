"""What happens to the scheduler, and what it answers: plain frozen data."""

from dataclasses import dataclass

from compute.scheduling.estimates import Name
from compute.scheduling.model import Instant


@dataclass(frozen=True, slots=True)
class Kind:
    """All that the rules look at."""

    project: Name
    submitter: Name
    lane: Name  # a flavor in a pool
    gpus: int  # all at once or not at all
    wall_seconds: int  # declared


@dataclass(frozen=True, slots=True)
class Submitted:
    """A job waits from now on. Its name is its own for ever."""

    job: Name
    kind: Kind


@dataclass(frozen=True, slots=True)
class Cancelled:
    """A waiting job is withdrawn."""

    job: Name


@dataclass(frozen=True, slots=True)
class Ended:
    """A running job gave its GPUs back, early or at its declared end."""

    job: Name


Event = Submitted | Cancelled | Ended


@dataclass(frozen=True, slots=True)
class Started:
    """This job starts now, with all its GPUs."""

    job: Name
    ends_by: Instant
    backfilled: bool  # it passed the next in line without delaying it


@dataclass(frozen=True, slots=True)
class Promise:
    """The next in line of a lane starts then at the latest, if running jobs keep their declared times."""

    job: Name
    at: Instant
    spare: int  # GPUs that stay free then
