"""People, recipients, money, a trial rail and an engine with a clock of its own."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from core.identity.models import Person
from core.money import Money
from payouts.models import Recipient
from payouts.policies import Rules
from payouts.rails.bank_file import BankFileRail
from payouts.rails.base import Rail
from payouts.rails.fake import FakeRail
from payouts.rails.fake_server import FakeRailServer
from payouts.rails.github_sponsors import GitHubSponsorsRail
from payouts.rails.manual import ManualRail
from payouts.services.engine import Engine
from tests.fakes import graphql_server
from tests.fakes import payouts_world as world
from tests.fakes.github_sponsors import TOKEN, GitHubSponsors
from tests.fakes.rail_server import serving


@pytest.fixture
def clock(now: datetime) -> world.Clock:
    return world.Clock(now)


@pytest.fixture
def people(session: Session, now: datetime) -> world.Cast:
    return world.cast(session, now)


@pytest.fixture
def officer(people: world.Cast) -> Person:
    """Says that something is owed."""
    return people.officer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeRailServer]:
    with serving(tmp_path / "rail.sqlite") as made:
        yield made


@pytest.fixture
def github(shared: Path, clock: world.Clock) -> Iterator[GitHubSponsors]:
    """GitHub, which keeps the test's time."""
    with graphql_server.serving(GitHubSponsors(shared / "schemas" / "github.graphql", clock=clock)) as made:
        yield made


@pytest.fixture
def rails(server: FakeRailServer, request: pytest.FixtureRequest) -> Mapping[str, Rail]:
    return basic_rails(server.url, lambda: request.getfixturevalue("github").url)


def basic_rails(trial_address: str, github_address: Callable[[], str]) -> dict[str, Rail]:
    """The trial rail with keys and without, the bank file, GitHub (started when it is first asked), and people."""
    short = timedelta(seconds=4)
    made: list[Rail] = [
        FakeRail(lambda: trial_address, timeout=short),
        FakeRail(lambda: trial_address, name="plain", idempotent=False, timeout=short),
        BankFileRail(),
        GitHubSponsorsRail("acme", TOKEN, address=github_address),
        ManualRail(),
    ]
    return {rail.name: rail for rail in made}


@pytest.fixture
def cash() -> str:
    """Where the money lies that the rails of a test pay from."""
    return world.BANK


@pytest.fixture
def funded(session: Session, cash: str, now: datetime) -> None:
    world.fund(session, Money(10_000_000, "USD"), now=now, cash=cash)


@pytest.fixture
def ada(session: Session, people: world.Cast, rails: Mapping[str, Rail], now: datetime) -> Recipient:
    return world.recipient(session, "Ada", rail=rails["fake"], by=people.finance, now=now)


@pytest.fixture
def bob(session: Session, people: world.Cast, rails: Mapping[str, Rail], now: datetime) -> Recipient:
    """Paid on the rail without idempotency keys."""
    return world.recipient(session, "Bob", rail=rails["plain"], by=people.finance, now=now)


@pytest.fixture
def engine_of_payouts(session: Session, rails: Mapping[str, Rail], clock: world.Clock) -> Engine:
    connection = session.connection()
    return Engine(rails=rails, rules=Rules(), sessions=world.Sessions(connection), clock=clock)
