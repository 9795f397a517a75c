"""Our own scheduler in a simulation."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from compute.scheduling.core import Core
from compute.scheduling.events import Choice, Ended, Event, Kind, LaneSet, Submitted
from compute.scheduling.knobs import DEFAULTS, Knobs
from compute.scheduling.placement import Host
from compute.simulation.engine import Ask

LANE = "gpus"
"""A trace knows one flavor in one pool."""

ANYWHERE = (Choice(LANE),)


class Ours:
    """Collects a moment's events, and hands them over when it is asked to decide."""

    def __init__(self, gpus: int, weights: Mapping[Any, int], hosts: Sequence[Host] = (), knobs: Knobs = DEFAULTS) -> None:
        self._core = Core({}, weights, knobs)
        self._events: list[Event] = [LaneSet(LANE, gpus, hosts=tuple(hosts))]

    def submitted(self, ask: Ask, now: int) -> None:
        self._events.append(Submitted(ask.index, Kind(ask.project, ask.submitter, ANYWHERE, ask.gpus, ask.wall_seconds)))

    def ended(self, index: int, now: int) -> None:
        self._events.append(Ended(index))

    def decide(self, now: int) -> Iterator[int]:
        events, self._events = self._events, []
        for started in self._core.apply(now, events):
            assert isinstance(started.job, int)
            yield started.job
