"""What the tests of grants are made of: a funder with its people, programmes, applications on their way, money."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session
from uuid_utils.compat import uuid7

from core import ledger
from core.identity.models import Membership, Organisation, Person, Project, Role
from core.money import Money
from grants.models import (
    Application,
    ConflictOutcome,
    Criterion,
    Decision,
    Grant,
    Payee,
    PayeeWish,
    Programme,
    ProgrammeKind,
    ProgrammeStatus,
    Recommendation,
    Review,
    Round,
    RoundStatus,
    Schedule,
    ScreeningCheck,
    Vote,
)
from grants.services import applications, conflicts, decisions, grants, reviews, screening
from grants.services.grants import PayeeChoice

FROM = date(2026, 1, 1)
MORNING = datetime.combine(FROM, time(9), UTC)

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
    requested=Money(1_000_000, "USD"),
)


def usd(amount: int) -> Money:
    """Whole dollars."""
    return Money(amount * 100, "USD")


def slugged(name: str) -> str:
    return f"{''.join(c if c.isalnum() else '-' for c in name.lower()).strip('-')}-{uuid7().hex[-8:]}"


def person(session: Session, name: str) -> Person:
    made = Person(email=f"{slugged(name)}@example.org", name=name, created_at=MORNING)
    session.add(made)
    session.flush()
    return made


def organisation(session: Session, name: str, country: str | None = None) -> Organisation:
    made = Organisation(slug=slugged(name), name=name, country=country, created_at=MORNING)
    session.add(made)
    session.flush()
    return made


def project(session: Session, name: str, maintainer: Person | None = None) -> Project:
    made = Project(
        slug=slugged(name),
        name=name,
        url="https://project.example.org",
        repository_url="https://code.example.org/project",
        licences=["Apache-2.0"],
        created_at=MORNING,
    )
    session.add(made)
    session.flush()
    if maintainer:
        member(session, maintainer, Role.MAINTAINER, project_id=made.id)
    return made


def member(session: Session, who: Person, role: Role, **scope: Any) -> None:
    session.add(Membership(person_id=who.id, role=role, from_on=FROM, **scope))
    session.flush()


@dataclass(frozen=True)
class Funder:
    """An organisation with an officer and three reviewers, and finance of the platform."""

    organisation: Organisation
    officer: Person
    reviewers: tuple[Person, ...]
    finance: Person


def funder(session: Session, name: str = "Example Capital") -> Funder:
    body = organisation(session, name)
    officer, finance = person(session, "Olu Officer"), person(session, "Fay Finance")
    reviewers = tuple(person(session, f"{first} Reviewer") for first in ("Rana", "Remy", "Ruta"))
    member(session, officer, Role.PROGRAMME_OFFICER, organisation_id=body.id)
    member(session, finance, Role.FINANCE)  # funds belong to the platform
    for reviewer in reviewers:
        member(session, reviewer, Role.REVIEWER, organisation_id=body.id)
    return Funder(body, officer, reviewers, finance)


def programme(session: Session, by: Funder, **values: Any) -> Programme:
    """A running open call in USD with two checks and NLnet's weights; every rule can be given."""
    made = Programme(
        **{
            "slug": slugged("call"),
            "name": "Example call",
            "kind": ProgrammeKind.OPEN_CALL,
            "status": ProgrammeStatus.RUNNING,
            "organisation_id": by.organisation.id,
            "summary": "Grants for widely used projects.",
            "currency": "USD",
            "created_at": MORNING,
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


def round_of(session: Session, of: Programme, **values: Any) -> Round:
    number = 1 + (session.scalar(select(func.count()).where(Round.programme_id == of.id)) or 0)
    made = Round(
        **{
            "programme_id": of.id,
            "number": number,
            "name": f"Round {number}",
            "status": RoundStatus.OPEN,
            "opens_on": date(2026, 10, 1),
            "closes_on": date(2026, 11, 30),
            "decides_on": date(2026, 12, 15),
            "created_at": MORNING,
        }
        | values
    )
    session.add(made)
    session.flush()
    return made


def money_in(session: Session, of: Programme, amount: Money, now: datetime) -> None:
    """Cash that arrived, in the programme's account."""
    bank = f"assets:bank:{amount.currency.lower()}"
    ledger.ensure_account(session, bank, amount.currency, normal=ledger.Side.DEBIT, guard=ledger.Guard.DEBIT)
    ledger.ensure_account(session, of.account, amount.currency, normal=ledger.Side.CREDIT, guard=ledger.Guard.CREDIT)
    legs = [ledger.Leg(debit=bank, credit=of.account, amount=amount.amount_minor)]
    ledger.post(session, key=f"test:{uuid7()}", kind="test.money-in", legs=legs, at=now)


def submit(
    session: Session, round_: Round, applicant: Person, now: datetime, *, draft: applications.Draft = COMPLETE,
    of: Project | None = None,
) -> Application:  # fmt: skip
    made = applications.start_draft(
        session, round_id=round_.id, applicant=applicant, now=now, draft=draft, project_id=of.id if of else None
    )
    return applications.submit(session, made.id, person=applicant, now=now)


def screened(session: Session, application: Application, by: Funder, now: datetime) -> Application:
    answers = {check.id: screening.Answer(passed=True) for check in application.programme.checks}
    return screening.screen(session, application.id, answers=answers, officer=by.officer, now=now)


def assigned(session: Session, application: Application, by: Funder, now: datetime, count: int = 2) -> list[Review]:
    ids = [reviewer.id for reviewer in by.reviewers[:count]]
    return reviews.assign(session, application.id, reviewer_ids=ids, officer=by.officer, now=now)


def scored(session: Session, review: Review, now: datetime, points: int = 4) -> Review:
    """Declare nothing and give every criterion the same points."""
    conflicts.declare(session, review.application_id, person=review.reviewer, outcome=ConflictOutcome.NONE, reason="", now=now)
    return reviews.submit(
        session,
        review.id,
        reviewer=review.reviewer,
        points={criterion.id: points for criterion in review.application.programme.criteria},
        recommendation=Recommendation.FUND,
        comment="Good work, widely used.",
        now=now,
    )


def shortlisted(session: Session, round_: Round, by: Funder, applicant: Person, now: datetime, **values: Any) -> Application:
    application = screened(session, submit(session, round_, applicant, now, **values), by, now)
    for review in assigned(session, application, by, now):
        scored(session, review, now)
    return reviews.shortlist(session, application.id, officer=by.officer, now=now)


def offer(amount: Money, **values: Any) -> decisions.Offer:
    return decisions.Offer(**{"amount": amount, "schedule": Schedule.UPFRONT, "starts_on": date(2026, 11, 1)} | values)


def decided(
    session: Session, application: Application, by: Funder, now: datetime, terms: decisions.Offer | None, **values: Any
) -> Decision:
    """The first two reviewers were there and agreed."""
    vote = Vote.FOR if terms else Vote.AGAINST
    return decisions.decide(
        session,
        application.id,
        **{
            "officer": by.officer,
            "votes": {reviewer.id: vote for reviewer in by.reviewers[:2]},
            "minute": "Weighed and agreed.",
            "offer": terms,
            "decided_on": now.date(),
            "now": now,
        }
        | values,
    )


def offered(
    session: Session, round_: Round, by: Funder, applicant: Person, now: datetime, terms: decisions.Offer, **values: Any
) -> Grant:
    """A grant on offer, in a programme with just the money it needs."""
    money_in(session, round_.programme, terms.amount, now)
    decision = decided(session, shortlisted(session, round_, by, applicant, now, **values), by, now, terms)
    return session.scalars(select(Grant).where(Grant.decision_id == decision.id)).unique().one()


DIRECT = PayeeChoice(payee=Payee.DIRECT, legal_name="Mia Maintainer", country="DE")


def accepted(session: Session, grant: Grant, by: Person, now: datetime) -> Grant:
    return grants.accept(session, grant.id, person=by, choice=DIRECT, now=now)
