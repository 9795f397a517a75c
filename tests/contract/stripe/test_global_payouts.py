"""Global Payouts: what each status means, that a payment Stripe has is never sent again, and version 2's keys."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import requests
import stripe
from sqlalchemy.orm import Session

from core import stripe_api
from core.db import new_id
from core.errors import InvalidInput
from core.money import Money
from payouts.models import AttemptFailure, AttemptState, Payout, PayoutStatus
from payouts.policies import reference
from payouts.rails.base import Instruction, KeyConflict, NotNow, NotYet, OutcomeUnknown, Payee, Rail, Receipt, Refused
from payouts.rails.global_payouts import GlobalPayoutsRail, since
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world
from tests.fakes.stripe import Fault, StripeServer, contract, global_payouts, serving
from tests.fakes.stripe.global_payouts import FINANCIAL_ACCOUNT, PAYMENTS
from tests.fakes.stripe.server import KEY
from tests.integration.payouts.conftest import clock, funded, people

__all__ = ["clock", "funded", "people"]

BRUNA = "acct_1Bruna0000000001"
ONE = Instruction("pw-one-1", Money(12_345, "USD"), "Bruna", "BR", {"account": BRUNA}, "First quarter")
PAYEE = Payee("payee-1", "Bruna", "BR", "bruna@example.org", is_person=True)


@pytest.fixture
def server() -> Iterator[StripeServer]:
    with serving() as made:
        global_payouts.financial_account(made.world, 10_000_000)
        global_payouts.recipient(made.world, account_id=BRUNA)
        yield made


@pytest.fixture
def cash() -> str:
    return world.FINANCIAL


@pytest.fixture
def rail(server: StripeServer) -> GlobalPayoutsRail:
    return GlobalPayoutsRail(KEY, FINANCIAL_ACCOUNT, api_base=server.url, timeout=timedelta(seconds=9))


def payments(server: StripeServer) -> list[dict[str, Any]]:
    return [each for each in server.world.objects.values() if each["object"] == "v2.money_management.outbound_payment"]


def available(server: StripeServer) -> int:
    return int(server.world.objects[FINANCIAL_ACCOUNT]["balance"]["available"]["usd"]["value"])


def sent(rail: GlobalPayoutsRail, server: StripeServer) -> str:
    with pytest.raises(NotYet, match="is sending payment"):
        rail.send(ONE)
    return str(payments(server)[-1]["id"])


# ------------------------------------------------------------------------------------------------ what is sent


def test_a_payment_carries_key_reference_and_version(rail: GlobalPayoutsRail, server: StripeServer) -> None:
    sent(rail, server)
    [request] = [each for each in server.log.requests if each.endpoint == f"POST {PAYMENTS}"]
    assert request.parameters == {
        "from": {"financial_account": FINANCIAL_ACCOUNT, "currency": "usd"}, "to": {"recipient": BRUNA},
        "amount": {"value": 12_345, "currency": "usd"}, "description": "First quarter",
        "metadata": {"pledgeworks_reference": "pw-one-1"},
    }  # fmt: skip
    assert request.headers["Idempotency-Key"] == "pw-one-1"
    assert request.headers["Stripe-Version"] == stripe_api.API_VERSION
    assert available(server) == 10_000_000 - 12_345


@pytest.mark.parametrize(
    ("endpoint", "given", "wrong"),
    [
        (f"POST {PAYMENTS}", {"amount": {"value": "1", "currency": "usd"}}, "amount.value"),
        (f"POST {PAYMENTS}", {"amount": {"value": 1, "currency": "usd"}, "to": {"account": BRUNA}}, "to.account"),
        (f"GET {PAYMENTS}", {"metadata": {"a": "b"}}, "metadata"),
        ("POST /v2/core/account_links", {"account": BRUNA, "use_case": {"type": "onboarding"}}, "onboarding"),
    ],
)
def test_a_planted_mistake_in_a_request_is_found(endpoint: str, given: dict[str, Any], wrong: str) -> None:
    assert any(wrong in sentence for sentence in contract.wrong_in_request(endpoint, given))


def test_a_planted_mistake_in_an_answer_is_found(rail: GlobalPayoutsRail, server: StripeServer) -> None:
    sent(rail, server)
    good = {name: each for name, each in payments(server)[0].items() if name != "_at"}
    assert contract.wrong_in_answer(f"POST {PAYMENTS}", good) == []
    for change in ({"status": "paid"}, {"amount": 100}, {"surprise": 1}, {"cancelable": None}):
        assert contract.wrong_in_answer(f"POST {PAYMENTS}", {**good, **change}), change
    assert contract.wrong_in_answer(f"POST {PAYMENTS}", {name: each for name, each in good.items() if name != "to"})


# ------------------------------------------------------------------------------------------------ what answers mean


@pytest.mark.parametrize("status", ["posted", "failed", "canceled", "returned"])
def test_each_status_is_told_apart(rail: GlobalPayoutsRail, server: StripeServer, status: str) -> None:
    payment = sent(rail, server)
    with pytest.raises(NotYet):
        rail.follow(ONE)
    if status == "returned":
        global_payouts.settle(server.world, payment, "posted")
    reasons = {"failed": "payout_method_declined", "returned": "payout_method_closed"}
    global_payouts.settle(server.world, payment, status, reasons.get(status))
    if status == "posted":
        assert rail.follow(ONE) == rail.look_up("pw-one-1") == [Receipt(payment, ONE.money)]
        return
    with pytest.raises(Refused, match="did not reach the payee") as refused:
        rail.follow(ONE)
    assert not refused.value.stops_rail
    assert available(server) == 10_000_000


def test_a_status_nobody_knows_concludes_nothing(rail: GlobalPayoutsRail, server: StripeServer) -> None:
    payment = sent(rail, server)
    server.world.objects[payment]["status"] = "pausing"
    with pytest.raises(OutcomeUnknown, match="not known here"):
        rail.follow(ONE)
    server.log.violations.clear()  # a status that is not in the contract is one, too


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"status": "restricted", "missing": ("configuration.recipient.bank_account",)},
            "still wants from the payee: .*bank account",
        ),
        ({"status": "pending"}, "is checking"),
        ({"status": "rejected"}, "does not pay this recipient"),
        ({"status": "restricted"}, "does not pay to this recipient's bank yet"),
    ],
)
def test_who_can_not_be_paid_yet_is_not_sent_anything(
    rail: GlobalPayoutsRail, server: StripeServer, change: dict[str, Any], words: str
) -> None:
    global_payouts.restrict(server.world, BRUNA, **change)
    with pytest.raises(NotNow, match=words):
        rail.send(ONE)
    assert payments(server) == []


def test_a_payee_restricted_after_a_send_that_was_not_answered_does_not_hide_that_send(
    rail: GlobalPayoutsRail, server: StripeServer
) -> None:
    server.faults = [Fault("cut_after", times=1)]
    with pytest.raises(OutcomeUnknown):
        rail.send(ONE)
    global_payouts.restrict(server.world, BRUNA, "pending")
    with pytest.raises(NotYet):
        rail.send(ONE)
    global_payouts.settle(server.world, payments(server)[0]["id"], "posted")
    assert rail.send(ONE).money == ONE.money
    assert len(payments(server)) == 1


def test_too_little_money_is_a_refusal_and_a_closed_account_stops_the_rail(rail: GlobalPayoutsRail, server: StripeServer) -> None:
    with pytest.raises(Refused, match="insufficient_funds") as short:
        rail.send(replace(ONE, money=Money(10_000_001, "USD")))
    assert not short.value.stops_rail
    server.world.objects[FINANCIAL_ACCOUNT]["status"] = "closed"
    with pytest.raises(Refused, match="not open") as closed:
        rail.send(replace(ONE, reference="pw-one-2"))
    assert closed.value.stops_rail
    assert not rail.health().ok


def test_look_ups_page_through_everything_and_read_no_other_reference(rail: GlobalPayoutsRail, server: StripeServer) -> None:
    for number in range(130):
        with pytest.raises(NotYet):
            rail.send(replace(ONE, reference=f"pw-many-{number}", money=Money(100, "USD")))
    first = payments(server)[0]["id"]
    global_payouts.settle(server.world, first, "posted")
    assert rail.follow(replace(ONE, reference="pw-many-0")) == [Receipt(first, Money(100, "USD"))]
    assert rail.follow(replace(ONE, reference="pw-many")) == []


def test_a_reference_knows_since_when_it_can_have_been_paid() -> None:
    payout_id, before = new_id(), datetime.now(UTC)
    found = since(reference(payout_id, 3))
    assert found is not None
    assert abs(found - before) < timedelta(seconds=5)
    assert since("pw-one-1") is None
    assert since("pw-" + "z" * 26 + "-1") is None


# ------------------------------------------------------------------------------------------------ version 2's keys


def test_a_key_repeats_success_completes_failure_and_refuses_other_parameters(
    rail: GlobalPayoutsRail, server: StripeServer
) -> None:
    """Unlike version 1, which repeats a saved 500 for a day."""
    server.faults = [Fault("500_after", times=1)]
    with pytest.raises(OutcomeUnknown):
        rail.send(ONE)
    sent(rail, server)
    assert len(payments(server)) == 1
    server.faults = [Fault("500_before", times=1)]
    other = replace(ONE, reference="pw-two-1")
    with pytest.raises(OutcomeUnknown):
        rail.send(other)
    with pytest.raises(NotYet):
        rail.send(other)
    assert len(payments(server)) == 2
    with pytest.raises(KeyConflict):
        rail.send(replace(other, money=Money(1, "USD")))


def test_a_request_that_still_runs_there_is_no_misuse_of_its_key(rail: GlobalPayoutsRail, server: StripeServer) -> None:
    """The library raises the same error for both in version 2; only a misuse is an alarm."""
    server.faults = [Fault("slow", times=1, seconds=2)]
    hasty = GlobalPayoutsRail(KEY, FINANCIAL_ACCOUNT, api_base=server.url, timeout=timedelta(seconds=1.5))
    with pytest.raises(OutcomeUnknown):
        hasty.send(ONE)
    with pytest.raises(OutcomeUnknown, match="idempotency_key_in_use"):
        rail.send(ONE)


# ------------------------------------------------------------------------------------------------ onboarding


def test_a_payee_opens_the_way_for_its_money(rail: GlobalPayoutsRail, server: StripeServer) -> None:
    opened = rail.open_account(PAYEE, "USD")
    assert rail.open_account(PAYEE, "USD") == opened, "the same payee gets one account"
    assert "bank account" in (rail.standing(opened).problem or "")
    link = rail.onboarding_link(opened, return_url="https://example.org/a", again_url="https://example.org/b")
    assert link.expires_at > datetime.now(UTC)
    assert requests.get(link.url, timeout=5).status_code == 200
    answer = requests.post(link.url, timeout=5, allow_redirects=False)
    assert answer.headers["Location"] == "https://example.org/a"
    assert rail.standing(opened).payable
    assert [line.ok for line in rail.check_setup(opened)] == [True, None, True]


def test_what_can_not_be_opened_says_why(rail: GlobalPayoutsRail) -> None:
    with pytest.raises(InvalidInput, match="e-mail address"):
        rail.open_account(replace(PAYEE, email=None), "USD")
    with pytest.raises(Refused, match="country are not supported"):
        rail.open_account(replace(PAYEE, country="KP"), "USD")
    for details, currency in (({"account": "ada"}, "USD"), ({"account": BRUNA}, "JPY")):
        with pytest.raises(InvalidInput):
            rail.check_destination(details, currency)


# ------------------------------------------------------------------------------------------------ with the engine


@pytest.fixture
def payout(session: Session, people: world.Cast, funded: None, rail: GlobalPayoutsRail, clock: world.Clock) -> Payout:
    who = world.recipient(session, "Bruna", rail=rail, by=people.finance, now=clock(), details={"account": BRUNA})
    made = world.owed(session, who, 60_000, by=people.officer, now=clock())
    rails: dict[str, Rail] = {rail.name: rail}
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    return made


@pytest.mark.parametrize("status", ["posted", "failed"])
def test_a_payment_on_its_way_is_followed_for_days_and_sent_once(
    session: Session, server: StripeServer, rail: GlobalPayoutsRail, clock: world.Clock, payout: Payout, status: str
) -> None:
    engine = Engine(rails={rail.name: rail}, sessions=world.Sessions(session.connection()), clock=clock)

    def drive(hours: int) -> PayoutStatus:
        clock.go(timedelta(hours=hours))
        engine.drive(payout.id)
        session.expire_all()
        return payout.status

    for hours in (0, 0, 1, 24, 48):
        assert drive(hours) is PayoutStatus.RESERVED
    assert "is sending payment" in (payout.attempts[-1].detail or "")
    global_payouts.settle(server.world, payments(server)[0]["id"], status)
    assert drive(1) is (PayoutStatus.PAID if status == "posted" else PayoutStatus.RESERVED)
    assert drive(24) is payout.status
    (attempt,) = payout.attempts
    ended = (AttemptState.ACCEPTED, None) if status == "posted" else (AttemptState.FAILED, AttemptFailure.REFUSED)
    assert (attempt.state, attempt.failure, attempt.sends) == (*ended, 1)
    assert [each.endpoint for each in server.log.requests].count(f"POST {PAYMENTS}") == 1


def test_silence_is_asked_again_under_the_same_key(
    session: Session, server: StripeServer, rail: GlobalPayoutsRail, clock: world.Clock, payout: Payout
) -> None:
    server.world.swift = True
    server.faults = [Fault("cut_after", times=1)]
    engine = Engine(rails={rail.name: rail}, sessions=world.Sessions(session.connection()), clock=clock)
    for _ in range(2):
        engine.drive(payout.id)
    session.expire_all()
    assert payout.status is PayoutStatus.PAID
    assert len(payments(server)) == 1
    assert stripe.api_key is None, "the key is the client's alone"
