"""Which host: jobs are placed where they take least away from the work that is expected (fragments.py says how that is measured).

A gang is placed whole or not at all. Its parts are placed one after the other, the largest first; each goes to the host whose
usable part shrinks least, and to the first host by name among equals. So the same jobs in the same order get the same hosts.

Only one host changes when a part is placed or released. For each kind of need the hosts that would do are kept in a heap by what
the need would take away there; a host that changed is measured anew when the kind is next asked for. An answer costs as much as
has changed since, not as much as there are hosts.
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from compute.scheduling.hosts.fragments import WHOLE, Mix, Need, Room
from compute.scheduling.model import Name

SWEEP_AT = 64
"""Changes kept for each host before all hosts are measured anew."""


@dataclass(frozen=True, slots=True)
class Host:
    """One machine, empty."""

    name: str
    gpus: int
    model: str = ""
    cpu_milli: int = 0
    memory_mib: int = 0
    is_open: bool = True  # to new work


@dataclass(frozen=True, slots=True)
class Place:
    """Where one part of a gang is: these GPUs of this host, numbered from 0."""

    host: str
    gpus: tuple[int, ...]
    need: Need
    wasted: int  # what it made useless beyond what it uses, as `Mix.usable` counts; below zero: it used what few others could


class Hosts:
    """All hosts, and who is where."""

    def __init__(self, hosts: Iterable[Host], mix: Mix | None = None) -> None:
        ordered = sorted(hosts, key=lambda host: host.name)
        self._mix = mix or Mix()
        self._states = [_State(host) for host in ordered]
        self._number = {host.name: number for number, host in enumerate(ordered)}
        assert len(self._number) == len(ordered), "a host's name is its own"
        self._lines: dict[Need, _Line] = {}
        self._changes: list[int] = []  # hosts that changed, in order
        self._placed: dict[Name, tuple[Place, ...]] = {}
        self.free = sum(len(state.free) for state in self._states) * WHOLE  # thousandths of GPUs that nobody uses

    def expect(self, need: Need, jobs: int = 1) -> None:
        """Work like this arrived: more like it is expected."""
        if self._mix.arrived(need, jobs):
            self._measure_anew()

    def place(
        self, name: Name, needs: Sequence[Need], *, apart: bool = False, without: Iterable[str] = ()
    ) -> tuple[Place, ...] | None:
        """Place a gang, or nothing of it (None). `apart`: each part on a host of its own; `without`: none on these hosts."""
        assert name not in self._placed, "a job is placed once"
        places: list[Place] = []
        left_out = frozenset(without)
        for need in sorted(needs, key=_size, reverse=True):
            place = self.find(need, without=left_out.union(each.host for each in places) if apart else left_out)
            if place is None:
                for each in reversed(places):
                    self._give_back(each)
                return None
            self._take(place)
            places.append(place)
        self._placed[name] = tuple(places)
        return self._placed[name]

    def put(self, name: Name, parts: Iterable[tuple[str, Need]]) -> None:
        """These parts are on these hosts already, and have whole GPUs there."""
        assert name not in self._placed, "a job is placed once"
        places: list[Place] = []
        for host, need in parts:
            places.append(self._states[self._number[host]].place(need, WHOLE, 0))
            assert len(places[-1].gpus) == need.gpus, "it has what the host has"
            self._take(places[-1])
        self._placed[name] = tuple(places)

    def find(self, need: Need, *, without: Iterable[str] = ()) -> Place | None:
        """The best place for one part right now; nothing is taken."""
        line = self._up_to_date(need)
        left_out = {self._number[host] for host in without}
        set_aside = []
        found = None
        while line.heap:
            cost, number, version, free = line.heap[0]
            if version != self._states[number].version:
                heapq.heappop(line.heap)
            elif number in left_out:
                set_aside.append(heapq.heappop(line.heap))
            else:
                found = self._states[number].place(need, free, cost - need.parts * self._mix.weight)
                break
        for entry in set_aside:
            heapq.heappush(line.heap, entry)
        return found

    def release(self, name: Name) -> None:
        """A job is over: all its parts are free again."""
        for place in self._placed.pop(name):
            self._give_back(place)

    # Bookkeeping ------------------------------------------------------------------------------------------------------

    def _take(self, place: Place) -> None:
        number = self._number[place.host]
        self._states[number].take(place)
        self.free -= place.need.parts
        self._changed(number)

    def _give_back(self, place: Place) -> None:
        number = self._number[place.host]
        self._states[number].give_back(place)
        self.free += place.need.parts
        self._changed(number)

    def _changed(self, number: int) -> None:
        self._changes.append(number)
        if len(self._changes) > SWEEP_AT * len(self._states):
            self._measure_anew()

    def _measure_anew(self) -> None:
        self._lines.clear()
        self._changes.clear()

    def _up_to_date(self, need: Need) -> "_Line":
        """The need's heap, with every host measured that changed since it was last asked for."""
        line = self._lines.get(need)
        if line is None or len(self._changes) - line.seen > len(self._states):
            line = self._lines[need] = _Line()
            changed: Iterable[int] = range(len(self._states))
        else:
            changed = sorted(set(self._changes[line.seen :]))
        for number in changed:
            state = self._states[number]
            measured = self._measure(state, need)
            if measured is not None:
                heapq.heappush(line.heap, (measured[0], number, state.version, measured[1]))
        line.seen = len(self._changes)
        return line

    def _measure(self, state: "_State", need: Need) -> tuple[int, int] | None:
        """What the need takes away from the expected work on this host, on the best of its GPUs, and how free that one is."""
        if state.is_exclusive or (need.exclusive and state.parts):
            return None
        options = state.room.after(need)
        if not options:
            return None
        usable = self._mix.usable(state.room)
        if need.exclusive:
            return usable, WHOLE
        return min((usable - self._mix.usable(room), free) for free, room in options)


@dataclass(slots=True)
class _Line:
    """The hosts that would do for one kind of need."""

    heap: list[tuple[int, int, int, int]] = field(default_factory=list)  # cost, host, its version, how free the GPU is
    seen: int = 0  # changes of hosts that it knows


class _State:
    """What is taken of one host."""

    def __init__(self, host: Host) -> None:
        self._name = host.name
        self.free = [WHOLE] * host.gpus  # thousandths of each GPU
        self.room = Room(host.model, host.cpu_milli, host.memory_mib, tuple(self.free))
        self.parts = 0  # of gangs, that are here
        self.is_exclusive = False  # what is here is alone
        self.version = 0

    def place(self, need: Need, free: int, wasted: int) -> Place:
        """The first GPUs that are so free."""
        found = [number for number, each in enumerate(self.free) if each == free] if need.gpus else []
        return Place(self._name, tuple(found[: need.gpus]), need, wasted)

    def take(self, place: Place) -> None:
        """A part comes here."""
        self.parts += 1
        self.is_exclusive = place.need.exclusive
        self._change(place, -1)

    def give_back(self, place: Place) -> None:
        """A part goes."""
        self.parts -= 1
        self.is_exclusive = False
        self._change(place, 1)

    def _change(self, place: Place, sign: int) -> None:
        need = place.need
        for number in place.gpus:
            self.free[number] += sign * need.share
        cpu = self.room.cpu_milli + sign * need.cpu_milli
        memory = self.room.memory_mib + sign * need.memory_mib
        self.room = Room(self.room.model, cpu, memory, tuple(sorted(self.free)))
        self.version += 1


def _size(need: Need) -> tuple[bool, int, int, int]:
    return need.exclusive, need.parts, need.cpu_milli, need.memory_mib
