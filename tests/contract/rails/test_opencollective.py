"""What Open Collective's rail makes of its service's traps, and what each rule is for: without it, these tests pay twice."""

import logging
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine as Store
from sqlalchemy.orm import Session

from core.clock import utc_now
from core.config import Settings
from core.db.session import make_engine
from core.errors import InvalidInput
from core.money import Money
from payouts.models import AttemptFailure, AttemptState, Payout, PayoutStatus
from payouts.rails import opencollective as adapter
from payouts.rails.base import Instruction, NotNow, OutcomeUnknown, Rail, Receipt, Refused, SaidNo
from payouts.rails.fake_server import Behaviour, Fault
from payouts.rails.opencollective import OpenCollectiveRail
from payouts.rails.opencollective_api import Answer, Problem
from payouts.services import claims
from payouts.services.comparisons import compare_with_rails
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world
from tests.fakes.graphql_server import serving
from tests.fakes.opencollective import FUND, TOKEN, USER, OpenCollectiveServer, Order

SHORT = timedelta(seconds=6)


@pytest.fixture
def service(shared: Path) -> Iterator[OpenCollectiveServer]:
    with serving(OpenCollectiveServer(shared / "schemas" / "opencollective-v2.graphql")) as made:
        yield made


@pytest.fixture
def rail(service: OpenCollectiveServer) -> OpenCollectiveRail:
    return OpenCollectiveRail(service.url, TOKEN, fund=FUND, timeout=SHORT, visibility=timedelta(0))


def instruction(cents: int = 60_000, *, to: str = "babel", reference: str = "pw-test-1", currency: str = "USD") -> Instruction:
    return Instruction(reference, Money(cents, currency), "Babel", "US", {"collective": to}, "Memo")


# ------------------------------------------------------------------------------------------------ what it asks for


def test_an_order_carries_an_opaque_tag_no_tip_and_the_name_of_its_operation(
    rail: OpenCollectiveRail, service: OpenCollectiveServer
) -> None:
    rail.send(instruction())
    assert all(call.operation for call in service.calls)
    asked = next(call.variables["order"] for call in service.calls if call.is_mutation)
    assert asked["tags"] == ["pw-test-1"]
    assert asked["customData"] == {"payoutKey": "pw-test-1"}
    assert asked["isBalanceTransfer"] is True
    assert asked["amount"] == {"valueInCents": 60_000, "currency": "USD"}
    assert "platformTipAmount" not in asked
    assert "Babel" not in str(asked)
    assert service.paid("babel") == [60_000]


@pytest.mark.parametrize(
    ("to", "currency", "reason"),
    [
        ("nobody", "USD", "knows no “nobody”"),
        ("eu-lib", "USD", "hosted by europe, our fund by opensource"),
        ("euro-lib", "USD", "kept in EUR"),
        ("babel", "EUR", "this payout is in EUR"),
        ("old-lib", "USD", "is archived"),
        ("ice-lib", "USD", "is frozen"),
        ("new-lib", "USD", "is not active"),
        ("ada-person", "USD", "is a person"),
    ],
)
def test_what_would_be_refused_never_becomes_an_order(
    rail: OpenCollectiveRail, service: OpenCollectiveServer, to: str, currency: str, reason: str
) -> None:
    with pytest.raises(Refused, match=reason) as refused:
        rail.send(instruction(to=to, currency=currency))
    assert not refused.value.stops_rail
    assert service.orders == []


def test_a_fund_that_holds_too_little_is_not_asked(rail: OpenCollectiveRail, service: OpenCollectiveServer) -> None:
    with pytest.raises(Refused, match=r"holds 1,000,000.00 USD at Open Collective, less than this 1,000,000.01 USD payout"):
        rail.send(instruction(100_000_001))
    assert service.orders == []


