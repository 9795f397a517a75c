"""What the journey through the scheduler's pages starts from: two weeks of jobs on two kinds of GPU, one that does nothing now,
two that wait for it, and names as long as people give them."""

from dataclasses import dataclass
from datetime import timedelta
from fractions import Fraction
from uuid import UUID

from journey import Site
from sqlalchemy.orm import Session

from compute.executors.base import Activity
from compute.models import JobKind, SourceKind
from compute.services import activity, catalogue, expectations, tick
from core.clock import utc_now
from core.identity.models import Project, Role
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, ScriptedExecutor, World

LONG = "Verein zur Förderung quelloffener Wettervorhersage-Infrastruktur im Alpenraum und angrenzenden Gebieten e. V."
UNBROKEN = "tests_distributed_all_reduce_with_gradient_accumulation_and_activation_checkpointing_fp8_on_eight_ranks"
DAYS = 15


class IdleGpus(ScriptedExecutor):
    """Goes by the name of an executor that the site has, so that its pool is in reach; its GPUs do nothing."""

    name = "local"

    def activity(self, attempt_id: UUID) -> Activity | None:
        started_at = self.known[attempt_id].started_at
        return Activity(started_at, has_gpus=True, gpu_percent=0, cpu_seconds=0.0) if started_at else None


@dataclass(frozen=True)
class Line:
    """What the pages are about."""

    idle: UUID
    first_waiting: UUID
    second_waiting: UUID
    grant: UUID


def arrange(site: Site) -> Line:
    """Make it; the people sign in with the site's password."""
    site.add_person("olga@example.org", "Olga Officer", Role.PROGRAMME_OFFICER)
    site.add_person("otto@example.org", "Otto Officer", Role.PROGRAMME_OFFICER)
    with site.session() as session:
        world = _world(session)
        vllm, long = world.project("vllm"), world.project("alpenwetter")
        long.name = LONG
        grant = world.grant(vllm, ticks=2_000 * TICKS_PER_GPU_HOUR)
        world.grant(long, ticks=2_000 * TICKS_PER_GPU_HOUR)
        for _ in range(DAYS):
            _day(world, vllm, long)
        idle = world.start(world.job(vllm, gpus=8, wall_seconds=4 * 3600, name="nightly bench"))
        first = world.job(long, gpus=8, name=UNBROKEN)
        second = world.job(vllm, gpus=2, wall_seconds=2 * 3600)
        for _ in range(17):
            world.now += timedelta(minutes=1)
            activity.look_around(world.sessions, world.executors, now=world.now)
        world.tick()
        expectations.look_ahead(world.sessions, world.executors, now=world.now)
        return Line(idle.job_id, first.id, second.id, grant.id)


def _world(session: Session) -> World:
    """Eight H100 and eight A100, the latter at a rate that its benchmarks don't bear out. Its clock ends about now."""
    now = utc_now() - timedelta(days=DAYS, minutes=18)
    made = {}
    for slug, name, rate in (("a100", "NVIDIA A100", Fraction(1, 2)), ("h100", "NVIDIA H100", Fraction(1))):
        flavor = catalogue.add_flavor(session, slug=slug, name=name, vendor="NVIDIA", author=None, now=now)
        catalogue.set_rate(session, flavor, rate, valid_from=now - HOUR, source="A test", author=None, now=now)
        pool = catalogue.add_pool(
            session, slug=slug, name=f"{name} in Dublin", flavor=flavor, executor=IdleGpus.name, devices=8,
            runs=[SourceKind.COMMAND], author=None, now=now,
        )  # fmt: skip
        pool.created_at = now
        made[slug] = flavor, pool
    world = World(session, now, *made["a100"], executor=IdleGpus())
    aws = world.organisation("aws")
    world.offer(aws, ticks=4_000 * TICKS_PER_GPU_HOUR, name="A100 hours", closes_in=timedelta(days=60))
    world.flavor, world.pool = made["h100"]
    world.offer(aws, ticks=4_000 * TICKS_PER_GPU_HOUR, name="H100 hours", closes_in=timedelta(days=60))
    return world


def _day(world: World, vllm: Project, long: Project) -> None:
    """The same benchmark on both kinds, then a job that needs all of one kind, and another that waits for it."""
    began = world.now
    for flavor, minutes in (("h100", 60), ("a100", 75)):
        job = world.job(
            vllm, flavor=flavor, kind=JobKind.BENCHMARK, command="bench serve", name="serving", gpus=2, wall_seconds=7200
        )
        world.past(job, lasted=timedelta(minutes=minutes))
    first = world.job(long, gpus=8)
    tick.schedule(world.sessions, world.executors, now=world.now)
    second = world.job(vllm, gpus=4)
    world.past(first, lasted=timedelta(minutes=40))
    world.past(second, lasted=timedelta(minutes=20))
    world.now = began + timedelta(days=1)
