"""Who should wait although there is room: shares of a GPU whose rest nobody is expected to use.

A share of 0.81 leaves 0.19 of a GPU, and if nothing so small is asked for, that is lost for as long as the job runs. While GPUs
are plenty that costs nothing. Once all free GPUs will be asked for, each such job keeps out one that would have used its GPU
wholly.

This is the question of a booking limit (Littlewood 1972; Talluri and van Ryzin, The Theory and Practice of Revenue Management,
2004, chapter 2): how much of what is scarce may go to those who make the least of it? Expected is what waits, and as much again
as arrived of late; GPUs are expected back from as many ends as there were of late. Of late is one turnover: as many arrivals as
jobs are here, running or waiting. So a pool in which jobs end as fast as they come expects as much back as will be asked for, and
holds nobody; where nothing ends, all that arrived may come again. Expected work is packed into GPUs, the largest share first,
each filled up with the largest shares that fit and are left. The GPUs that are free, or come back, are meant for the fullest
packings first. What remains outside is what has to wait: if of all packings begun with a share of some size a part p is inside,
then of the jobs of this size that would begin a GPU p may start, evenly spread.

A limit holds back only those that make useless more than they use. A job that goes beside another, or to a GPU that the expected
work can't use for lack of CPU, starts at once. So does every job that needs whole GPUs. When a job ends, those start first that
had found no place, then those that were held back: nobody waits for work that is merely expected once GPUs come back.
"""

from collections import Counter, deque
from collections.abc import Iterable
from fractions import Fraction

from compute.scheduling.hosts.fragments import LEARN_FROM, WHOLE, Need
from compute.scheduling.hosts.placement import Hosts, Place
from compute.scheduling.model import Name

GROWTH = 16
"""Packings are made anew when so many-th more has arrived."""


