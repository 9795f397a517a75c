"""Utilisation and fairness: what the pages say is what the jobs did."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from compute.executors.base import AttemptState
from compute.models import Job, JobWait
from compute.queries import use
from compute.services import attempts
from core.clock import utc_now
from core.identity.models import Project
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, World
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR
LONG = "Verein zur Förderung quelloffener Wettervorhersage-Infrastruktur im Alpenraum und angrenzenden Gebieten e. V."


@pytest.fixture
def vllm(world: World) -> Project:
    made = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=5000 * G)
    world.grant(made, ticks=500 * G)
    return made


def ended(world: World, attempt_of: Job, *, after: timedelta) -> None:
    attempt = world.start(attempt_of)
    world.finish(attempt, AttemptState.SUCCEEDED, after=after, started_at=attempt.started_at, exit_code=0)


def waits(world: World, job: Job) -> dict[str, int]:
    rows = world.session.execute(select(JobWait.reason, JobWait.waited_ms).where(JobWait.job_id == job.id))
    return {reason: waited_ms // 1000 for reason, waited_ms in rows}


def test_a_wait_is_kept_under_each_of_its_reasons_when_it_ends(world: World, vllm: Project) -> None:
    first = world.start(world.job(vllm, gpus=8))
    job = world.job(vllm, gpus=8)
    world.now += timedelta(seconds=10)
    world.tick()
    assert waits(world, job) == {"waiting_for_scheduler": 10}
    world.finish(first, AttemptState.SUCCEEDED, after=timedelta(minutes=30), started_at=first.started_at, exit_code=0)
    world.tick()
    assert waits(world, job) == {"waiting_for_scheduler": 10, "reserved_next": 1800}


def test_going_back_to_a_reason_adds_to_it_and_many_jobs_change_in_one_statement(world: World, vllm: Project) -> None:
    jobs = [world.job(vllm), world.job(vllm)]
    for reason in ("a", "b", "a", "b"):
        world.now += timedelta(seconds=7)
        world.session.execute(
            update(Job)
            .where(Job.id.in_([job.id for job in jobs]))
            .values(waiting_code=reason, waiting_since=world.now)
            .execution_options(synchronize_session=False)
        )
    world.session.execute(update(Job).values(waiting_reason="says more now").execution_options(synchronize_session=False))
    for job in jobs:
        assert waits(world, job) == {"waiting_for_scheduler": 7, "a": 14, "b": 7}


def test_a_cancelled_wait_is_kept_too(world: World, vllm: Project) -> None:
    job = world.job(vllm)
    world.now += timedelta(seconds=42)
    attempts.cancel(world.session, job.id, actor=None, reason="not needed", now=world.now)
    world.session.flush()
    assert waits(world, job) == {"waiting_for_scheduler": 42}


def test_a_pool_is_busy_on_the_days_its_devices_were_taken(world: World, vllm: Project) -> None:
    """The world begins at half past nine; four of eight devices are taken for a day and a half from noon on."""
    world.pool.wall_seconds_max = 48 * 3600
    world.now += timedelta(hours=2, minutes=30)
    noon = world.now
    ended(world, world.job(vllm, gpus=4, wall_seconds=40 * 3600), after=timedelta(hours=36))
    days = use.days_until(world.now, 3)
    assert [day.isoformat() for day in days] == ["2026-11-02", "2026-11-03", "2026-11-04"]
    (line,) = use.pools_by_day(world.session, [days[0] - timedelta(days=1), *days[:2]], now=noon + timedelta(hours=36))
    before, first, second = line.shares
    assert before is None
    assert first == pytest.approx(4 * 12 / (8 * 14.5))
    assert second == pytest.approx(4 * 24 / (8 * 24))
    assert line.used_gpu_seconds == 4 * 36 * 3600


def test_what_still_runs_counts_until_now(world: World, vllm: Project) -> None:
    world.start(world.job(vllm, gpus=8, wall_seconds=7200))
    (line,) = use.pools_by_day(world.session, use.days_until(world.now, 1), now=world.now + HOUR)
    assert line.used_gpu_seconds == 8 * 3600


def test_fair_shares_count_waits_for_gpus_and_no_others(world: World, vllm: Project) -> None:
    other = world.project("deepspeed")
    world.grant(other, ticks=100 * G)
    first, waiting = world.start(world.job(vllm, gpus=8)), world.job(other, gpus=8)
    world.tick()
    world.finish(first, AttemptState.SUCCEEDED, after=HOUR, started_at=first.started_at, exit_code=0)
    ended(world, waiting, after=HOUR)
    found = use.fairness(world.session, world.flavor, days=7, now=world.now + HOUR)
    assert {line.project: (line.used / 3600, round(line.fair / 3600, 6)) for line in found.got} == {
        "vllm": (8, 4),
        "deepspeed": (8, 12),
    }
    assert [(line.reason, line.seconds, line.jobs) for line in found.reasons] == [("reserved_next", 3600, 1)]
    assert sum(week.jobs for week in found.weeks) == 2
    # Had its own grant been in the way, nobody would have had its share.
    world.session.execute(update(JobWait).where(JobWait.reason == "reserved_next").values(reason="waiting_for_grant"))
    found = use.fairness(world.session, world.flavor, days=7, now=world.now + HOUR)
    assert {line.project: round(line.fair / 3600, 6) for line in found.got} == {"vllm": 8, "deepspeed": 8}


def test_a_wait_that_still_lasts_counts_until_now(world: World, vllm: Project) -> None:
    world.job(vllm)
    found = use.fairness(world.session, world.flavor, days=7, now=world.now + HOUR)
    assert [(line.reason, line.seconds, line.jobs) for line in found.reasons] == [("waiting_for_scheduler", 3600, 1)]
    assert found.got == []


def test_the_pages_are_open_and_say_so_when_there_is_nothing(world: World, client: Client) -> None:
    world.person("Somebody")  # an installation without people asks for its first administrator
    assert "not there yet" in client.get("/compute/utilisation").words
    assert "No jobs yet" in client.get("/compute/fairness").words
    assert client.get("/compute/utilisation?days=8").status == 422
    assert client.get("/compute/fairness?flavor=none").status in {404, 422}


def test_long_names_and_long_waits_have_their_place(world: World, client: Client) -> None:
    world.now = utc_now() - timedelta(days=10)
    world.pool.created_at = world.now
    world.person("Somebody")
    project = world.project("long")
    project.name = LONG
    world.offer(world.organisation("aws"), ticks=5000 * G)
    world.grant(project, ticks=500 * G)
    for _ in range(2):
        ended(world, world.job(project, gpus=8), after=HOUR)
        world.now += timedelta(days=7)
    shown = client.get("/compute/fairness?days=30")
    assert LONG in shown.words
    assert "100 %" in shown.words
    assert len(use.fairness(world.session, world.flavor, days=30, now=utc_now()).weeks) > 1
    assert shown.text.count("<polyline") == 2
    assert "No job waited for as long as a second" in shown.words
    used = client.get("/compute/utilisation")
    assert "Main" in used.words
    assert used.text.count("<polyline") == 1
