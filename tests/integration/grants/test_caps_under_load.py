"""Limits hold whoever decides at the same moment: real connections, real locks."""

import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from core.errors import DomainError
from core.identity.models import Person
from grants import queries
from grants.models import Application, Grant, Programme, Vote
from grants.policies import caps
from grants.services import decisions, grants
from tests.integration.grants import builders
from tests.integration.grants.builders import Funder, offer, usd

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


def prepared(session: Session, count: int, **rules: object) -> tuple[Programme, Funder, list[UUID]]:
    """A programme with shortlisted applications and more than enough money."""
    body = builders.funder(session)
    programme = builders.programme(session, body, **rules)
    round_ = builders.round_of(session, programme)
    builders.money_in(session, programme, usd(1_000_000), NOW)
    made = [builders.shortlisted(session, round_, body, builders.person(session, f"Applicant {i}"), NOW).id for i in range(count)]
    return programme, body, made


def award(session: Session, application_id: UUID, officer_id: UUID, voters: list[UUID], dollars: int) -> None:
    decisions.decide(
        session,
        application_id,
        officer=session.get_one(Person, officer_id),
        votes=dict.fromkeys(voters, Vote.FOR),
        minute="Agreed.",
        offer=offer(usd(dollars)),
        decided_on=NOW.date(),
        now=NOW,
    )


def all_at_once(work: list[Callable[[], None]]) -> None:
    barrier = threading.Barrier(len(work))

    def run(one: Callable[[], None]) -> None:
        barrier.wait()
        one()

    threads = [threading.Thread(target=run, args=[one]) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_six_rooms_deciding_at_once_fill_three_places(fresh_database: str) -> None:
    engine = create_engine(fresh_database, pool_size=8)
    with Session(engine) as session, session.begin():
        programme, body, applications = prepared(session, 6, places_per_year=3)
        programme_id, officer, voters = programme.id, body.officer.id, [r.id for r in body.reviewers[:2]]
    refusals: list[DomainError] = []

    def decide(application_id: UUID) -> None:
        try:
            with Session(engine) as session, session.begin():
                award(session, application_id, officer, voters, 10_000)
        except DomainError as error:
            refusals.append(error)

    all_at_once([lambda a=a: decide(a) for a in applications])
    with Session(engine) as session:
        assert session.scalar(select(func.count()).where(Grant.programme_id == programme_id)) == 3
        still_open = select(func.count()).where(Application.outcome.is_(None))
        assert session.scalar(still_open) == 3, "a refused decision wrote nothing"
    assert [type(error) for error in refusals] == [caps.NoPlaceLeft] * 3
    engine.dispose()


@pytest.mark.parametrize("seed", range(3))
def test_no_interleaving_of_awards_and_refusals_passes_the_annual_cap(fresh_database: str, seed: int) -> None:
    rng = random.Random(seed)
    engine = create_engine(fresh_database, pool_size=10)
    with Session(engine) as session, session.begin():
        programme, body, applications = prepared(session, 8, annual_cap_minor=5_000_000)
        programme_id, officer, voters = programme.id, body.officer.id, [r.id for r in body.reviewers[:2]]
    seen: list[int] = []
    done = threading.Event()

    def decide(application_id: UUID, dollars: int, answer: float) -> None:
        try:
            with Session(engine) as session, session.begin():
                award(session, application_id, officer, voters, dollars)
        except caps.AnnualCapExceeded:
            return
        with Session(engine) as session, session.begin():
            grant = queries.grant_of_application(session, application_id)
            assert grant is not None
            assert grant.application is not None
            if answer < 0.4:
                grants.decline(session, grant.id, person=grant.application.applicant, reason="", now=NOW)
            elif answer < 0.7:
                builders.accepted(session, grant, grant.application.applicant, NOW)

    def watch() -> None:
        while not done.wait(0.005):
            with Session(engine) as session:
                row = session.get_one(Programme, programme_id)
                seen.append(queries.standing(session, row, on=NOW.date()).committed.amount_minor)

    watcher = threading.Thread(target=watch)
    watcher.start()
    all_at_once([lambda a=a: decide(a, rng.randint(5_000, 30_000), rng.random()) for a in applications])
    done.set()
    watcher.join()
    with Session(engine) as session:
        row = session.get_one(Programme, programme_id)
        seen.append(queries.standing(session, row, on=NOW.date()).committed.amount_minor)
        held = row.annual_cap
    assert held is not None
    assert max(seen) <= held.amount_minor
    assert max(seen) > 0
    engine.dispose()