@pytest.mark.parametrize(
    ("slug", "reason"), [("nothing", "knows no fund"), ("acme-inc", "has no fiscal host"), ("ice-lib", "is frozen")]
)
def test_a_fund_that_can_pay_nobody_stops_the_rail(service: OpenCollectiveServer, slug: str, reason: str) -> None:
    with pytest.raises(Refused, match=reason) as refused:
        OpenCollectiveRail(service.url, TOKEN, fund=slug, timeout=SHORT).send(instruction())
    assert refused.value.stops_rail


def test_collectives_are_named_by_their_address_too(rail: OpenCollectiveRail) -> None:
    assert rail.check_destination({"collective": " https://opencollective.com/Babel/ "}, "USD").details == {"collective": "babel"}
    for details, currency in (({"collective": "a b"}, "USD"), ({"collective": FUND}, "USD"), ({"collective": "babel"}, "JPY")):
        with pytest.raises(InvalidInput):
            rail.check_destination(details, currency)


# ------------------------------------------------------------------------------------------------ what it makes of answers


@pytest.mark.parametrize("kind", ["200_errors", "200_errors_after"])
def test_an_error_that_may_have_come_after_the_payment_is_no_refusal_and_nothing_is_looked_up_yet(
    rail: OpenCollectiveRail, service: OpenCollectiveServer, kind: str
) -> None:
    service.misbehave(Behaviour([Fault(kind, times=1)]))
    with pytest.raises(SaidNo, match="Something went wrong"):
        rail.send(instruction())
    assert [call.operation for call in service.calls] == ["BeforeOrder", "CreatePayoutOrder"]


@pytest.mark.parametrize(
    ("message", "code", "path", "refused"),
    [
        ("This personal token is not pre-authorized for 2FA", "INTERNAL_SERVER_ERROR", ("createOrder",), True),
        ("Two-factor authentication required", "2FA_REQUIRED", ("createOrder",), True),
        ('The User Token is not allowed for operations in scope "orders".', "Forbidden", ("createOrder",), True),
        ("You don't have sufficient permissions to create an order on behalf of the Acme fund", "", ("createOrder",), True),
        ("Expected currency for amount to be USD but was EUR", "ValidationFailed", ("createOrder",), True),
        ("The amount you set is below minimum tier value, it should be at least $5", "", ("createOrder",), True),
        ("Your card was declined.", "INTERNAL_SERVER_ERROR", ("createOrder",), False),
        ("You don't have enough funds available", "ValidationFailed", ("createOrder",), False),
        ("Something new", "ValidationFailed", ("createOrder",), False),
        ("Forbidden", "Unauthorized", ("createOrder", "order", "transactions"), False),
        ('The User Token is not allowed for operations in scope "transactions".', "Forbidden", (), False),
    ],
)
def test_only_what_is_raised_before_there_is_an_order_is_a_refusal(
    message: str, code: str, path: tuple[str, ...], refused: bool
) -> None:
    answer = Answer({}, [Problem(message, code, path)])
    assert isinstance(adapter.said_no(answer), Refused) is refused
    assert isinstance(adapter.said_no(Answer({}, [*answer.problems, Problem("And more", "")])), SaidNo)


def test_a_look_up_tells_refused_orders_from_orders_still_worked_on(
    rail: OpenCollectiveRail, service: OpenCollectiveServer
) -> None:
    service.orders.append(Order(1, FUND, "babel", 60_000, "USD", ["pw-test-1"], None, status="ERROR"))
    with pytest.raises(Refused, match=r"or_0+1 \(ERROR\) moved no money"):
        rail.look_up("pw-test-1")
    service.orders[0].status = "PROCESSING"
    with pytest.raises(OutcomeUnknown, match="is PROCESSING, and no money has moved"):
        rail.look_up("pw-test-1")
    service.orders[0].status = "PAID"  # as a zero order is: PAID, and nothing was
    with pytest.raises(OutcomeUnknown, match="no money has moved"):
        rail.look_up("pw-test-1")


def test_a_tag_is_found_whole_only(rail: OpenCollectiveRail, service: OpenCollectiveServer) -> None:
    rail.send(instruction(reference="pw-test-10"))
    assert rail.look_up("pw-test-1") == []
    assert len(rail.look_up("pw-test-10")) == 1


