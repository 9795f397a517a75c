"""What the made-up platform of _life.py is made of: pools, windows, offers, grants, limits, a quota group, and who comes.

Three pools. Paris closes for maintenance every other day and takes reviewed code only, Rome is out of reach on some evenings.
In Berlin GPUs are taken for maintenance and for reservations, told long before or not, and projects own some of them and lend
each other what they don't use.
"""

import random
from dataclasses import dataclass, field
from uuid import UUID

from compute.scheduling import (
    Alternative,
    Grant,
    Instant,
    Job,
    Knobs,
    Limit,
    Offer,
    Pool,
    PoolState,
    Priority,
    Project,
    Quota,
    Share,
    Terms,
    Window,
)

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600
BEGINS = 20_000 * DAY
STEP = 5 * MINUTE
"""Arrivals and ends count at full steps, so that a moment has several of them."""

TICKS = 840  # in a GPU-second
DECLARED = tuple(minutes * MINUTE for minutes in (10, 20, 30, 60, 120, 240, 480))
SIZES = (*[1] * 16, *[2] * 10, *[4] * 8, *[8] * 6, 16)
JOBS_A_DAY = 1100
"""About as many as the platform can take."""

KNOBS = Knobs(overhead_seconds=STEP, looks_max=10_000)
"""As in production: everybody is looked at, and jobs take a while to be stopped."""

ORDINARY, URGENT, SPARE = Priority(), Priority(1, "Urgent"), Priority(-1, "Whenever")
UNLIMITED = Limit()
BERLIN, PARIS, ROME = (UUID(int=number) for number in (1, 2, 3))
PROJECTS = [UUID(int=100 + number) for number in range(16)]
PEOPLE = [UUID(int=200 + number) for number in range(24)]
LANES = [(BERLIN, "h100"), (BERLIN, "h100"), (PARIS, "h100"), (PARIS, "l4"), (ROME, "l4")]


@dataclass(frozen=True)
class Coming:
    """A job before it is submitted, and how long it will really have its GPUs."""

    job: Job
    run_seconds: int


@dataclass(frozen=True)
class MadeUp:
    """The platform at its beginning, and who will come; the next one last."""

    grants: dict[UUID, Grant] = field(default_factory=dict)
    offers: dict[UUID, Offer] = field(default_factory=dict)
    projects: dict[UUID, Project] = field(default_factory=dict)
    people: dict[UUID, Limit] = field(default_factory=dict)
    windows: list[Window] = field(default_factory=list)
    coming: list[Coming] = field(default_factory=list)


def pools(now: Instant) -> tuple[Pool, ...]:
    """Paris closes for four hours every other day, and says so before; Rome is out of reach on some evenings."""
    into = now % (2 * DAY)
    closed = into < 4 * HOUR
    return (
        Pool(BERLIN, "berlin", {"h100": 48}),
        Pool(
            PARIS,
            "paris",
            {"h100": 16, "l4": 16},
            PoolState.DRAINING if closed else PoolState.OPEN,
            None if closed else now - into + 2 * DAY,
        ),
        Pool(ROME, "rome", {"l4": 8}, PoolState.OUT_OF_REACH if now % DAY > 20 * HOUR else PoolState.OPEN),
    )


def quotas() -> tuple[Quota, ...]:
    """Eight projects own 34 of Berlin's 48 GPUs."""
    shares = {
        key: Share(nominal, lends, borrows)
        for key, nominal, lends, borrows in zip(
            PROJECTS,
            (4, 4, 8, 4, 2, 4, 4, 4),
            (None, 2, None, None, 0, None, 3, None),
            (None, None, 8, 4, None, 0, None, 12),
            strict=False,
        )
    }
    return (Quota("owners", BERLIN, "h100", shares, Terms(2 * STEP, 4 * HOUR)),)


