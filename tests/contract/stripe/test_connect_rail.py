"""What the Stripe Connect rail makes of Stripe: who can be paid, what each error means, and what Stripe was really sent."""

import logging
import re
from dataclasses import replace
from datetime import timedelta

import pytest
import requests
from stripe._api_version import _ApiVersion

from core import stripe_api
from core.config import settings
from core.errors import InvalidInput
from core.money import Money, exponent
from payouts import rails
from payouts.rails.base import Instruction, KeyConflict, NotNow, OutcomeUnknown, Payee, RailError, Receipt, Refused
from payouts.rails.stripe_connect import CURRENCIES, StripeConnectRail, standing
from tests.contract.stripe.conftest import ADA
from tests.fakes.stripe import Fault, StripeServer, connect, contract
from tests.fakes.stripe.server import KEY

ONE = Instruction("pw-one-1", Money(12_345, "USD"), "Ada", "DE", {"account": ADA}, "First quarter")
PAYEE = Payee("payee-1", "Ada", "DE", "ada@example.org", is_person=True)


def sent(server: StripeServer, endpoint: str) -> list[dict[str, object]]:
    return [dict(each.parameters) for each in server.log.requests if each.endpoint == endpoint]


# ------------------------------------------------------------------------------------------------ what is sent


def test_a_transfer_carries_key_group_and_version(rail: StripeConnectRail, stripe_server: StripeServer) -> None:
    receipt = rail.send(ONE)
    [request] = [each for each in stripe_server.log.requests if each.endpoint == "POST /v1/transfers"]
    assert request.parameters == {
        "amount": 12_345, "currency": "usd", "destination": ADA, "transfer_group": "pw-one-1",
        "description": "First quarter", "metadata": {"pledgeworks_reference": "pw-one-1"},
    }  # fmt: skip
    assert request.headers["Idempotency-Key"] == "pw-one-1"
    assert request.headers["Stripe-Version"] == stripe_api.API_VERSION == _ApiVersion.CURRENT
    assert rail.look_up("pw-one-1") == [receipt]


def test_every_parameter_we_use_is_one_of_the_pinned_library(rail: StripeConnectRail, stripe_server: StripeServer) -> None:
    """Raise the library and this says which of our parameters it no longer has."""
    opened = rail.open_account(PAYEE, "EUR")
    rail.onboarding_link(opened, return_url="https://example.org/a", again_url="https://example.org/b")
    rail.reverse(rail.send(ONE), ONE.reference)
    rail.look_up(ONE.reference)
    rail.health()
    used = {each.endpoint for each in stripe_server.log.requests}
    assert used <= contract.TYPES.keys()
    assert {"POST /v1/accounts", "POST /v1/account_links", "POST /v1/transfers", "POST /v1/transfers/{id}/reversals"} <= used
    for each in stripe_server.log.requests:
        assert contract.wrong_in_request(each.endpoint, each.parameters) == []


def test_nothing_is_retried_by_the_library(rail: StripeConnectRail, stripe_server: StripeServer) -> None:
    stripe_server.faults = [Fault("500_before")]
    with pytest.raises(OutcomeUnknown):
        rail.send(ONE)
    assert len(sent(stripe_server, "POST /v1/transfers")) == 1