def test_a_refund_leaves_the_order_paid_and_the_receipt_at_nothing(
    rail: OpenCollectiveRail, service: OpenCollectiveServer
) -> None:
    receipt = rail.send(instruction())
    service.refund(service.orders[0])
    assert service.orders[0].status == "PAID"
    assert rail.look_up("pw-test-1") == [Receipt(receipt.remote_id, Money(0, "USD"))]


def test_the_token_is_in_no_address_no_message_and_no_log(
    service: OpenCollectiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = "0" * 40
    rail = OpenCollectiveRail(service.url, wrong, fund=FUND, timeout=SHORT)
    with caplog.at_level(logging.DEBUG), pytest.raises(Refused, match=r"does not accept the token.*•••") as refused:
        rail.send(instruction())
    assert refused.value.stops_rail
    assert service.calls[0].headers["personal-token"] == wrong, "or this test shows nothing"
    assert all(wrong not in call.path for call in service.calls)
    assert wrong not in caplog.text + str(refused.value) + repr(rail) + str(rail.check_setup())
    assert wrong not in repr(Settings.model_validate({"pledgeworks_opencollective_token": wrong}))


def test_an_address_that_would_show_the_token_is_not_taken() -> None:
    for address in ("http://api.opencollective.com/graphql/v2", "https://x@api.example/", "https://api.example/?personalToken=1"):
        with pytest.raises(InvalidInput, match="PLEDGEWORKS_OPENCOLLECTIVE_URL"):
            OpenCollectiveRail(address, TOKEN, fund=FUND)


def test_after_a_429_the_service_is_left_alone(rail: OpenCollectiveRail, service: OpenCollectiveServer) -> None:
    service.requests_max = 2
    rail.send(instruction())
    with pytest.raises(NotNow) as first:
        rail.send(instruction(reference="pw-test-2"))
    assert timedelta(seconds=50) < first.value.retry_after <= timedelta(seconds=60)
    arrived = len(service.calls)
    with pytest.raises(NotNow):
        rail.send(instruction(reference="pw-test-2"))
    assert len(service.calls) == arrived
    assert service.paid("babel") == [60_000]


# ------------------------------------------------------------------------------------------------ what set-up lacks


def test_the_set_up_check_moves_nothing_and_finds_nothing_amiss(rail: OpenCollectiveRail, service: OpenCollectiveServer) -> None:
    service.second_factors.add(USER)
    lines = rail.check_setup({"collective": "babel"})
    assert [line.ok for line in lines] == [True] * 6
    assert service.orders == []


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"scopes": frozenset({"account"})}, "lacks the scope “orders”"),
        ({"preauthorised": False}, "not pre-authorised for two-factor"),
        ({"user": "somebody"}, "no admin of"),
        ({"expired": True}, "Expired Personal Token"),
    ],
)
def test_the_set_up_check_names_what_is_missing_and_an_order_would_be_refused(
    rail: OpenCollectiveRail, service: OpenCollectiveServer, change: Mapping[str, Any], says: str
) -> None:
    service.second_factors.add(USER)
    service.tokens[TOKEN] = replace(service.tokens[TOKEN], **change)
    missing = [line.message for line in rail.check_setup() if line.ok is False]
    assert len(missing) == 1
    assert says in missing[0]
    with pytest.raises(Refused):
        rail.send(instruction())
    assert service.paid("babel") == []


def test_a_token_without_the_second_factors_consent_stops_the_rail(
    rail: OpenCollectiveRail, service: OpenCollectiveServer
) -> None:
    service.second_factors.add(USER)
    service.tokens[TOKEN].preauthorised = False
    with pytest.raises(Refused, match="not pre-authorized for 2FA") as refused:
        rail.send(instruction())
    assert refused.value.stops_rail


# ------------------------------------------------------------------------------------------------ with the engine


