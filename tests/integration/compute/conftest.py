"""A small world for compute: donors, a pool, projects with grants, and an executor whose answers the test writes."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from fractions import Fraction
from io import BytesIO
from typing import Any, BinaryIO
from uuid import UUID

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from compute.executors.base import Artefact, AttemptState, AttemptStatus, Capacity, LaunchSpec, Stop, UnknownAttempt
from compute.models import ComputeGrant, ComputeOffer, Flavor, Job, JobAttempt, JobKind, OfferKind, Pool, SourceKind
from compute.policies import OfferPolicy
from compute.services import attempts, catalogue, compute_grants, lifecycle, offers, submit, tick
from compute.services.new_jobs import NewJob
from compute.services.offers import NewOffer
from core.db import new_id
from core.identity.models import Membership, Organisation, Person, Project, Role
from core.units import TICKS_PER_GPU_HOUR

HOUR = timedelta(hours=1)
MINUTE_TICKS = TICKS_PER_GPU_HOUR // 60


class ScriptedExecutor:
    """Runs nothing: attempts start when told, and end as the test says."""

    name = "scripted"

    def __init__(self) -> None:
        self.starts: list[LaunchSpec] = []
        self.known: dict[UUID, AttemptStatus] = {}
        self.stops: list[tuple[UUID, Stop]] = []
        self.output: dict[UUID, bytes] = {}
        self.left: dict[UUID, dict[str, bytes]] = {}
        self.refuse: Exception | None = None

    def capacity(self) -> Capacity:
        return Capacity({}, detected=False)

    def start(self, spec: LaunchSpec) -> None:
        if self.refuse is not None:
            raise self.refuse
        self.starts.append(spec)
        self.known.setdefault(
            spec.attempt_id, AttemptStatus(spec.attempt_id, AttemptState.STARTING, None, None, None, "", 0, infrastructure=False)
        )

    def status(self, attempt_id: UUID) -> AttemptStatus:
        if attempt_id not in self.known:
            raise UnknownAttempt(attempt_id)
        return self.known[attempt_id]

    def say(self, attempt_id: UUID, state: AttemptState, **facts: Any) -> None:
        self.known[attempt_id] = replace(self.known[attempt_id], state=state, **facts)

    def cancel(self, attempt_id: UUID, *, reason: str, stop: Stop = Stop.CANCELLED) -> None:
        self.stops.append((attempt_id, stop))

    def read_output(self, attempt_id: UUID, offset: int, limit: int) -> bytes:
        return self.output.get(attempt_id, b"")[offset : offset + limit]

    def artefacts(self, attempt_id: UUID) -> list[Artefact]:
        return [Artefact(path, len(content), "") for path, content in self.left.get(attempt_id, {}).items()]

    def open_artefact(self, attempt_id: UUID, path: str) -> BinaryIO:
        return BytesIO(self.left[attempt_id][path])

    def forget(self, attempt_id: UUID) -> None:
        self.left.pop(attempt_id, None)


@dataclass
class World:
    """What the tests act on. `now` is the test's clock."""

    session: Session
    now: datetime
    flavor: Flavor
    pool: Pool
    executor: ScriptedExecutor = field(default_factory=ScriptedExecutor)

    @contextmanager
    def sessions(self) -> Iterator[Session]:
        """The test's own session, each block of it a unit of work."""
        with self.session.begin_nested():
            yield self.session
        self.session.expire_all()

    @property
    def executors(self) -> Mapping[str, ScriptedExecutor]:
        return {self.executor.name: self.executor}

    def organisation(self, slug: str) -> Organisation:
        made = Organisation(id=new_id(), slug=slug, name=slug.title(), created_at=self.now)
        self.session.add(made)
        self.session.flush()
        return made

    def person(self, name: str) -> Person:
        made = Person(id=new_id(), email=f"{name.lower()}@example.org", name=name, created_at=self.now)
        self.session.add(made)
        self.session.flush()
        return made

    def project(self, slug: str, host: Organisation | None = None) -> Project:
        made = Project(id=new_id(), slug=slug, name=slug.title(), parent_id=host.id if host else None, created_at=self.now)
        self.session.add(made)
        self.session.flush()
        return made

    def maintainer(self, project: Project, name: str = "Mo") -> Person:
        """Somebody who may submit and cancel for a project."""
        made = self.person(name)
        self.session.add(
            Membership(id=new_id(), person_id=made.id, project_id=project.id, role=Role.MAINTAINER, from_on=self.now.date())
        )
        self.session.flush()
        return made

    def offer(
        self,
        donor: Organisation,
        *,
        ticks: int,
        closes_in: timedelta = timedelta(days=30),
        policy: OfferPolicy | None = None,
        name: str = "Offer",
        opens_at: datetime | None = None,
    ) -> ComputeOffer:
        """An accepted offer; open at once unless it opens later."""
        new = NewOffer(
            name=name,
            kind=OfferKind.CAPACITY,
            flavor=self.flavor,
            devices=1000,
            opens_at=opens_at or self.now,
            closes_at=self.now + closes_in,
            given_ticks=ticks,
            policy=policy or OfferPolicy(),
        )
        made = offers.propose(self.session, donor, new, actor=None, now=self.now)
        offers.accept(self.session, made, self.pool, actor=None, now=self.now)
        lifecycle.pass_offers(self.session, now=self.now)
        return made

    def grant(self, project: Project, *, ticks: int, lasts: timedelta = timedelta(days=30)) -> ComputeGrant:
        """An active grant."""
        made = compute_grants.request(
            self.session,
            project,
            title=f"{project.name} grant",
            purpose="CI",
            ticks=ticks,
            starts_at=self.now,
            expires_at=self.now + lasts,
            requested_by=None,
            now=self.now,
        )
        someone = self.person(f"reviewer-{made.id.hex[-8:]}")
        compute_grants.review(self.session, made, note="Sound.", reviewer=someone, now=self.now)
        return compute_grants.approve(self.session, made, decided_by=someone, now=self.now)

    def job(self, project: Project, **changes: Any) -> Job:
        """A submitted job: 1 GPU for one hour unless said otherwise."""
        given = NewJob(
            name="unit tests",
            kind=JobKind.CI,
            source=SourceKind.COMMAND,
            command="make test",
            flavor=self.flavor.slug,
            gpus=1,
            wall_seconds=3600,
        )
        return submit.submit(self.session, project, replace(given, **changes), submitter=None, now=self.now)

    def tick(self) -> None:
        tick.tick(self.sessions, self.executors, now=self.now)

    def attempt(self, job: Job) -> JobAttempt:
        """The job's newest attempt, as it is now."""
        self.session.refresh(job)
        self.session.refresh(job, ["attempts"])
        newest = job.attempts[-1]
        self.session.refresh(newest)
        return newest

    def start(self, job: Job) -> JobAttempt:
        """Schedule and launch, so that the job's command runs from now on."""
        self.tick()
        attempt = self.attempt(job)
        tick.launch(self.sessions, self.executors, attempt.id, now=self.now, last_try=False)
        self.executor.say(attempt.id, AttemptState.RUNNING, started_at=self.now)
        self.tick()
        return self.attempt(job)

    def finish(self, attempt: JobAttempt, state: AttemptState, *, after: timedelta, **facts: Any) -> JobAttempt:
        """Let time pass, have the executor report an ending, look at it."""
        self.now += after
        self.executor.say(attempt.id, state, ended_at=self.now, **facts)
        self.tick()
        return self.attempt(attempt.job)

    def past(self, *jobs: Job, lasted: timedelta) -> list[JobAttempt]:
        """Have these jobs run and succeed without turns of the wheel: for histories of many days."""
        tick.schedule(self.sessions, self.executors, now=self.now)
        began = self.now
        self.now += lasted
        ended = []
        for attempt in [self.attempt(job) for job in jobs]:
            attempts.begin_launch(self.session, attempt.id, now=began)
            seen = AttemptStatus(attempt.id, AttemptState.SUCCEEDED, began, self.now, 0, "", 0, infrastructure=False)
            ended.append(attempts.observe(self.session, attempt.id, seen, now=self.now))
        return ended


@pytest.fixture
def world(session: Session, now: datetime) -> World:
    flavor = catalogue.add_flavor(session, slug="h100", name="NVIDIA H100", vendor="NVIDIA", author=None, now=now)
    catalogue.set_rate(session, flavor, Fraction(1), valid_from=now - HOUR, source="the reference", author=None, now=now)
    pool = catalogue.add_pool(
        session,
        slug="main",
        name="Main",
        flavor=flavor,
        executor="scripted",
        devices=8,
        runs=[SourceKind.COMMAND, SourceKind.REPOSITORY],
        author=None,
        now=now,
    )
    return World(session, now, flavor, pool)


def until_one_waits_for_a_lock(engine: Engine, *, waiting: int = 1) -> None:
    """Another connection, or so many, has come as far as it can before the first one commits."""
    query = text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'")
    give_up_at = time.monotonic() + 20
    while time.monotonic() < give_up_at:
        with engine.connect() as connection:
            if (connection.scalar(query) or 0) >= waiting:
                return
        time.sleep(0.02)
    pytest.fail("Nobody waits for a lock.")
