"""Stripe Connect on the console: from no account to a confirmed payout, and back again."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import pytest
import requests
from sqlalchemy.orm import Session
from web_client import Client

from core import ledger
from core.clock import utc_now
from core.config import settings
from core.identity.models import Membership, Organisation, Person, Role
from core.money import Money
from payouts import rails as known_rails
from payouts.models import Payout, PayoutStatus, Recipient
from payouts.rails.base import Rail
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world
from tests.fakes.stripe import Fault, StripeServer, connect, serving
from tests.fakes.stripe.server import KEY

ADA = "acct_1Ada000000000001"


@pytest.fixture
def now() -> datetime:
    """Pages read the wall clock."""
    return utc_now()


@pytest.fixture
def stripe_server() -> Iterator[StripeServer]:
    with serving() as made:
        made.world.top_up(10_000_000)
        yield made


@pytest.fixture
def rails(stripe_server: StripeServer, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Rail]:
    """Those of an installation with Stripe's key."""
    monkeypatch.setenv("PLEDGEWORKS_STRIPE_KEY", KEY)
    monkeypatch.setenv("PLEDGEWORKS_STRIPE_URL", stripe_server.url)
    settings.cache_clear()
    return known_rails.configured()


@pytest.fixture
def people(session: Session, now: datetime) -> world.Cast:
    cast = world.cast(session, now)
    for person, role in {
        cast.finance: Role.FINANCE,
        cast.approver: Role.PAYOUT_APPROVER,
        cast.second: Role.PAYOUT_APPROVER,
    }.items():
        session.add(Membership(person_id=person.id, role=role, from_on=now.date() - timedelta(days=1)))
    session.flush()
    return cast


@pytest.fixture
def payee(session: Session, people: world.Cast, now: datetime) -> Recipient:
    """A person with an account here and none at Stripe."""
    from payouts.services import recipients

    made = recipients.add_recipient(
        session, name="Olga", kind="person", country="DE", email="olga@example.org", actor=people.finance, now=now,
        person_id=people.officer.id,
    )  # fmt: skip
    session.flush()
    return made


@pytest.fixture
def paid(session: Session, people: world.Cast, rails: Mapping[str, Rail], stripe_server: StripeServer, now: datetime) -> Payout:
    connect.connected_account(stripe_server.world, account_id=ADA)
    world.fund(session, Money(5_000_000, "USD"), now=now, cash=world.STRIPE)
    who = world.recipient(session, "Ada", rail=rails["stripe_connect"], by=people.finance, now=now, details={"account": ADA})
    payout = world.owed(session, who, 1_000_000, by=people.officer, now=now)
    world.sent_run(session, people, rails=rails, now=now)
    session.commit()
    Engine(rails=rails, sessions=world.Sessions(session.connection())).drive(payout.id)
    session.expire_all()
    assert payout.status is PayoutStatus.PAID
    return payout


def page_of(who: Recipient) -> str:
    return f"/payouts/recipients/{who.id}/onboarding/stripe_connect"


def test_a_payee_is_led_from_no_account_to_ready(
    client: Client, people: world.Cast, payee: Recipient, rails: Mapping[str, Rail], session: Session
) -> None:
    client.sign_in(people.finance, fresh_factor=True)
    page = client.get(f"/payouts/recipients/{payee.id}")
    assert [link for link in page.all("a") if link.get("href") == page_of(payee)]
    page = client.submit(client.get(page_of(payee)), "Open account", currency="EUR")
    assert page.status == 303
    page = client.get(page.location)
    assert "still wants from the payee: what the money is for, a bank account" in page.words
    assert "Olga continues on this page after signing in" in page.words
    session.expire_all()
    assert [(place.rail, place.currency) for place in payee.destinations] == [("stripe_connect", "EUR")]

    client.sign_in(people.officer)
    page = client.submit(client.get(page_of(payee)), "Continue at Stripe Connect")
    [link] = [a.get("href") for a in page.all("a") if "/connect/onboarding/" in (a.get("href") or "")]
    assert link is not None
    assert requests.get(link, timeout=5).status_code == 200
    assert requests.post(link, timeout=5, allow_redirects=False).headers["Location"].endswith(page_of(payee))
    assert "Ready to be paid" in client.get(page_of(payee)).words


def test_only_the_payee_gets_a_way_in(
    client: Client, people: world.Cast, payee: Recipient, rails: Mapping[str, Rail], stripe_server: StripeServer
) -> None:
    """Whoever goes in names the bank account; finance must not be able to."""
    client.sign_in(people.finance, fresh_factor=True)
    client.submit(client.get(page_of(payee)), "Open account", currency="EUR")
    assert client.post(f"{page_of(payee)}/link").status == 403
    assert stripe_server.world.links == {}


