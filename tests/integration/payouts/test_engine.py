"""The engine, step by step: what it writes before a call, after one, and after one that brought no answer."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from core import ledger
from core.errors import DomainError
from core.money import Money
from core.tasks import TaskRow
from payouts.models import Alarm, AttemptFailure, AttemptState, Payout, PayoutStatus, Recipient, RunStatus
from payouts.rails.base import Rail, Receipt
from payouts.rails.fake_server import Behaviour, FakeRailServer, Fault
from payouts.services import controls, recipients, records, withdrawals
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world
from tests.fakes.rail_server import payments

pytestmark = pytest.mark.usefixtures("funded")


def fresh(session: Session, payout: Payout) -> Payout:
    session.expire_all()
    return session.get_one(Payout, payout.id)


@pytest.fixture
def payout(session: Session, people: world.Cast, ada: Recipient, rails: Mapping[str, Rail], clock: world.Clock) -> Payout:
    """On its way, on the rail with idempotency keys."""
    made = world.owed(session, ada, 2_500_000, by=people.officer, now=clock())
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    return made


@pytest.fixture
def plain(session: Session, people: world.Cast, bob: Recipient, rails: Mapping[str, Rail], clock: world.Clock) -> Payout:
    """On its way, on the rail without."""
    made = world.owed(session, bob, 100_000, by=people.officer, now=clock())
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    return made


def test_a_payout_is_paid_and_the_ledger_settled(
    session: Session, payout: Payout, engine_of_payouts: Engine, server: FakeRailServer
) -> None:
    outcome = engine_of_payouts.drive(payout.id)
    assert outcome.until is None
    paid = fresh(session, payout)
    attempt = paid.attempts[0]
    assert (paid.status, attempt.state, attempt.sends, paid.run and paid.run.status) == (
        PayoutStatus.PAID, AttemptState.ACCEPTED, 1, RunStatus.DONE,
    )  # fmt: skip
    assert payments(server) == [(attempt.idem_key, 2_500_000)]
    assert ledger.balance(session, world.FUND).posted == 7_500_000
    assert ledger.balance(session, world.BANK).posted == 7_500_000
    assert [entry.key for entry in ledger.entries_for(session, ("payout", str(payout.id)))] == [
        f"hold:payout:{payout.id}:1",
        f"paid:payout:{payout.id}",
    ]
    told = session.scalars(select(TaskRow).where(TaskRow.kind == "payouts.changed")).one()
    assert told.arguments["status"] == "paid"


def test_driving_again_finds_nothing_to_do(payout: Payout, engine_of_payouts: Engine, server: FakeRailServer) -> None:
    for _ in range(3):
        assert engine_of_payouts.drive(payout.id).until is None
    assert len(payments(server)) == 1


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "500_before", "500_after"])
def test_no_answer_on_a_rail_with_keys_is_asked_again_under_the_same_key(
    session: Session, payout: Payout, engine_of_payouts: Engine, server: FakeRailServer, clock: world.Clock, kind: str
) -> None:
    server.misbehave(Behaviour([Fault(kind, times=1)]))
    outcome = engine_of_payouts.drive(payout.id)
    unknown = fresh(session, payout)
    assert (unknown.status, unknown.attempts[0].state) == (PayoutStatus.RESERVED, AttemptState.UNKNOWN)
    while outcome.until is not None:  # a saved 500 is replayed under its key, so the look-up has the last word
        clock.now = max(clock.now, outcome.until)
        outcome = engine_of_payouts.drive(payout.id)
    paid = fresh(session, payout)
    assert paid.status is PayoutStatus.PAID
    assert payments(server) == [(paid.attempts[-1].idem_key, 2_500_000)]


@pytest.mark.parametrize(("kind", "attempts"), [("cut_before", 2), ("cut_after", 1), ("500_before", 2), ("500_after", 1)])
def test_no_answer_on_a_rail_without_keys_waits_and_looks_up(
    session: Session,
    plain: Payout,
    engine_of_payouts: Engine,
    server: FakeRailServer,
    clock: world.Clock,
    kind: str,
    attempts: int,
) -> None:
    server.misbehave(Behaviour([Fault(kind, times=1)]))
    outcome = engine_of_payouts.drive(plain.id)
    assert outcome.until == clock() + engine_of_payouts.rules.quiescence
    sends_before = len(payments(server))
    assert engine_of_payouts.drive(plain.id).until == outcome.until  # too early: nothing is sent, nothing concluded
    assert len(payments(server)) == sends_before
    while outcome.until is not None:
        clock.now = max(clock.now, outcome.until)
        outcome = engine_of_payouts.drive(plain.id)
    paid = fresh(session, plain)
    assert (paid.status, len(paid.attempts)) == (PayoutStatus.PAID, attempts)
    assert [attempt.failure for attempt in paid.attempts[:-1]] == [AttemptFailure.ABSENT] * (attempts - 1)
    assert payments(server) == [(paid.attempts[-1].idem_key, 100_000)]


def test_a_refusal_fails_the_attempt_and_waits_for_a_person(
    session: Session,
    people: world.Cast,
    rails: Mapping[str, Rail],
    engine_of_payouts: Engine,
    server: FakeRailServer,
    clock: world.Clock,
) -> None:
    closed = world.recipient(session, "Cleo", rail=rails["fake"], by=people.finance, now=clock(), details={"account": "closed_1"})
    owed = world.owed(session, closed, 5_000, by=people.officer, now=clock())
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    assert engine_of_payouts.drive(owed.id).until is None
    assert engine_of_payouts.drive(owed.id).until is None
    refused = fresh(session, owed)
    assert (refused.status, refused.attempts[0].failure, payments(server)) == (
        PayoutStatus.RESERVED, AttemptFailure.REFUSED, [],
    )  # fmt: skip
    told = session.scalars(select(TaskRow).where(TaskRow.kind == "payouts.changed")).one()
    assert told.arguments["status"] == "failed"
    # The money is still held; taken back, it is free, and the payout can be approved to another place.
    assert ledger.balance(session, world.FUND).available == 10_000_000 - 5_000
    withdrawals.take_back(session, owed.id, actor=people.finance, reason="Account closed", now=clock())
    assert ledger.balance(session, world.FUND).available == 10_000_000
    place = recipients.set_destination(
        session, closed.id, rail=rails["fake"], currency="USD", details={"account": "acct_2"}, actor=people.finance, now=clock()
    )
    world.compared(session, place, now=clock())
    clock.go(timedelta(hours=73))
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    engine_of_payouts.drive(owed.id)
    paid = fresh(session, owed)
    assert (paid.status, [attempt.no for attempt in paid.attempts]) == (PayoutStatus.PAID, [1, 2])


def test_not_now_backs_off_and_keeps_the_key(
    session: Session, plain: Payout, engine_of_payouts: Engine, server: FakeRailServer, clock: world.Clock
) -> None:
    server.misbehave(Behaviour([Fault("429", times=1, seconds=7)]))
    outcome = engine_of_payouts.drive(plain.id)
    assert outcome.until == clock() + timedelta(seconds=7)
    clock.go(timedelta(seconds=7))
    engine_of_payouts.drive(plain.id)
    paid = fresh(session, plain)
    assert (paid.status, paid.attempts[0].sends, paid.attempts[0].declined, len(paid.attempts)) == (PayoutStatus.PAID, 2, 1, 1)


def test_refused_credentials_stop_the_whole_rail(
    session: Session, payout: Payout, engine_of_payouts: Engine, server: FakeRailServer
) -> None:
    server.misbehave(Behaviour([Fault("401", times=1)]))
    engine_of_payouts.drive(payout.id)
    with pytest.raises(controls.RailStopped, match="refuses our credentials"):
        controls.require_running(session, "fake")


def test_the_kill_switch_holds_back_a_payout_that_is_already_reserved(
    session: Session, payout: Payout, people: world.Cast, engine_of_payouts: Engine, server: FakeRailServer, clock: world.Clock
) -> None:
    def stop_between(point: str) -> None:
        if point == "after_reserve_commit":
            with engine_of_payouts.sessions() as other:
                controls.stop_rail(other, "fake", reason="Strange answers", actor=people.approver, now=clock())

    stopped = Engine(engine_of_payouts.rails, engine_of_payouts.rules, engine_of_payouts.sessions, clock, stop_between)
    outcome = stopped.drive(payout.id)
    assert "stopped: Strange answers" in outcome.reason
    held = fresh(session, payout)
    assert (held.attempts[0].sends, held.blocked_reason, payments(server)) == (0, outcome.reason, [])
    controls.start_rail(session, "fake", reason="Rail explained", actor=people.approver, now=clock())
    session.commit()
    engine_of_payouts.drive(payout.id)
    assert fresh(session, payout).status is PayoutStatus.PAID


def test_a_process_that_was_frozen_does_not_send_any_more(
    session: Session, plain: Payout, engine_of_payouts: Engine, server: FakeRailServer, clock: world.Clock
) -> None:
    def freeze(point: str) -> None:
        if point == "before_send":
            clock.go(engine_of_payouts.rules.lease)

    frozen = Engine(engine_of_payouts.rails, engine_of_payouts.rules, engine_of_payouts.sessions, clock, freeze)
    assert frozen.drive(plain.id).reason == "Too late to send under this lease."
    assert payments(server) == []
    assert fresh(session, plain).attempts[0].sends == 1  # counted: nobody but us knows that it never left


def test_a_second_receipt_of_another_name_raises_an_alarm(
    session: Session, payout: Payout, engine_of_payouts: Engine, clock: world.Clock
) -> None:
    engine_of_payouts.drive(payout.id)
    attempt = fresh(session, payout).attempts[0]
    records.accepted(session, attempt.id, Receipt("tr_other", payout.money), now=clock())
    assert "tr_other" in session.scalars(select(Alarm)).one().message


def test_another_amount_than_asked_goes_to_people(
    session: Session, payout: Payout, engine_of_payouts: Engine, server: FakeRailServer, clock: world.Clock
) -> None:
    def falsify(point: str) -> None:
        if point == "after_reserve_commit":
            key = fresh(session, payout).attempts[0].idem_key
            with server.journal() as rows:
                rows.execute("INSERT INTO transfer VALUES ('tr_1', 'keyed', ?, 1, 'USD', 'a', '', 0)", (key,))
                rows.execute(
                    "INSERT INTO idempotency_key SELECT ?, ?, 201, ?",
                    (key, _canonical(fresh(session, payout)), '{"id": "tr_1", "amount_minor": 1, "currency": "USD"}'),
                )

    Engine(engine_of_payouts.rails, engine_of_payouts.rules, engine_of_payouts.sessions, clock, falsify).drive(payout.id)
    odd = fresh(session, payout)
    assert (odd.status, odd.attempts[0].state) == (PayoutStatus.RESERVED, AttemptState.HUMAN)
    assert "0.01 USD instead of 25,000.00 USD" in session.scalars(select(Alarm)).one().message


def test_a_key_that_the_rail_knows_otherwise_goes_to_people(
    session: Session, payout: Payout, engine_of_payouts: Engine, server: FakeRailServer, clock: world.Clock
) -> None:
    def falsify(point: str) -> None:
        if point == "after_reserve_commit":
            with server.journal() as rows:
                key = fresh(session, payout).attempts[0].idem_key
                rows.execute("INSERT INTO idempotency_key VALUES (?, x'00', 201, '{}')", (key,))

    Engine(engine_of_payouts.rails, engine_of_payouts.rules, engine_of_payouts.sessions, clock, falsify).drive(payout.id)
    assert fresh(session, payout).attempts[0].state is AttemptState.HUMAN
    assert payments(server) == []


def test_the_canary_goes_alone(
    session: Session,
    people: world.Cast,
    ada: Recipient,
    rails: Mapping[str, Rail],
    engine_of_payouts: Engine,
    clock: world.Clock,
) -> None:
    owed = [world.owed(session, ada, cents, by=people.officer, now=clock()) for cents in (3_000, 1_000, 2_000)]
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    waiting = session.scalars(select(TaskRow).where(TaskRow.kind == "payouts.send")).all()
    assert [task.arguments["payout_id"] for task in waiting] == [str(owed[1].id)]  # the smallest
    assert "Waits until the first payout" in engine_of_payouts.drive(owed[0].id).reason
    engine_of_payouts.drive(owed[1].id)
    assert len(session.scalars(select(TaskRow).where(TaskRow.kind == "payouts.send")).all()) == 3
    for payout in owed:
        engine_of_payouts.drive(payout.id)
    assert {fresh(session, payout).status for payout in owed} == {PayoutStatus.PAID}


def test_a_shortfall_is_shown_and_nothing_is_written(
    session: Session,
    people: world.Cast,
    ada: Recipient,
    rails: Mapping[str, Rail],
    engine_of_payouts: Engine,
    clock: world.Clock,
) -> None:
    world.fund(session, Money(1, "USD"), now=clock(), account="liabilities:grant:2:usd")
    owed = world.owed(session, ada, 10_000_001, by=people.officer, now=clock())
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    outcome = engine_of_payouts.drive(owed.id)
    assert "has 100,000.00 USD available, less than the 100,000.01 USD wanted" in outcome.reason
    short = fresh(session, owed)
    assert (short.status, short.attempts, short.holds, short.blocked_reason) == (PayoutStatus.APPROVED, [], 0, outcome.reason)


def test_a_destination_changed_after_the_approval_is_not_paid(
    session: Session,
    people: world.Cast,
    payout: Payout,
    ada: Recipient,
    rails: Mapping[str, Rail],
    engine_of_payouts: Engine,
    server: FakeRailServer,
    clock: world.Clock,
) -> None:
    recipients.set_destination(
        session, ada.id, rail=rails["fake"], currency="USD", details={"account": "acct_thief"}, actor=people.finance, now=clock()
    )
    session.commit()
    assert "changed its payment details" in engine_of_payouts.drive(payout.id).reason
    assert payments(server) == []


def test_a_payout_on_its_way_is_neither_cancelled_nor_taken_back(
    session: Session, people: world.Cast, plain: Payout, engine_of_payouts: Engine, server: FakeRailServer, clock: world.Clock
) -> None:
    server.misbehave(Behaviour([Fault("cut_after", times=1)]))
    engine_of_payouts.drive(plain.id)
    for undo in (withdrawals.cancel, withdrawals.take_back):
        with pytest.raises(withdrawals.MayStillBePaid):
            undo(session, plain.id, actor=people.finance, reason="Second thoughts", now=clock())
    with pytest.raises(DomainError, match="failed for certain"):
        withdrawals.try_again(session, plain.id, actor=people.finance, reason="Again", now=clock())


def _canonical(payout: Payout) -> bytes:
    from payouts.rails.base import canonical

    return canonical(payout.attempts[0].parameters)
