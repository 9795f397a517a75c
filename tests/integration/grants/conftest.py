"""A funder and its programme, made afresh inside each test's transaction."""

from datetime import datetime

import pytest
from sqlalchemy.orm import Session

from core.identity.models import Person
from grants.models import Application, Programme, Round
from tests.integration.grants import builders
from tests.integration.grants.builders import Funder


@pytest.fixture
def funder(session: Session) -> Funder:
    return builders.funder(session)


@pytest.fixture
def programme(session: Session, funder: Funder) -> Programme:
    return builders.programme(session, funder)


@pytest.fixture
def open_round(session: Session, programme: Programme) -> Round:
    return builders.round_of(session, programme)


@pytest.fixture
def maintainer(session: Session) -> Person:
    return builders.person(session, "Mia Maintainer")


@pytest.fixture
def submitted(session: Session, open_round: Round, maintainer: Person, now: datetime) -> Application:
    return builders.submit(session, open_round, maintainer, now)
