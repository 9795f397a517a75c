"""The payee's own page, and what the console shows of comparing and holding."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session
from web_client import Client

from core.clock import utc_now
from core.config import settings
from core.identity.models import Membership, Person, Role
from core.money import Money
from payouts import rails as known_rails
from payouts.models import Recipient, RecipientKind
from payouts.rails.base import Rail
from payouts.rails.fake import address_file
from payouts.rails.fake_server import FakeRailServer
from payouts.services import recipients
from tests.fakes import payouts_world as world

IBAN = "DE89370400440532013000"


@pytest.fixture
def now() -> datetime:
    """Pages read the wall clock."""
    return utc_now()


@pytest.fixture
def people(session: Session, now: datetime) -> world.Cast:
    cast = world.cast(session, now)
    for person, role in ((cast.finance, Role.FINANCE), (cast.approver, Role.PAYOUT_APPROVER), (cast.officer, Role.MAINTAINER)):
        session.add(Membership(person_id=person.id, role=role, from_on=now.date() - timedelta(days=1)))
    session.flush()
    return cast


@pytest.fixture
def rails(server: FakeRailServer) -> Mapping[str, Rail]:
    settings().data_folder.mkdir(parents=True, exist_ok=True)
    address_file(settings().data_folder).write_text(server.url)
    return known_rails.configured()


@pytest.fixture
def nora(session: Session, people: world.Cast, rails: Mapping[str, Rail], now: datetime) -> Recipient:
    made = recipients.add_recipient(
        session, name="Nora", kind=RecipientKind.PERSON, country="DE", email="nora@example.org", actor=None, now=now,
        person_id=people.officer.id,
    )  # fmt: skip
    world.fund(session, Money(1_000_000, "USD"), now=now)
    world.owed(session, made, 150_000, by=people.finance, now=now)
    return made


def test_a_payee_enters_an_account_and_others_compare_it(
    client: Client, session: Session, people: world.Cast, nora: Recipient
) -> None:
    mine = f"/payouts/mine/{nora.id}"
    client.sign_in(people.officer, fresh_factor=True)
    assert "You are owed money: say where it goes" in client.get("/work").words
    assert client.get("/payouts/mine").location.endswith(mine)
    page = client.get(mine)
    assert "Nothing entered yet" in page.words
    assert "Of $1,500.00 you would get" in page.words
    form = client.get(f"{mine}/destinations/bank_file")
    refused = client.submit(form, "Save", currency="USD", iban="DE89370400440532013001")
    assert refused.problems == ["This IBAN's check digits don't fit; one of its characters is mistyped."]
    page = client.submit(form, "Save", currency="USD", iban=IBAN, follow=True)
    assert "IBAN DE …3000" in page.words
    assert IBAN not in page.text
    assert "A person at the other end compares it with you by another way" in page.words
    place = session.get_one(Recipient, nora.id).destinations[0]
    assert client.post(f"/payouts/destinations/{place.id}/look", {"reason": "It is mine"}).status == 403

    client.sign_in(people.approver, fresh_factor=True)
    assert "Payment details to compare" in client.get("/work").words
    assert "Nora: USD, IBAN DE …3000, entered by Olga" in client.get("/payouts/recipients").words
    page = client.get(f"/payouts/recipients/{nora.id}")
    page = client.submit(page, "It is right", reason="Called the number known before", follow=True)
    assert "compared by Petra" in page.words
    assert "To be compared" not in page.words

    client.sign_in(people.officer, fresh_factor=True)
    page = client.get(mine)
    assert "Payouts can go here." in page.words
    assert "It can go by Bank file when it is due." in page.words
    client.sign_in(people.officer)
    assert "Confirm that it is you" in client.submit(client.get(mine), "Prefer Bank file").words, "it steers where money goes"
    client.sign_in(people.officer, fresh_factor=True)
    page = client.get(mine)
    page = client.submit(page, "Prefer Bank file", follow=True)
    assert "You are paid by Bank file whenever that is possible" in page.words
    page = client.submit(page, "No preference", follow=True)
    page = client.submit(page, "Remove", follow=True)
    assert "Nothing entered yet" in page.words


def test_a_change_the_payee_did_not_make_stops_all_payments(
    client: Client, session: Session, people: world.Cast, nora: Recipient, rails: Mapping[str, Rail], now: datetime
) -> None:
    for account in ("acct_nora", "acct_thief"):
        recipients.set_destination(
            session, nora.id, rail=rails["fake"], currency="USD", details={"account": account}, actor=people.finance, now=now
        )
    client.sign_in(people.officer)
    assert "Your payment details were changed: was it you?" in client.get("/work").words
    page = client.get(f"/payouts/mine/{nora.id}")
    assert "If somebody writes to you about this, it is to" in page.words
    page = client.submit(page, "No, stop payments", follow=True)
    assert "Payments are held" in page.words
    assert "Was it you?" not in page.words

    client.sign_in(people.finance)
    assert "Nothing is paid to Nora" in client.get(f"/payouts/recipients/{nora.id}").words
    assert client.post(f"/payouts/recipients/{nora.id}/hold/lifting", {"reason": "x"}).status == 403
    client.sign_in(people.approver, fresh_factor=True)
    page = client.get(f"/payouts/recipients/{nora.id}")
    assert "Olga says that it was somebody else" in page.words
    page = client.submit(page, "Lift the hold", reason="Her account was taken over; it is hers again", follow=True)
    assert "Nothing is paid to Nora" not in page.words
    page = client.submit(page, "Hold payments", reason="Waits for a court", follow=True)
    assert "Waits for a court" in page.words


def test_the_page_is_the_payees_alone(
    client: Client, session: Session, people: world.Cast, nora: Recipient, now: datetime
) -> None:
    stranger = Person(email="s@example.org", name="Stranger", created_at=now)
    session.add(stranger)
    session.flush()
    mine = f"/payouts/mine/{nora.id}"
    for who in (stranger, people.finance):
        client.sign_in(who, fresh_factor=True)
        assert client.get(mine).status == 404
        assert client.get(f"{mine}/destinations/bank_file").status == 404
        assert client.post(f"{mine}/preference", {"rail": "bank_file"}).status == 404
    client.sign_in(stranger)
    assert "Nobody owes you anything yet" in client.get("/payouts/mine").words
    client.sign_out()
    assert client.get(mine).status == 303


def test_a_change_wants_proof_that_it_is_the_payee(client: Client, people: world.Cast, nora: Recipient) -> None:
    client.sign_in(people.officer)
    assert client.get(f"/payouts/mine/{nora.id}/destinations/bank_file").status == 403
