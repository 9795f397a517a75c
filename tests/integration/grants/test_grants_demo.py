"""The demo's figures are the published ones, and its made-up fund keeps every rule."""

from datetime import date, datetime

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from web_client import Client

from core import ledger
from core.clock import utc_now
from core.identity import demo as people_demo
from core.money import Money
from grants import demo, queries
from grants.models import Application, ApplicationStatus, Grant, GrantStatus, Instalment, InstalmentStatus, Programme
from tests.integration.grants.builders import usd


@pytest.fixture
def loaded(session: Session) -> datetime:
    now = utc_now()
    demo.load(session, now=now, people=people_demo.load(session, now=now))
    return now


def programme(session: Session, slug: str) -> Programme:
    return queries.programme(session, slug)


def test_floss_funds_year_is_committed_to_the_dollar(session: Session, loaded: datetime) -> None:
    floss = programme(session, "floss-fund")
    standing = queries.standing(session, floss, on=date(2025, 12, 31))
    assert (standing.committed, standing.remaining) == (usd(1_000_000), usd(0))
    total, *others = queries.totals(session, queries.public_grants(programme_slug="floss-fund"))
    assert (total.money, total.paid, total.grants, total.at_least, others) == (usd(1_000_000), usd(315_000), 39, False, [])
    outside = select(func.count()).where(Grant.programme_id == floss.id, Grant.override_reason.is_not(None))
    assert session.scalar(outside) == 6
    committed = sum(
        balance.posted
        for balance in ledger.balances(session, "liabilities:grant")
        if _programme_of(session, balance.account) == floss.id
    )
    assert Money(committed, "USD") == usd(685_000)  # pending: committed, not paid


def _programme_of(session: Session, account: str) -> object:
    grant = session.get(Grant, account.split(":")[2])
    return grant.programme_id if grant else None


def test_two_fellows_of_2024_leave_one_place(session: Session, loaded: datetime) -> None:
    fellowship = programme(session, "open-source-fellowship")
    assert queries.standing(session, fellowship, on=date(2024, 12, 31)).places_left == 1
    made = queries.grants_of_programme(session, fellowship.id)
    notes = queries.conflict_notes(session, made)
    assert {(grant.recipient_name, tuple(notes[grant.id].overlaps)) for grant in made} == {
        ("vLLM", ("Sequoia Capital holds a stake in Replicate, which uses vLLM.",)),
        ("Chatbot Arena", ("Sequoia Capital holds a stake in Factory, which uses Chatbot Arena.",)),
        (
            "Sebastián Ramírez",
            ("Sequoia Capital holds a stake in Pydantic Services, which owns Pydantic, on which FastAPI depends.",),
        ),
    }
    fellow = next(grant for grant in made if grant.recipient_name == "Sebastián Ramírez")
    amounts = [str(part.money) for part in fellow.instalments]
    assert amounts == ["8,333.34 USD"] * 4 + ["8,333.33 USD"] * 8
    total = queries.totals(session, queries.public_grants(programme_slug=fellowship.slug))[0]
    assert (total.money, total.at_least) == (usd(200_000), True)


def test_every_desk_has_something_on_it(session: Session, loaded: datetime) -> None:
    fund = programme(session, "example-commons-fund")
    states = set(session.scalars(select(Application.status).where(Application.programme_id == fund.id)))
    assert states >= set(ApplicationStatus) - {ApplicationStatus.SCREENED, ApplicationStatus.WITHDRAWN}
    made = {grant.status: grant for grant in queries.grants_of_programme(session, fund.id)}
    assert made.keys() == {GrantStatus.OFFERED, GrantStatus.ACTIVE}
    parts = [part.status for part in made[GrantStatus.ACTIVE].instalments]
    assert parts[0] is InstalmentStatus.IN_PAYOUT
    assert all(row.is_demo for row in session.scalars(select(Programme)))
    assert all(row.is_demo for row in session.scalars(select(Grant)).unique())
    assert all(row.source_url or row.decision_id for row in session.scalars(select(Grant)).unique())


def test_loading_again_changes_nothing(session: Session, loaded: datetime) -> None:
    before = session.scalar(select(func.count()).select_from(Instalment))
    demo.load(session, now=loaded, people=people_demo.load(session, now=loaded))
    assert session.scalar(select(func.count()).select_from(Instalment)) == before


def test_the_api_pages_through_the_register_and_sums_all_of_it(client: Client, loaded: datetime) -> None:
    seen, cursor = [], None
    while True:
        page = client.api("GET", "/api/v1/grants?limit=20" + (f"&cursor={cursor}" if cursor else ""))
        assert page.status == 200
        seen += [item["id"] for item in page.json["items"]]
        total, *others = page.json["totals"]
        assert (total["grants"], total["undisclosed"], others) == (43, 1, [])
        cursor = page.json["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) == 43
    hidden = client.api("GET", "/api/v1/grants?programme=open-source-fellowship&year=2023").json["items"][0]
    assert (hidden["amount"], hidden["recipient"], len(hidden["overlaps"])) == (None, "Sebastián Ramírez", 1)
    listed = {one["slug"]: one for one in client.api("GET", "/api/v1/programmes").json["items"]}
    assert listed["floss-fund"]["request_step"] == {"amount": "25000.00", "currency": "USD"}
    assert listed["example-commons-fund"]["rounds"][-1]["status"] == "open"
    assert client.api("GET", "/api/v1/grants?cursor=nonsense").status == 422