class Desk:
    """A committed database, one fund there and one here, and two payouts of $600 in a run that is on its way."""

    def __init__(self, store: Store, service: OpenCollectiveServer, rail: Rail, payees: tuple[str, str]) -> None:
        self.store, self.service, self.rails = store, service, {rail.name: rail}
        self.clock = world.Clock(utc_now())
        self.engine = Engine(rails=self.rails, sessions=self.session, clock=self.clock)
        with self.session() as session:
            now = self.clock()
            people = world.cast(session, now)
            world.fund(session, Money(1_000_000, "USD"), now=now, cash=world.COLLECTIVE)
            owed: list[UUID] = []
            for payee in payees:
                who = world.recipient(session, payee, rail=rail, by=people.finance, now=now, details={"collective": payee})
                made = world.owed(session, who, 60_000, by=people.officer, now=now)
                made.due_on = now.date()
                owed.append(made.id)
            run = world.sent_run(session, people, rails=self.rails, now=now)
            for payout in run.payouts:
                payout.is_canary = False  # both may go at once; the canary has tests of its own
        self.first, self.second = owed

    @contextmanager
    def session(self) -> Iterator[Session]:
        with Session(self.store, expire_on_commit=False) as session, session.begin():
            yield session

    def drive(self, payout_id: UUID, *, hours: int = 0) -> Payout:
        self.clock.go(timedelta(hours=hours))
        self.engine.drive(payout_id)
        return self.payout(payout_id)

    def payout(self, payout_id: UUID) -> Payout:
        with self.session() as session:
            found = session.get_one(Payout, payout_id)
            assert found.attempts is not None
            return found


@pytest.fixture
def store(fresh_database: str) -> Iterator[Store]:
    made = make_engine(fresh_database, pool_size=8)
    yield made
    made.dispose()


