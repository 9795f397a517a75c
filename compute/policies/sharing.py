"""What each project got, and what its fair share would have been.

The fair share is that of weighted max-min at every moment (Ghodsi et al., Dominant Resource Fairness, NSDI 2011, for one
resource): the GPUs that projects want, running or waiting for GPUs, are shared by weight, nobody getting more than it wants,
and what one leaves goes to the others. Over time it adds up to GPU-seconds that can be set beside those really used.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from compute.scheduling.estimates import Name
from compute.scheduling.ideal import shares

STEP_SECONDS = 900
"""Wants are averaged over so long, as in the ideal beside the scheduler: a month has 2,880."""


@dataclass(frozen=True, slots=True)
class Span:
    """One run: from when its GPUs were wanted, from when it had them, until when. Whole seconds on one clock."""

    project: Name
    gpus: int
    wanted_at: int
    had_at: int
    over_at: int


@dataclass(frozen=True, slots=True)
class Got:
    """One project over the whole time, in GPU-seconds."""

    project: Name
    used: float
    fair: float


def fair_shares(spans: Iterable[Span], *, gpus: int, weights: Mapping[Name, int]) -> list[Got]:
    """Use beside fair share, most used first. The shares of a stretch of time never exceed what was wanted or what there is."""
    wanted: dict[int, dict[Name, float]] = {}
    used: dict[Name, float] = {}
    for span in spans:
        used[span.project] = used.get(span.project, 0.0) + span.gpus * (span.over_at - span.had_at)
        for step in range(span.wanted_at // STEP_SECONDS, (span.over_at - 1) // STEP_SECONDS + 1):
            begin, end = step * STEP_SECONDS, (step + 1) * STEP_SECONDS
            seconds = min(span.over_at, end) - max(span.wanted_at, begin)
            there = wanted.setdefault(step, {})
            there[span.project] = there.get(span.project, 0.0) + span.gpus * seconds / STEP_SECONDS
    fair = dict.fromkeys(used, 0.0)
    for step in sorted(wanted):
        for project, share in shares(wanted[step], gpus, weights).items():
            fair[project] += share * STEP_SECONDS
    return sorted((Got(project, used[project], fair[project]) for project in used), key=lambda got: (-got.used, str(got.project)))
