"""The same world as the services' tests, with the service of the rail under test on the far side."""

from collections.abc import Collection, Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from payouts.rails.base import Rail
from payouts.rails.fake_server import FakeRailServer
from payouts.rails.github_sponsors_api import GitHubSponsorsApiRail
from payouts.rails.global_payouts import GlobalPayoutsRail
from payouts.rails.opencollective import OpenCollectiveRail
from payouts.rails.opencollective_expenses import OpenCollectiveExpenseRail
from payouts.rails.stripe_connect import StripeConnectRail
from tests.fakes import github_sponsors, graphql_server, rail_server, stripe
from tests.fakes.opencollective import FUND, TOKEN, OpenCollectiveServer
from tests.fakes.stripe import StripeServer, connect, global_payouts
from tests.fakes.stripe.global_payouts import FINANCIAL_ACCOUNT
from tests.fakes.stripe.server import KEY
from tests.integration.payouts.conftest import (
    ada,
    basic_rails,
    bob,
    clock,
    engine_of_payouts,
    funded,
    github,
    officer,
    people,
)

__all__ = ["ada", "bob", "clock", "engine_of_payouts", "funded", "github", "officer", "people", "rails", "server"]


@pytest.fixture
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[FakeRailServer | OpenCollectiveServer | StripeServer]:
    """What answers the rail under test, the parameter `rail` or `network`."""
    under_test = _under_test(request)
    if {"opencollective", "opencollective_expense"}.intersection(under_test):
        schema = request.getfixturevalue("shared") / "schemas" / "opencollective-v2.graphql"
        with graphql_server.serving(OpenCollectiveServer(schema)) as made:
            made.swift = True
            yield made
    elif {"stripe_connect", "global_payouts"}.intersection(under_test):
        with stripe.serving() as connected:
            connected.world.top_up(10_000_000)
            connect.connected_account(connected.world, account_id="acct_1Ada000000000001")
            connected.world.swift = True
            global_payouts.financial_account(connected.world, 10_000_000)
            global_payouts.recipient(connected.world, account_id="acct_1Bruna0000000001")
            yield connected
    else:
        with rail_server.serving(tmp_path / "rail.sqlite") as trial:
            yield trial


@pytest.fixture
def rails(server: FakeRailServer | OpenCollectiveServer | StripeServer, request: pytest.FixtureRequest) -> Mapping[str, Rail]:
    """The trial rail with keys and without, the bank file, GitHub, people, and a provider's rail while it is under test."""
    made = basic_rails(server.url, lambda: request.getfixturevalue("github").url)
    if "github_sponsors_api" in _under_test(request):
        made["github_sponsors"] = GitHubSponsorsApiRail(
            "acme",
            github_sponsors.TOKEN,
            address=lambda: request.getfixturevalue("github").url,
            clock=request.getfixturevalue("clock"),
        )
    if isinstance(server, OpenCollectiveServer):
        for kind in (OpenCollectiveRail, OpenCollectiveExpenseRail):
            made[kind.name] = kind(server.url, TOKEN, fund=FUND, timeout=timedelta(seconds=6), visibility=timedelta(0))
    if isinstance(server, StripeServer):
        given: dict[str, Any] = {"api_base": server.url, "timeout": timedelta(seconds=9), "visibility": timedelta(0)}
        made["stripe_connect"] = StripeConnectRail(KEY, **given)
        made["global_payouts"] = GlobalPayoutsRail(KEY, FINANCIAL_ACCOUNT, **given)
    return made


@pytest.fixture
def cash(rails: Mapping[str, Rail], request: pytest.FixtureRequest) -> str:
    """Where the money lies that the rail under test pays from."""
    rail = next((rails[name] for name in _under_test(request) if isinstance(name, str) and name in rails), rails["fake"])
    return rail.capabilities.cash.account("USD")


def _under_test(request: pytest.FixtureRequest) -> Collection[object]:
    """The parameters of the test that asks."""
    return request.node.callspec.params.values() if hasattr(request.node, "callspec") else ()
