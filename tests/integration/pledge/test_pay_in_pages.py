"""Paying online as the company and finance see it."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy.orm import Session

from core.config import settings
from core.identity.models import Person
from pledge import queries
from pledge.models import InstalmentStatus, PayInStatus, PledgeInstalment
from pledge.services import customers
from tests.fakes.pay_ins import Till
from tests.fakes.stripe import Fault, checkout
from tests.fakes.stripe.webhooks import delivery


@pytest.fixture
def place(running: PledgeInstalment) -> str:
    return f"/company/acme/instalments/{running.id}"


def test_a_company_pays_by_card_and_sees_where_the_money_is(
    client: Any, wall: Till, running: PledgeInstalment, place: str, editor: Person
) -> None:
    client.sign_in(editor)
    page = client.get(f"/company/acme?period={running.pledge.label}")
    assert any(link.get("href") == place for link in page.all("a"))
    page = client.get(place)
    assert "Nothing is charged" not in page.words
    page = client.submit(page, "Pay $5,000.00", follow=True)
    (row,) = running.pay_ins
    (link,) = [each for each in page.all("a") if "Go to Stripe" in "".join(each.itertext())]
    assert link.get("href") == row.page_url
    wall.choose(row, "card")

    page = client.get(f"{place}/return", follow=True)
    assert "We ask Stripe" in page.text
    wall.look(row)
    page = client.get(place)
    assert "Arrived by card. The fund may use it from" in page.words
    wall.clock.pass_(days=3)
    wall.look(row)
    assert "In the fund, and counts for your year." in client.get(place).words


def test_a_year_that_is_over_is_not_offered_to_be_paid(
    client: Any, wall: Till, running: PledgeInstalment, place: str, editor: Person
) -> None:
    pledge = running.pledge
    pledge.starts_on, pledge.ends_on = pledge.starts_on - timedelta(days=800), pledge.ends_on - timedelta(days=800)
    client.sign_in(editor)
    page = client.get(place)
    assert "so a payment of today does not count for it" in page.words
    assert "Pay $5,000.00" not in page.words
    assert "Send it to our bank instead" in page.words


def test_a_page_can_be_closed_to_send_a_transfer_instead(
    client: Any, wall: Till, running: PledgeInstalment, place: str, editor: Person
) -> None:
    client.sign_in(editor)
    page = client.submit(client.get(place), "Pay", follow=True)
    page = client.submit(page, "Close the page", follow=True)
    assert running.pay_ins[0].status is PayInStatus.EXPIRED
    assert "Send it to our bank instead" in page.words


def test_a_transfer_that_nobody_sends_is_given_up_and_another_way_is_open(
    client: Any, wall: Till, running: PledgeInstalment, place: str, editor: Person
) -> None:
    client.sign_in(editor)
    row = wall.open(running)
    payment = wall.choose(row, "customer_balance")
    wall.look(row)
    wall.server.faults = [Fault("cut_before", times=1)]
    page = client.submit(client.get(place), "Give it up")
    assert (page.status, row.status) == (503, PayInStatus.PROCESSING)
    page = client.submit(page, "Give it up", follow=True)
    assert (row.status, wall.world.objects[payment]["status"]) == (PayInStatus.FAILED, "canceled")
    assert "Give it up" not in page.words
    client.submit(page, "Send a bank transfer instead")
    assert running.status is InstalmentStatus.AWAITING_PAYMENT
    assert "Send it to our bank instead" in client.get(place).words
    page = client.submit(client.get(place), "Pay $5,000.00", follow=True)
    assert running.pay_ins[1].status is PayInStatus.OPEN


def test_after_a_change_of_the_key_or_account_a_company_is_made_anew_and_pays(
    session: Session, client: Any, wall: Till, running: PledgeInstalment, place: str, editor: Person
) -> None:
    """And what it pays under the new id, like what it paid under the old one, is its own."""
    client.sign_in(editor)
    client.submit(client.get(place), "Pay $5,000.00")
    (row,) = running.pay_ins
    old = customers.customer_of(session, running.member.organisation)
    checkout.run_out(wall.world, row.session_id or "")
    wall.look(row)
    del wall.world.objects[old or ""]

    page = client.submit(client.get(place), "Pay $5,000.00", follow=True)
    assert "Go to Stripe" in page.words
    new = customers.customer_of(session, running.member.organisation)
    assert queries.customers_of(session, running.member.organisation_id) == {old, new}
    assert (old == new, len(running.pay_ins)) == (False, 2)
    wall.choose(running.pay_ins[1], "card")
    wall.look(running.pay_ins[1])
    assert running.pay_ins[1].status is PayInStatus.PAID


@pytest.mark.parametrize("amount", [None, 4_000_00])
def test_a_transfer_that_came_before_it_was_given_up_stays(
    client: Any, wall: Till, running: PledgeInstalment, place: str, editor: Person, amount: int | None
) -> None:
    """All of it: the page is of before it came. A part of it: there is nothing to press any more."""
    client.sign_in(editor)
    row = wall.open(running)
    payment = wall.choose(row, "customer_balance")
    wall.look(row)
    page = client.get(place)
    checkout.arrive(wall.world, payment, amount)
    if amount is None:
        client.submit(page, "Give it up", follow=True)
        assert (row.status, row.received.amount_minor) == (PayInStatus.SETTLED, 5_000_00)
    else:
        wall.look(row)
        assert "Give it up" not in client.get(place).words


def test_a_silent_or_refusing_stripe_is_said_on_the_page_and_nothing_is_lost(
    client: Any, wall: Till, place: str, editor: Person, running: PledgeInstalment
) -> None:
    client.sign_in(editor)
    wall.server.faults = [Fault("cut_before", times=1)]
    page = client.submit(client.get(place), "Pay")
    assert (page.status, page.problems) == (503, ["Stripe does not answer just now. Nobody was charged; try again in a minute."])
    wall.server.faults = [Fault("401", times=1)]
    page = client.submit(page, "Pay")
    assert page.status == 409
    assert "a bank transfer works meanwhile" in page.problems[0]
    page = client.submit(page, "Pay", follow=True)
    assert "Go to Stripe" in page.words
    assert len(running.pay_ins) == 1


def test_without_a_key_the_page_says_so_and_the_record_stays(
    client: Any, running: PledgeInstalment, place: str, editor: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLEDGEWORKS_STRIPE_KEY")
    settings.cache_clear()
    client.sign_in(editor)
    page = client.get(place)
    assert "Nobody can pay online here yet" in page.words
    assert "I sent it" in page.words
    assert client.post(f"{place}/page").status == 409


def test_several_charges_are_announced_and_a_card_is_not_offered_above_its_limit(
    client: Any, wall: Till, running: PledgeInstalment, editor: Person
) -> None:
    large = wall.announce(running.pledge, "1500000")
    client.sign_in(editor)
    page = client.get(f"/company/acme/instalments/{large.id}")
    assert "so this takes 2 payments, one after the other, the last of $500,000.01" in page.words
    assert "Cards are taken up to $10,000.00." in page.words


def test_strangers_see_and_do_nothing(client: Any, stranger: Person, place: str) -> None:
    client.sign_in(stranger)
    assert client.get(place).status in {403, 404}
    assert client.post(f"{place}/page").status in {403, 404}


def test_finance_sees_what_came_the_fee_and_what_needs_eyes(
    client: Any, session: Session, wall: Till, running: PledgeInstalment, finance: Person
) -> None:
    row = wall.open(running)
    payment = wall.choose(row, "us_bank_account")
    checkout.bounce(wall.world, payment)
    wall.look(row)
    second = wall.paid(running, "us_bank_account")
    client.sign_in(finance)
    page = client.get("/finance/pay-ins")
    assert "insufficient_funds" in page.words
    assert "$5.00" in page.words
    page = client.get(f"/finance/pay-ins/online/{second.id}")
    assert second.movements[0].id in page.words
    page = client.submit(page, "Ask Stripe now", follow=True)
    assert "We ask Stripe" in page.text


def test_finance_is_told_when_notices_are_refused(
    client: Any, finance: Person, wall: Till, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PLEDGEWORKS_STRIPE_WEBHOOK_SECRETS")
    settings.cache_clear()
    client.sign_in(finance)
    assert "notices are refused" in client.get("/finance/pay-ins").words


def test_a_notice_needs_no_session_and_no_csrf_token(client: Any, wall: Till, running: PledgeInstalment) -> None:
    wall.choose(wall.open(running), "card")
    made = delivery(wall.world.events[-1])
    answer = client.flask.post("/api/v1/webhooks/stripe", data=made.body, headers={"Stripe-Signature": made.signature})
    assert answer.status_code == 200
