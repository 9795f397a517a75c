"""Paying people at Open Collective: the draft, what we approve and what not, and that only ledger rows end it."""

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from core.money import Money
from payouts.models import AttemptState, Payout, PayoutStatus
from payouts.rails.base import Instruction, NotNow, NotYet, OutcomeUnknown, Rail, Receipt, Refused, SaidNo
from payouts.rails.fake_server import Behaviour, Fault
from payouts.rails.opencollective_expenses import OpenCollectiveExpenseRail
from payouts.services import comparisons, controls, holds
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world
from tests.fakes.graphql_server import serving
from tests.fakes.opencollective import FUND, TOKEN, USER, OpenCollectiveServer

SHORT = timedelta(seconds=6)


@pytest.fixture
def service(shared: Path) -> Iterator[OpenCollectiveServer]:
    with serving(OpenCollectiveServer(shared / "schemas" / "opencollective-v2.graphql")) as made:
        made.draft_pause_seconds = 0
        yield made


@pytest.fixture
def rail(service: OpenCollectiveServer) -> OpenCollectiveExpenseRail:
    return OpenCollectiveExpenseRail(service.url, TOKEN, fund=FUND, timeout=SHORT, visibility=timedelta(0))


def instruction(*, to: str = "ada-person", reference: str = "pw-test-1", currency: str = "USD") -> Instruction:
    return Instruction(reference, Money(60_000, currency), "Ada", "DE", {"profile": to}, "First quarter")


def drafted(rail: OpenCollectiveExpenseRail) -> None:
    with pytest.raises(NotYet, match="waits until the payee submits it"):
        rail.send(instruction())


def test_a_draft_is_locked_invites_the_payee_and_tells_the_public_nothing(
    rail: OpenCollectiveExpenseRail, service: OpenCollectiveServer
) -> None:
    drafted(rail)
    call = next(call for call in service.calls if call.is_mutation)
    assert "lockedFields: [AMOUNT, PAYEE, DESCRIPTION, TYPE]" in call.document
    assert "skipInvite: false" in call.document
    asked = call.variables["expense"]
    assert asked["description"] == "Payment pw-test-1"
    assert asked["recipientNote"] == "First quarter"
    assert asked["customData"] == {"payoutKey": "pw-test-1"}


@pytest.mark.parametrize(
    ("to", "currency", "reason"),
    [("nobody", "USD", "knows no"), ("babel", "USD", "is not a person"), ("ada-person", "EUR", "this payout is in EUR")],
)
def test_what_cannot_be_paid_is_not_drafted(
    rail: OpenCollectiveExpenseRail, service: OpenCollectiveServer, to: str, currency: str, reason: str
) -> None:
    with pytest.raises(Refused, match=reason):
        rail.send(instruction(to=to, currency=currency))
    assert service.expenses == []


def test_looking_changes_nothing_and_following_approves(rail: OpenCollectiveExpenseRail, service: OpenCollectiveServer) -> None:
    drafted(rail)
    (expense,) = service.expenses
    service.submit(expense)
    with pytest.raises(NotYet, match="was submitted"):
        rail.look_up("pw-test-1")
    assert expense.status == "PENDING"
    for _ in range(2):
        with pytest.raises(NotYet, match="waits until the fiscal host pays it"):
            rail.follow(instruction())
        assert expense.status == "APPROVED"
    service.host_pays(expense)
    assert rail.follow(instruction()) == [Receipt(expense.public_id, Money(60_000, "USD"))]
    service.host_marks_unpaid(expense)
    assert rail.look_up("pw-test-1") == [Receipt(expense.public_id, Money(0, "USD"))]


def test_what_is_not_what_was_drafted_is_not_approved(rail: OpenCollectiveExpenseRail, service: OpenCollectiveServer) -> None:
    drafted(rail)
    (expense,) = service.expenses
    service.submit(expense, cents=6_000_000)
    with pytest.raises(NotYet, match=r"asks for 60,000.00 USD to “ada-person” instead of 600.00 USD"):
        rail.follow(instruction())
    service.submit(expense, cents=60_000)
    expense.payee = "bob-2"
    with pytest.raises(NotYet, match="instead of"):
        rail.follow(instruction())
    assert expense.status == "PENDING"


