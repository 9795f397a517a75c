"""Whatever happens in whatever order: no budget is exceeded, no pool overfilled, every hold ends once, the books agree."""

import contextlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule, run_state_machine_as_test
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from compute.executors.base import AttemptState
from compute.models import (
    AttemptDraw,
    AttemptStatus,
    ComputeGrant,
    ComputeOffer,
    Job,
    JobAttempt,
    JobStatus,
    SourceKind,
    UsageRecord,
)
from compute.policies import in_reference
from compute.queries import attempts as attempt_queries
from compute.queries import budget
from compute.services import attempts, catalogue, offers, tick
from core import ledger
from core.errors import DomainError
from core.identity.models import Project
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import World

G = TICKS_PER_GPU_HOUR
START = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


class Life(RuleBasedStateMachine):
    """Two projects with small grants, three donors with windows that end, a pool of six slices, and every kind of luck."""

    engine: Engine

    @initialize(rate=st.fractions(min_value=Fraction(1, 3), max_value=3, max_denominator=11))
    def begin(self, rate: Fraction) -> None:
        self.connection = self.engine.connect()
        self.outer = self.connection.begin()
        self.session = Session(self.connection, join_transaction_mode="create_savepoint", expire_on_commit=False)
        flavor = catalogue.add_flavor(
            self.session, slug="slice", name="A seventh", vendor="NVIDIA", slices_per_gpu=7, author=None, now=START
        )
        catalogue.set_rate(self.session, flavor, rate, valid_from=START, source="drawn by lot", author=None, now=START)
        pool = catalogue.add_pool(
            self.session, slug="p", name="P", flavor=flavor, executor="scripted", devices=6, runs=[SourceKind.COMMAND],
            author=None, now=START,
        )  # fmt: skip
        self.world = World(self.session, START, flavor, pool)
        donors = [self.world.organisation(f"donor-{number}") for number in range(3)]
        self.offers = [
            self.world.offer(donor, ticks=G * share // 5, closes_in=timedelta(hours=hours), name=f"until {hours} h")
            for donor, hours, share in zip(donors, (5, 9, 30), (1, 2, 9), strict=True)
        ]
        self.projects: list[Project] = [self.world.project("one"), self.world.project("two")]
        self.grants = [
            self.world.grant(project, ticks=ticks, lasts=timedelta(hours=20))
            for project, ticks in zip(self.projects, (G, G // 2), strict=True)
        ]
        self.jobs: list[Job] = []

    def teardown(self) -> None:
        if hasattr(self, "session"):
            self.session.close()
            self.outer.rollback()
            self.connection.close()

    @rule(project=st.integers(0, 1), gpus=st.integers(1, 7), minutes=st.integers(1, 300))
    def submit(self, project: int, gpus: int, minutes: int) -> None:
        with contextlib.suppress(DomainError):  # refused with a sentence; test_journey.py reads them
            self.jobs.append(self.world.job(self.projects[project], gpus=gpus, wall_seconds=minutes * 60))

    @rule(project=st.integers(0, 1), gpus=st.integers(1, 4), minutes=st.integers(1, 60))
    def submit_and_start(self, project: int, gpus: int, minutes: int) -> None:
        """The usual way in one stride, so that short runs get far."""
        self.submit(project, gpus, minutes)
        self.turn()
        self.launch(twice=False)
        self.begin_running()

    @rule(minutes=st.integers(0, 200))
    def time_passes(self, minutes: int) -> None:
        self.world.now += timedelta(minutes=minutes, microseconds=minutes)

    @rule()
    def turn(self) -> None:
        self.world.tick()

    @rule(twice=st.booleans())
    def launch(self, twice: bool) -> None:
        for attempt in self._attempts(AttemptStatus.HELD):
            for _ in range(1 + twice):
                tick.launch(self.world.sessions, self.world.executors, attempt.id, now=self.world.now, last_try=False)

    @rule()
    def begin_running(self) -> None:
        for attempt in self._attempts(AttemptStatus.STARTING):
            if attempt.id in self.world.executor.known:
                self.world.executor.say(attempt.id, AttemptState.RUNNING, started_at=self.world.now)
                attempts.observe(self.session, attempt.id, self.world.executor.status(attempt.id), now=self.world.now)

    @rule(
        state=st.sampled_from([AttemptState.SUCCEEDED, AttemptState.FAILED, AttemptState.TIMED_OUT, AttemptState.LOST]),
        minutes=st.integers(0, 90),
        times=st.integers(1, 2),
    )
    def end_one(self, state: AttemptState, minutes: int, times: int) -> None:
        self.time_passes(minutes)
        for attempt in self._attempts(AttemptStatus.RUNNING)[:1]:
            lost = state is AttemptState.LOST
            self.world.executor.say(
                attempt.id, state, ended_at=self.world.now, exit_code=None if lost else 0, infrastructure=lost
            )
            for _ in range(times):
                attempts.observe(self.session, attempt.id, self.world.executor.status(attempt.id), now=self.world.now)

    @rule(number=st.integers(0, 20))
    def cancel(self, number: int) -> None:
        if number < len(self.jobs):
            attempts.cancel(self.session, self.jobs[number].id, actor=None, reason="changed our mind", now=self.world.now)
            self._executor_obeys()

    @precondition(lambda self: hasattr(self, "offers"))
    @rule(number=st.integers(0, 2), minutes=st.integers(0, 60))
    def take_back(self, number: int, minutes: int) -> None:
        offer = self.session.get_one(ComputeOffer, self.offers[number].id)
        with contextlib.suppress(DomainError):
            offers.take_back(self.session, offer, at=self.world.now + timedelta(minutes=minutes), actor=None, now=self.world.now)
        self.session.flush()

    @invariant()
    def budgets_hold(self) -> None:
        if not hasattr(self, "grants"):
            return
        for grant in self.session.scalars(select(ComputeGrant)):
            seen = budget.of_grant(self.session, grant)
            assert seen.left >= 0
            assert seen.settled + seen.held <= seen.granted
            if grant.status in {"active", "low"}:
                charged = self.session.scalar(
                    select(func.coalesce(func.sum(UsageRecord.reference_ticks), 0)).where(UsageRecord.grant_id == grant.id)
                )
                assert seen.settled == charged, "every settlement has its usage record, and the other way round"
        for offer in self.session.scalars(select(ComputeOffer)):
            seen = budget.of_offer(self.session, offer)
            assert seen.left >= 0
            assert seen.settled + seen.held <= offer.given_ticks

    @invariant()
    def pools_hold(self) -> None:
        if hasattr(self, "grants"):
            assert attempt_queries.devices_in_use(self.session, self.world.pool) <= self.world.pool.devices

    @invariant()
    def attempts_are_whole(self) -> None:
        if not hasattr(self, "grants"):
            return
        for attempt in self.session.scalars(select(JobAttempt)):
            draws = self.session.scalars(select(AttemptDraw).where(AttemptDraw.attempt_id == attempt.id)).all()
            assert sum(draw.held_ticks for draw in draws) == attempt.held_ticks, "splits are exact"
            assert attempt.held_reference_ticks == in_reference(attempt.held_ticks, attempt.rate)
            usage = self.session.scalars(select(UsageRecord).where(UsageRecord.attempt_id == attempt.id)).all()
            assert len(usage) == (attempt.settled_at is not None)
            if usage:
                assert sum(draw.used_ticks + draw.lost_ticks for draw in draws) == usage[0].ticks
                assert usage[0].reference_ticks <= attempt.held_reference_ticks

    @invariant()
    def the_queue_has_reasons(self) -> None:
        if hasattr(self, "grants"):
            for job in self.session.scalars(select(Job).where(Job.status == JobStatus.QUEUED)):
                assert job.waiting_reason
                assert job.waiting_since is not None
                assert job.waiting_since <= self.world.now

    @invariant()
    def no_hold_is_left_over(self) -> None:
        """What the ledger holds is exactly what open attempts hold."""
        if not hasattr(self, "grants"):
            return
        held = sum(balance.pending_out for balance in ledger.balances(self.session, "liabilities:gpu:grant"))
        wanted = self.session.scalar(
            select(func.coalesce(func.sum(JobAttempt.held_reference_ticks), 0)).where(attempt_queries.OPEN)
        )
        assert held == wanted

    def _attempts(self, status: AttemptStatus) -> list[JobAttempt]:
        if not hasattr(self, "session"):
            return []
        return list(self.session.scalars(select(JobAttempt).where(JobAttempt.status == status).order_by(JobAttempt.id)))

    def _executor_obeys(self) -> None:
        for attempt in self._attempts(AttemptStatus.RUNNING):
            if attempt.stop is not None:
                self.world.executor.say(attempt.id, AttemptState.CANCELLED, ended_at=self.world.now)


@pytest.fixture
def life(engine: Engine) -> Iterator[type[Life]]:
    Life.engine = engine
    yield Life
    del Life.engine


def _run(life: type[Life], *phases: Phase) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        life,
        settings=settings(
            max_examples=12,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
            phases=phases,
        ),
    )


def test_any_interleaving_keeps_the_books(life: type[Life]) -> None:
    _run(life, Phase.generate, Phase.shrink)


@pytest.mark.parametrize("weakened", ["release", "settle"])
def test_a_settlement_that_is_left_out_is_found(life: type[Life], monkeypatch: pytest.MonkeyPatch, weakened: str) -> None:
    """The negative control: the machine does reach endings of both kinds, and does look."""
    monkeypatch.setattr(f"compute.services.books.{weakened}", lambda *_, **__: None)
    with pytest.raises(AssertionError):
        _run(life, Phase.generate)
