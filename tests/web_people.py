"""People for tests of pages and roles: fixtures to import into a conftest.py."""

from datetime import datetime

import pytest
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.identity import people
from core.identity.models import Person

PASSWORD = "correct horse battery"


@pytest.fixture
def moment() -> datetime:
    """The wall clock's time: what pages read."""
    return utc_now()


@pytest.fixture
def ada(session: Session, moment: datetime) -> Person:
    """Somebody without any role."""
    return people.create(session, email="ada@example.org", name="Ada Maintainer", password=PASSWORD, actor=None, now=moment)


@pytest.fixture
def admin(session: Session, moment: datetime) -> Person:
    """The administrator."""
    return people.create(
        session, email="admin@example.org", name="Adele Admin", password=PASSWORD, is_admin=True, actor=None, now=moment
    )