class OneByOneNot(OpenCollectiveRail):
    """Weakened: says that it can take many orders at once."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.capabilities = replace(self.capabilities, one_at_a_time=False)


@pytest.mark.parametrize(("kind", "paid", "left"), [(OpenCollectiveRail, 1, 40_000), (OneByOneNot, 2, -20_000)])
def test_two_workers_at_once_overdraw_the_fund_only_where_orders_go_side_by_side(
    store: Store, service: OpenCollectiveServer, kind: type[OpenCollectiveRail], paid: int, left: int
) -> None:
    service._opening[FUND] = 100_000
    service.charge_seconds = 2.0  # both ask for the balance in this time, on a busy machine, too
    rail = kind(service.url, TOKEN, fund=FUND, timeout=timedelta(seconds=12), visibility=timedelta(0))
    desk = Desk(store, service, rail, ("babel", "webpack"))
    with ThreadPoolExecutor(2) as hands:
        list(hands.map(desk.engine.drive, (desk.first, desk.second)))
    assert service.balance(FUND) == left
    desk.clock.go(timedelta(minutes=1))
    for each in (desk.first, desk.second):
        desk.engine.drive(each)
    assert [desk.payout(each).status for each in (desk.first, desk.second)].count(PayoutStatus.PAID) == paid
    assert service.balance(FUND) == left


def test_nothing_goes_to_a_collective_whose_last_order_has_no_answer(store: Store, service: OpenCollectiveServer) -> None:
    rail = OpenCollectiveRail(service.url, TOKEN, fund=FUND, timeout=SHORT, visibility=timedelta(0))
    desk = Desk(store, service, rail, ("babel", "babel"))
    service.misbehave(Behaviour([Fault("cut_after", times=1)]))
    assert desk.drive(desk.first).attempts[-1].state is AttemptState.UNKNOWN
    desk.clock.go(timedelta(minutes=5))
    waiting = desk.drive(desk.second)
    assert "has no answer yet" in (waiting.blocked_reason or "")
    assert (waiting.attempts[-1].sends, service.paid("babel")) == (0, [60_000])
    assert desk.drive(desk.first, hours=1).status is PayoutStatus.PAID
    desk.clock.go(timedelta(minutes=2))
    assert desk.drive(desk.second).status is PayoutStatus.PAID
    assert service.paid("babel") == [60_000, 60_000]


def test_an_order_that_failed_out_of_sight_is_a_refusal_and_is_not_tried_again(
    store: Store, service: OpenCollectiveServer, rail: OpenCollectiveRail
) -> None:
    desk = Desk(store, service, rail, ("babel", "webpack"))
    service._failed[FUND, "babel"] = 2
    service.misbehave(Behaviour([Fault("cut_after", times=1)]))
    assert desk.drive(desk.first).attempts[-1].state is AttemptState.UNKNOWN
    for _ in range(3):
        payout = desk.drive(desk.first, hours=1)
        assert [(attempt.state, attempt.failure) for attempt in payout.attempts] == [
            (AttemptState.FAILED, AttemptFailure.REFUSED)
        ]
    assert len(service.orders) == 1


class LooksAtOnce(OpenCollectiveRail):
    """Weakened: after an error it looks the order up at once, and takes "not found" for "not paid"."""

    def send(self, instruction: Instruction) -> Receipt:
        try:
            return super().send(instruction)
        except SaidNo as error:
            found = self.look_up(instruction.reference)
            if found:
                return found[0]
            raise Refused(str(error)) from error


@pytest.mark.parametrize(("kind", "paid"), [(OpenCollectiveRail, [60_000]), (LooksAtOnce, [60_000, 60_000])])
def test_an_order_whose_answer_was_lost_and_which_shows_late_is_paid_once_unless_it_is_looked_up_at_once(
    store: Store, service: OpenCollectiveServer, kind: type[OpenCollectiveRail], paid: list[int]
) -> None:
    rail = kind(service.url, TOKEN, fund=FUND, timeout=SHORT, visibility=timedelta(seconds=60))
    desk = Desk(store, service, rail, ("babel", "webpack"))
    service.misbehave(Behaviour([Fault("200_errors_after", times=1)], visibility_seconds=0.5))
    first = desk.drive(desk.first).attempts[-1]
    assert service.paid("babel") == [60_000]
    if first.state is AttemptState.FAILED:  # the weakened one: a person reads “refused” and pays again
        with desk.session() as session:
            session.get_one(Payout, desk.first).attempts_allowed += 1
    else:
        assert first.state is AttemptState.UNKNOWN
        assert desk.drive(desk.first).attempts[-1].lookups == 0, "it is too early to look"
    time.sleep(0.55)
    assert desk.drive(desk.first, hours=1).status is PayoutStatus.PAID
    assert service.paid("babel") == paid


def test_an_error_that_left_nothing_behind_is_a_refusal_an_hour_later_and_is_not_tried_again(
    store: Store, service: OpenCollectiveServer, rail: OpenCollectiveRail
) -> None:
    desk = Desk(store, service, rail, ("babel", "webpack"))
    service.misbehave(Behaviour([Fault("200_errors", times=1)]))
    assert desk.drive(desk.first).attempts[-1].state is AttemptState.UNKNOWN
    for _ in range(3):
        (attempt,) = desk.drive(desk.first, hours=1).attempts
        assert (attempt.state, attempt.failure) == (AttemptState.FAILED, AttemptFailure.REFUSED)
        assert attempt.detail == "Something went wrong The rail does not know it."
    assert service.orders == []


def test_a_send_that_a_sleeping_worker_may_still_make_keeps_the_others_waiting(
    store: Store, service: OpenCollectiveServer, rail: OpenCollectiveRail
) -> None:
    desk = Desk(store, service, rail, ("babel", "webpack"))
    with desk.session() as session:
        sleeper = claims.claim(session, desk.first, rails=desk.rails, rules=desk.engine.rules, now=desk.clock())
        assert isinstance(sleeper, claims.Claim)
        claims.mark_sent(session, sleeper, capabilities=rail.capabilities, now=desk.clock())
    desk.clock.go(SHORT * 2)  # longer than any call, and not yet as long as the lease
    assert desk.engine.rules.in_time(sleeper.lease_until, rail.capabilities, desk.clock())
    assert "takes one at a time" in (desk.drive(desk.second).blocked_reason or "")
    assert service.orders == []


def by_status(order: Mapping[str, Any]) -> Receipt | None:
    """Weakened: believes the order's status, and its amount."""
    if order["status"] == "PAID":
        rows = order["transactions"]
        return Receipt(order["publicId"], Money(int(abs(rows[0]["amount"]["valueInCents"])), "USD"))
    return None


