"""Refunds and disputes as finance and the company see them."""

from typing import Any

import pytest
from sqlalchemy.orm import Session

from core.identity.models import Person, Role
from pledge.models import PayIn, PayInStatus, PledgeInstalment, RefundStatus
from pledge.services.refunds import SendRefund
from tests.fakes.pay_ins import Till
from tests.fakes.stripe import checkout
from tests.fakes.stripe import refunds as banks
from tests.integration.pledge.conftest import give, person


@pytest.fixture
def paid(wall: Till, running: PledgeInstalment) -> PayIn:
    """$5,000 by debit, settled, beside a little more."""
    wall.clock.pass_(days=-8)
    other = wall.paid(wall.announce(running.pledge, "1000"), "us_bank_account", settled=False)
    row = wall.paid(running, "us_bank_account")
    wall.clock.pass_(days=3)
    wall.look(other)
    return row


@pytest.fixture
def second(session: Session, wall: Till) -> Person:
    made = person(session, "Feodor", wall.clock())
    give(session, made, Role.FINANCE)
    return made


def test_one_asks_another_approves_and_the_company_sees_what_became_of_it(
    client: Any, wall: Till, paid: PayIn, finance: Person, second: Person, editor: Person
) -> None:
    place = f"/finance/pay-ins/online/{paid.id}"
    client.sign_in(finance)
    page = client.submit(client.get(place), "Ask for a refund", amount="6000", reason="Paid twice.")
    assert page.status == 422
    assert "5,000.00 USD can be sent back" in page.problems[0]
    page = client.submit(page, "Ask for a refund", amount="1500", reason="Paid twice.", follow=True)
    assert "Somebody else approves it" in page.words
    assert "History Refund asked for" in page.words, "newest first"
    (refund,) = paid.refunds

    client.sign_in(second, fresh_factor=True)
    assert "Approve refunds" in client.get("/work").words
    page = client.submit(client.get(place), "Approve", follow=True)
    assert "Being sent" in page.words
    wall.session.commit()
    wall.run(SendRefund(refund.id))
    wall.look(paid)
    assert refund.status is RefundStatus.PENDING
    own = f"/company/acme/instalments/{paid.instalment_id}"
    client.sign_in(editor)
    page = client.get(own)
    assert "$1,500.00 went back to you, $3,500.00 stays" in page.words
    assert "It is on its way back to you, and takes some days: Paid twice." in page.words
    banks.finish_refund(wall.world, refund.remote_id or "", wants_details=True)
    wall.look(paid)
    assert "Answer it, else the money stays here" in client.get(own).words
    banks.fail_refund(wall.world, refund.remote_id or "")
    wall.look(paid)
    assert "It did not reach you, and the money is still here." in client.get(own).words
    client.sign_in(finance)
    assert "Ask for another, or pay it back by bank transfer." in client.get(place).words


def test_an_approval_wants_a_fresh_second_factor(client: Any, wall: Till, paid: PayIn, finance: Person, second: Person) -> None:
    place = f"/finance/pay-ins/online/{paid.id}"
    client.sign_in(finance)
    client.submit(client.get(place), "Ask for a refund", amount="1", reason="x")
    client.sign_in(second)
    page = client.submit(client.get(place), "Approve")
    assert page.status == 403
    assert paid.refunds[0].status is RefundStatus.ASKED
    page = client.submit(client.get(place), "Turn down", follow=True)
    assert "Nothing was sent." in page.words


def test_a_dispute_is_a_task_for_finance_and_says_to_the_company_what_to_do(
    client: Any, wall: Till, paid: PayIn, finance: Person, editor: Person
) -> None:
    banks.dispute(wall.world, paid.payment_id or "")
    wall.look(paid)
    client.sign_in(finance)
    assert "Answer disputes of online payments" in client.get("/work").words
    page = client.get("/finance/pay-ins")
    assert "Answer in Stripe's dashboard, with evidence" in page.words
    assert "A fund is short" not in page.words
    client.sign_in(editor)
    assert "have your bank withdraw the dispute" in client.get(f"/company/acme/instalments/{paid.instalment_id}").words


def test_a_returned_debit_leaves_the_fund_short_and_both_pages_say_so(
    client: Any, wall: Till, running: PledgeInstalment, finance: Person, editor: Person
) -> None:
    wall.clock.pass_(days=-6)
    row = wall.paid(running, "us_bank_account")
    banks.dispute(wall.world, row.payment_id or "", reason="insufficient_funds", lost=True)
    wall.look(row)
    assert row.status is PayInStatus.LOST
    client.sign_in(finance)
    page = client.get("/finance/pay-ins")
    assert "open-pledge lacks $5.00" in page.words
    client.sign_in(editor)
    assert "Your bank took it back" in client.get(f"/company/acme/instalments/{running.id}").words


def test_a_transfer_that_is_too_large_is_told_to_both(
    client: Any, wall: Till, running: PledgeInstalment, finance: Person, editor: Person
) -> None:
    row = wall.open(running)
    checkout.arrive(wall.world, wall.choose(row, "customer_balance"), 5_250_00)
    wall.look(row)
    client.sign_in(editor)
    assert "Stripe keeps $250.00 for you" in client.get(f"/company/acme/instalments/{running.id}").words
    client.sign_in(finance)
    assert "After 75 days" in client.get(f"/finance/pay-ins/online/{row.id}").words
