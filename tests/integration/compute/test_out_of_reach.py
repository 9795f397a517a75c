"""A platform without a connection to a pool gives up nothing that may run there, and drops nothing that lies there."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest

import compute.tasks
from compute.executors.base import AttemptState
from compute.models import AttemptStatus, Job, JobStatus
from compute.queries.explain import explain
from compute.services import results, tick
from compute.services.attempts import CollectResults
from core import ledger, tasks
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, World

G = TICKS_PER_GPU_HOUR


@pytest.fixture
def job(world: World) -> Job:
    """A job of one hour that may start."""
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=100 * G)
    world.grant(project, ticks=10 * G)
    return world.job(project)


def test_nothing_starts_out_of_reach_and_the_job_says_so(world: World, job: Job) -> None:
    tick.schedule(world.sessions, {}, now=world.now)
    assert (job.status, job.waiting_code) == (JobStatus.QUEUED, "waiting_for_pool")
    assert "pool Main has them, and nothing here is connected to it" in (job.waiting_reason or "")
    explained = explain(world.session, job, connected=(), now=world.now)
    assert (explained.would_start_now, explained.reason) == (False, job.waiting_reason)
    assert explain(world.session, job, connected=world.executors, now=world.now).would_start_now
    world.tick()
    assert job.status is JobStatus.HELD


def test_what_runs_out_of_reach_goes_on_and_is_charged_when_it_is_seen_again(world: World, job: Job) -> None:
    attempt = world.start(job)
    world.now += HOUR / 2
    tick.watch(world.sessions, {}, now=world.now)
    attempt = world.attempt(job)
    assert (attempt.status, attempt.settled_at, job.status) == (AttemptStatus.RUNNING, None, JobStatus.RUNNING)
    world.finish(attempt, AttemptState.SUCCEEDED, after=HOUR / 4, exit_code=0)
    assert job.status is JobStatus.SUCCEEDED
    assert ledger.balance(world.session, job.grant.ledger_account).posted == 10 * G - 3 * G // 4


def test_what_stays_out_of_reach_is_lost_once_its_time_must_be_over(world: World, job: Job) -> None:
    world.start(job)
    world.now += HOUR
    tick.watch(world.sessions, {}, now=world.now)
    assert world.attempt(job).settled_at is None, "it may be stopping only now"
    world.now += timedelta(minutes=10)
    tick.watch(world.sessions, {}, now=world.now)
    attempt = world.attempt(job)
    assert (attempt.status, job.status, job.waiting_code) == (AttemptStatus.LOST, JobStatus.QUEUED, "waiting_for_retry")
    assert ledger.balance(world.session, job.grant.ledger_account).available == 10 * G


def test_a_launch_that_another_process_began_is_left_to_it(world: World, job: Job) -> None:
    world.tick()
    attempt = world.attempt(job)
    tick.launch(world.sessions, world.executors, attempt.id, now=world.now, last_try=False)
    tick.launch(world.sessions, {}, attempt.id, now=world.now, last_try=False)
    assert world.attempt(job).status is AttemptStatus.STARTING


def test_an_attempt_that_nobody_handed_over_is_given_back_at_once(world: World, job: Job) -> None:
    world.tick()
    tick.launch(world.sessions, {}, world.attempt(job).id, now=world.now, last_try=False)
    attempt = world.attempt(job)
    assert (attempt.status, attempt.launched_at) == (AttemptStatus.LOST, None)
    assert "Nothing here is connected to pool Main" in (attempt.reason or "")


def test_output_out_of_reach_is_collected_later(world: World, job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = world.start(job)
    world.executor.output[attempt.id] = b"one\n"
    attempt = world.finish(attempt, AttemptState.SUCCEEDED, after=HOUR / 4, exit_code=0, output_bytes=4)
    connected: Mapping[str, Any] = {}
    monkeypatch.setattr(compute.tasks, "session_scope", world.sessions)
    monkeypatch.setattr(compute.tasks, "executors", lambda: connected)
    with pytest.raises(tasks.Postpone):
        compute.tasks.collect_results(CollectResults(attempt.id), Mock())
    assert world.attempt(job).collected_at is None
    connected = world.executors
    compute.tasks.collect_results(CollectResults(attempt.id), Mock())
    attempt = world.attempt(job)
    assert results.read_output(attempt, {}, offset=0, limit=100).text == "one\n"
