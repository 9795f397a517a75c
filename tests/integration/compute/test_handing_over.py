"""A start that is handed over late: what must last as long as the job is asked again, and what no longer fits waits on."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from fractions import Fraction
from uuid import UUID

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from compute.executors.base import ExecutorError, Stop
from compute.models import AttemptStatus, Job, JobAttempt, JobStatus, PoolStatus, PoolWindow, SourceKind, WindowKind
from compute.queries import budget
from compute.services import catalogue, offers, tick, windows
from compute.services.attempts import LAUNCH_PATIENCE
from compute.services.keeper import Keeper
from compute.services.windows import NewWindow
from core import audit
from core.clock import utc_now
from core.identity.models import Membership, Person, Project, Role
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, ScriptedExecutor, World, until_one_waits_for_a_lock

G = TICKS_PER_GPU_HOUR
MINUTE = timedelta(minutes=1)
MAINTENANCE, RESERVATION, DRAIN = WindowKind.MAINTENANCE, WindowKind.RESERVATION, WindowKind.DRAIN


@pytest.fixture
def officer(world: World) -> Person:
    return _officer(world)


def _officer(world: World) -> Person:
    made = world.person("Olga")
    world.session.add(Membership(person_id=made.id, role=Role.PROGRAMME_OFFICER, from_on=world.now.date()))
    world.session.flush()
    return made


@pytest.fixture
def vllm(world: World) -> Project:
    return _granted(world)


def _granted(world: World) -> Project:
    project = world.project("vllm")
    world.grant(project, ticks=1000 * G)
    world.offer(world.organisation("aws"), ticks=1000 * G)
    return project


def _plan(
    world: World, officer: Person, begins_in: timedelta, lasts: timedelta | None = HOUR, gpus: int | None = 8,
    kind: WindowKind = MAINTENANCE, project: Project | None = None,
) -> PoolWindow:  # fmt: skip
    begins_at = world.now + begins_in
    new = NewWindow(kind, begins_at, "new fans", None if lasts is None else begins_at + lasts, gpus, project)
    return windows.plan(world.session, world.pool, new, actor=officer, now=world.now)


def _held(world: World, job: Job) -> JobAttempt:
    """Decided and held, and not handed over yet."""
    world.tick()
    attempt = world.attempt(job)
    assert (attempt.status, job.status) == (AttemptStatus.HELD, JobStatus.HELD)
    return attempt


def _hand_over(world: World, attempt: JobAttempt) -> AttemptStatus:
    tick.launch(world.sessions, world.executors, attempt.id, now=world.now, last_try=False)
    return world.attempt(attempt.job).status


def _waits_on(world: World, attempt: JobAttempt) -> str:
    """Nothing was started and nothing is lost; the reason."""
    job = attempt.job
    world.session.refresh(job)
    assert world.executor.starts == []
    assert (attempt.status, job.status, job.waiting_code) == (AttemptStatus.EVICTED, JobStatus.QUEUED, "taken_back")
    assert (job.retries_left, job.finished_at) == (1, None), "what never began was no try"
    assert budget.of_grant(world.session, job.grant).held == 0
    assert sum(each.held for each in budget.of_offers(world.session, [draw.offer for draw in attempt.draws]).values()) == 0
    assert attempt.reason is not None
    assert attempt.reason.removesuffix(".") in (job.waiting_reason or "")
    assert attempt.reason in [event.reason for event in audit.history(world.session, job) if event.verb == "job.evicted"]
    return attempt.reason


@pytest.mark.parametrize(("late", "reached"), [(timedelta(seconds=30), False), (timedelta(seconds=31), True)])
def test_a_start_that_lay_too_long_does_not_run_into_maintenance(
    world: World, officer: Person, vllm: Project, late: timedelta, *, reached: bool
) -> None:
    """An hour and its minute of overhead just fit before the window: half that minute may pass in a queue."""
    job = world.job(vllm)
    _plan(world, officer, HOUR + MINUTE)
    attempt = _held(world, job)
    world.now += late
    assert _hand_over(world, attempt) is (AttemptStatus.EVICTED if reached else AttemptStatus.STARTING)
    if reached:
        assert "what is planned for pool Main leaves 0 of the 1 × h100 it needs until then" in _waits_on(world, attempt)
        world.tick()
        assert (job.status, job.waiting_code) == (JobStatus.QUEUED, "waiting_for_window"), "the scheduler sees the same"


def test_a_start_does_not_run_into_what_was_planned_after_it_was_held(world: World, officer: Person, vllm: Project) -> None:
    small, large = world.job(vllm, gpus=2), world.job(vllm, gpus=5)
    small_attempt, large_attempt = _held(world, small), world.attempt(large)
    _plan(world, officer, HOUR / 2, gpus=6)
    assert _hand_over(world, large_attempt) is AttemptStatus.EVICTED
    assert _hand_over(world, small_attempt) is AttemptStatus.STARTING, "two GPUs stay beside it"


def test_seconds_in_a_queue_are_not_held_against_a_neighbour(world: World, officer: Person, vllm: Project) -> None:
    """Two starts of one turn: one is over just when the window begins, the other runs on beside the window."""
    _plan(world, officer, HOUR + MINUTE, gpus=4)
    ends, goes_on = world.job(vllm, gpus=4), world.job(vllm, gpus=4, wall_seconds=4 * 3600)
    attempt = _held(world, ends)
    other = world.attempt(goes_on)
    world.now += timedelta(seconds=20)
    assert _hand_over(world, other) is AttemptStatus.STARTING
    assert _hand_over(world, attempt) is AttemptStatus.STARTING


def test_a_reservation_that_was_called_off_takes_its_start_back(world: World, officer: Person, vllm: Project) -> None:
    window = _plan(world, officer, timedelta(0), 3 * HOUR, kind=RESERVATION, project=vllm)
    attempt = _held(world, world.job(vllm))
    assert attempt.reservation_id == window.id
    windows.call_off(world.session, window, reason="The release is out.", actor=officer, now=world.now)
    assert _hand_over(world, attempt) is AttemptStatus.EVICTED
    _waits_on(world, attempt)
    world.tick()
    assert world.attempt(attempt.job).reservation_id is None, "it starts outside"


def test_a_drain_and_a_closed_pool_take_starts_back(world: World, officer: Person, vllm: Project) -> None:
    attempt = _held(world, world.job(vllm))
    drain = _plan(world, officer, HOUR, None, None, DRAIN)
    assert _hand_over(world, attempt) is AttemptStatus.EVICTED
    assert "leaves 0 of the 1 × h100" in _waits_on(world, attempt)
    windows.call_off(world.session, drain, reason="Not today.", actor=officer, now=world.now)
    attempt = _held(world, attempt.job)
    assert attempt.number == 2
    catalogue.set_pool_status(world.session, world.pool, PoolStatus.DRAINING, actor=officer, now=world.now)
    assert _hand_over(world, attempt) is AttemptStatus.EVICTED
    assert "Pool Main is draining since after this job was chosen for it" in _waits_on(world, attempt)
    world.tick()
    assert attempt.job.waiting_code == "waiting_for_pool"


def test_a_pool_that_got_smaller_takes_back_what_it_has_no_room_for(world: World, vllm: Project) -> None:
    first, second = world.job(vllm, gpus=4), world.job(vllm, gpus=4)
    attempt = _held(world, first)
    world.session.execute(text("UPDATE pool SET devices = 5"))
    world.session.expire_all()
    assert _hand_over(world, attempt) is AttemptStatus.EVICTED
    assert attempt.reason == "Pool Main got smaller since this job was chosen for it: it lacks 3 devices."
    assert _hand_over(world, world.attempt(second)) is AttemptStatus.STARTING, "there is room for one"


def test_an_offer_taken_back_takes_its_start_back(world: World, vllm: Project) -> None:
    attempt = _held(world, world.job(vllm))
    offers.take_back(world.session, attempt.draws[0].offer, at=world.now + HOUR, actor=None, now=world.now)
    assert _hand_over(world, attempt) is AttemptStatus.EVICTED
    assert "its grant or an offer it draws on ends at" in _waits_on(world, attempt)


def test_the_end_of_a_grant_takes_a_late_start_back(world: World) -> None:
    ray = world.project("ray")
    world.grant(ray, ticks=1000 * G, lasts=HOUR + 2 * MINUTE)
    world.offer(world.organisation("nvidia"), ticks=1000 * G)
    attempt = _held(world, world.job(ray))
    world.now += 2 * MINUTE
    assert _hand_over(world, attempt) is AttemptStatus.EVICTED
    assert "its grant or an offer it draws on ends at" in _waits_on(world, attempt)


def test_every_try_to_hand_over_asks_again(world: World, officer: Person, vllm: Project) -> None:
    """The executor did not answer at first. It may have started the job all the same, so it is told to end it."""
    attempt = _held(world, world.job(vllm))
    world.executor.refuse = ExecutorError("The machine does not answer.", permanent=False)
    with pytest.raises(ExecutorError):
        _hand_over(world, attempt)
    world.executor.refuse = None
    _plan(world, officer, HOUR / 2)
    assert _hand_over(world, attempt) is AttemptStatus.STARTING
    assert world.attempt(attempt.job).stop is Stop.EVICTED
    world.now += LAUNCH_PATIENCE + MINUTE
    world.tick()
    assert world.executor.stops == [(attempt.id, Stop.EVICTED)]
    attempt = world.attempt(attempt.job)
    assert attempt.settled_at is not None
    assert (attempt.job.retries_left, attempt.job.status) == (1, JobStatus.QUEUED)


def test_the_kept_core_goes_on_with_it_at_its_place(world: World, officer: Person, vllm: Project) -> None:
    keeper = Keeper()
    world.session.execute(text("UPDATE pool SET devices = 1"))
    world.session.expire_all()
    first, second = world.job(vllm), world.job(vllm)
    tick.schedule(world.sessions, world.executors, now=world.now, keeper=keeper)
    attempt = world.attempt(first)
    window = _plan(world, officer, HOUR / 2, gpus=1)
    assert _hand_over(world, attempt) is AttemptStatus.EVICTED
    tick.schedule(world.sessions, world.executors, now=world.now, keeper=keeper)
    assert [job.status for job in (first, second)] == [JobStatus.QUEUED] * 2
    windows.call_off(world.session, window, reason="Not today.", actor=officer, now=world.now)
    tick.schedule(world.sessions, world.executors, now=world.now, keeper=keeper)
    assert [world.attempt(first).status, second.status] == [AttemptStatus.HELD, JobStatus.QUEUED]


NOW = utc_now()


def test_of_a_window_that_is_being_planned_the_hand_over_waits_to_hear(fresh_database: str) -> None:
    """Two connections: the window is written and not committed when the start is handed over."""
    engine, executor = create_engine(fresh_database), ScriptedExecutor()

    @contextmanager
    def sessions() -> Iterator[Session]:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    def hand_over(attempt_id: UUID) -> None:
        tick.launch(sessions, {executor.name: executor}, attempt_id, now=NOW, last_try=False)

    with sessions() as session:
        world = _world(session, NOW)
        officer_id, job_id = _officer(world).id, world.job(_granted(world)).id
    tick.schedule(sessions, {executor.name}, now=NOW)
    with sessions() as session:
        (attempt_id,) = session.scalars(text("SELECT id FROM job_attempt")).all()
    with ThreadPoolExecutor(1) as thread:
        with sessions() as planning:
            pool = planning.get_one(Job, job_id).attempts[0].pool
            new = NewWindow(MAINTENANCE, NOW + HOUR / 2, "new fans", NOW + HOUR, 8)
            windows.plan(planning, pool, new, actor=planning.get_one(Person, officer_id), now=NOW)
            handing_over = thread.submit(hand_over, attempt_id)
            until_one_waits_for_a_lock(engine)
            assert not handing_over.done()
        handing_over.result(timeout=20)
    assert executor.starts == []
    with sessions() as session:
        job = session.get_one(Job, job_id)
        assert (job.status, job.waiting_code, job.retries_left) == (JobStatus.QUEUED, "taken_back", 1)
    engine.dispose()


def _world(session: Session, now: datetime) -> World:
    flavor = catalogue.add_flavor(session, slug="h100", name="H100", vendor="NVIDIA", author=None, now=now)
    catalogue.set_rate(session, flavor, Fraction(1), valid_from=now, source="test", author=None, now=now)
    pool = catalogue.add_pool(
        session, slug="main", name="Main", flavor=flavor, executor="scripted", devices=8, runs=[SourceKind.COMMAND], author=None,
        now=now,
    )  # fmt: skip
    return World(session, now, flavor, pool)
