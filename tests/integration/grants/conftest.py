"""A funder with its people and a running programme, made afresh inside each test's transaction."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from core.identity.models import Membership, Organisation, Person, Project, Role
from core.money import Money
from grants.models import (
    Application,
    Criterion,
    PayeeWish,
    Programme,
    ProgrammeKind,
    ProgrammeStatus,
    Round,
    RoundStatus,
    ScreeningCheck,
)
from grants.services import applications

FROM = date(2026, 1, 1)


def usd(amount: int) -> int:
    """Whole dollars in cents."""
    return amount * 100


def person(session: Session, name: str) -> Person:
    made = Person(
        email=f"{name.lower().replace(' ', '.')}.{uuid7().hex[-8:]}@example.org", name=name, created_at=datetime_of(FROM)
    )
    session.add(made)
    session.flush()
    return made


def organisation(session: Session, name: str) -> Organisation:
    slug = "".join(c if c.isalnum() else "-" for c in name.lower())
    made = Organisation(slug=f"{slug}-{uuid7().hex[-8:]}", name=name, created_at=datetime_of(FROM))
    session.add(made)
    session.flush()
    return made


def project(session: Session, name: str, maintainer: Person | None = None) -> Project:
    slug = "".join(c if c.isalnum() else "-" for c in name.lower())
    made = Project(
        slug=f"{slug}-{uuid7().hex[-8:]}",
        name=name,
        url=f"https://{slug}.example.org",
        repository_url=f"https://code.example.org/{slug}",
        licences=["Apache-2.0"],
        created_at=datetime_of(FROM),
    )
    session.add(made)
    session.flush()
    if maintainer:
        session.add(Membership(person_id=maintainer.id, project_id=made.id, role=Role.MAINTAINER, from_on=FROM))
        session.flush()
    return made


def datetime_of(day: date) -> datetime:
    return datetime.combine(day, time(9), UTC)


@dataclass(frozen=True)
class Funder:
    """An organisation with an officer and three reviewers."""

    organisation: Organisation
    officer: Person
    reviewers: tuple[Person, Person, Person]


@pytest.fixture
def funder(session: Session) -> Funder:
    return make_funder(session)


def make_funder(session: Session, name: str = "Example Capital") -> Funder:
    body = organisation(session, name)
    officer = person(session, "Olu Officer")
    reviewers = tuple(person(session, f"{first} Reviewer") for first in ("Rana", "Remy", "Ruta"))
    session.add(Membership(person_id=officer.id, organisation_id=body.id, role=Role.PROGRAMME_OFFICER, from_on=FROM))
    for reviewer in reviewers:
        session.add(Membership(person_id=reviewer.id, organisation_id=body.id, role=Role.REVIEWER, from_on=FROM))
    session.flush()
    return Funder(body, officer, reviewers)  # type: ignore[arg-type]


def make_programme(session: Session, funder: Funder, **values: Any) -> Programme:
    """A running open call in USD; every rule can be given."""
    made = Programme(
        **{
            "slug": f"call-{uuid7().hex[-8:]}",
            "name": "Example call",
            "kind": ProgrammeKind.OPEN_CALL,
            "status": ProgrammeStatus.RUNNING,
            "organisation_id": funder.organisation.id,
            "summary": "Grants for widely used projects.",
            "currency": "USD",
            "created_at": datetime_of(FROM),
        }
        | values
    )
    session.add(made)
    session.flush()
    session.add_all(
        [
            ScreeningCheck(programme_id=made.id, position=1, label="Has a free licence"),
            ScreeningCheck(programme_id=made.id, position=2, label="Is used by others"),
            Criterion(programme_id=made.id, position=1, name="Technical merit", weight=30),
            Criterion(programme_id=made.id, position=2, name="Relevance", weight=40),
            Criterion(programme_id=made.id, position=3, name="Value for money", weight=30),
        ]
    )
    session.flush()
    return made


def make_round(session: Session, programme: Programme, **values: Any) -> Round:
    number = len(session.scalars(select(Round).where(Round.programme_id == programme.id)).unique().all()) + 1
    made = Round(
        **{
            "programme_id": programme.id,
            "number": number,
            "name": f"Round {number}",
            "status": RoundStatus.OPEN,
            "opens_on": date(2026, 10, 1),
            "closes_on": date(2026, 11, 30),
            "decides_on": date(2026, 12, 15),
            "created_at": datetime_of(FROM),
        }
        | values
    )
    session.add(made)
    session.flush()
    return made


@pytest.fixture
def programme(session: Session, funder: Funder) -> Programme:
    return make_programme(session, funder)


@pytest.fixture
def open_round(session: Session, programme: Programme) -> Round:
    return make_round(session, programme)


COMPLETE = applications.Draft(
    project_name="Widget",
    project_url="https://widget.example.org",
    repository_url="https://code.example.org/widget",
    licences=("MIT",),
    summary="Widget turns cranks. Thousands of companies use it.",
    use_of_funds="Half a year of maintenance.",
    plan="Two releases, in spring and in summer.",
    team="Mia Maintainer",
    payee=PayeeWish.PERSON,
    payee_name="Mia Maintainer",
    conflicts="None.",
    requested=Money(usd(10_000), "USD"),
)


@pytest.fixture
def maintainer(session: Session) -> Person:
    return person(session, "Mia Maintainer")


@pytest.fixture
def submitted(session: Session, open_round: Round, maintainer: Person, now: datetime) -> Application:
    return submit(session, open_round, maintainer, now)


def submit(
    session: Session, round_: Round, applicant: Person, now: datetime, draft: applications.Draft = COMPLETE
) -> Application:
    application = applications.start_draft(session, round_id=round_.id, applicant=applicant, now=now, draft=draft)
    return applications.submit(session, application.id, person=applicant, now=now)