@pytest.mark.parametrize("status", ["ERROR", "REJECTED", "CANCELED", "INVITE_DECLINED", "PROCESSING", "PAID"])
def test_without_ledger_rows_no_status_ends_it(
    rail: OpenCollectiveExpenseRail, service: OpenCollectiveServer, status: str
) -> None:
    drafted(rail)
    service.expenses[0].status = status
    with pytest.raises(NotYet):
        rail.follow(instruction())


def test_a_second_expense_beside_a_paid_one_is_not_overlooked(
    rail: OpenCollectiveExpenseRail, service: OpenCollectiveServer
) -> None:
    drafted(rail)
    drafted(rail)
    service.submit(service.expenses[0])
    service.expenses[0].status = "APPROVED"
    service.host_pays(service.expenses[0])
    with pytest.raises(NotYet, match=r"ex_0+2 waits until the payee submits"):
        rail.follow(instruction())


def test_one_draft_in_ten_seconds(rail: OpenCollectiveExpenseRail, service: OpenCollectiveServer) -> None:
    service.draft_pause_seconds = 10
    drafted(rail)
    with pytest.raises(NotNow) as raised:
        rail.send(instruction(reference="pw-test-2"))
    assert raised.value.retry_after > timedelta(seconds=10)
    assert len(service.expenses) == 1


@pytest.mark.parametrize(
    ("kind", "error", "drafts"),
    [("cut_before", OutcomeUnknown, 0), ("cut_after", OutcomeUnknown, 1), ("500_after", OutcomeUnknown, 1),
     ("200_errors", SaidNo, 0), ("200_errors_after", SaidNo, 1), ("401", Refused, 0), ("429", NotNow, 0)],
)  # fmt: skip
def test_every_fault_is_told_apart(
    rail: OpenCollectiveExpenseRail, service: OpenCollectiveServer, kind: str, error: type[Exception], drafts: int
) -> None:
    service.misbehave(Behaviour([Fault(kind, times=1, seconds=0.05)]))
    with pytest.raises(error):
        rail.send(instruction())
    assert len(service.expenses) == drafts


def test_the_set_up_check(rail: OpenCollectiveExpenseRail, service: OpenCollectiveServer) -> None:
    service.second_factors.add(USER)
    assert [line.ok for line in rail.check_setup({"profile": "ada-person"})] == [True] * 6
    service.tokens[TOKEN] = replace(service.tokens[TOKEN], scopes=frozenset({"account", "orders"}))
    assert "lacks the scope “expenses”" in str(rail.check_setup())


# ------------------------------------------------------------------------------------------------ with the engine


@pytest.fixture
def cash() -> str:
    return world.COLLECTIVE


@pytest.fixture
def payout(session: Session, people: world.Cast, funded: None, rail: OpenCollectiveExpenseRail, clock: world.Clock) -> Payout:
    rails: dict[str, Rail] = {rail.name: rail}
    who = world.recipient(session, "Ada", rail=rail, by=people.finance, now=clock(), details={"profile": "ada-person"})
    made = world.owed(session, who, 60_000, by=people.officer, now=clock())
    world.sent_run(session, people, rails=rails, now=clock())
    session.commit()
    return made


class Followed(OpenCollectiveExpenseRail):
    """Weakened: takes the draft for the payment, as a client does that marks a payee paid when its expense exists."""

    def send(self, instruction: Instruction) -> Receipt:
        try:
            return super().send(instruction)
        except NotYet:
            return Receipt(f"drafted {instruction.reference}", instruction.money)


