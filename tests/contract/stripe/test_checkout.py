"""What we ask of Stripe to be paid, held against its OpenAPI and the library's types; and the stand-in's own rules about it.

Every request of every test is checked so (`serving` asserts it at the end); here are the ones that must be refused.
"""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
import stripe

from core import stripe_api
from core.money import Money
from pledge.providers.base import PageWanted, ProviderRefused, ProviderSilent, Standing
from pledge.providers.stripe_calls import METADATA_KEY
from pledge.providers.stripe_checkout import StripeProvider
from tests.fakes.stripe import Fault, StripeServer, checkout, contract
from tests.fakes.stripe.server import KEY


@pytest.fixture
def provider(stripe_server: StripeServer) -> StripeProvider:
    return StripeProvider(KEY, api_base=stripe_server.url, timeout=timedelta(seconds=8))


@pytest.fixture
def client(stripe_server: StripeServer) -> stripe.StripeClient:
    return stripe_api.client(KEY, api_base=stripe_server.url, timeout=timedelta(seconds=8))


def wanted(provider: StripeProvider, amount: int = 500_000, *, by_card: bool = True, key: str = "k1") -> PageWanted:
    customer = provider.create_customer(name="Acme", metadata={"pledgeworks_organisation": "1"}, key=f"{key}-customer")
    return PageWanted(
        pay_in_id=uuid4(), key=key, money=Money(amount, "USD"), customer_id=customer, reference="PW-0123456789",
        title="Acme, open-source pledge 2026", methods=("us_bank_account", "customer_balance", *(["card"] if by_card else [])),
        transfer="us_bank_transfer", transfer_country=None,
        return_url="https://pledge.example/r", cancel_url="https://pledge.example/c",
    )  # fmt: skip


def asked(server: StripeServer, endpoint: str) -> list[Any]:
    return [each for each in server.log.requests if each.endpoint == endpoint]


def test_a_page_asks_for_what_stripe_documents_and_carries_our_id_twice(
    stripe_server: StripeServer, provider: StripeProvider
) -> None:
    page = wanted(provider)
    made = provider.open_page(page)
    (request,) = asked(stripe_server, "POST /v1/checkout/sessions")
    assert request.headers["Idempotency-Key"] == "k1"
    assert request.headers["Stripe-Version"] == stripe_api.API_VERSION
    assert "payment_method_types" not in request.parameters
    assert request.parameters["metadata"] == request.parameters["payment_intent_data"]["metadata"]
    assert request.parameters["metadata"] == {METADATA_KEY: str(page.pay_in_id)}
    assert provider.open_page(page) == made, "the same key, the same page"
    payment = checkout.choose(stripe_server.world, made.session_id, "card")
    charge = payment["latest_charge"]
    for kind, object_id in (("checkout.session", made.session_id), ("payment_intent", payment["id"]), ("charge", charge)):
        assert provider.pay_in_of(kind, object_id) == page.pay_in_id
    assert provider.pay_in_of("payment_intent", "pi_of_nobody") is None
    assert provider.pay_in_of("invoice", "in_1") is None


@pytest.mark.parametrize(
    "mistake",
    [
        {"payment_method_types": ["card"]},
        {"allowed_payment_method_types": ["credit_card"]},
        {"line_items": [{"quantity": 1, "price_data": {"currency": "usd", "unit_amt": 5, "product_data": {"name": "x"}}}]},
        {"submit_type": "offer"},
    ],
)
def test_a_mistake_in_a_request_is_noticed(mistake: dict[str, Any]) -> None:
    good: dict[str, Any] = {
        "mode": "payment",
        "success_url": "https://pledge.example/r",
        "line_items": [{"quantity": 1, "price_data": {"currency": "usd", "unit_amount": 5, "product_data": {"name": "x"}}}],
    }
    endpoint = "POST /v1/checkout/sessions"
    assert contract.wrong_in_request(endpoint, good) == []
    assert contract.wrong_in_request(endpoint, good | mistake) != []


def test_the_removed_parameter_is_refused_as_stripe_refuses_it() -> None:
    """`payment_method_types` was every tutorial's way; the library of our version has no such parameter any more."""
    found = contract.wrong_in_request("POST /v1/checkout/sessions", {"mode": "payment", "payment_method_types": ["card"]})
    assert found == ["POST /v1/checkout/sessions: payment_method_types is not a parameter"]


def test_a_charge_above_eight_digits_and_a_transfer_without_customer_are_refused(provider: StripeProvider) -> None:
    with pytest.raises(ProviderRefused, match=r"999,999\.99"):
        provider.open_page(wanted(provider, 100_000_000, by_card=False))
    page = wanted(provider, key="k2")
    with pytest.raises(ProviderRefused, match="customer"):
        provider.open_page(PageWanted(**{name: getattr(page, name) for name in page.__slots__} | {"customer_id": "cus_nobody"}))


def test_closing_a_page_that_is_paid_or_closed_changes_nothing(stripe_server: StripeServer, provider: StripeProvider) -> None:
    made = provider.open_page(wanted(provider))
    checkout.choose(stripe_server.world, made.session_id, "us_bank_account")
    provider.close_page(made.session_id)
    assert provider.look(made.session_id).standing is Standing.ON_ITS_WAY
    other = provider.open_page(wanted(provider, key="k3"))
    provider.close_page(other.session_id)
    provider.close_page(other.session_id)
    assert provider.look(other.session_id).standing is Standing.EXPIRED


@pytest.mark.parametrize("kind", ["cut_before", "500_before", "html", "429", "slow"])
def test_no_clear_answer_is_silence_and_never_a_refusal(stripe_server: StripeServer, kind: str) -> None:
    provider = StripeProvider(KEY, api_base=stripe_server.url, timeout=timedelta(seconds=1))
    stripe_server.faults = [Fault(kind, seconds=2, on="POST /v1/customers")]
    with pytest.raises(ProviderSilent):
        provider.create_customer(name="Acme", metadata={}, key="k1")


def test_a_refusal_never_shows_the_key(stripe_server: StripeServer, provider: StripeProvider) -> None:
    stripe_server.faults = [Fault("401")]
    with pytest.raises(ProviderRefused) as refused:
        provider.create_customer(name="Acme", metadata={}, key="k1")
    assert KEY not in str(refused.value)


def test_events_are_listed_oldest_first_over_several_pages(stripe_server: StripeServer, provider: StripeProvider) -> None:
    world = stripe_server.world
    for number in range(120):
        world.notify("balance.available", {"object": "balance", "number": number})
    begun = datetime.fromtimestamp(world.events[0]["created"], UTC)
    found = list(provider.notices_since(begun))
    assert [each.id for each in found] == [each["id"] for each in world.events]
