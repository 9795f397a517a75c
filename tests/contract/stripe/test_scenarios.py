"""The same scenarios against the stand-in and, where a test key is given, against Stripe: the one test of the stand-in's honesty.

    PLEDGEWORKS_TEST_STRIPE_KEY=sk_test_…          a test key of a platform with Connect
    PLEDGEWORKS_TEST_STRIPE_ACCOUNT=acct_…         a connected account of it that finished onboarding
    python -m pytest tests/contract/stripe/test_scenarios.py -rP

Against Stripe they move a few test dollars and leave some accounts behind. The platform's test balance needs ten dollars that are
available (a charge with the card 4000 0000 0000 0077 makes them so). What is learnt about delays is printed.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from core.errors import InvalidInput
from core.money import Money
from payouts.rails.base import Instruction, KeyConflict, Payee, Receipt, Refused
from payouts.rails.stripe_connect import StripeConnectRail
from tests.contract.stripe.conftest import ADA
from tests.fakes.stripe import connect, serving
from tests.fakes.stripe.server import KEY

TEST_KEY, TEST_ACCOUNT = (os.environ.get(f"PLEDGEWORKS_TEST_STRIPE_{name}", "") for name in ("KEY", "ACCOUNT"))
PLACES = ["stand-in", *(["stripe"] if TEST_KEY and TEST_ACCOUNT else [])]
VISIBLE_WITHIN = timedelta(minutes=5)


@dataclass
class Place:
    """Stripe, or what stands in for it, and somebody to pay."""

    rail: StripeConnectRail
    account: str
    api_base: str | None

    def instruction(self, cents: int = 100) -> Instruction:
        reference = f"pw-test-{uuid4().hex[:20]}-1"
        return Instruction(reference, Money(cents, "USD"), "Ada", "US", {"account": self.account}, "Scenario")

    def found(self, reference: str) -> list[Receipt]:
        """What lists show, as soon as they show anything."""
        began = time.monotonic()
        while not (found := self.rail.look_up(reference)):
            assert time.monotonic() < began + VISIBLE_WITHIN.total_seconds(), "it never shows in the list"
            time.sleep(0.5)
        print(f"{reference} showed in its group after {time.monotonic() - began:.1f} s")
        return list(found)


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    if request.param == "stripe":
        assert TEST_KEY.startswith(("sk_test_", "rk_test_")), "only a test key belongs here"
        yield Place(StripeConnectRail(TEST_KEY, timeout=timedelta(seconds=60)), TEST_ACCOUNT, None)
        return
    with serving() as server:
        server.world.top_up(10_000_000)
        connect.connected_account(server.world, account_id=ADA)
        yield Place(StripeConnectRail(KEY, api_base=server.url, timeout=timedelta(seconds=9)), ADA, server.url)


def test_it_answers_and_tells_its_balance(place: Place) -> None:
    health = place.rail.health()
    assert health.ok
    assert "free to be sent" in health.message


def test_a_transfer_is_found_by_its_group_answers_again_and_can_be_taken_back(place: Place) -> None:
    asked = place.instruction()
    receipt = place.rail.send(asked)
    assert receipt.money == asked.money
    assert place.rail.send(asked) == receipt, "the same key answers again"
    assert place.found(asked.reference) == [receipt]
    back = place.rail.reverse(receipt, asked.reference)
    assert back.money == asked.money
    assert place.rail.reverse(receipt, asked.reference).remote_ids == back.remote_ids, "and so does its reversal"


def test_a_key_with_another_amount_is_a_conflict(place: Place) -> None:
    asked = place.instruction()
    place.rail.send(asked)
    with pytest.raises(KeyConflict):
        place.rail.send(replace(asked, money=Money(101, "USD")))
    assert [each.money for each in place.found(asked.reference)] == [Money(100, "USD")]


def test_an_account_of_somebody_else_is_refused_and_nothing_moves(place: Place) -> None:
    asked = replace(place.instruction(), destination={"account": "acct_1Elsewhere0000001"})
    with pytest.raises(Refused) as refused:
        place.rail.send(asked)
    assert not refused.value.stops_rail
    assert place.rail.look_up(asked.reference) == []


def test_more_than_there_is_is_refused_with_its_code_and_nothing_moves(place: Place) -> None:
    asked = place.instruction(99_999_999)
    with pytest.raises(Refused, match="balance_insufficient"):
        place.rail.send(asked)
    assert place.rail.look_up(asked.reference) == []


def test_a_key_that_is_none_stops_the_rail(place: Place) -> None:
    wrong = StripeConnectRail("sk_test_nobodys", api_base=place.api_base, timeout=timedelta(seconds=30))
    with pytest.raises(Refused) as refused:
        wrong.send(place.instruction())
    assert refused.value.stops_rail
    assert "sk_test_nobodys" not in str(refused.value)


def test_a_new_account_says_what_is_missing_and_its_link_ends_soon(place: Place) -> None:
    payee = Payee(f"scenario-{uuid4().hex[:8]}", "Ada", "DE", "ada@example.org", is_person=True)
    opened = place.rail.open_account(payee, "EUR")
    assert place.rail.open_account(payee, "EUR") == opened, "the same payee gets one account"
    standing = place.rail.standing(opened)
    assert not standing.payable
    assert standing.missing
    link = place.rail.onboarding_link(opened, return_url="https://example.org/a", again_url="https://example.org/b")
    assert link.url.startswith(("https://connect.stripe.com/", "http://127.0.0.1"))
    assert datetime.now(UTC) < link.expires_at < datetime.now(UTC) + timedelta(hours=1)
    with pytest.raises(InvalidInput):
        place.rail.open_account(replace(payee, country="IN"), "USD")
