"""The engine over Stripe Connect: what a kept 500, a restricted account and a broken key come to in the end."""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import ledger
from payouts.models import AttemptFailure, AttemptState, Payout, PayoutStatus, RailSwitch
from payouts.rails.base import Rail
from payouts.rails.stripe_connect import StripeConnectRail
from payouts.services import comparisons
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world
from tests.fakes.stripe import Fault, StripeServer, connect, serving
from tests.fakes.stripe.server import KEY

pytestmark = pytest.mark.usefixtures("funded")
ADA = "acct_1Ada000000000001"


@pytest.fixture
def stripe_server() -> Iterator[StripeServer]:
    with serving() as made:
        made.world.top_up(10_000_000)
        connect.connected_account(made.world, account_id=ADA)
        yield made


@pytest.fixture
def cash() -> str:
    return world.STRIPE


@pytest.fixture
def rails(stripe_server: StripeServer) -> Mapping[str, Rail]:
    made = StripeConnectRail(KEY, api_base=stripe_server.url, timeout=timedelta(seconds=9))
    return {made.name: made}


@pytest.fixture
def payout(session: Session, people: world.Cast, rails: Mapping[str, Rail], now: datetime) -> Payout:
    who = world.recipient(session, "Ada", rail=rails["stripe_connect"], by=people.finance, now=now, details={"account": ADA})
    made = world.owed(session, who, 1_000_000, by=people.officer, now=now)
    world.sent_run(session, people, rails=rails, now=now)
    session.commit()
    return made


def as_far_as_machines_go(session: Session, engine: Engine, clock: world.Clock, payout: Payout) -> None:
    for _ in range(30):
        outcome = engine.drive(payout.id)
        if outcome.until is None:
            break
        clock.now = max(clock.now, outcome.until)
    session.expire_all()


def moved(server: StripeServer) -> int:
    return 10_000_000 - server.world.available("usd")


@pytest.mark.parametrize(("kind", "attempts"), [("500_after", 1), ("500_before", 2)])
def test_a_500_that_stripe_replays_ends_in_one_payment(
    session: Session, engine_of_payouts: Engine, clock: world.Clock, stripe_server: StripeServer, rails: Mapping[str, Rail],
    payout: Payout, kind: str, attempts: int,
) -> None:  # fmt: skip
    """The same key answers the same 500 for ever; so the look-up decides, and only after an hour of quiet."""
    began = clock.now
    stripe_server.faults = [Fault(kind, times=1)]
    as_far_as_machines_go(session, engine_of_payouts, clock, payout)
    assert payout.status is PayoutStatus.PAID
    assert len(payout.attempts) == attempts
    assert moved(stripe_server) == 1_000_000
    assert clock.now - began > timedelta(hours=1)
    assert ledger.balance(session, world.FUND).available == 10_000_000 - 1_000_000
    if attempts == 2:
        assert payout.attempts[0].failure is AttemptFailure.ABSENT
    assert payout.run_id is not None
    compared = comparisons.compare_with_rails(engine_of_payouts.sessions, payout.run_id, rails=rails, now=clock())
    assert (compared.differences, compared.not_looked_up) == ([], [])


def test_a_payee_who_finishes_onboarding_is_paid_without_anybody_doing_anything(
    session: Session, engine_of_payouts: Engine, clock: world.Clock, stripe_server: StripeServer, payout: Payout
) -> None:
    connect.restrict(stripe_server.world, ADA, due=("external_account",))
    outcome = engine_of_payouts.drive(payout.id)
    session.expire_all()
    assert outcome.until == clock.now + timedelta(hours=1)
    assert "a bank account to pay out to" in (payout.attempts[0].detail or "")
    assert (payout.attempts[0].state, moved(stripe_server)) == (AttemptState.SENDING, 0)
    connect.finish_onboarding(stripe_server.world, ADA)
    as_far_as_machines_go(session, engine_of_payouts, clock, payout)
    assert payout.status is PayoutStatus.PAID
    assert len(payout.attempts) == 1


def test_a_revoked_key_stops_the_rail(
    session: Session, engine_of_payouts: Engine, stripe_server: StripeServer, payout: Payout
) -> None:
    stripe_server.faults = [Fault("401", on="GET /v1/accounts")]
    engine_of_payouts.drive(payout.id)
    session.expire_all()
    assert payout.attempts[0].state is AttemptState.FAILED
    switch = session.scalars(select(RailSwitch).where(RailSwitch.rail == "stripe_connect")).one()
    assert switch.stopped
    assert "Stripe refuses our key" in (switch.reason or "")
