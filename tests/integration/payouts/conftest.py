"""People, recipients and money for the payout tests."""

from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy.orm import Session

from core.db import new_id
from core.identity.models import Person
from payouts.models import Recipient, RecipientKind

Make = Callable[..., Person]


def person(session: Session, name: str, now: datetime) -> Person:
    made = Person(id=new_id(), email=f"{name.lower()}@example.org", name=name, created_at=now)
    session.add(made)
    session.flush()
    return made


def recipient(session: Session, name: str, now: datetime) -> Recipient:
    made = Recipient(
        id=new_id(),
        name=name,
        kind=RecipientKind.PERSON,
        country="DE",
        email=f"{name.lower()}@example.org",
        created_at=now,
    )
    session.add(made)
    session.flush()
    return made


@pytest.fixture
def officer(session: Session, now: datetime) -> Person:
    """Says that something is owed."""
    return person(session, "Olga", now)


@pytest.fixture
def ada(session: Session, now: datetime) -> Recipient:
    return recipient(session, "Ada", now)
