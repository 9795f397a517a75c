"""A payee put on hold, or a destination taken out of use, after its payout was reserved: no rail pays it any more."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core.identity.models import Person
from payouts import queries
from payouts.models import AttemptFailure, AttemptState, Payout, PayoutStatus, Recipient
from payouts.rails.base import Rail
from payouts.rails.fake_server import Behaviour, FakeRailServer, Fault
from payouts.services import bank_files, holds, recipients, withdrawals
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world
from tests.fakes.rail_server import payments

pytestmark = pytest.mark.usefixtures("funded")
IBANS = ("DE89370400440532013000", "FR1420041010050500013M02606")
Stop = Callable[[Session, Recipient], None]


@pytest.fixture(params=["held", "removed"])
def stop(request: pytest.FixtureRequest, people: world.Cast, clock: world.Clock) -> Stop:
    """What an approver, finance or the payee does."""

    def go(session: Session, who: Recipient) -> None:
        actor, payee = session.get_one(Person, people.approver.id), session.get_one(Recipient, who.id)
        if request.param == "held":
            holds.hold(session, payee, reason="Called: it was not Ada", actor=actor, now=clock())
        else:
            (place,) = payee.destinations
            recipients.remove_destination(session, place.id, reason="It was not Ada", actor=actor, now=clock())
        session.commit()

    return go


def owed(session: Session, people: world.Cast, who: Recipient, rails: Mapping[str, Rail], clock: world.Clock) -> Payout:
    made = world.owed(session, who, 100_000, by=people.officer, now=clock())
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    return made


def test_a_payee_stopped_between_the_claim_and_the_send_is_not_paid(
    session: Session, people: world.Cast, ada: Recipient, rails: Mapping[str, Rail], engine_of_payouts: Engine,
    server: FakeRailServer, clock: world.Clock, stop: Stop,
) -> None:  # fmt: skip
    payout = owed(session, people, ada, rails, clock)

    def meanwhile(point: str) -> None:
        if point == "after_reserve_commit":
            with engine_of_payouts.sessions() as beside:
                stop(beside, ada)

    replace(engine_of_payouts, probe=meanwhile).drive(payout.id)
    for _ in range(3):
        clock.go(engine_of_payouts.rules.pause)
        engine_of_payouts.drive(payout.id)
    session.expire_all()
    assert (payout.status, payout.attempts[0].state, payout.attempts[0].sends) == ("reserved", AttemptState.SENDING, 0)
    assert payments(server) == []
    assert payout.blocked_reason
    withdrawals.take_back(session, payout.id, actor=people.finance, reason="It was not Ada", now=clock())
    assert payout.status is PayoutStatus.DRAFT


def test_a_send_without_an_answer_is_looked_up_and_not_repeated(
    session: Session, people: world.Cast, ada: Recipient, rails: Mapping[str, Rail], engine_of_payouts: Engine,
    server: FakeRailServer, clock: world.Clock, stop: Stop,
) -> None:  # fmt: skip
    """Under its key a second send would pay what the first one did not."""
    payout = owed(session, people, ada, rails, clock)
    server.misbehave(Behaviour([Fault("cut_before", times=1)]))
    engine_of_payouts.drive(payout.id)
    stop(session, ada)
    for _ in range(6):
        clock.go(engine_of_payouts.rules.quiescence)
        engine_of_payouts.drive(payout.id)
    session.expire_all()
    assert payments(server) == []
    (attempt,) = payout.attempts
    assert (payout.status, attempt.failure, attempt.sends) == (PayoutStatus.RESERVED, AttemptFailure.ABSENT, 1)


def test_a_bank_file_passes_over_a_stopped_payee(
    session: Session, people: world.Cast, rails: Mapping[str, Rail], engine_of_payouts: Engine, clock: world.Clock, stop: Stop
) -> None:
    both = [
        world.recipient(session, name, rail=rails["bank_file"], by=people.finance, now=clock(), details={"iban": iban})
        for name, iban in zip(("Mia", "Noa"), IBANS, strict=True)
    ]
    for who in both:
        world.owed(session, who, 100_000, by=people.officer, now=clock())
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    mia, noa = session.scalars(select(Payout).join(Recipient).order_by(Recipient.name)).all()
    for payout in (mia, noa):
        engine_of_payouts.drive(payout.id)
    session.expire_all()
    stop(session, mia.recipient)
    assert [count for _, count in queries.waiting_for_file(session)] == [1]
    assert queries.left_out_of_files(session) == [mia]
    made = bank_files.export(session, currency="USD", actor=people.finance, now=clock())
    assert (made.line_count, mia.attempts[0].sends, noa.attempts[0].sends) == (1, 0, 1)
    assert mia.blocked_reason
    assert noa.blocked_reason is None
    with pytest.raises(bank_files.NothingToExport, match="take back what is held"):
        bank_files.export(session, currency="USD", actor=people.finance, now=clock())
    withdrawals.take_back(session, mia.id, actor=people.finance, reason="It was not Mia", now=clock())
    assert queries.left_out_of_files(session) == []
