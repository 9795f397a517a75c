"""A stand-in of Stripe with one payee, and the rail that talks to it."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from payouts.rails.stripe_connect import StripeConnectRail
from tests.fakes.stripe import StripeServer, connect, serving
from tests.fakes.stripe.server import KEY

ADA = "acct_1Ada000000000001"


@pytest.fixture
def stripe_server() -> Iterator[StripeServer]:
    with serving() as server:
        server.world.top_up(10_000_000)
        connect.connected_account(server.world, account_id=ADA)
        yield server


@pytest.fixture
def rail(stripe_server: StripeServer) -> StripeConnectRail:
    return StripeConnectRail(KEY, api_base=stripe_server.url, timeout=timedelta(seconds=9))
