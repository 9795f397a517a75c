"""The waiting line planned ahead: every job gets the earliest start that delays no reservation before it.

This is conservative backfill (Mu'alem and Feitelson, Utilization, Predictability, Workloads, and User Runtime Estimates in
Scheduling the IBM SP2 with Backfilling, IEEE TPDS 2001). Jobs are reserved in the order of the line. So a reservation stands when
a job is added behind it, and one more job costs one more search; when a job ahead goes, those behind it are planned anew.

While a plan grows, free time only shrinks. What was once no start for a job is none for a job as large and as long, so that a
search begins where those before it ended; equal jobs, of which a line has many, cost one step each.

`Counted` counts the GPUs of a lane. That is exact where any of them will do: for single GPUs, and for hosts as a whole (count
hosts then), since who gets which is decided at the start. `Hosted` knows each host, for jobs that need several GPUs of one.
`Together` is a second look at a counted lane, at the one host that a job is on.
"""

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence

from compute.scheduling.forecasts.profile import Profile
from compute.scheduling.model import Instant

Releases = Iterable[tuple[Instant, int]]
"""When something that runs is over by its declared time, and the GPUs that are free again then."""


class Counted:
    """A lane as a number of GPUs.

    A reservation costs O(√n + s + g) for n reservations, s sizes of job and g gaps that the search finds too short.
    """

    def __init__(self, now: Instant, free: int, releases: Releases = ()) -> None:
        self._now = now
        self._profile = Profile(now, free, releases)
        self._found = _Found(now)

    def reserve(self, gpus: int, seconds: int) -> Instant | None:
        """Reserve the earliest start. None: the lane is too small for it, and nothing is reserved."""
        at = self.earliest(gpus, seconds, self._now)
        if at is not None:
            self.take(at, seconds, gpus)
        return at

    def earliest(self, gpus: int, seconds: int, not_before: Instant) -> Instant | None:
        """Where a reservation could begin."""
        least = self._found.least(gpus, seconds)
        at = self._profile.earliest(gpus, seconds, max(least, not_before))
        if at is not None and not_before <= least:
            self._found.note(gpus, seconds, at)
        return at

    def take(self, at: Instant, seconds: int, gpus: int) -> None:
        """Reserve as `earliest` said."""
        self._profile.take(at, at + seconds, gpus)


class Together:
    """The hosts of a lane where a job has all its GPUs on one. Of those that are free as soon it gets the smallest."""

    def __init__(self, now: Instant, hosts: Mapping[str, tuple[int, Releases]]) -> None:
        """For each host: its GPUs, and those of what runs there with when they come back."""
        self._hosts = {
            name: (size, Profile(now, size - sum(gpus for _, gpus in runs), runs))
            for name, (size, runs) in ((name, (size, list(runs))) for name, (size, runs) in sorted(hosts.items()))
        }

    def of_size(self, gpus: int) -> "Together":
        """Those with exactly so many GPUs, for who wants one alone. What is reserved of them is reserved here."""
        found = Together(0, {})
        found._hosts = {name: host for name, host in self._hosts.items() if host[0] == gpus}
        return found

    def earliest(self, gpus: int, seconds: int, not_before: Instant) -> Instant | None:
        """Where a reservation could begin."""
        found = self._best(gpus, seconds, not_before)
        return found[0] if found is not None else None

    def take(self, at: Instant, seconds: int, gpus: int) -> None:
        """Reserve as `earliest` said."""
        found = self._best(gpus, seconds, at)
        assert found is not None, "it is reserved where it was found"
        self.take_on(found[2], at, seconds, gpus)

    def take_on(self, host: str, at: Instant, seconds: int, gpus: int) -> None:
        """Reserve on this host, if it takes new work."""
        if host in self._hosts:
            self._hosts[host][1].take(at, at + seconds, gpus)

    def _best(self, gpus: int, seconds: int, not_before: Instant) -> tuple[Instant, int, str] | None:
        able = (
            (at, size, name)
            for name, (size, profile) in self._hosts.items()
            if (at := profile.earliest(gpus, seconds, not_before)) is not None
        )
        return min(able, default=None)