class Limits:
    """Which part of the jobs of each size may begin a GPU."""

    def __init__(self) -> None:
        self._arrived: deque[tuple[int, Need]] = deque()  # of late, numbered
        self._ended: deque[tuple[int, Need]] = deque()  # of late, by the number of the last that had arrived
        self._total = 0
        self._here = 0
        self._pack_at = 0
        self._left_for_shares = 0  # GPUs that come back, less those that are needed wholly
        self._packings: list[tuple[int, int, int]] = []  # emptiest last: filled thousandths, largest share, how many
        self._credit: dict[int, Fraction] = {}

    def arrived(self, need: Need) -> None:
        """A job came."""
        self._total += 1
        self._here += 1
        self._arrived.append((self._total, need))
        self._forget()

    def ended(self, need: Need) -> None:
        """A job gave its GPUs back."""
        self._here -= 1
        self._ended.append((self._total, need))
        self._forget()

    def _forget(self) -> None:
        for seen in (self._arrived, self._ended):
            while seen and seen[0][0] <= self._total - self._here:
                seen.popleft()

    def may_begin(self, share: int, free_gpus: int, waiting: Iterable[tuple[Need, int]]) -> bool:
        """Whether the next job of this size may begin a GPU, so many being free. Asked once for each job."""
        if self._total < LEARN_FROM:
            return True
        if self._total >= self._pack_at:
            self._pack(waiting)
        credit = self._credit.get(share, Fraction(0)) + self._inside(share, free_gpus)
        self._credit[share] = credit - 1 if credit >= 1 else credit
        return credit >= 1

    def _inside(self, share: int, free_gpus: int) -> Fraction:
        """The part of the packings begun with this share that gets a GPU."""
        left = free_gpus + self._left_for_shares
        inside = begun = 0
        for _, largest, count in self._packings:
            if largest == share:
                begun += count
                inside += max(0, min(count, left))
            left -= count
        return Fraction(inside, begun) if begun else Fraction(1)

    def _pack(self, waiting: Iterable[tuple[Need, int]]) -> None:
        self._pack_at = self._total + max(1, -(-self._here // GROWTH))
        expected = Counter(need for _, need in self._arrived)
        for need, count in waiting:
            expected[need] += count
        whole, asked = _packed(expected)
        whole_back, back = _packed(Counter(need for _, need in self._ended))
        self._left_for_shares = whole_back + sum(count for *_, count in back) - whole
        self._packings = sorted(asked, reverse=True)


def _packed(needs: Counter[Need]) -> tuple[int, list[tuple[int, int, int]]]:
    """GPUs that are needed wholly, and how the shares are packed into others."""
    shares: dict[int, int] = {}
    for need, count in needs.items():
        if need.share < WHOLE:
            shares[need.share] = shares.get(need.share, 0) + count
    return sum(need.gpus * count for need, count in needs.items() if need.share == WHOLE), packings(shares)


def packings(shares: dict[int, int]) -> list[tuple[int, int, int]]:
    """So many jobs of each share in GPUs, the largest first: thousandths that are filled, the largest share, how many GPUs."""
    left = {share: count for share, count in shares.items() if count}
    found = []
    while left:
        largest = max(left)
        packing = _fill(left)
        count = min(left[share] // times for share, times in packing.items())
        for share, times in packing.items():
            left[share] -= times * count
            if not left[share]:
                del left[share]
        found.append((sum(share * times for share, times in packing.items()), largest, count))
    return found


def _fill(left: dict[int, int]) -> dict[int, int]:
    """One GPU: the largest share, then again and again the largest that fits and is left."""
    packing: dict[int, int] = {}
    room = WHOLE
    for share in sorted(left, reverse=True):
        times = min(room // share, left[share])
        if times:
            packing[share] = times
            room -= times * share
    return packing


class Line:
    """Places jobs as they come, and lets those wait that find no place or should leave it to others."""

    def __init__(self, hosts: Hosts, limits: Limits | None) -> None:
        self._hosts = hosts
        self._limits = limits  # None: whatever fits starts
        self._running: dict[Name, Need] = {}
        self._held_back: dict[Need, deque[Name]] = {}  # there is room for them
        self._too_large: dict[Need, deque[Name]] = {}  # for what is free on any host

    def arrived(self, name: Name, need: Need) -> list[tuple[Name, Place]]:
        """A job comes: who starts because of it. Others may start behind it, beside it."""
        self._hosts.expect(need)
        if self._limits is not None:
            self._limits.arrived(need)
        place = self._hosts.find(need)
        if place is None:
            self._too_large.setdefault(need, deque()).append(name)
            return []
        if not self._may_start(place):
            self._held_back.setdefault(need, deque()).append(name)
            return []
        return [self._start(name, place), *self._beside()]

    def ended(self, name: Name) -> list[tuple[Name, Place]]:
        """A job is over: who starts because of it, the largest first."""
        self._hosts.release(name)
        need = self._running.pop(name)
        if self._limits is not None:
            self._limits.ended(need)
        started = []
        for waiting in (self._too_large, self._held_back):
            for need in sorted(waiting, key=_size, reverse=True):
                while waiting[need] and (place := self._hosts.find(need)) is not None:
                    started.append(self._start(waiting[need].popleft(), place))
                if not waiting[need]:
                    del waiting[need]
        return started

    @property
    def waiting(self) -> frozenset[Name]:
        """All that wait."""
        return frozenset(name for line in (self._too_large, self._held_back) for names in line.values() for name in names)

    @property
    def held_back(self) -> int:
        """Jobs that wait although there is room for them."""
        return sum(map(len, self._held_back.values()))

    def _may_start(self, place: Place) -> bool:
        limits, need = self._limits, place.need
        if limits is None or need.share == WHOLE or not need.gpus:
            return True
        waiting = ((need, len(names)) for line in (self._held_back, self._too_large) for need, names in line.items())
        may_begin = limits.may_begin(need.share, self._hosts.free // WHOLE, waiting)
        return may_begin or place.wasted <= 0

    def _beside(self) -> list[tuple[Name, Place]]:
        """A host changed: who was held back may now go where it takes nothing from others, the largest share first."""
        started = []
        for need in sorted(self._held_back, key=_size, reverse=True):
            names = self._held_back[need]
            while names and (place := self._hosts.find(need)) is not None and place.wasted <= 0:
                started.append(self._start(names.popleft(), place))
            if not names:
                del self._held_back[need]
        return started

    def _start(self, name: Name, place: Place) -> tuple[Name, Place]:
        placed = self._hosts.place(name, [place.need])
        assert placed == (place,), "the best place stays the best while nothing changes"
        self._running[name] = place.need
        return name, place


def _size(need: Need) -> tuple[int, Need]:
    return need.parts, need
