"""The hosts of a lane: GPUs that are free are of use to a job only if they are free on one host.

The hosts of a lane are alike. A job that is larger than one spans several: as many whole hosts as it fills, and a part of
another. placement.py says which.

Where the next in line waits for a host, it is promised the hosts that will be free first by the declared times of what runs
there. Who would still run then goes elsewhere, or where the promised hosts have more than the promised job needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from compute.scheduling.hosts.fragments import Need
from compute.scheduling.hosts.placement import Host, Hosts
from compute.scheduling.model import Instant, Name

Held = tuple[tuple[str, int], ...]
"""Hosts by name, and how many of their GPUs."""


@dataclass(frozen=True, slots=True)
class _Runs:
    ends_by: Instant
    held: Held


class HostBook:
    """Who is where, and which hosts the next in line was promised."""

    def __init__(self, hosts: Sequence[Host]) -> None:
        sizes = {host.gpus for host in hosts}
        assert len(sizes) == 1, "the hosts of a lane are alike"
        self._size = sizes.pop()
        self._hosts = Hosts(hosts)
        self._free = {host.name: host.gpus for host in sorted(hosts, key=lambda host: host.name)}
        self._running: dict[Name, _Runs] = {}
        self._promised_at: Instant | None = None
        self._spare: dict[str, int] = {}  # what the promised hosts have beside the promised job

    def fits(self, gpus: int, ends_by: Instant) -> bool:
        """Whether it finds hosts, beside what is promised if it would still run then."""
        needs, kept = self._needs(gpus), self._kept(gpus, ends_by)
        if len(needs) == 1:
            return self._hosts.find(needs[0], without=kept) is not None
        if self._hosts.place(_TRIAL, needs, without=kept) is None:
            return False
        self._hosts.release(_TRIAL)
        return True

    def take(self, job: Name, gpus: int, ends_by: Instant) -> Held:
        """Start a job that fits: where it runs."""
        needs = self._needs(gpus)
        for need in needs:
            self._hosts.expect(need)
        places = self._hosts.place(job, needs, without=self._kept(gpus, ends_by))
        assert places is not None, "it was asked whether it fits"
        held = tuple((place.host, place.need.gpus) for place in places)
        for host, count in held:
            self._free[host] -= count
            if self._outlasts(ends_by) and host in self._spare:
                self._spare[host] -= count
        self._running[job] = _Runs(ends_by, held)
        return held

    def release(self, job: Name) -> None:
        """Its GPUs are free."""
        self._hosts.release(job)
        for host, count in self._running.pop(job).held:
            self._free[host] += count

    def ends(self, job: Name, ends_by: Instant) -> None:
        """It ends then at the latest."""
        self._running[job] = _Runs(ends_by, self._running[job].held)

    def most_free(self) -> int:
        """The most GPUs that are free on one host."""
        return max(self._free.values())

    def earliest(self, gpus: int, now: Instant) -> Instant:
        """When it fits, if running jobs keep their declared times."""
        free, at = dict(self._free), now
        for ends_by, held in sorted((runs.ends_by, runs.held) for runs in self._running.values()):
            if ends_by > at and self._first_fit(gpus, free) is not None:
                return at
            for host, count in held:
                free[host] += count
            at = max(ends_by, now + 1)  # past its declared time it is being stopped, and gives them back any moment
        return at

    def keep(self, gpus: int, at: Instant) -> None:
        """Promise it hosts from then on: those with least room beside it."""
        free = dict(self._free)
        for runs in self._running.values():
            if runs.ends_by <= at:
                for host, count in runs.held:
                    free[host] += count
        held = self._first_fit(gpus, free)
        assert held is not None, "it is promised what will be free"
        self._promised_at = at
        self._spare = {host: free[host] - count for host, count in held}

    def forget(self) -> None:
        """Promises are made anew."""
        self._promised_at, self._spare = None, {}

    def _needs(self, gpus: int) -> list[Need]:
        rest = gpus % self._size
        return [Need(self._size)] * (gpus // self._size) + ([Need(rest)] if rest else [])

    def _outlasts(self, ends_by: Instant) -> bool:
        return self._promised_at is not None and ends_by > self._promised_at

    def _kept(self, gpus: int, ends_by: Instant) -> frozenset[str]:
        """The promised hosts on which no part of it may be."""
        if not self._outlasts(ends_by):
            return frozenset()
        part = min(gpus, self._size)
        return frozenset(host for host, spare in self._spare.items() if spare < part)

    def _first_fit(self, gpus: int, free: dict[str, int]) -> Held | None:
        """The hosts with least room beside it, the first by name among equals."""
        held: list[tuple[str, int]] = []
        for need in self._needs(gpus):
            taken = {host for host, _ in held}
            able = [(count, host) for host, count in free.items() if count >= need.gpus and host not in taken]
            if not able:
                return None
            held.append((min(able)[1], need.gpus))
        return tuple(held)


_TRIAL = object()
"""The name of a job that is placed to see whether it fits."""
