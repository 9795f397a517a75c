"""The console about rails: side by side with what each costs and needs, overruled with a reason, and what nobody can be paid."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session
from web_client import Client

from core.clock import utc_now
from core.config import settings
from core.identity.models import Membership, Role
from core.money import Money
from payouts import rails as known_rails
from payouts.models import Payout, Recipient
from payouts.rails.base import Rail
from payouts.rails.fake import address_file
from payouts.rails.fake_server import FakeRailServer
from payouts.services import recipients
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world


@pytest.fixture
def now() -> datetime:
    """Pages read the wall clock."""
    return utc_now()


@pytest.fixture
def people(session: Session, now: datetime) -> world.Cast:
    cast = world.cast(session, now)
    for person, role in ((cast.finance, Role.FINANCE), (cast.approver, Role.PAYOUT_APPROVER)):
        session.add(Membership(person_id=person.id, role=role, from_on=now.date() - timedelta(days=1)))
    session.flush()
    return cast


@pytest.fixture
def rails(server: FakeRailServer) -> Mapping[str, Rail]:
    settings().data_folder.mkdir(parents=True, exist_ok=True)
    address_file(settings().data_folder).write_text(server.url)
    return known_rails.configured()


@pytest.fixture
def ada(session: Session, people: world.Cast, rails: Mapping[str, Rail], now: datetime) -> Recipient:
    """With a destination on the trial rail and, since a week ago, one for the bank file."""
    ago = now - timedelta(days=7)
    made = world.recipient(session, "Ada", rail=rails["fake"], by=people.finance, now=ago)
    place = recipients.set_destination(
        session, made.id, rail=rails["bank_file"], currency="USD", details={"iban": "DE89370400440532013000"},
        actor=people.finance, now=ago,
    )  # fmt: skip
    world.compared(session, place, now=ago)
    return made


@pytest.fixture
def payout(session: Session, people: world.Cast, ada: Recipient, now: datetime) -> Payout:
    world.fund(session, Money(10_000_000, "USD"), now=now)
    return world.owed(session, ada, 250_000, by=people.officer, now=now)


def test_rails_stand_side_by_side_and_a_person_may_overrule(client: Client, people: world.Cast, payout: Payout) -> None:
    client.sign_in(people.finance)
    page = client.get(f"/payouts/{payout.id}")
    assert "It goes by Trial rail (no real money). It leaves Ada most, as far as is known: 2,500.00 USD" in page.words
    assert "It needs from Ada: Account holder, Bank, Account." in page.words
    assert "PLEDGEWORKS_STRIPE_KEY" in page.words
    assert "DE89370400440532013000" not in page.text
    refused = client.submit(page, "Choose this rail", rail="bank_file", reason="")
    assert refused.problems == ["Say why this rail; the reason stays in the history."]
    page = client.submit(page, "Choose this rail", rail="bank_file", reason="Her bank asked for it", follow=True)
    assert "It goes by Bank file. Finn chose it: Her bank asked for it" in page.words
    page = client.submit(page, "Leave it to the platform", reason="A slip", follow=True)
    assert "It goes by Trial rail" in page.words
    impossible = client.submit(page, "Choose this rail", rail="manual", reason="Try")
    assert impossible.status == 303, "Ada can still bring what that rail needs"
    assert "Finn chose Manual bank transfer for this payout, and it can't go by it now" in client.get("/payouts").words


def test_price_before_and_after(
    client: Client, session: Session, people: world.Cast, payout: Payout, rails: Mapping[str, Rail], now: datetime
) -> None:
    run = world.sent_run(session, people, rails=rails, now=now)
    client.sign_in(people.finance)
    assert "1 payout; after fees payees get $2,500.00" in client.get(f"/payouts/runs/{run.id}").words
    page = client.get(f"/payouts/{payout.id}")
    assert "Payee gets, as expected$2,500.00" in page.words
    assert "Why this railIt leaves Ada most" in page.words
    session.commit()
    Engine(rails=rails, sessions=world.Sessions(session.connection())).drive(payout.id)
    session.expire_all()
    assert "Payee gets, as the rail reported$2,500.00" in client.get(f"/payouts/{payout.id}").words


def test_the_rails_say_what_they_cost_and_since_when(client: Client, people: world.Cast, rails: Mapping[str, Rail]) -> None:
    client.sign_in(people.finance)
    page = client.get("/payouts/rails")
    assert "Costsnone" in page.words
    assert "Costsnot known beforehand" in page.words
    assert "Known fromYour contract with your bank, since 1 Jan 2026" in page.words


def test_finance_notes_what_the_payee_prefers_and_removes_a_destination(
    client: Client, session: Session, people: world.Cast, ada: Recipient
) -> None:
    client.sign_in(people.finance)
    page = client.get(f"/payouts/recipients/{ada.id}")
    assert "Confirm that it is you" in client.submit(page, "Prefer Bank file").words, "both steer where money goes"
    client.sign_in(people.finance, fresh_factor=True)
    page = client.submit(page, "Prefer Bank file", follow=True)
    assert "Ada wants to be paid by Bank file whenever that is possible" in page.words
    place = next(each for each in ada.destinations if each.rail == "bank_file")
    empty = client.post(f"/payouts/destinations/{place.id}/removal", {"reason": ""})
    assert empty.status == 422
    page = client.post(f"/payouts/destinations/{place.id}/removal", {"reason": "Account closed"}, follow=True)
    session.expire_all()
    assert place.retired_at is not None
    assert ada.preferred_rail is None
    assert "was removed from the payment details of Ada" in page.words
