"""Our own scheduler in a simulation."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from compute.scheduling.core import Core
from compute.scheduling.events import Asked, Choice, Ended, Event, Evicted, GroupSet, Kind, LaneSet, ProjectSet, Submitted
from compute.scheduling.hosts.placement import Host
from compute.scheduling.knobs import DEFAULTS, Knobs
from compute.scheduling.model import Limit, Priority
from compute.scheduling.quotas.preemption import DEFAULT_TERMS, Terms
from compute.scheduling.quotas.quota import Share
from compute.simulation.engine import Ask, Decision, Leave, Stay

LANE = "gpus"
"""A trace knows one flavor in one pool."""

ANYWHERE = (Choice(LANE),)


class Ours:
    """Collects a moment's events, and hands them over when it is asked to decide.

    Without quota groups all GPUs are one lane. With groups, each has as many GPUs as its quota in a lane of its own.
    `limits`: how much projects may have running at a time; a job that alone is more waits for ever.
    """

    def __init__(
        self,
        gpus: int,
        weights: Mapping[Any, int],
        hosts: Sequence[Host] = (),
        knobs: Knobs = DEFAULTS,
        *,
        limits: Mapping[Any, Limit] | None = None,
        groups: Mapping[str, Mapping[Any, Share]] | None = None,
        terms: Terms = DEFAULT_TERMS,
    ) -> None:
        self._core = Core({}, weights, knobs)
        self._asks: dict[int, Ask] = {}
        self._lanes: dict[Any, tuple[Choice, ...]] = {}
        self._events: list[Event] = [] if groups else [LaneSet(LANE, gpus, hosts=tuple(hosts))]
        self._events += [ProjectSet(name, weights.get(name, 1), limit) for name, limit in (limits or {}).items()]
        for name, shares in (groups or {}).items():
            self._events.append(LaneSet(name, sum(share.nominal for share in shares.values())))
            self._events.append(GroupSet(name, frozenset({name}), shares, terms))
            self._lanes.update(dict.fromkeys(shares, (Choice(name),)))

    def submitted(self, ask: Ask, now: int) -> None:
        self._asks[ask.index] = ask
        self._events.append(Submitted(ask.index, self._kind(ask)))

    def ended(self, index: int, now: int) -> None:
        del self._asks[index]
        self._events.append(Ended(index))

    def evicted(self, index: int, now: int) -> None:
        ask = self._asks[index]
        self._events += [Evicted(index), Submitted(index, self._kind(ask), ask.submitted_at)]

    def decide(self, now: int) -> Iterator[Decision]:
        events, self._events = self._events, []
        for started in self._core.apply(now, events):
            yield cast("int", started.job)
        for asked in self._core.asks():
            job = cast("int", asked.job)
            yield Leave(job, asked.at) if isinstance(asked, Asked) else Stay(job)

    def _kind(self, ask: Ask) -> Kind:
        lanes = self._lanes.get(ask.project, ANYWHERE)
        return Kind(ask.project, ask.submitter, lanes, ask.gpus, ask.wall_seconds, priority=Priority(ask.rank))