def made_up(jobs: int, chance: random.Random, *, jobs_a_day: int) -> MadeUp:
    """So many jobs on a platform that is nearly full."""
    made, days = MadeUp(), jobs / jobs_a_day
    for number, key in enumerate(PROJECTS):
        limit = Limit(jobs=chance.choice([2, 4, None]), gpus=chance.choice([8, 12, None])) if number % 4 == 0 else UNLIMITED
        made.projects[key] = Project(key, chance.choice([1, 1, 2, 3]), 0, limit)
        opens = BEGINS + (_whole_steps(days * chance.random() * DAY / 3) if number % 5 == 1 else 0)
        closes = BEGINS + round(days * (0.6 + chance.random()) * DAY) if number % 5 == 2 else BEGINS + 999 * DAY
        grant = Grant(UUID(int=300 + number), chance.choice([30, 300, 3000]) * HOUR * TICKS, opens, closes)
        made.grants[grant.id] = grant
    for number, key in enumerate(PEOPLE):
        if number % 4 == 0:
            made.people[key] = Limit(jobs=chance.choice([1, 3]), gpus=chance.choice([None, 8]))
    for number in range(15):
        pool_id, flavor = LANES[number % len(LANES)]
        first = number < len(LANES)
        opens = BEGINS if first else BEGINS + _whole_steps(chance.random() * days * DAY)
        closes = BEGINS + 999 * DAY if number == 0 else opens + round((0.2 + chance.random()) * days * DAY)
        hours = 10**6 if number == 0 else chance.choice([50, 500, 5000])
        offer = Offer(UUID(int=400 + number), pool_id, flavor, hours * HOUR * TICKS, opens, closes)
        made.offers[offer.id] = offer
    made.windows.extend(_window(number, chance) for number in range(round(2 * days) + 1))
    made.coming.extend(
        sorted(
            (_coming(chance, made, days) for _ in range(jobs)),
            key=lambda each: (each.job.submitted_at, each.job.id),
            reverse=True,
        )
    )
    return made


def known_from(window: Window) -> Instant:
    """When a window is planned: half a day ahead, or, every third of them, at short notice."""
    return window.begins_at - (12 * HOUR if window.id.int % 3 else HOUR)


def _window(number: int, chance: random.Random) -> Window:
    """Twice a day Berlin loses some GPUs for a few hours: to maintenance, or to one project."""
    begins = BEGINS + number * DAY // 2 + _whole_steps(chance.random() * DAY / 4)
    ends, gpus = begins + chance.choice([2, 4]) * HOUR, chance.choice([8, 16, 24])
    if chance.random() < 0.5:
        return Window(UUID(int=500 + number), BERLIN, "h100", gpus, begins, ends, "new fans")
    return Window(UUID(int=500 + number), BERLIN, "h100", gpus, begins, ends, "a demonstration", chance.choice(PROJECTS))


def _whole_steps(seconds: float) -> int:
    return round(seconds / STEP) * STEP


def _coming(chance: random.Random, made: MadeUp, days: float) -> Coming:
    at = BEGINS + round(chance.random() * days * DAY)
    if chance.random() < 0.5:  # half of them come in the busy hours of a day
        at = at // DAY * DAY + 9 * HOUR + round(chance.random() * 6 * HOUR)
    gpus, wall = chance.choice(SIZES), chance.choice(DECLARED)
    if chance.random() < 0.003:
        gpus = 64  # more than any pool has
    place = min(len(PROJECTS) - 1, int(chance.expovariate(0.3)))
    ticks = gpus * wall * TICKS
    metered = chance.random() < 0.5
    distrusted = chance.random() < 0.1
    flavor = "l4" if (distrusted and gpus == 16) or (gpus <= 8 and chance.random() < 0.15) else "h100"
    either = flavor == "h100" and gpus <= 8 and chance.random() < 0.2
    somewhere = None if chance.random() < 0.8 else frozenset({chance.choice([BERLIN, PARIS])})
    job = Job(
        id=UUID(int=chance.getrandbits(128)),
        project_id=PROJECTS[place],
        submitter_id=PEOPLE[(place * 3 + chance.randint(0, 2)) % len(PEOPLE)] if chance.random() < 0.8 else None,
        submitted_at=at,
        flavor=flavor,
        gpus=gpus,
        wall_seconds=wall,
        cost_ticks=ticks,
        grant_id=UUID(int=300 + place) if metered else None,
        offer_ticks=ticks,
        offers=frozenset(chance.sample(sorted(made.offers), 11)) if metered else None,
        pools=frozenset({BERLIN, ROME}) if distrusted else somewhere,
        priority=chance.choices([ORDINARY, URGENT, SPARE], [92, 4, 4])[0],
        distrusted_in=("paris",) if distrusted else (),
        alternatives=(Alternative("l4", ticks // 2, ticks),) if either else (),
    )
    return Coming(job, max(STEP, _whole_steps(wall * chance.random() ** 3)))