@pytest.mark.parametrize("weakened", [False, True])
def test_a_payout_is_paid_when_the_host_paid_and_not_before(
    session: Session, service: OpenCollectiveServer, clock: world.Clock, payout: Payout, weakened: bool
) -> None:
    kind = Followed if weakened else OpenCollectiveExpenseRail
    rail = kind(service.url, TOKEN, fund=FUND, timeout=SHORT, visibility=timedelta(0))
    engine = Engine(rails={rail.name: rail}, sessions=world.Sessions(session.connection()), clock=clock)

    def drive(hours: int) -> PayoutStatus:
        clock.go(timedelta(hours=hours))
        session.commit()
        engine.drive(payout.id)
        session.expire_all()
        return payout.status

    if weakened:
        assert drive(0) is PayoutStatus.PAID
        assert service.paid("ada-person") == [], "paid here, and nobody was"
        return
    assert drive(0) is PayoutStatus.RESERVED
    assert payout.run_id is not None
    compared = comparisons.compare_with_rails(engine.sessions, payout.run_id, rails={rail.name: rail}, now=clock())
    assert compared == comparisons.Comparison(), "what is on its way is no difference"
    for _ in range(3):  # the payee takes its time
        assert drive(24) is PayoutStatus.RESERVED
    assert "waits until the payee submits it" in (payout.attempts[-1].detail or "")
    service.submit(service.expenses[0])
    assert drive(1) is PayoutStatus.RESERVED
    assert service.expenses[0].status == "APPROVED"
    service.host_pays(service.expenses[0])
    assert drive(1) is PayoutStatus.PAID
    assert payout.attempts[-1].state is AttemptState.ACCEPTED
    assert len(service.expenses) == len(payout.attempts) == 1
    assert service.paid("ada-person") == [60_000]


@pytest.mark.parametrize("kind", ["cut_after", "200_errors_after"])
def test_a_draft_that_was_never_answered_is_found_and_not_drafted_again(
    session: Session,
    service: OpenCollectiveServer,
    rail: OpenCollectiveExpenseRail,
    clock: world.Clock,
    payout: Payout,
    kind: str,
) -> None:
    engine = Engine(rails={rail.name: rail}, sessions=world.Sessions(session.connection()), clock=clock)
    service.misbehave(Behaviour([Fault(kind, times=1)], visibility_seconds=0.5))
    engine.drive(payout.id)
    time.sleep(0.55)
    for _ in range(4):
        engine.drive(payout.id)
        clock.go(timedelta(hours=2))
    assert len(service.expenses) == 1


def test_a_draft_that_is_gone_is_a_matter_for_people_and_is_not_drafted_again(
    session: Session, service: OpenCollectiveServer, rail: OpenCollectiveExpenseRail, clock: world.Clock, payout: Payout
) -> None:
    engine = Engine(rails={rail.name: rail}, sessions=world.Sessions(session.connection()), clock=clock)
    engine.drive(payout.id)
    service.expenses.clear()
    for _ in range(3):
        clock.go(timedelta(hours=2))
        engine.drive(payout.id)
    session.expire_all()
    assert (len(payout.attempts), payout.attempts[-1].state) == (1, AttemptState.HUMAN)
    assert service.expenses == []


@pytest.mark.parametrize("how", ["held", "stopped"])
def test_what_a_held_payee_submitted_is_not_approved_until_the_hold_is_lifted(
    session: Session, service: OpenCollectiveServer, rail: OpenCollectiveExpenseRail, people: world.Cast, clock: world.Clock,
    payout: Payout, how: str,
) -> None:  # fmt: skip
    """Approving is a step of ours towards the payment, as a send is. The rail is asked all the same."""
    engine = Engine(rails={rail.name: rail}, sessions=world.Sessions(session.connection()), clock=clock)

    def drive() -> str:
        clock.go(timedelta(hours=1))
        session.commit()
        engine.drive(payout.id)
        session.expire_all()
        return service.expenses[0].status

    drive()
    service.submit(service.expenses[0])
    if how == "held":
        holds.hold(session, payout.recipient, reason="Called: it was not Ada.", actor=people.approver, now=clock())
    else:
        controls.stop_rail(session, rail.name, reason="Odd expenses.", actor=people.approver, now=clock())
    assert drive() == "PENDING"
    assert ("it was not Ada" if how == "held" else "Odd expenses") in (payout.blocked_reason or "")
    assert payout.attempts[0].state is AttemptState.UNKNOWN
    if how == "held":
        holds.lift(session, payout.recipient_id, reason="It was Ada.", actor=people.second, now=clock())
    else:
        controls.start_rail(session, rail.name, reason="Looked at.", actor=people.second, now=clock())
    assert drive() == "APPROVED"
    assert payout.blocked_reason is None
