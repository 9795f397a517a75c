"""Starts are carried out many at a time; what one of them meets is no trouble of the others."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, text

from compute import scheduling
from compute.models import Job, JobStatus
from compute.queries import snapshot
from compute.services import attempts, starts, tick
from core import ledger
from core.tasks import TaskRow
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import World

G = TICKS_PER_GPU_HOUR


def planned(world: World, *jobs: Job) -> Sequence[scheduling.Start]:
    """Starts of these jobs, as a scheduler says them that saw each alone."""
    (start, *_) = scheduling.plan(snapshot.take(world.session, now=world.now)).starts
    return [replace(start, job_id=job.id, gpus=job.gpus) for job in jobs]


def held(world: World, account: str) -> int:
    return ledger.balance(world.session, account).pending_out


def test_a_batch_shares_the_devices_the_offers_and_the_grant(world: World) -> None:
    one, two = world.project("vllm"), world.project("ray")
    first = world.offer(world.organisation("aws"), ticks=3 * G, name="runs dry")
    second = world.offer(world.organisation("nvidia"), ticks=100 * G)
    grants = [world.grant(one, ticks=5 * G), world.grant(two, ticks=5 * G)]
    jobs = [world.job(one, gpus=2), world.job(two, gpus=2), world.job(one, gpus=3), world.job(two, gpus=3)]
    made = starts.hold_many(world.session, planned(world, *jobs, jobs[0]), now=world.now)
    assert [attempt.job_id for attempt in made] == [job.id for job in jobs[:3]], "the pool has eight devices; twice is once"
    assert [held(world, offer.ledger_account) for offer in (first, second)] == [3 * G, 4 * G]
    assert [held(world, grant.ledger_account) for grant in grants] == [5 * G, 2 * G]
    for attempt in made:
        world.session.refresh(attempt, ["draws"])
        assert sum(draw.held_ticks for draw in attempt.draws) == attempt.held_ticks
    assert world.session.scalar(select(func.count()).where(TaskRow.kind == attempts.LaunchAttempt.kind)) == 3


def test_a_start_that_raced_holds_up_no_other(world: World) -> None:
    one, two = world.project("vllm"), world.project("ray")
    world.offer(world.organisation("aws"), ticks=100 * G)
    world.grant(one, ticks=2 * G)
    world.grant(two, ticks=2 * G)
    jobs = [world.job(one, gpus=2), world.job(one, gpus=2), world.job(two, gpus=2)]
    batch = planned(world, *jobs)
    with pytest.raises(ledger.InsufficientFunds), world.sessions() as session:
        starts.hold_many(session, batch, now=world.now)
    assert {job.status for job in jobs} == {JobStatus.QUEUED}, "together they are refused whole"
    tick.carry_out(world.sessions, batch, now=world.now)
    assert [job.status for job in jobs] == [JobStatus.HELD, JobStatus.QUEUED, JobStatus.HELD]


def test_a_reason_is_written_when_it_changes_and_only_then(world: World) -> None:
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=500 * G)
    world.grant(project, ticks=500 * G)
    runs, waits, behind = (world.job(project, gpus=gpus, wall_seconds=3600 * gpus) for gpus in (4, 7, 8))
    world.tick()
    assert runs.status is JobStatus.HELD
    assert waits.waiting_code == "reserved_next"
    assert behind.waiting_code == "waiting_for_capacity"
    written = _written(world)
    world.tick()
    assert _written(world) == written, "nothing changed, nothing was written"
    attempts.cancel(world.session, waits.id, actor=None, reason="", now=world.now)
    world.now += timedelta(minutes=1)
    world.tick()
    assert (behind.waiting_code, behind.waiting_since) == ("reserved_next", world.now)


def _written(world: World) -> set[tuple[object, str]]:
    """Which transaction wrote each job last."""
    return {(row.id, row.xmin) for row in world.session.execute(text("SELECT id, xmin::text FROM job"))}
