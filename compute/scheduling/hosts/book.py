"""The hosts of a lane: GPUs that are free are of use to a job only if they are free on one host.

In some lanes a job that is larger than a host spans several: as many whole hosts as it fills, and a part of another; such hosts
are alike. In others a job has one host, whatever their sizes. placement.py says which.

A job that wants its host alone takes all GPUs of it, so that it is counted, limited and charged as one of that size. Where
hosts differ it takes one of the smallest size that is large enough (`alone_takes`) and goes to no other, so that what it costs
is known before.

Where the next in line waits for a host, it is promised the hosts that will be free first by the declared times of what runs
there. Who would still run then goes elsewhere, or where the promised hosts have more than the promised job needs. A reservation
is a lane on the hosts of another, with a promise of its own.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from compute.scheduling.hosts.fragments import Need
from compute.scheduling.hosts.placement import Host, Hosts
from compute.scheduling.model import Instant, Name

Held = tuple[tuple[str, int], ...]
"""Hosts by name, and how many of their GPUs."""


def alone_takes(sizes: Iterable[int], gpus: int) -> int | None:
    """The GPUs that a job takes which wants its host alone: all of the smallest that has enough. None: none has."""
    return min((size for size in sizes if size >= gpus), default=None)


@dataclass(frozen=True, slots=True)
class _Runs:
    ends_by: Instant
    held: Held


@dataclass(frozen=True, slots=True)
class _Promise:
    at: Instant
    held: Held
    spare: dict[str, int]  # what the promised hosts have beside the promised job


class HostBook:
    """Who is where, and which hosts were promised to those who are next in line."""

    def __init__(self, hosts: Sequence[Host], *, spans: bool = True) -> None:
        """`spans`: whether a job may be on several hosts."""
        self._sizes = {host.name: host.gpus for host in sorted(hosts, key=lambda host: host.name) if host.is_open}
        self._largest = max(self._sizes.values(), default=0)
        assert not spans or len(set(self._sizes.values())) <= 1, "hosts that a job spans are alike"
        self._spans = spans
        self._hosts = Hosts(host for host in hosts if host.is_open)
        self._free = dict(self._sizes)
        self._running: dict[Name, _Runs] = {}
        self._promises: list[_Promise] = []

    @property
    def most(self) -> int:
        """The GPUs that one job can have at most."""
        return sum(self._sizes.values()) if self._spans else self._largest

    @property
    def free(self) -> Mapping[str, int]:
        """The GPUs that are free on each host."""
        return self._free

    def able(self, gpus: int, *, alone: bool) -> tuple[str, ...]:
        """The hosts on which a job could be if they were empty; none if it has to span several."""
        return tuple(host for host, size in self._sizes.items() if (size == gpus if alone else size >= gpus))

    def where(self, job: Name) -> str:
        """The host of a job that runs, the first of them if it spans several."""
        held = self._running[job].held
        return held[0][0] if held else ""

    def expect(self, gpus: int, jobs: int) -> None:
        """So many jobs of this size came before."""
        if 0 < gpus <= self._largest:
            self._hosts.expect(Need(gpus), jobs)

    def fits(self, gpus: int, ends_by: Instant, *, alone: bool = False) -> bool:
        """Whether it finds hosts, beside what is promised if it would still run then."""
        needs, left_out = self._needs(gpus), self._left_out(gpus, ends_by, alone)
        if len(needs) == 1:
            return self._hosts.find(needs[0], without=left_out) is not None
        if not needs or self._hosts.place(_TRIAL, needs, without=left_out) is None:
            return False
        self._hosts.release(_TRIAL)
        return True

    def lets_pass(self, gpus: int, ends_by: Instant, *, alone: bool = False) -> bool:
        """Whether a job that fits finds hosts beside what is promised."""
        return all(ends_by <= promise.at for promise in self._promises) or self.fits(gpus, ends_by, alone=alone)

    def take(self, job: Name, gpus: int, ends_by: Instant, *, alone: bool = False) -> Held:
        """Start a job that fits: where it runs."""
        needs = self._needs(gpus)
        for need in needs:
            self._hosts.expect(need)
        places = self._hosts.place(job, needs, without=self._left_out(gpus, ends_by, alone))
        assert places is not None, "it was asked whether it fits"
        held = tuple((place.host, place.need.gpus) for place in places)
        self._has(job, held, ends_by)
        return held

    def put(self, job: Name, held: Held, ends_by: Instant) -> None:
        """It runs there already. What it has of hosts that take nothing new is nobody's matter here."""
        there = [(host, Need(count)) for host, count in held if host in self._free]
        for _, need in there:
            self._hosts.expect(need)
        self._hosts.put(job, there)
        self._has(job, tuple((host, need.gpus) for host, need in there), ends_by)

    def _has(self, job: Name, held: Held, ends_by: Instant) -> None:
        for host, count in held:
            self._free[host] -= count
            for promise in self._promises:
                if ends_by > promise.at and host in promise.spare:
                    promise.spare[host] -= count
        self._running[job] = _Runs(ends_by, held)

    def release(self, job: Name) -> None:
        """Its GPUs are free."""
        self._hosts.release(job)
        for host, count in self._running.pop(job).held:
            self._free[host] += count

    def ends(self, job: Name, ends_by: Instant) -> None:
        """It ends then at the latest."""
        self._running[job] = _Runs(ends_by, self._running[job].held)

    def most_free(self, of_size: int | None = None) -> int:
        """The most GPUs that are free on one host, or on one with so many in all."""
        return max((free for host, free in self._free.items() if of_size in {None, self._sizes[host]}), default=0)

    # Promises ---------------------------------------------------------------------------------------------------------

    def earliest(self, gpus: int, now: Instant, *, alone: bool = False) -> Instant | None:
        """When it fits, if running jobs keep their declared times. None: never beside what is promised."""
        free, at = self._unpromised(), now
        for ends_by, held in sorted((runs.ends_by, runs.held) for runs in self._running.values()):
            if ends_by > at and self._first_fit(gpus, free, alone) is not None:
                return at
            for host, count in held:
                free[host] += count
            at = max(ends_by, now + 1)  # past its declared time it is being stopped, and gives them back any moment
        return at if self._first_fit(gpus, free, alone) is not None else None

    def keep(self, gpus: int, at: Instant, *, alone: bool = False) -> None:
        """Promise it hosts from then on: those with least room beside it."""
        free = self._unpromised()
        for runs in self._running.values():
            if runs.ends_by <= at:
                for host, count in runs.held:
                    free[host] += count
        held = self._first_fit(gpus, free, alone)
        assert held is not None, "it is promised what will be free"
        self._promises.append(_Promise(at, held, {host: free[host] - count for host, count in held}))

    def forget(self) -> None:
        """Promises are made anew."""
        self._promises.clear()

    def _unpromised(self) -> dict[str, int]:
        """What is free now, without what was promised, from whenever on."""
        free = dict(self._free)
        for promise in self._promises:
            for host, count in promise.held:
                free[host] -= count
        return free

    def _needs(self, gpus: int) -> list[Need]:
        """What it needs on each of its hosts; nothing if it is too large."""
        if not self._spans:
            return [Need(gpus)] if gpus <= self._largest else []
        whole, rest = divmod(gpus, self._largest)
        return [Need(self._largest)] * whole + ([Need(rest)] if rest else [])

    def _left_out(self, gpus: int, ends_by: Instant, alone: bool) -> frozenset[str]:
        """The hosts on which no part of it may be: those promised, if it would still run then; of other sizes, if it is alone."""
        if not alone and not self._promises:
            return _NONE
        return frozenset(self._barred(min(gpus, self._largest), ends_by, alone))

    def _barred(self, part: int, ends_by: Instant, alone: bool) -> Iterator[str]:
        for promise in self._promises:
            if ends_by > promise.at:
                yield from (host for host, spare in promise.spare.items() if spare < part)
        if alone:
            yield from (host for host, size in self._sizes.items() if size != part)

    def _first_fit(self, gpus: int, free: dict[str, int], alone: bool) -> Held | None:
        """The hosts with least room beside it, the first by name among equals."""
        held: list[tuple[str, int]] = []
        for need in self._needs(gpus):
            taken = {host for host, _ in held}
            able = [
                (count, host)
                for host, count in free.items()
                if count >= need.gpus and host not in taken and (not alone or self._sizes[host] == need.gpus)
            ]
            if not able:
                return None
            held.append((min(able)[1], need.gpus))
        return tuple(held) or None


_TRIAL = object()
"""The name of a job that is placed to see whether it fits."""

_NONE: frozenset[str] = frozenset()
