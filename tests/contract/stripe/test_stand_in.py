"""The stand-in behaves as Stripe is known to: keys, pages, balances, and a contract that refuses what Stripe would."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import stripe

from core import stripe_api
from tests.contract.stripe.conftest import ADA
from tests.fakes.stripe import Fault, StripeServer, contract
from tests.fakes.stripe.forms import decode
from tests.fakes.stripe.server import KEY

Pay = Callable[..., stripe.Transfer]


@pytest.fixture
def client(stripe_server: StripeServer) -> stripe.StripeClient:
    return stripe_api.client(KEY, api_base=stripe_server.url, timeout=timedelta(seconds=8))


@pytest.fixture
def pay(client: stripe.StripeClient) -> Pay:
    def send(amount: int = 100, key: str | None = None, **more: Any) -> stripe.Transfer:
        options: stripe.RequestOptions = {"idempotency_key": key} if key else {}
        return client.v1.transfers.create({"amount": amount, "currency": "usd", "destination": ADA, **more}, options)

    return send


def transfers(server: StripeServer) -> list[dict[str, Any]]:
    return [each for each in server.world.objects.values() if each["object"] == "transfer"]


# ------------------------------------------------------------------------------------------------ idempotency


def test_a_key_answers_again_and_pays_once(stripe_server: StripeServer, pay: Pay) -> None:
    first, second = pay(key="k1"), pay(key="k1")
    assert first.id == second.id
    assert second.last_response is not None
    assert second.last_response.headers["Idempotent-Replayed"] == "true"
    assert len(transfers(stripe_server)) == 1


def test_without_a_key_it_pays_as_often_as_it_is_asked(stripe_server: StripeServer, pay: Pay) -> None:
    pay(), pay()
    assert len(transfers(stripe_server)) == 2


@pytest.mark.parametrize(("kind", "moved"), [("500_before", 0), ("500_after", 1)])
def test_a_500_is_kept_and_replayed_whatever_had_happened(stripe_server: StripeServer, pay: Pay, kind: str, moved: int) -> None:
    stripe_server.faults = [Fault(kind, times=1)]
    for _ in range(3):
        with pytest.raises(stripe.APIError):
            pay(key="k1")
    assert len(transfers(stripe_server)) == moved


def test_a_refusal_that_began_is_kept_even_when_its_cause_is_gone(stripe_server: StripeServer, pay: Pay) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="insufficient"):
        pay(20_000_000, key="k1")
    stripe_server.world.top_up(20_000_000)
    with pytest.raises(stripe.InvalidRequestError, match="insufficient"):
        pay(20_000_000, key="k1")
    assert pay(20_000_000, key="k2").amount == 20_000_000


def test_a_key_with_other_parameters_or_at_another_endpoint_is_refused(client: stripe.StripeClient, pay: Pay) -> None:
    made = pay(key="k1")
    with pytest.raises(stripe.IdempotencyError):
        pay(101, key="k1")
    with pytest.raises(stripe.IdempotencyError):
        client.v1.transfers.reversals.create(made.id, {"amount": 1}, {"idempotency_key": "k1"})


def test_a_key_in_use_is_a_409_whose_code_is_in_the_error_object_alone(stripe_server: StripeServer, pay: Pay) -> None:
    stripe_server.faults = [Fault("slow", times=1, seconds=1.0)]
    first = threading.Thread(target=pay, kwargs={"key": "k1"})
    first.start()
    while "k1" not in stripe_server.world.answers:
        pass
    with pytest.raises(stripe.APIError) as raised:
        pay(key="k1")
    first.join()
    assert (raised.value.http_status, raised.value.code) == (409, None)
    assert stripe_api.blames(raised.value) == "idempotency_key_in_use"
    assert len(transfers(stripe_server)) == 1


@pytest.mark.parametrize("kind", ["429", "401"])
def test_what_never_began_is_not_kept(stripe_server: StripeServer, pay: Pay, kind: str) -> None:
    stripe_server.faults = [Fault(kind, times=1)]
    with pytest.raises(stripe.StripeError):
        pay(key="k1")
    assert pay(key="k1").amount == 100


# ------------------------------------------------------------------------------------------------ money


def test_our_balance_is_the_sum_of_its_movements(client: stripe.StripeClient, pay: Pay) -> None:
    pay(2_500)
    made = pay(1_000)
    client.v1.transfers.reversals.create(made.id, {"amount": 400})
    moves = list(client.v1.balance_transactions.list({"limit": 2}).auto_paging_iter())
    assert [(each.type, each.net) for each in moves] == [
        ("transfer_refund", 400), ("transfer", -1_000), ("transfer", -2_500), ("topup", 10_000_000),
    ]  # fmt: skip
    [free] = client.v1.balance.retrieve().available
    assert free.amount == sum(each.net for each in moves) == 10_000_000 - 3_100
    sourced = client.v1.balance_transactions.list({"type": "transfer", "limit": 1, "expand": ["data.source"]})
    assert sourced.data[0].source.id == made.id
    assert sourced.has_more


def test_no_more_comes_back_than_went_or_than_is_there(
    stripe_server: StripeServer, client: stripe.StripeClient, pay: Pay
) -> None:
    made = pay(1_000)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unreversed"):
        client.v1.transfers.reversals.create(made.id, {"amount": 1_001})
    stripe_server.world.pay_out(ADA)
    with pytest.raises(stripe.InvalidRequestError, match="Insufficient balance in the destination"):
        client.v1.transfers.reversals.create(made.id)
    assert not client.v1.transfers.retrieve(made.id).reversed


def test_lists_go_forth_and_back_without_losing_any(client: stripe.StripeClient, pay: Pay) -> None:
    made = [pay(number).id for number in range(1, 8)]
    assert [each.id for each in client.v1.transfers.list({"limit": 3}).auto_paging_iter()] == made[::-1]
    back = client.v1.transfers.list({"limit": 2, "ending_before": made[0]})
    assert ([each.id for each in back], back.has_more) == ([made[2], made[1]], True)


# ------------------------------------------------------------------------------------------------ the contract


@pytest.mark.parametrize(
    ("endpoint", "given", "wrong"),
    [
        ("POST /v1/transfers", {"currency": "usd", "destination": ADA, "amount": 1, "reference": "x"}, "reference"),
        ("POST /v1/transfers", {"currency": "usd", "amount": 1}, "destination"),
        ("POST /v1/transfers", {"currency": "usd", "destination": ADA, "amount": "1.5"}, "amount"),
        ("GET /v1/transfers", {"metadata": {"a": "b"}}, "metadata"),
        ("POST /v1/account_links", {"account": ADA, "type": "onboarding"}, "type"),
        # Stripe's OpenAPI leaves nested objects open; the library's types close them.
        ("POST /v1/accounts", {"controller": {"losses": {"payment": "application"}}}, "payment"),
        ("POST /v1/accounts", {"controller": {"stripe_dashboard": {"type": "fast"}}}, "fast"),
    ],
)
def test_a_planted_mistake_in_a_request_is_found(endpoint: str, given: dict[str, Any], wrong: str) -> None:
    assert any(wrong in sentence for sentence in contract.wrong_in_request(endpoint, given))


def test_a_planted_mistake_in_an_answer_is_found(stripe_server: StripeServer, pay: Pay) -> None:
    pay()
    [good] = transfers(stripe_server)
    good = {name: each for name, each in good.items() if name != "_at"}
    assert contract.wrong_in_answer("POST /v1/transfers", good) == []
    assert contract.wrong_in_answer("POST /v1/transfers", {**good, "amount": "100"})
    assert contract.wrong_in_answer("POST /v1/transfers", {name: each for name, each in good.items() if name != "reversed"})


def test_a_request_stripe_would_refuse_is_refused_and_noted(stripe_server: StripeServer, client: stripe.StripeClient) -> None:
    with pytest.raises(stripe.InvalidRequestError, match="unknown or wrong"):
        client.v1.transfers.create({"currency": "usd", "destination": ADA, "amout": 1})
    assert any("amout" in sentence for sentence in stripe_server.log.violations)
    stripe_server.log.violations.clear()  # else the fixture fails this test, as it should any other


def test_forms_are_taken_apart_as_the_library_puts_them_together() -> None:
    text = "a%5Bb%5D%5Bc%5D=1&expand%5B0%5D=x&expand%5B1%5D=y&list[]=p&list[]=q&empty="
    assert decode(text) == {"a": {"b": {"c": "1"}}, "expand": ["x", "y"], "list": ["p", "q"], "empty": ""}
