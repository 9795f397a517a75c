"""The stand-in of Stripe and a company that pays at it; imported into the conftest."""

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal

import pytest
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.config import settings
from core.identity.models import Person
from pledge import tasks
from pledge.models import Pledge, PledgeInstalment, PledgeMember
from pledge.services import periods
from pledge.services.pay_in_postings import Accounts, accounts
from tests.fakes.pay_ins import Clock, Till
from tests.fakes.stripe import StripeServer, World, serving
from tests.fakes.stripe.server import KEY
from tests.fakes.stripe.webhooks import SECRET

ROTATED = "whsec_the_new_one"


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


@pytest.fixture
def stripe_server(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Iterator[StripeServer]:
    """The stand-in, and the settings of an installation that uses it."""
    with serving(World(clock=clock.seconds)) as server:
        monkeypatch.setenv("PLEDGEWORKS_STRIPE_KEY", KEY)
        monkeypatch.setenv("PLEDGEWORKS_STRIPE_URL", server.url)
        monkeypatch.setenv("PLEDGEWORKS_STRIPE_WEBHOOK_SECRETS", f"{SECRET},{ROTATED}")
        monkeypatch.setattr(tasks, "utc_now", clock)
        settings.cache_clear()
        yield server


@pytest.fixture
def till(session: Session, stripe_server: StripeServer, editor: Person, clock: Clock) -> Till:
    return Till(session, stripe_server, editor, clock)


@pytest.fixture
def instalment(till: Till, pledge: Pledge) -> PledgeInstalment:
    """$5,000 that the company plans to pay."""
    return till.announce(pledge)


@pytest.fixture
def codes() -> Accounts:
    return accounts("open-pledge", "USD")


@pytest.fixture
def wall(till: Till) -> Till:
    """Under the wall clock, which pages read."""
    till.clock.moment = utc_now()
    return till


@pytest.fixture
def running(wall: Till, member: PledgeMember, editor: Person) -> PledgeInstalment:
    """$5,000 of the running year."""
    year = wall.clock().year
    pledge = periods.open_period(
        wall.session, member, label=str(year), starts_on=date(year, 1, 1), ends_on=date(year, 12, 31), developers=Decimal(14),
        actor=editor, now=wall.clock(),
    )  # fmt: skip
    return wall.announce(pledge)