def test_the_key_is_in_no_address_no_log_and_no_error(
    rail: StripeConnectRail, stripe_server: StripeServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    said = []
    for kind in ("401", "cut_after", "500_before", "429"):
        stripe_server.faults = [Fault(kind, times=1)]
        with pytest.raises(RailError) as raised:
            rail.send(replace(ONE, reference=f"pw-{kind}"))
        said += [str(raised.value), repr(raised.value)]
    rail.send(ONE)
    everything = [*said, caplog.text, *(each.url for each in stripe_server.log.requests)]
    assert caplog.records, "the library and urllib3 do log"
    assert all(KEY not in text for text in everything)
    assert KEY not in repr(settings())


# ------------------------------------------------------------------------------------------------ what errors mean


@pytest.mark.parametrize(
    ("kind", "error", "moved"),
    [
        ("429", NotNow, 0),
        ("401", Refused, 0),
        ("html", OutcomeUnknown, 0),
        ("500_before", OutcomeUnknown, 0),
        ("500_after", OutcomeUnknown, 1),
        ("cut_before", OutcomeUnknown, 0),
        ("cut_after", OutcomeUnknown, 1),
    ],
)
def test_errors_are_told_apart(
    rail: StripeConnectRail, stripe_server: StripeServer, kind: str, error: type[RailError], moved: int
) -> None:
    stripe_server.faults = [Fault(kind, times=1, seconds=7)]
    with pytest.raises(error) as raised:
        rail.send(ONE)
    assert type(raised.value) is error
    if isinstance(raised.value, NotNow):
        assert raised.value.retry_after == timedelta(seconds=7)
    if isinstance(raised.value, Refused):
        assert raised.value.stops_rail
    assert len(rail.look_up(ONE.reference)) == moved


def test_before_the_transfer_silence_is_not_now(rail: StripeConnectRail, stripe_server: StripeServer) -> None:
    """The account is asked for first; while that gets no answer nothing has left, and nobody needs to look anything up."""
    stripe_server.faults = [Fault("cut_before", on="GET /v1/accounts", times=1)]
    with pytest.raises(NotNow, match="did not say whether the payee can be paid"):
        rail.send(ONE)
    assert sent(stripe_server, "POST /v1/transfers") == []


def test_an_account_that_is_not_ours_is_refused_and_stops_nobody_else(rail: StripeConnectRail) -> None:
    with pytest.raises(Refused, match="not connected to ours") as raised:
        rail.send(replace(ONE, destination={"account": "acct_1Elsewhere0000001"}))
    assert not raised.value.stops_rail
    rail.send(ONE)


def test_an_empty_balance_is_a_refusal_with_stripes_code(rail: StripeConnectRail) -> None:
    with pytest.raises(Refused, match="balance_insufficient"):
        rail.send(replace(ONE, money=Money(10_000_001, "USD")))


def test_a_reference_with_another_amount_is_a_conflict(rail: StripeConnectRail) -> None:
    rail.send(ONE)
    with pytest.raises(KeyConflict):
        rail.send(replace(ONE, money=Money(1, "USD")))


def test_look_ups_page_through_everything(rail: StripeConnectRail, stripe_server: StripeServer) -> None:
    with stripe_server.world.lock:
        for _ in range(101):
            given = {"amount": 1, "currency": "usd", "destination": ADA, "transfer_group": "pw-many-1"}
            connect.create_transfer(stripe_server.world, given, base="")
    assert len(rail.look_up("pw-many-1")) == 101


# ------------------------------------------------------------------------------------------------ the gate


@pytest.mark.parametrize(
    ("transfers", "due", "disabled", "sentence"),
    [
        ("inactive", ("external_account", "tos_acceptance.date", "tos_acceptance.ip"), None,
         "still wants from the payee: a bank account to pay out to, agreement to Stripe's terms. The payee continues"),
        ("active", ("individual.verification.document",), None, "details about the person"),
        ("pending", (), "requirements.pending_verification", "is checking"),
        ("inactive", (), None, "does not let this account take transfers yet"),
        ("inactive", (), "rejected.fraud", "turned this account down"),
        ("active", (), "platform_paused", "paused this account (platform_paused)"),
    ],
)  # fmt: skip
def test_who_cannot_be_paid_is_told_why_and_nothing_is_sent(
    rail: StripeConnectRail,
    stripe_server: StripeServer,
    transfers: str,
    due: tuple[str, ...],
    disabled: str | None,
    sentence: str,
) -> None:
    connect.restrict(stripe_server.world, ADA, transfers=transfers, due=due, disabled=disabled)
    with pytest.raises(NotNow, match=re.escape(sentence)) as raised:
        rail.send(ONE)
    assert raised.value.retry_after == timedelta(hours=1)
    assert sent(stripe_server, "POST /v1/transfers") == []
    connect.finish_onboarding(stripe_server.world, ADA)
    assert rail.send(ONE).money == ONE.money


def test_an_account_restricted_after_a_silent_send_does_not_hide_what_that_send_did(
    rail: StripeConnectRail, stripe_server: StripeServer
) -> None:
    stripe_server.faults = [Fault("cut_after", times=1)]
    with pytest.raises(OutcomeUnknown):
        rail.send(ONE)
    connect.restrict(stripe_server.world, ADA, due=("external_account",))
    assert [rail.send(ONE)] == rail.look_up(ONE.reference)
    assert len(sent(stripe_server, "POST /v1/transfers")) == 1


def test_the_set_up_is_checked_before_money_depends_on_it(rail: StripeConnectRail, stripe_server: StripeServer) -> None:
    assert [line.ok for line in rail.check_setup({"account": ADA})] == [True, None, True]
    connect.restrict(stripe_server.world, ADA, due=("external_account",))
    stripe_server.faults = [Fault("401", on="GET /v1/balance")]
    answers, _, payable = rail.check_setup({"account": ADA})
    assert (answers.ok, payable.ok) == (False, False)
    assert "a bank account" in payable.message


def test_an_account_without_capabilities_is_not_payable() -> None:
    assert not standing({"id": ADA}).payable


def test_a_payee_is_led_from_nothing_to_being_payable(rail: StripeConnectRail, stripe_server: StripeServer) -> None:
    opened = rail.open_account(PAYEE, "EUR")
    assert rail.open_account(PAYEE, "EUR") == opened, "asked twice, opened once"
    assert "a bank account" in (rail.standing(opened).problem or "")
    back, again = f"{stripe_server.url}/back", f"{stripe_server.url}/again"
    first = rail.onboarding_link(opened, return_url=back, again_url=again)
    assert rail.onboarding_link(opened, return_url=back, again_url=again).url != first.url, "one per click"
    assert requests.get(first.url, timeout=5).status_code == 200
    used = requests.get(first.url, timeout=5, allow_redirects=False)
    assert (used.status_code, used.headers["Location"]) == (303, again)
    done = requests.post(first.url, timeout=5, allow_redirects=False)
    assert done.headers["Location"] == back
    assert rail.standing(opened).payable


def test_other_details_of_a_payee_are_another_question(rail: StripeConnectRail) -> None:
    assert rail.open_account(PAYEE, "EUR") != rail.open_account(replace(PAYEE, email="other@example.org"), "EUR")


def test_where_connect_pays_nobody_it_says_so(rail: StripeConnectRail, stripe_server: StripeServer) -> None:
    with pytest.raises(InvalidInput, match="not in IN; choose another rail"):
        rail.open_account(replace(PAYEE, country="IN"), "EUR")
    with pytest.raises(InvalidInput, match="not for JPY; choose another rail"):
        rail.open_account(PAYEE, "JPY")
    assert sent(stripe_server, "POST /v1/accounts") == []


# ------------------------------------------------------------------------------------------------ taking back


def test_a_payment_is_taken_back_once_however_often_it_is_asked(rail: StripeConnectRail, stripe_server: StripeServer) -> None:
    receipt = rail.send(ONE)
    first, second = rail.reverse(receipt, ONE.reference), rail.reverse(receipt, ONE.reference)
    assert (first.remote_ids, first.money) == (second.remote_ids, ONE.money)
    assert len(sent(stripe_server, "POST /v1/transfers/{id}/reversals")) == 1
    assert first.remote_ids[0] in first.answer
    assert rail.look_up(ONE.reference) == [receipt], "that it went stays true"


def test_an_unanswered_reversal_is_finished_by_asking_again(rail: StripeConnectRail, stripe_server: StripeServer) -> None:
    receipt = rail.send(ONE)
    stripe_server.faults = [Fault("cut_after", times=1)]
    with pytest.raises(OutcomeUnknown):
        rail.reverse(receipt, ONE.reference)
    assert rail.reverse(receipt, ONE.reference).money == ONE.money
    assert stripe_server.world.available("usd") == 10_000_000


def test_what_the_payee_no_longer_has_there_cannot_be_taken_back(rail: StripeConnectRail, stripe_server: StripeServer) -> None:
    receipt = rail.send(ONE)
    stripe_server.world.pay_out(ADA)
    with pytest.raises(Refused, match="Insufficient balance in the destination"):
        rail.reverse(receipt, ONE.reference)


def test_a_transfer_that_does_not_exist_is_a_refusal(rail: StripeConnectRail) -> None:
    with pytest.raises(Refused, match="No such transfer"):
        rail.reverse(Receipt("tr_nothing", Money(1, "USD")), "pw-x-1")


# ------------------------------------------------------------------------------------------------ destinations, settings


def test_its_currencies_need_no_scaling() -> None:
    assert {exponent(currency) for currency in CURRENCIES} == {2}


def test_destinations_are_named_when_stripe_could_not_use_them(rail: StripeConnectRail) -> None:
    for details, currency, field in [
        ({"account": "ba_123456789"}, "USD", "account"),
        ({"account": "acct_1; drop"}, "USD", "account"),
        ({"account": ADA}, "JPY", "currency"),
    ]:
        with pytest.raises(InvalidInput) as refused:
            rail.check_destination(details, currency)
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"PLEDGEWORKS_STRIPE_KEY": "sk_live_1"}, "live key has no place outside production"),
        ({"PLEDGEWORKS_STRIPE_KEY": "rk_live_1"}, "live key has no place outside production"),
        ({"PLEDGEWORKS_STRIPE_KEY": "sk_test_1", "PLEDGEWORKS_ENV": "production"}, "test key has no place in production"),
        ({"PLEDGEWORKS_STRIPE_KEY": "pk_test_1"}, "starts with sk_ or rk_"),
        ({"PLEDGEWORKS_STRIPE_URL": "https://stripe.example.org"}, "runs on this machine"),
        ({"PLEDGEWORKS_STRIPE_URL": "http://127.0.0.1:1", "PLEDGEWORKS_ENV": "production"}, "production talks to Stripe itself"),
    ],
)
def test_a_setting_that_could_move_the_wrong_money_is_refused(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], sentence: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    with pytest.raises(InvalidInput, match=sentence) as refused:
        settings()
    assert "_1" not in refused.value.message, "no part of a key is repeated"


def test_the_rail_exists_where_its_key_is(monkeypatch: pytest.MonkeyPatch, stripe_server: StripeServer) -> None:
    assert "stripe_connect" not in rails.configured()
    monkeypatch.setenv("PLEDGEWORKS_STRIPE_KEY", KEY)
    monkeypatch.setenv("PLEDGEWORKS_STRIPE_URL", stripe_server.url)
    settings.cache_clear()
    rail = rails.configured()["stripe_connect"]
    assert rail is rails.configured()["stripe_connect"]
    assert "100,000.00 USD is free" in rail.health().message
