"""Random small worlds: few pools, few GPUs, few names, so that everything collides with everything.

Drawn from a seed rather than by Hypothesis: thousands of crowded worlds a second, where Hypothesis prefers empty ones in which
no job ever meets another. A failing test names the seed.
"""

import random
from dataclasses import replace
from typing import Any
from uuid import UUID

from scheduling_build import HOUR, NOON, UNLIMITED, uid

from compute.scheduling import Grant, Job, Knobs, Limit, Offer, Pool, PoolState, Project, Running, Snapshot, Whole
from compute.scheduling.hosts.book import alone_takes
from compute.scheduling.hosts.placement import Host
from core.units import TICKS_PER_GPU_SECOND

FLAVORS = ["H100", "L4"]
POOLS = ["berlin", "paris"]
PROJECTS = ["vllm", "deepspeed", "ray"]
PEOPLE = ["ada", "bob"]
GRANTS = ["g1", "g2"]
OFFERS = ["o1", "o2", "o3"]


def world(seed: int) -> Snapshot:
    """The world of this seed: each in its own way short of something."""
    chance = random.Random(seed)
    metered = chance.random() < 0.5
    limited = chance.random() < 0.4
    windows = chance.random() < 0.3
    busy = chance.randint(0, 4)
    return Snapshot(
        now=NOON,
        pools=tuple(_pool(name, chance, windows) for name in POOLS[: chance.randint(1, 2)]),
        projects=tuple(
            Project(uid(name), chance.choice([1, 1, 2, 3]), _gpu_hours(chance, 60), _limit(chance) if limited else UNLIMITED)
            for name in PROJECTS
        ),
        queued=tuple(_job(number, chance, metered) for number in range(chance.randint(1, 9))),
        running=tuple(_run(number, chance) for number in range(busy)),
        offers=tuple(_offer(name, chance, windows) for name in OFFERS),
        grants=tuple(
            Grant(
                uid(name),
                _gpu_hours(chance, 40),
                NOON - HOUR,
                NOON + (chance.randint(1, 8) if windows else 99) * HOUR,
            )
            for name in GRANTS
        ),
        submitter_limits={uid(name): _limit(chance) for name in PEOPLE if limited},
        knobs=Knobs(
            past_weight=chance.choice([0.0, 1e-5]),
            overhead_seconds=chance.choice([0, 60]),
            backfill=chance.random() < 0.9,
            looks_max=10**6,
        ),
    )


def on_hosts(world: Snapshot, seed: int) -> Snapshot:
    """The same world with H100 on hosts of several sizes, where some jobs want one alone."""
    chance = random.Random(seed)
    sizes = {pool.id: _sizes(pool.name, pool.capacity["H100"], chance) for pool in world.pools}
    free = {(pool_id, name): size for pool_id, each in sizes.items() for name, size in each.items()}
    running = []
    for run in world.running:
        here = [key for key, left in free.items() if key[0] == run.pool_id and left >= run.gpus and run.flavor == "H100"]
        host = chance.choice(here)[1] if here else ""  # no such host (any more)
        if host:
            free[run.pool_id, host] -= run.gpus
        running.append(replace(run, host=host))
    pools = []
    for pool in world.pools:
        hosts = tuple(Host(name, size) for name, size in sizes[pool.id].items())
        pools.append(replace(pool, capacity={"H100": pool.capacity["H100"]}, hosts=hosts))
    queued = [replace(job, wholes=_wholes(job, sizes)) if chance.random() < 0.4 else job for job in world.queued]
    return replace(world, pools=tuple(pools), running=tuple(running), queued=tuple(queued))


def _sizes(pool: str, gpus: int, chance: random.Random) -> dict[str, int]:
    sizes = chance.choice([(4, 4), (4, 2, 2), (6, 2), (8,)]) if gpus == 8 else chance.choice([(2, 2), (3, 1), (4,)])
    return {f"{pool} {number}": size for number, size in enumerate(sizes)}


def _wholes(job: Job, sizes: dict[UUID, dict[str, int]]) -> tuple[Whole, ...]:
    wholes = []
    for pool_id, there in sizes.items():
        gpus = alone_takes(there.values(), job.gpus)
        if gpus is not None:
            wholes.append(Whole(pool_id, "H100", gpus, job.cost_ticks * gpus // job.gpus, job.offer_ticks * gpus // job.gpus))
    return tuple(wholes)


def _pool(name: str, chance: random.Random, windows: bool) -> Pool:
    state = (
        PoolState.OPEN if chance.random() < 0.9 else chance.choice([PoolState.DRAINING, PoolState.OUT_OF_REACH, PoolState.CLOSED])
    )
    open_until = NOON + chance.randint(1, 9) * HOUR // 2 if windows and chance.random() < 0.4 else None
    return Pool(uid(name), name, {"H100": chance.choice([4, 8, 8]), "L4": chance.choice([0, 4])}, state, open_until)


def _job(number: int, chance: random.Random, metered: bool) -> Job:
    gpus = chance.choice([1, 1, 2, 3, 4, 8])
    wall = chance.randint(1, 8) * HOUR // 2
    ticks = gpus * wall * TICKS_PER_GPU_SECOND
    return Job(
        id=uid(f"job {number}"),
        project_id=uid(chance.choice(PROJECTS)),
        submitter_id=uid(chance.choice(PEOPLE)) if chance.random() < 0.5 else None,
        submitted_at=NOON - chance.randint(0, 4) * HOUR,
        flavor=chance.choice(["H100", "H100", "H100", "L4"]),
        gpus=gpus,
        wall_seconds=wall,
        cost_ticks=chance.choice([1, 2]) * ticks,
        grant_id=uid(chance.choice(GRANTS)) if metered and chance.random() < 0.5 else None,
        offer_ticks=ticks,
        offers=frozenset(map(uid, chance.sample(OFFERS, chance.randint(1, 3)))) if metered and chance.random() < 0.5 else None,
        pools=frozenset({uid(chance.choice(POOLS))}) if chance.random() < 0.2 else None,
    )


def _run(number: int, chance: random.Random) -> Running:
    gpus = chance.randint(1, 4)
    return Running(
        job_id=uid(f"run {number}"),
        project_id=uid(chance.choice(PROJECTS)),
        submitter_id=uid(chance.choice(PEOPLE)) if chance.random() < 0.5 else None,
        pool_id=uid(chance.choice(POOLS)),
        flavor=chance.choice(["H100", "H100", "L4"]),
        gpus=gpus,
        rate=gpus * TICKS_PER_GPU_SECOND,
        ends_by=NOON + chance.randint(-1, 6) * HOUR // 2,
    )


def _offer(name: str, chance: random.Random, windows: bool) -> Offer:
    times: dict[str, Any] = {"opens_at": NOON - HOUR, "closes_at": NOON + chance.randint(4, 90) * HOUR}
    if windows:
        times = {"opens_at": NOON + chance.choice([-1, -1, 0, 1]) * HOUR, "closes_at": NOON + chance.randint(1, 8) * HOUR}
    pool, flavor = chance.choice(["berlin", "berlin", "paris"]), chance.choice(["H100", "H100", "L4"])
    return Offer(uid(name), uid(pool), flavor, _gpu_hours(chance, 25), **times)


def _gpu_hours(chance: random.Random, most: int) -> int:
    return chance.randint(0, 2 * most) * TICKS_PER_GPU_SECOND * HOUR // 2


def _limit(chance: random.Random) -> Limit:
    return Limit(chance.choice([None, 1, 2, 3]), chance.choice([None, None, 2, 4, 8]))
