"""The scheduler that production keeps between turns, on real tables: what it is told, and what is remembered."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from compute.executors.base import AttemptState
from compute.models import FailureCause, Job, JobAttempt, JobStatus, SchedulerMemory, SchedulerTurn
from compute.queries import budget, snapshot
from compute.scheduling import Start
from compute.services import attempts as attempt_services
from compute.services import keeper as keepers
from compute.services import memory, starts, tick
from compute.services.keeper import Keeper
from core.errors import NotAllowed
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, World

PLENTY = 1000 * TICKS_PER_GPU_HOUR


def _turn(world: World, keeper: Keeper, *, after: timedelta = timedelta(seconds=2)) -> None:
    world.now += after
    tick.tick(world.sessions, world.executors, now=world.now, keeper=keeper)


@pytest.fixture
def builds(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Grows by one whenever a core is built."""
    made: list[object] = []
    real = keepers.scheduling.KeptCore

    def build(*args: object) -> object:
        made.append(args)
        return real(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(keepers.scheduling, "KeptCore", build)
    return made


def test_a_kept_core_starts_what_comes_and_what_becomes_free(world: World, builds: list[object]) -> None:
    world.offer(world.organisation("aws"), ticks=PLENTY)
    project = world.project("vllm")
    grant = world.grant(project, ticks=100 * TICKS_PER_GPU_HOUR)
    keeper = Keeper()
    first = world.job(project, gpus=8)
    _turn(world, keeper)
    second = world.job(project, gpus=2)
    _turn(world, keeper)
    assert (first.status, second.status) == (JobStatus.HELD, JobStatus.QUEUED)
    tick.launch(world.sessions, world.executors, world.attempt(first).id, now=world.now, last_try=False)
    world.executor.say(world.attempt(first).id, AttemptState.RUNNING, started_at=world.now)
    _turn(world, keeper, after=timedelta(minutes=10))
    world.executor.say(world.attempt(first).id, AttemptState.SUCCEEDED, ended_at=world.now)
    _turn(world, keeper)  # sees that it ended
    third = world.job(project, gpus=1)
    _turn(world, keeper)

    assert [world.attempt(job).status for job in (second, third)] == ["held", "held"]
    assert len(builds) == 1, "one core all the time"
    assert budget.of_grant(world.session, grant).left == 100 * TICKS_PER_GPU_HOUR - 8 * TICKS_PER_GPU_HOUR // 6 - 3 * (
        TICKS_PER_GPU_HOUR
    )
    assert world.session.scalar(select(SchedulerTurn.number)) == 5
    row = world.session.scalars(select(SchedulerMemory)).one()
    assert row.past > 8 * 600, "eight GPUs for ten minutes"
    assert [fields[0] for fields in row.jobs] == [str(job.id) for job in (first, second, third)]


def test_another_process_takes_a_turn_and_the_first_begins_anew(world: World, builds: list[object]) -> None:
    world.offer(world.organisation("aws"), ticks=PLENTY)
    project = world.project("vllm")
    world.grant(project, ticks=PLENTY)
    ours, theirs = Keeper(), Keeper()
    _turn(world, ours)
    job = world.job(project)
    _turn(world, theirs)
    _turn(world, ours)
    _turn(world, ours)

    assert job.status is JobStatus.HELD
    assert len(builds) == 3
    assert world.session.scalar(select(func.count(JobAttempt.id))) == 1


def test_a_turn_that_another_took_meanwhile_leaves_no_memory(world: World) -> None:
    ours = Keeper()
    with world.sessions() as session:
        ours.decide(session, world.executors, now=world.now)
    _turn(world, Keeper())
    with world.sessions() as session:
        assert ours.note(session, now=world.now) == ()
        assert memory.number(session) == 1


def test_what_the_infrastructure_failed_is_tried_again_by_the_same_scheduler(world: World, builds: list[object]) -> None:
    world.offer(world.organisation("aws"), ticks=PLENTY)
    project = world.project("vllm")
    world.grant(project, ticks=PLENTY)
    keeper = Keeper()
    job = world.job(project)
    _turn(world, keeper)
    failed = world.attempt(job)
    tick.launch(world.sessions, world.executors, failed.id, now=world.now, last_try=False)
    world.executor.say(failed.id, AttemptState.FAILED, ended_at=world.now, infrastructure=True)
    _turn(world, keeper)
    _turn(world, keeper)

    again = world.attempt(job)
    assert (failed.cause, again.number, again.status) == (FailureCause.INFRASTRUCTURE, 2, "held")
    assert len(builds) == 2


