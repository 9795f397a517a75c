"""What a start costs in production, beyond its decision: many in one transaction, beside one transaction each."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from fractions import Fraction

from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from bench._report import Line, Runs
from compute import scheduling
from compute.models import ComputeGrant, Flavor, Job, JobKind, OfferKind, Pool, SourceKind
from compute.policies import OfferPolicy
from compute.queries import snapshot
from compute.services import catalogue, compute_grants, lifecycle, offers, starts, submit
from compute.services.new_jobs import MEMORY_BYTES_DEFAULT
from compute.services.offers import NewOffer
from core.clock import utc_now
from core.db import new_id
from core.db.migrate import upgrade
from core.identity.models import Organisation, Person, Project
from core.units import TICKS_PER_GPU_HOUR

PROJECTS = 50
IN_BATCHES = 1_000
ONE_BY_ONE = 200
PLENTY = 10_000_000 * TICKS_PER_GPU_HOUR


def production(url: str, runs: int) -> Iterator[Line]:
    """Starts carried out a second, both ways, in a database of real tables."""
    engine = create_engine(url)
    try:
        upgrade(engine)
        with Session(engine, expire_on_commit=False) as session, session.begin():
            grants = _world(session, utc_now())
        batched, single = [], []
        for _ in range(runs):
            now = utc_now()
            with Session(engine) as session, session.begin():
                _queue(session, grants, IN_BATCHES + ONE_BY_ONE, now)
            with Session(engine) as session, session.begin():
                planned = scheduling.plan(snapshot.take(session, now=now)).starts
            assert len(planned) == IN_BATCHES + ONE_BY_ONE, "the pool takes them all"
            single.append(ONE_BY_ONE / _carry_out(engine, planned[:ONE_BY_ONE], 1))
            batched.append(IN_BATCHES / _carry_out(engine, planned[ONE_BY_ONE:], starts.BATCH))
    finally:
        engine.dispose()
    peer = Runs("one transaction each", single)
    yield Line(Runs(f"in production, {starts.BATCH} in a transaction", batched), "starts/s", peer=peer)


def _carry_out(engine: Engine, planned: Sequence[scheduling.Start], at_once: int) -> float:
    begun = time.perf_counter()
    for first in range(0, len(planned), at_once):
        with Session(engine, expire_on_commit=False) as session, session.begin():
            made = starts.hold_many(session, planned[first : first + at_once], now=utc_now())
        assert len(made) == at_once, "every planned start is carried out"
    return time.perf_counter() - begun


def _world(session: Session, now: datetime) -> list[ComputeGrant]:
    """A donor's pool and two offers, and a grant for each project."""
    flavor = catalogue.add_flavor(session, slug="h100", name="H100", vendor="NVIDIA", author=None, now=now)
    catalogue.set_rate(session, flavor, Fraction(7, 5), valid_from=now, source="benchmark", author=None, now=now)
    pool = catalogue.add_pool(
        session,
        slug="bench",
        name="Bench",
        flavor=flavor,
        executor="none",
        devices=1_000_000,
        runs=[SourceKind.COMMAND],
        author=None,
        now=now,
    )
    donor = Organisation(slug="bench", name="Benchmark", created_at=now)
    reviewer = Person(email="reviewer@example.org", name="Reviewer", created_at=now)
    session.add_all([donor, reviewer])
    session.flush()
    for name, days in (("closes first", 30), ("closes later", 60)):
        _give(session, donor, flavor, pool, name, days, now)
    lifecycle.pass_offers(session, now=now)
    return [_grant(session, f"project-{number}", reviewer, now) for number in range(PROJECTS)]


def _give(session: Session, donor: Organisation, flavor: Flavor, pool: Pool, name: str, days: int, now: datetime) -> None:
    new = NewOffer(
        name=name,
        kind=OfferKind.CAPACITY,
        flavor=flavor,
        devices=1_000_000,
        opens_at=now,
        closes_at=now + timedelta(days=days),
        given_ticks=PLENTY,
        policy=OfferPolicy(),
    )
    offers.accept(session, offers.propose(session, donor, new, actor=None, now=now), pool, actor=None, now=now)


def _grant(session: Session, slug: str, reviewer: Person, now: datetime) -> ComputeGrant:
    project = Project(slug=slug, name=slug, created_at=now)
    session.add(project)
    session.flush()
    asked = compute_grants.request(
        session,
        project,
        title=slug,
        purpose="Benchmark",
        ticks=PLENTY // 100,
        starts_at=now,
        expires_at=now + timedelta(days=30),
        requested_by=None,
        now=now,
    )
    compute_grants.review(session, asked, note="Sound.", reviewer=reviewer, now=now)
    return compute_grants.approve(session, asked, decided_by=reviewer, now=now)


def _queue(session: Session, grants: Sequence[ComputeGrant], count: int, now: datetime) -> None:
    """Jobs as submission writes them, without what it checks."""
    flavor_id = session.scalars(select(Flavor.id)).one()
    for number in range(count):
        grant = grants[number % len(grants)]
        job = Job(
            id=new_id(),
            project_id=grant.project_id,
            grant_id=grant.id,
            name="bench",
            kind=JobKind.CI,
            source=SourceKind.COMMAND,
            command="true",
            flavor_id=flavor_id,
            gpus=1 + number % 4,
            wall_seconds=600 * (1 + number % 7),
            memory_bytes=MEMORY_BYTES_DEFAULT,
            status_at=now,
            submitted_at=now,
        )
        submit.queue(job, submit.WAITING_FOR_SCHEDULER, "waits for the scheduler's next look", now=now)
        session.add(job)
