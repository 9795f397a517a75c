"""The page of a long run: totals of the whole, what stands out first, and the rest in pages."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session
from web_client import Client, Page

from core.clock import utc_now
from core.identity.models import Membership, Role
from core.money import Money
from payouts import rails as known_rails
from payouts.models import Run
from payouts.rails.base import Rail
from payouts.services import holds, runs
from tests.fakes import payouts_world as world

LINES = 60


@pytest.fixture
def now() -> datetime:
    """Pages read the wall clock."""
    return utc_now()


@pytest.fixture
def people(session: Session, now: datetime) -> world.Cast:
    cast = world.cast(session, now)
    for person, role in {cast.finance: Role.FINANCE, cast.approver: Role.PAYOUT_APPROVER}.items():
        session.add(Membership(person_id=person.id, role=role, from_on=now.date() - timedelta(days=1)))
    session.flush()
    return cast


@pytest.fixture
def rails() -> Mapping[str, Rail]:
    return known_rails.configured()


@pytest.fixture
def run(session: Session, people: world.Cast, rails: Mapping[str, Rail], now: datetime) -> Run:
    """A draft of sixty lines: the last one goes to Zoe, by hand, the others to Ada on the trial rail."""
    world.fund(session, Money(10_000_000, "USD"), now=now)
    ada = world.recipient(session, "Ada", rail=rails["fake"], by=people.finance, now=now)
    zoe = world.recipient(session, "Zoe", rail=rails["manual"], by=people.finance, now=now,
                          details={"holder": "Zoe", "bank": "A bank in Oslo", "account": "86011117947"})  # fmt: skip
    first = world.owed(session, ada, 100, by=people.officer, now=now, obligation="a first")
    world.owed(session, zoe, 5_000, by=people.officer, now=now, obligation="z last")
    session.flush()
    session.execute(world.MANY, {"count": LINES - 2, "payout": first.id})
    prepared, unready = runs.prepare(
        session, currency="USD", due_by=now.date(), preparer=people.finance, rails=rails, now=now
    )  # fmt: skip
    assert unready == []
    return prepared


def lines(page: Page) -> list[str]:
    """What the lines that the page shows are for."""
    return [each.text for each in page.all("td") if each.get("data-label") == "For"]


def test_a_long_run_comes_in_pages_and_is_approved_whole(client: Client, people: world.Cast, run: Run) -> None:
    client.sign_in(people.approver, fresh_factor=True)
    page = client.get(f"/payouts/runs/{run.id}")
    assert "You approve all 60 lines, not only those on this page" in page.words
    assert "60 payouts" in page.words
    assert len(lines(page)) == 50
    page = client.get(f"/payouts/runs/{run.id}?cursor=50")
    assert len(lines(page)) == 10
    assert "First page" in page.words
    assert "No more lines" in page.words
    page = client.submit(page, "Approve run", follow=True)
    assert "It can be sent" in page.text


def test_what_cannot_go_comes_first_wherever_it_stands(
    client: Client, session: Session, people: world.Cast, run: Run, now: datetime
) -> None:
    zoe = next(payout.recipient for payout in run.payouts if payout.obligation == "z last")
    client.sign_in(people.approver)
    assert "Zoe" not in client.get(f"/payouts/runs/{run.id}").words
    holds.hold(session, zoe, reason="The bank asks about her account.", actor=people.finance, now=now)
    page = client.get(f"/payouts/runs/{run.id}")
    assert "Look at this before you approve" in page.words
    assert "The bank asks about her account" in page.words.partition("Goes to")[2]
    page = client.get(f"/payouts/runs/{run.id}?notice=trouble")
    assert len(lines(page)) == 1
    assert "1 of 60 lines" in page.words


def test_lines_are_chosen_by_rail_and_state(client: Client, people: world.Cast, run: Run) -> None:
    client.sign_in(people.finance)
    assert len(lines(client.get(f"/payouts/runs/{run.id}?rail=manual"))) == 1
    assert len(lines(client.get(f"/payouts/runs/{run.id}?rail=fake&status=draft&notice=first"))) == 50
    assert "No such line" in client.get(f"/payouts/runs/{run.id}?rail=manual&notice=changed").words
    assert client.get(f"/payouts/runs/{run.id}?cursor=-3").status == 422