class Hosted:
    """A lane as hosts with GPUs each: a job takes its GPUs on one host, a gang the same number on each of several hosts.

    Each kind of job keeps its hosts in a heap by when it could start there at the earliest, as last looked up. A reservation
    changes its own hosts alone, so few entries at the top of a heap have to be looked up again.
    """

    def __init__(self, now: Instant, hosts: Sequence[tuple[int, Releases]]) -> None:
        """For each host: the GPUs that are free now, and when others come back."""
        self._now = now
        self._hosts = [Profile(now, free, releases) for free, releases in hosts]
        self._changes = [0] * len(hosts)  # how often a reservation was made on the host
        self._heaps: dict[tuple[int, int], dict[int, list[_Entry]]] = {}  # by GPUs and hosts, by seconds; last used last

    def reserve(self, gpus: int, seconds: int, hosts: int = 1) -> tuple[Instant, tuple[int, ...]] | None:
        """Reserve the earliest start, on the hosts with the lowest numbers that allow it. None: they are too few or too small."""
        heap = self._heap(gpus, seconds, hosts)
        at, chosen = self._now, list[int]()
        while len(chosen) < hosts:
            if not heap:
                heap.extend((at, host, _STALE) for host in chosen)
                return None  # no other host will ever do: what is free only shrinks
            start, host, seen = heap[0]
            if start < at or seen != self._changes[host]:
                again = self._hosts[host].earliest(gpus, seconds, max(start, at))
                if again is None:
                    heapq.heappop(heap)
                else:
                    heapq.heapreplace(heap, (again, host, self._changes[host]))
                continue
            if start > at:
                # The hosts that were ready earlier are ready only if they still are.
                at = start
                for earlier in chosen:
                    heapq.heappush(heap, (at, earlier, _STALE))
                chosen = []
                continue
            heapq.heappop(heap)
            chosen.append(host)
        for host in chosen:
            self._hosts[host].take(at, at + seconds, gpus)
            self._changes[host] += 1
            heapq.heappush(heap, (at, host, _STALE))
        return at, tuple(chosen)

    def _heap(self, gpus: int, seconds: int, hosts: int) -> "list[_Entry]":
        """The heap of a kind. A new one is made from the next shorter kind's: where that can't start, it can't."""
        heaps = self._heaps.setdefault((gpus, hosts), {})
        heap = heaps.pop(seconds, None)
        if heap is None:
            shorter = max((known for known in heaps if known < seconds), default=None)
            if shorter is None:
                heap = [(self._now, host, _STALE) for host in range(len(self._hosts))]
            else:
                heap = [(start, host, _STALE) for start, host, _ in heaps[shorter]]
            if len(heaps) >= KINDS_MAX:
                del heaps[next(iter(heaps))]
        heaps[seconds] = heap
        return heap


KINDS_MAX = 32
"""So many durations of one size of job keep their heaps; of more, those that were used last."""

_Entry = tuple[Instant, int, int]
"""Not before when, on which host, and how many reservations the host had then."""

_STALE = -1


class _Found:
    """Where searches may begin: no earlier than the latest start found for a job as small and as short."""

    def __init__(self, now: Instant) -> None:
        self._now = now
        self._sizes: dict[int, tuple[list[int], list[Instant]]] = {}  # for each size: seconds and starts, both ascending

    def least(self, gpus: int, seconds: int) -> Instant:
        """No start of such a job is earlier."""
        at = self._now
        for size, (durations, starts) in self._sizes.items():
            if size <= gpus:
                place = bisect_right(durations, seconds)
                if place and starts[place - 1] > at:
                    at = starts[place - 1]
        return at

    def note(self, gpus: int, seconds: int, at: Instant) -> None:
        """This start was found. What says no more than it, is dropped."""
        durations, starts = self._sizes.setdefault(gpus, ([], []))
        place = stop = bisect_left(durations, seconds)
        while stop < len(durations) and (starts[stop] <= at or durations[stop] == seconds):
            stop += 1
        durations[place:stop] = [seconds]
        starts[place:stop] = [at]