def test_a_job_that_failed_to_launch_while_the_turn_reads_takes_its_gpus_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.offer(world.organisation("aws"), ticks=PLENTY)
    project = world.project("vllm")
    world.grant(project, ticks=PLENTY)
    keeper, job = Keeper(), world.job(project, gpus=2)
    _turn(world, keeper)
    failed, read_queue = world.attempt(job), snapshot._queued

    def another_process_was_faster(*args: Any, **now: Any) -> Any:
        attempt_services.launch_failed(world.session, failed.id, "There is no such image.", now=world.now)
        return read_queue(*args, **now)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(snapshot, "_queued", another_process_was_faster)
        _turn(world, keeper)
    _turn(world, keeper)
    again = world.attempt(job)
    assert (again.number, again.status) == (2, "held")
    tick.launch(world.sessions, world.executors, again.id, now=world.now, last_try=False)
    world.executor.say(again.id, AttemptState.SUCCEEDED, ended_at=world.now)
    _turn(world, keeper)
    whole = world.job(project, gpus=8)
    _turn(world, keeper)

    assert whole.status is JobStatus.HELD, "nothing else runs, so that all eight are free"


def test_a_core_is_built_anew_after_a_day(world: World, builds: list[object]) -> None:
    keeper = Keeper()
    _turn(world, keeper)
    _turn(world, keeper, after=timedelta(hours=23))
    _turn(world, keeper, after=HOUR)
    assert len(builds) == 2


def test_a_turn_that_fails_forgets_the_core(world: World, builds: list[object], monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = Keeper()
    _turn(world, keeper)
    with monkeypatch.context() as broken:
        broken.setattr(tick, "note_waiting", _fail)
        with pytest.raises(ZeroDivisionError):
            _turn(world, keeper)
    _turn(world, keeper)
    assert len(builds) == 2


def test_a_running_job_ends_although_no_turn_can_be_decided(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.offer(world.organisation("aws"), ticks=PLENTY)
    project = world.project("vllm")
    world.grant(project, ticks=PLENTY)
    keeper, job = Keeper(), world.job(project)
    _turn(world, keeper)
    tick.launch(world.sessions, world.executors, world.attempt(job).id, now=world.now, last_try=False)
    world.executor.say(world.attempt(job).id, AttemptState.SUCCEEDED, ended_at=world.now)
    monkeypatch.setattr(keeper, "decide", _fail)
    with pytest.raises(ZeroDivisionError):
        _turn(world, keeper)
    assert job.status is JobStatus.SUCCEEDED


def test_a_job_whose_rows_the_database_refuses_keeps_nobody_else_from_starting(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.offer(world.organisation("aws"), ticks=PLENTY)
    project = world.project("vllm")
    world.grant(project, ticks=PLENTY)
    poisoned, other = world.job(project), world.job(project)
    hold_many = starts.hold_many

    def refuse_one(session: Session, batch: Sequence[Start], *, now: datetime) -> list[JobAttempt]:
        if any(start.job_id == poisoned.id for start in batch):
            session.execute(text("SELECT 1 / 0"))
        return hold_many(session, batch, now=now)

    monkeypatch.setattr(starts, "hold_many", refuse_one)
    keeper = Keeper()
    for _ in range(2):
        _turn(world, keeper)
    assert (poisoned.status, other.status) == (JobStatus.QUEUED, JobStatus.HELD)


def test_the_words_of_a_long_line_are_written_in_several_turns(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keepers, "REASONS_A_TURN", 2)
    world.offer(world.organisation("aws"), ticks=PLENTY)
    project = world.project("vllm")
    world.grant(project, ticks=PLENTY)
    keeper = Keeper()
    world.job(project, gpus=8)
    _turn(world, keeper)
    waiting = [world.job(project, gpus=8) for _ in range(5)]
    _turn(world, keeper)
    assert [job.waiting_code for job in waiting] == ["reserved_next", *["waiting_for_capacity"] * 4], "new ones at once"
    world.session.execute(update(Job).values(waiting_reason="old"))
    told = []
    for seconds in (10, 2, 2, 2):
        _turn(world, keeper, after=timedelta(seconds=seconds))
        world.session.expire_all()
        told.append([job.waiting_reason != "old" for job in waiting].count(True))
    assert told == [2, 4, 5, 5]


def test_a_start_that_was_refused_is_decided_about_anew(
    world: World, builds: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A core that was kept would decide the same again, if what refused it is nothing that it is told."""
    world.offer(world.organisation("aws"), ticks=PLENTY)
    project = world.project("vllm")
    world.grant(project, ticks=PLENTY)
    keeper, job = Keeper(), world.job(project)
    with monkeypatch.context() as raced:
        raced.setattr(starts, "hold_many", _race)
        _turn(world, keeper)
    _turn(world, keeper)
    assert (len(builds), job.status) == (2, JobStatus.HELD)
    _turn(world, keeper)
    assert len(builds) == 2


def _race(*_: object, **__: object) -> None:
    raise NotAllowed("Somebody else was faster.")


def _fail(*_: object, **__: object) -> None:
    raise ZeroDivisionError
