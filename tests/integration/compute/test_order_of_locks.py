"""Whoever locks many jobs in one transaction does so in the order of their ids, so that no two ever wait for each other."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from fractions import Fraction

import pytest
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session

from compute import scheduling
from compute.models import ComputeOffer, JobAttempt, Pool, QuotaGroup, ReclaimNotice, SourceKind
from compute.queries import snapshot
from compute.services import attempts, catalogue, hosts, lifecycle, offers, quotas, reclaim, starts
from compute.services.quotas import Terms
from core.clock import utc_now
from core.db import new_id
from core.identity.models import Membership, Person, Role
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import World, until_one_waits_for_a_lock

NOW: datetime = utc_now()
LATER = NOW + timedelta(minutes=20)


def _fill(session: Session) -> None:
    """Two jobs run, the one that was submitted second since before the other; both were asked to leave, and their offer ended."""
    flavor = catalogue.add_flavor(session, slug="h100", name="H100", vendor="NVIDIA", author=None, now=NOW)
    catalogue.set_rate(session, flavor, Fraction(1), valid_from=NOW, source="test", author=None, now=NOW)
    pool = catalogue.add_pool(
        session,
        slug="p",
        name="P",
        flavor=flavor,
        executor="scripted",
        devices=2,
        runs=[SourceKind.COMMAND],
        author=None,
        now=NOW,
    )
    world = World(session, NOW, flavor, pool)
    officer, project = world.person("Olga"), world.project("vllm")
    session.add(Membership(id=new_id(), person_id=officer.id, role=Role.PROGRAMME_OFFICER, from_on=NOW.date()))
    quotas.set_group(session, pool, Terms("shared", 0, 0), reason="Both pay.", actor=officer, now=NOW)
    world.grant(project, ticks=100 * TICKS_PER_GPU_HOUR)
    world.offer(world.organisation("aws"), ticks=100 * TICKS_PER_GPU_HOUR)
    first, second, needs = world.job(project), world.job(project), world.job(project)
    for job in (second, first):
        ends_by = snapshot.instant(snapshot.ends_by(job, NOW))
        start = scheduling.Start(job.id, pool.id, "h100", 1, ends_by, (), backfilled=False)
        attempt = starts.hold(session, start, now=NOW)
        assert attempt is not None
        attempts.begin_launch(session, attempt.id, now=NOW)
        attempt.ends_before = NOW
        session.add(ReclaimNotice(id=new_id(), attempt=attempt, for_job=needs, asked_at=NOW, leaves_at=NOW, lost_gpu_seconds=0))
        session.flush()


def _officer(session: Session) -> Person:
    return session.scalars(select(Person).where(Person.name == "Olga")).one()


def end_graces(session: Session) -> None:
    reclaim.end_graces(session, now=LATER)


def drain(session: Session) -> None:
    lifecycle.drain(session, now=LATER)


def take_back(session: Session) -> None:
    offers.take_back(session, session.scalars(select(ComputeOffer)).one(), at=LATER, actor=None, now=LATER)


def name_host(session: Session) -> None:
    pool, officer = session.scalars(select(Pool)).one(), _officer(session)
    hosts.add(session, pool, name="a", devices=2, reason="It was here.", actor=officer, now=LATER)


@pytest.mark.parametrize("act", [end_graces, drain, take_back, name_host])
def test_nobody_and_an_officer_who_ends_a_quota_group_wait_for_each_other(
    fresh_database: str, act: Callable[[Session], None]
) -> None:
    engine = create_engine(fresh_database)
    with Session(engine) as session, session.begin():
        _fill(session)

    def end_group() -> None:
        with Session(engine) as session, session.begin():
            group = session.scalars(select(QuotaGroup)).one()
            quotas.end_group(session, group, reason="They left.", actor=_officer(session), now=LATER)

    def other() -> None:
        with Session(engine) as session, session.begin():
            act(session)

    with ThreadPoolExecutor(2) as threads, Session(engine) as session, session.begin():
        session.execute(select(JobAttempt.id).order_by(JobAttempt.job_id).limit(1).with_for_update())
        both = [threads.submit(end_group)]
        until_one_waits_for_a_lock(engine)
        both.append(threads.submit(other))
        until_one_waits_for_a_lock(engine, waiting=2)
        session.commit()
        for each in both:
            each.result(timeout=20)
    with Session(engine) as session:
        spared = session.scalars(select(ReclaimNotice.spared_at)).all()
        stops = session.scalars(select(JobAttempt.stop)).all()
    assert spared == [LATER, LATER]
    assert [stop is None for stop in stops] == [act is not drain] * 2
    engine.dispose()