def test_finance_goes_in_for_somebody_without_an_account_here(
    client: Client, session: Session, people: world.Cast, rails: Mapping[str, Rail], stripe_server: StripeServer, now: datetime
) -> None:
    connect.connected_account(stripe_server.world, account_id=ADA, ready=False)
    who = world.recipient(session, "Ada", rail=rails["stripe_connect"], by=people.finance, now=now, details={"account": ADA})
    client.sign_in(people.finance)
    assert client.submit(client.get(page_of(who)), "Continue at Stripe Connect").status == 200
    assert len(stripe_server.world.links) == 1


def test_an_owner_goes_in_for_an_organisation_and_others_learn_nothing(
    client: Client, session: Session, people: world.Cast, rails: Mapping[str, Rail], now: datetime
) -> None:
    from payouts.services import recipients

    firm = Organisation(name="Firm", slug="firm", country="DE", created_at=now)
    stranger = Person(email="s@example.org", name="Stranger", created_at=now)
    session.add_all([firm, stranger])
    session.flush()
    session.add(Membership(person_id=people.officer.id, role=Role.OWNER, organisation_id=firm.id, from_on=now.date()))
    who = recipients.add_recipient(
        session, name="Firm", kind="organisation", country="DE", email=None, actor=people.finance, now=now,
        organisation_id=firm.id,
    )  # fmt: skip
    session.flush()
    client.sign_in(people.officer)
    assert client.get(page_of(who)).status == 200
    client.sign_in(stranger)
    assert client.get(page_of(who)).status == 404
    assert client.post(f"{page_of(who)}/link").status == 403


def test_the_page_says_when_stripe_is_silent_or_pays_nobody_there(
    client: Client, session: Session, people: world.Cast, payee: Recipient, rails: Mapping[str, Rail], stripe_server: StripeServer
) -> None:
    client.sign_in(people.finance, fresh_factor=True)
    payee.country = "IN"
    session.flush()
    page = client.submit(client.get(page_of(payee)), "Open account", currency="EUR")
    assert any("not in IN; choose another rail" in problem for problem in page.problems)
    payee.country = "DE"
    session.flush()
    client.submit(client.get(page_of(payee)), "Open account", currency="EUR")
    stripe_server.faults = [Fault("500_before", on="GET /v1/accounts")]
    page = client.get(page_of(payee))
    assert page.status == 200
    assert "does not say how this account stands" in page.words


def test_a_payment_is_taken_back_by_one_and_booked_by_another(
    client: Client, session: Session, people: world.Cast, paid: Payout, stripe_server: StripeServer
) -> None:
    client.sign_in(people.approver, fresh_factor=True)
    page = client.submit(client.get(f"/payouts/{paid.id}"), "Take money back", reason="Paid for the wrong quarter.")
    assert page.status == 303
    assert stripe_server.world.available("usd") == 10_000_000
    session.expire_all()
    assert paid.status is PayoutStatus.PAID, "until a second person books it"
    assert "Take money back" not in client.get(f"/payouts/{paid.id}").words

    client.sign_in(people.finance, fresh_factor=True)
    page = client.get(f"/payouts/{paid.id}")
    assert "Paid for the wrong quarter. The rail took it back as trr_" in page.words
    assert client.submit(page, "Confirm finding").status == 303
    session.expire_all()
    assert paid.status is PayoutStatus.REVERSED
    assert ledger.balance(session, world.FUND).available == 5_000_000


def test_what_stripe_does_not_take_back_changes_nothing(
    client: Client, session: Session, people: world.Cast, paid: Payout, stripe_server: StripeServer
) -> None:
    stripe_server.world.pay_out(ADA)
    client.sign_in(people.approver, fresh_factor=True)
    page = client.submit(client.get(f"/payouts/{paid.id}"), "Take money back", reason="Too late.")
    assert any("Insufficient balance in the destination" in problem for problem in page.problems)
    session.expire_all()
    assert (paid.status, paid.attempts[-1].resolutions) == (PayoutStatus.PAID, [])


def test_finance_alone_takes_nothing_back(client: Client, people: world.Cast, paid: Payout, stripe_server: StripeServer) -> None:
    client.sign_in(people.finance, fresh_factor=True)
    assert client.post(f"/payouts/{paid.id}/reversal", {"reason": "x"}).status == 403
    assert stripe_server.world.available("usd") == 9_000_000
