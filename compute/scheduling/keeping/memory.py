"""What the core knows that no table says: how projects fared, and what they used, as it counted it.

Waiting and running jobs, grants and offers are read anew whenever a core is built. This is the rest, one record a project. A core
that is built from it and from a snapshot of the same moment goes on like the one that was stopped. Not remembered, as it follows
from the rest: what is expected of a kind (learnt from the past that the snapshot tells), promises, and who is parked where.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from compute.scheduling.model import Instant, Name


@dataclass(frozen=True, slots=True)
class IdealJob:
    """A job in the ideal world (learning/ideal.py), until it is over there and really."""

    job: Name
    entered_at: Instant
    gpus: int
    left: float  # GPU-seconds
    expected_seconds: float
    run_seconds: int | None  # once it really ended ...
    ended_at: Instant  # ... then
    ideally_at: float | None  # when it was over in the ideal


@dataclass(frozen=True, slots=True)
class IdealShare:
    """A project in the ideal world."""

    fared: float = 1.0  # the mean unfairness of its latest jobs
    demand: float = 0.0  # GPUs that its open jobs could use
    jobs: tuple[IdealJob, ...] = ()  # in the order in which they came


@dataclass(frozen=True, slots=True)
class ProjectMemory:
    """A project."""

    weight: int
    past: float  # decayed reference GPU-seconds at `settled_at`
    settled_at: Instant
    rate: int  # in use since then, in reference ticks per second
    factor: float  # how it fared, as it counts in its scores
    ideal: IdealShare


@dataclass(frozen=True, slots=True)
class Memory:
    """All of it."""

    ideal_at: Instant | None = None  # where the clock of the ideal stands
    gpus: int = 0  # that the ideal shares
    projects: Mapping[Name, ProjectMemory] = field(default_factory=dict)

    def unfinished(self) -> list[Any]:
        """The jobs that waited or ran then."""
        return [job.job for each in self.projects.values() for job in each.ideal.jobs if job.run_seconds is None]
