"""A payment that Stripe has and sends later: seen before its lists are complete, and missed only when they are."""

from collections.abc import Iterator, Mapping
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.money import Money
from payouts.models import Alarm, AttemptState, Payout, PayoutStatus
from payouts.rails.base import Rail
from payouts.rails.global_payouts import GlobalPayoutsRail
from payouts.services import sending
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world
from tests.fakes.stripe import StripeServer, global_payouts, serving
from tests.fakes.stripe.global_payouts import FINANCIAL_ACCOUNT
from tests.fakes.stripe.server import KEY

BRUNA = "acct_1Bruna0000000001"
QUARTER = timedelta(minutes=16)


@pytest.fixture
def server() -> Iterator[StripeServer]:
    with serving() as made:
        global_payouts.financial_account(made.world, 150_000)
        global_payouts.recipient(made.world, account_id=BRUNA)
        yield made


@pytest.fixture
def rails(server: StripeServer) -> Mapping[str, Rail]:
    made = GlobalPayoutsRail(KEY, FINANCIAL_ACCOUNT, api_base=server.url, timeout=timedelta(seconds=9))
    assert made.capabilities.visibility > QUARTER
    return {made.name: made}


@pytest.fixture
def handed_over(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], engine_of_payouts: Engine, clock: world.Clock
) -> Payout:
    """Stripe has it, and no money has moved."""
    rail = rails["global_payouts"]
    world.fund(session, Money(150_000, "USD"), now=clock(), cash=world.FINANCIAL)
    who = world.recipient(session, "Bruna", rail=rail, by=people.finance, now=clock(), details={"account": BRUNA})
    payout = world.owed(session, who, 100_000, by=people.officer, now=clock())
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    engine_of_payouts.drive(payout.id)
    session.expire_all()
    assert payout.attempts[0].at_rail
    return payout


def look_now(session: Session, engine: Engine, payout: Payout, clock: world.Clock) -> None:
    sending.look_sooner(session, payout_id=payout.id, now=clock())
    session.commit()
    engine.drive(payout.id)
    session.expire_all()


def test_what_left_is_seen_a_quarter_of_an_hour_later(
    session: Session, server: StripeServer, handed_over: Payout, engine_of_payouts: Engine, clock: world.Clock
) -> None:
    (payment,) = server.world.all("v2.money_management.outbound_payment")
    global_payouts.settle(server.world, payment["id"], "posted")
    clock.go(QUARTER)
    look_now(session, engine_of_payouts, handed_over, clock)
    assert handed_over.status is PayoutStatus.PAID


def test_what_is_not_listed_so_soon_is_not_missed_yet(
    session: Session, server: StripeServer, handed_over: Payout, engine_of_payouts: Engine, clock: world.Clock
) -> None:
    server.world.visibility_seconds = 10**9
    clock.go(QUARTER)
    look_now(session, engine_of_payouts, handed_over, clock)
    (attempt,) = handed_over.attempts
    assert (attempt.state, attempt.lease_token) == (AttemptState.UNKNOWN, None)
    assert session.scalars(select(Alarm)).all() == []

    assert attempt.not_before is not None
    clock.now = attempt.not_before
    engine_of_payouts.drive(handed_over.id)
    session.expire_all()
    assert attempt.state is AttemptState.HUMAN
    assert "does not know it any more" in session.scalars(select(Alarm)).one().message
