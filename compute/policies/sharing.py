"""What each project got, and what its fair share would have been.

The fair share is that of weighted max-min at every moment (Ghodsi et al., Dominant Resource Fairness, NSDI 2011, for one
resource): the GPUs that projects want, running or waiting for GPUs, are shared by weight, nobody getting more than it wants,
and what one leaves goes to the others. Over time it adds up to GPU-seconds that can be set beside those really used.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from compute.scheduling.learning.ideal import shares
from compute.scheduling.model import Name

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
    rows = list(spans)
    used: dict[Name, float] = {}
    for span in rows:
        used[span.project] = used.get(span.project, 0.0) + span.gpus * (span.over_at - span.had_at)
    fair = dict.fromkeys(used, 0.0)
    for wanted in _wants(rows):
        for project, share in shares(wanted, gpus, weights).items():
            fair[project] += share * STEP_SECONDS
    return sorted((Got(project, used[project], fair[project]) for project in used), key=lambda got: (-got.used, str(got.project)))


def _wants(spans: Iterable[Span]) -> Iterator[dict[Name, float]]:
    """What each project wants, step by step, in GPUs. A long span costs no more than a short one: only its ends are looked at."""
    partly: dict[int, dict[Name, float]] = {}  # by step: of spans that begin or end in it
    wholly: dict[int, dict[Name, float]] = {}  # by step: how much more is wanted from there on, by spans that go on
    for span in spans:
        first, last = span.wanted_at // STEP_SECONDS, (span.over_at - 1) // STEP_SECONDS
        for step in {first, last}:
            seconds = min(span.over_at, (step + 1) * STEP_SECONDS) - max(span.wanted_at, step * STEP_SECONDS)
            _add(partly.setdefault(step, {}), span.project, span.gpus * seconds / STEP_SECONDS)
        if last > first:
            _add(wholly.setdefault(first + 1, {}), span.project, span.gpus)
            _add(wholly.setdefault(last, {}), span.project, -span.gpus)
    steps = partly.keys() | wholly.keys()
    level: dict[Name, float] = {}
    for step in range(min(steps, default=0), max(steps, default=-1) + 1):
        for project, more in wholly.get(step, {}).items():
            _add(level, project, more)
        wanted = {project: gpus for project, gpus in level.items() if gpus}
        for project, part in partly.get(step, {}).items():
            _add(wanted, project, part)
        if wanted:
            yield wanted


def _add(sums: dict[Name, float], project: Name, more: float) -> None:
    sums[project] = sums.get(project, 0.0) + more
