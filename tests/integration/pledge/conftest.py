"""A company with a pledge editor, and the platform's people."""

from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy.orm import Session

from core.db import new_id
from core.identity.models import Membership, Organisation, Person, Role
from core.money import Money
from pledge.models import MemberOrigin, MembershipStatus, PaymentChannel, Pledge, PledgeMember, PledgeRule
from pledge.services import membership, periods
from pledge.services.payments import PaymentInput
from tests.integration.pledge.pay_in_fixtures import clock, codes, instalment, running, stripe_server, till, wall

__all__ = ["clock", "codes", "instalment", "running", "stripe_server", "till", "wall"]


def person(session: Session, name: str, now: datetime) -> Person:
    made = Person(id=new_id(), email=f"{name.lower()}@example.org", name=name, created_at=now)
    session.add(made)
    session.flush()
    return made


def give(session: Session, who: Person, role: Role, *, organisation: Organisation | None = None) -> None:
    session.add(
        Membership(
            id=new_id(),
            person_id=who.id,
            organisation_id=organisation.id if organisation else None,
            role=role,
            from_on=date(2020, 1, 1),
        )
    )
    session.flush()


@pytest.fixture
def give_role(session: Session) -> Callable[[Person, Role], None]:
    """Give somebody a role on the platform."""
    return lambda who, role: give(session, who, role)


@pytest.fixture
def officer(session: Session, now: datetime) -> Person:
    made = person(session, "Olga", now)
    give(session, made, Role.PROGRAMME_OFFICER)
    return made


@pytest.fixture
def finance(session: Session, now: datetime) -> Person:
    made = person(session, "Fatima", now)
    give(session, made, Role.FINANCE)
    return made


@pytest.fixture
def stranger(session: Session, now: datetime) -> Person:
    return person(session, "Stan", now)


@pytest.fixture
def editor(session: Session, now: datetime) -> Person:
    return person(session, "Edda", now)


@pytest.fixture
def member(session: Session, editor: Person, now: datetime) -> PledgeMember:
    """A checked member with an editor, without any figure."""
    organisation = Organisation(id=new_id(), slug="acme", name="Acme", created_at=now)
    made = membership.new_member(organisation, status=MembershipStatus.CHECKED, origin=MemberOrigin.HERE, now=now)
    session.add(made)
    session.flush()
    give(session, editor, Role.PLEDGE_EDITOR, organisation=organisation)
    return made


@pytest.fixture
def pledge(session: Session, member: PledgeMember, editor: Person, now: datetime) -> Pledge:
    """The year 2026 with 14 developers."""
    return periods.open_period(
        session,
        member,
        label="2026",
        starts_on=date(2026, 1, 1),
        ends_on=date(2026, 12, 31),
        developers=Decimal(14),
        actor=editor,
        now=now,
    )


@pytest.fixture
def given() -> Callable[..., PaymentInput]:
    """A payment as somebody enters it, $10,000 to curl on 2026-03-01 unless told otherwise."""

    def make(amount: str = "10000", currency: str = "USD", **other: Any) -> PaymentInput:
        values: dict[str, Any] = {
            "payee": "curl",
            "project": "curl",
            "money": Money.parse(amount, currency),
            "paid_on": date(2026, 3, 1),
            "channel": PaymentChannel.GITHUB_SPONSORS,
            "rule": PledgeRule.OPEN_SOURCE_PROJECT,
            "evidence_url": "https://acme.example/receipts/1",
        }
        return PaymentInput(**values | other)

    return make
