"""What bench/scheduling schedules: 10,000 GPUs and 500 projects under every rule, and what they submit; drawn from a seed.

Shaped like CI: most jobs ask for one GPU and minutes, some for a host or two and hours. Each project has its own weight, three
people, and 40 ways of asking (who, which lanes, how many GPUs, what declared time) that come again and again. What is declared
is a few times what is used. A quarter of the ways may run in either of two lanes; one in fifty goes ahead of fairness.

Every job is metered by its project's grant and by the offers of its lane, every project and person has a limit, and each lane has
maintenance before it. One grant in ten runs dry, one limit in twenty is tight; those jobs wait for that, as they would.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from compute.scheduling.events import Choice, Event, GrantSet, Kind, OfferSet, ProjectSet, SubmitterSet, WindowSet
from compute.scheduling.model import Limit, Name, Priority
from core.units import TICKS_PER_GPU_HOUR, TICKS_PER_GPU_SECOND

LANES: dict[Name, int] = {"berlin h100": 4_000, "paris a100": 3_500, "oregon l4": 2_500}
WORTH: dict[Name, int] = {"berlin h100": 8, "paris a100": 4, "oregon l4": 1}
"""What a GPU of each is worth, in eighths of the reference."""
GPUS = sum(LANES.values())
PROJECTS = 500
WAYS = 40
SIZES = {1: 62, 2: 14, 4: 11, 8: 11, 16: 2}
"""GPUs of a job, and how many of a hundred jobs ask for so many."""
DECLARED_MINUTES = {5: 8, 10: 14, 15: 10, 20: 8, 30: 16, 45: 6, 60: 14, 90: 5, 120: 8, 240: 6, 480: 3, 1440: 2}
HOUR = 3600
PEOPLE = "abc"


@dataclass(frozen=True, slots=True)
class Asked:
    """A job, and how long it runs, which no scheduler sees."""

    name: int
    kind: Kind
    run_seconds: int


class Platform:
    """Draws jobs: the same seed, the same jobs."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.weights: dict[Name, int] = {f"project {n:03}": self._chance.choice([1, 1, 1, 2, 3, 5]) for n in range(PROJECTS)}
        self._names = list(self.weights)
        # Few projects submit much, many submit little.
        self._activity = list(accumulate(1 / (rank + 10) for rank in range(PROJECTS)))
        self._ways = {project: [self._way(project) for _ in range(WAYS)] for project in self._names}
        self._drawn = 0

    def jobs(self, count: int) -> Iterator[Asked]:
        """The next so many."""
        for project in self._chance.choices(self._names, cum_weights=self._activity, k=count):
            kind = self._chance.choice(self._ways[project])
            used = min(1.0, self._chance.betavariate(0.9, 2.2) + 0.01)
            self._drawn += 1
            yield Asked(self._drawn, kind, max(1, int(kind.wall_seconds * used)))

    def rules(self) -> list[Event]:
        """The figures of every rule, at the beginning."""
        events: list[Event] = []
        for project, weight in self.weights.items():
            dry = self._chance.random() < 0.1
            events.append(GrantSet(f"grant of {project}", (5 if dry else 500_000) * TICKS_PER_GPU_HOUR))
            tight = self._chance.random() < 0.05
            events.append(ProjectSet(project, weight, Limit(jobs=2_000, gpus=16 if tight else 1_000)))
            events += [SubmitterSet(f"{project} {person}", Limit(gpus=500)) for person in PEOPLE]
        for lane, gpus in LANES.items():
            for number, days in enumerate((10, 100)):
                given = 50_000_000 * TICKS_PER_GPU_HOUR
                events.append(OfferSet(f"{lane} {number}", lane, given, closes_at=days * 24 * HOUR))
            events.append(WindowSet(f"upkeep of {lane}", lane, gpus // 50, 6 * HOUR, 8 * HOUR, "new switches"))
        return events

    def pause(self, load: float) -> float:
        """Seconds until the next submission, if the GPUs are asked for `load` times their time."""
        return self._chance.expovariate(load * GPUS / self.mean_gpu_seconds)

    @property
    def mean_gpu_seconds(self) -> float:
        """What a job takes on average, by the distributions above."""
        gpus = sum(size * share for size, share in SIZES.items()) / sum(SIZES.values())
        declared = sum(60 * minutes * share for minutes, share in DECLARED_MINUTES.items()) / sum(DECLARED_MINUTES.values())
        return gpus * declared * (0.9 / (0.9 + 2.2) + 0.01)

    def _way(self, project: Name) -> Kind:
        draw = self._chance
        lanes = draw.choices(list(LANES), weights=list(LANES.values()), k=2)
        gpus = draw.choices(list(SIZES), weights=list(SIZES.values()))[0]
        wall = 60 * draw.choices(list(DECLARED_MINUTES), weights=list(DECLARED_MINUTES.values()))[0]
        either = dict.fromkeys(lanes if draw.random() < 0.5 else lanes[:1])  # the same twice is once
        return Kind(
            project=project,
            submitter=f"{project} {draw.choice(PEOPLE)}",
            choices=tuple(_choice(lane, gpus * wall, order) for order, lane in enumerate(either)),
            gpus=gpus,
            wall_seconds=wall,
            grant=f"grant of {project}",
            offers=frozenset(f"{lane} {number}" for lane in either for number in range(2)),
            priority=Priority(1, "a release") if draw.random() < 0.02 else Priority(),
        )


def _choice(lane: Name, gpu_seconds: int, order: int) -> Choice:
    return Choice(lane, gpu_seconds * TICKS_PER_GPU_SECOND * WORTH[lane] // 8, gpu_seconds * TICKS_PER_GPU_SECOND, order)
