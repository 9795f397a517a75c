"""A payment that somebody at the rail goes on with is looked at when a hint comes, not only every hour."""

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.money import Money
from core.tasks import TaskRow, TaskStatus
from payouts import tasks
from payouts.models import AttemptState, Payout, PayoutStatus
from payouts.rails.base import Rail
from payouts.rails.opencollective_expenses import OpenCollectiveExpenseRail
from payouts.services import controls, holds, sending
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world
from tests.fakes.graphql_server import serving
from tests.fakes.opencollective import FUND, TOKEN, OpenCollectiveServer

NAME = OpenCollectiveExpenseRail.name


@pytest.fixture
def service(shared: Path) -> Iterator[OpenCollectiveServer]:
    with serving(OpenCollectiveServer(shared / "schemas" / "opencollective-v2.graphql")) as made:
        yield made


@pytest.fixture
def rails(service: OpenCollectiveServer) -> Mapping[str, Rail]:
    return {NAME: OpenCollectiveExpenseRail(service.url, TOKEN, fund=FUND, timeout=timedelta(seconds=6))}


@pytest.fixture
def drafted(
    session: Session, people: world.Cast, engine_of_payouts: Engine, clock: world.Clock
) -> tuple[Payout, Callable[[], None]]:
    """A drafted expense, and a way to drive it."""
    rail = engine_of_payouts.rails[NAME]
    world.fund(session, Money(100_000, "USD"), now=clock(), cash=rail.capabilities.cash.account("USD"))
    who = world.recipient(session, "Ada", rail=rail, by=people.finance, now=clock(), details={"profile": "ada-person"})
    payout = world.owed(session, who, 60_000, by=people.officer, now=clock())
    world.sent_run(session, people, rails=engine_of_payouts.rails, now=clock())
    session.commit()

    def drive() -> None:
        engine_of_payouts.drive(payout.id)
        session.expire_all()

    drive()
    clock.go(timedelta(minutes=20))
    drive()  # the payee has not submitted it: the next look is in an hour
    assert payout.attempts[0].not_before is not None
    return payout, drive


def run_at(session: Session) -> datetime:
    return session.scalars(select(TaskRow.run_at).where(TaskRow.kind == "payouts.send", TaskRow.status == TaskStatus.READY)).one()


def test_a_hint_has_it_looked_at_now(
    session: Session, service: OpenCollectiveServer, drafted: tuple[Payout, Callable[[], None]], clock: world.Clock
) -> None:
    payout, drive = drafted
    service.submit(service.expenses[0])
    drive()
    assert service.expenses[0].status == "PENDING", "nobody looked"
    tasks.look_at_expenses(session, clock())
    session.commit()
    assert run_at(session) <= clock()
    drive()
    assert service.expenses[0].status == "APPROVED"
    service.host_pays(service.expenses[0])
    assert sending.look_sooner(session, payout_id=payout.id, now=clock()) == 1
    session.commit()
    drive()
    assert payout.status is PayoutStatus.PAID


def test_what_nobody_has_is_left_alone(session: Session, drafted: tuple[Payout, Callable[[], None]], clock: world.Clock) -> None:
    payout, _ = drafted
    assert sending.look_sooner(session, rails=["opencollective"], now=clock()) == 0
    attempt = payout.attempts[0]
    attempt.at_rail = False
    session.flush()
    assert sending.look_sooner(session, payout_id=payout.id, now=clock()) == 0
    assert attempt.state is AttemptState.UNKNOWN


@pytest.mark.parametrize("stopped", [False, True])
def test_nothing_is_approved_for_a_payee_on_hold_or_on_a_stopped_rail(
    session: Session, service: OpenCollectiveServer, drafted: tuple[Payout, Callable[[], None]], people: world.Cast,
    clock: world.Clock, stopped: bool,
) -> None:  # fmt: skip
    payout, drive = drafted
    service.submit(service.expenses[0])
    if stopped:
        controls.stop_rail(session, NAME, reason="A walk", actor=people.approver, now=clock())
    else:
        holds.hold(session, payout.recipient, reason="It was not me", actor=people.finance, now=clock())
    sending.look_sooner(session, payout_id=payout.id, now=clock())
    session.commit()
    drive()
    assert service.expenses[0].status == "PENDING"
    assert "is approved next" in (payout.attempts[0].detail or ""), "it was looked at"
    if stopped:
        controls.start_rail(session, NAME, reason="Found out", actor=people.approver, now=clock())
    else:
        holds.lift(session, payout.recipient_id, reason="Found out", actor=people.approver, now=clock())
    sending.look_sooner(session, payout_id=payout.id, now=clock())
    session.commit()
    drive()
    assert service.expenses[0].status == "APPROVED"