@pytest.mark.parametrize(("judge", "status"), [(adapter.receipt_of, PayoutStatus.RESERVED), (by_status, PayoutStatus.PAID)])
def test_a_payment_that_was_refunded_before_it_was_seen_goes_to_people_unless_the_status_is_believed(
    store: Store,
    service: OpenCollectiveServer,
    rail: OpenCollectiveRail,
    monkeypatch: pytest.MonkeyPatch,
    judge: Any,
    status: PayoutStatus,
) -> None:
    monkeypatch.setattr(adapter, "receipt_of", judge)
    desk = Desk(store, service, rail, ("babel", "webpack"))
    service.misbehave(Behaviour([Fault("cut_after", times=1)]))
    desk.drive(desk.first)
    service.refund(service.orders[0])
    payout = desk.drive(desk.first, hours=1)
    assert payout.status is status
    assert (payout.attempts[-1].state is AttemptState.HUMAN) is (status is PayoutStatus.RESERVED)


def forgets_orders_at_work(order: Mapping[str, Any]) -> Receipt | None:
    """Weakened: an order that is not PAID is taken for one that failed."""
    return adapter_receipt_of(order) if order["status"] == "PAID" else None


adapter_receipt_of = adapter.receipt_of


@pytest.mark.parametrize(("judge", "paid"), [(adapter.receipt_of, [60_000]), (forgets_orders_at_work, [60_000, 60_000])])
def test_an_order_that_is_paid_late_is_paid_once_unless_orders_at_work_are_given_up(
    store: Store,
    service: OpenCollectiveServer,
    rail: OpenCollectiveRail,
    monkeypatch: pytest.MonkeyPatch,
    judge: Any,
    paid: list[int],
) -> None:
    monkeypatch.setattr(adapter, "receipt_of", judge)
    desk = Desk(store, service, rail, ("babel", "webpack"))
    service.misbehave(Behaviour([Fault("cut_before", times=1)]))
    attempt = desk.drive(desk.first).attempts[-1]
    late = Order(1, FUND, "babel", 60_000, "USD", [attempt.idem_key], None, status="PROCESSING")
    service.orders.append(late)
    payout = desk.drive(desk.first, hours=1)
    if payout.attempts[-1].state is AttemptState.FAILED:  # the weakened one: a person reads “refused” and pays again
        with desk.session() as session:
            session.get_one(Payout, desk.first).attempts_allowed += 1
        desk.drive(desk.first)
    service._book(late, FUND, "babel")
    late.status = "PAID"
    desk.drive(desk.first, hours=1)
    assert sorted(service.paid("babel")) == paid
    assert desk.payout(desk.first).status is PayoutStatus.PAID


def test_comparing_a_run_with_the_rail_shows_a_refund(
    store: Store, service: OpenCollectiveServer, rail: OpenCollectiveRail
) -> None:
    desk = Desk(store, service, rail, ("babel", "webpack"))
    run_id = desk.drive(desk.first).run_id
    assert run_id is not None

    def differences(now: datetime) -> list[str]:
        found = compare_with_rails(desk.session, run_id, rails=desk.rails, now=now)
        return [each.message for each in (*found.differences, *found.not_looked_up)]

    assert differences(desk.clock()) == []
    service.refund(service.orders[0])
    assert len(differences(desk.clock())) == 1


def test_a_caller_that_hung_up_has_paid_all_the_same(rail: OpenCollectiveRail, service: OpenCollectiveServer) -> None:
    service.charge_seconds = 3.0
    with pytest.raises(OutcomeUnknown):
        rail.send(instruction())
    for _ in range(60):
        if service.paid("babel"):
            break
        time.sleep(0.05)
    assert [receipt.money for receipt in rail.look_up("pw-test-1")] == [Money(60_000, "USD")]
