"""Money that goes back: refunds of two people, failed refunds, disputes and returned debits, booked as Stripe books them."""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import event, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import ledger
from core.errors import IllegalTransition, InvalidInput, NotAllowed
from core.identity.models import Person, Role
from core.ledger import InsufficientFunds, Leg, Side
from core.money import Money
from core.paper import PaperForm
from pledge import papers, queries
from pledge.models import InstalmentStatus, MovementKind, PayIn, PayInRefund, PayInStatus, PledgeInstalment, RefundStatus
from pledge.papers import NoReceipt
from pledge.providers.base import ProviderSilent, RefundWanted
from pledge.services import refunds
from pledge.services.pay_in_postings import Accounts
from pledge.services.refunds import NotRefundable, SelfApproval, SendRefund
from tests.fakes.pay_ins import Till
from tests.fakes.stripe import Fault, checkout
from tests.fakes.stripe import refunds as banks
from tests.integration.pledge.conftest import give, person
from tests.integration.pledge.test_papers import rows, words
from tests.integration.pledge.test_pay_ins import agree, posted

FULL = Money(5_000_00, "USD")


@pytest.fixture
def second(session: Session, now: datetime) -> Person:
    made = person(session, "Feodor", now)
    give(session, made, Role.FINANCE)
    return made


@pytest.fixture
def paid(till: Till, instalment: PledgeInstalment) -> PayIn:
    """$5,000 by debit, settled; with some more in the fund and at Stripe, so that its fee is no matter."""
    till.paid(till.announce(instalment.pledge, "1000"), "us_bank_account")
    return till.paid(instalment, "us_bank_account")


@pytest.fixture
def send_back(till: Till, finance: Person, second: Person) -> Callable[..., PayInRefund]:
    """A refund asked for, approved and sent."""

    def send(row: PayIn, money: Money = FULL, *, run: bool = True) -> PayInRefund:
        now = till.clock()
        refund = refunds.ask(till.session, row.id, money=money, reason="Paid twice.", actor=finance, now=now)
        refunds.approve(till.session, refund.id, actor=second, now=now)
        till.session.commit()
        if run:
            till.run(SendRefund(refund.id))
            till.look(row)
        return refund

    return send


def sent(till: Till) -> list[Any]:
    return [each for each in till.world.objects.values() if each["object"] == "refund"]


# ------------------------------------------------------------------------------------------------ refunds


def test_two_people_send_part_of_it_back_and_the_year_counts_the_rest(
    session: Session, till: Till, paid: PayIn, codes: Accounts, send_back: Callable[..., PayInRefund]
) -> None:
    before = posted(session, codes.fund)
    refund = send_back(paid, Money(2_000_00, "USD"))
    assert (refund.status, paid.status) == (RefundStatus.PENDING, PayInStatus.REFUNDED_PART)
    assert paid.instalment.status is InstalmentStatus.REFUNDED_PART
    assert posted(session, codes.fund) == before - 2_000_00
    amounts = {payment.money.amount_minor for payment in queries.payments_of(session, paid.instalment.pledge)}
    assert amounts == {1_000_00, 3_000_00}
    banks.finish_refund(till.world, refund.remote_id or "")
    till.look(paid)
    assert refund.status is RefundStatus.DONE
    agree(till, codes)

    send_back(paid, Money(3_000_00, "USD"))
    assert (paid.status, paid.instalment.status) == (PayInStatus.REFUNDED_FULL, InstalmentStatus.REFUNDED_FULL)
    agree(till, codes)


def stayed(session: Session, row: PledgeInstalment) -> tuple[str, str]:
    """The amount of the receipt, and of the instalment in the year's statement; in the PDFs as in the CSV."""
    of, year = papers.receipt(session, row), papers.statement(session, row.pledge)
    (receipt,) = rows(papers.draw_receipt(of, PaperForm.CSV))
    listed = {each["reference"]: each["amount"] for each in rows(papers.draw_statement(year, PaperForm.CSV))}
    for paper in (papers.draw_receipt(of, PaperForm.PDF), papers.draw_statement(year, PaperForm.PDF)):
        assert str(of.payment.money) in words(paper)
    assert of.entries, "each entry of it can be looked up"
    return receipt["amount"], listed[row.reference]


def nothing_stayed(session: Session, row: PledgeInstalment, why: str) -> None:
    with pytest.raises(NoReceipt, match=why):
        papers.receipt(session, row)
    year = papers.statement(session, row.pledge)
    assert row.reference not in {each["reference"] for each in rows(papers.draw_statement(year, PaperForm.CSV))}
    assert row.reference not in words(papers.draw_statement(year, PaperForm.PDF))


def test_receipt_and_statement_are_over_what_was_not_sent_back(
    session: Session, till: Till, paid: PayIn, send_back: Callable[..., PayInRefund]
) -> None:
    row = paid.instalment
    assert stayed(session, row) == ("5000.00", "5000.00")
    refund = send_back(paid, Money(2_000_00, "USD"))
    assert stayed(session, row) == ("3000.00", "3000.00")
    text = words(papers.draw_receipt(papers.receipt(session, row), PaperForm.PDF))
    assert "planned over 5,000.00 USD; 3,000.00 USD of what came settled and stayed" in text
    banks.finish_refund(till.world, refund.remote_id or "")
    till.look(paid)
    send_back(paid, Money(3_000_00, "USD"))
    nothing_stayed(session, row, "all of it was sent back")


@pytest.mark.parametrize("won", [True, False])
def test_there_is_no_receipt_while_it_is_disputed_and_one_again_when_it_is_won(
    session: Session, till: Till, paid: PayIn, won: bool
) -> None:
    assert paid.payment_id is not None
    dispute = banks.dispute(till.world, paid.payment_id)
    till.look(paid)
    nothing_stayed(session, paid.instalment, "is disputed: what stays is known when the bank has decided")
    banks.decide(till.world, dispute["id"], won=won)
    till.look(paid)
    if won:
        assert stayed(session, paid.instalment) == ("5000.00", "5000.00")
    else:
        nothing_stayed(session, paid.instalment, "the bank took it back after a dispute")


def test_a_refund_that_the_bank_refuses_comes_back_and_is_said(
    session: Session, till: Till, paid: PayIn, codes: Accounts, send_back: Callable[..., PayInRefund]
) -> None:
    before = posted(session, codes.fund)
    refund = send_back(paid)
    banks.fail_refund(till.world, refund.remote_id or "")
    till.look(paid)
    assert (refund.status, paid.status) == (RefundStatus.FAILED, PayInStatus.SETTLED)
    assert "did not take it (declined)" in (refund.failure or "")
    assert posted(session, codes.fund) == before
    assert paid.instalment.status is InstalmentStatus.SETTLED
    assert send_back(paid, Money(1_00, "USD")).status is RefundStatus.PENDING, "another way can be tried"
    agree(till, codes)


def test_a_refund_before_the_money_is_ours_takes_from_what_is_unsettled(
    session: Session, till: Till, paid: PayIn, codes: Accounts, send_back: Callable[..., PayInRefund]
) -> None:
    row = till.paid(till.announce(paid.instalment.pledge, "700"), "us_bank_account", settled=False)
    before = posted(session, codes.fund)
    send_back(row, Money(700_00, "USD"))
    assert (row.status, posted(session, codes.unsettled), posted(session, codes.fund)) == (PayInStatus.REFUNDED_FULL, 0, before)
    till.clock.pass_(days=5)
    till.look(row)
    assert (row.status, posted(session, codes.fund)) == (PayInStatus.REFUNDED_FULL, before)
    agree(till, codes)


@pytest.mark.parametrize("back", ["refund", "dispute"])
def test_the_fee_of_receiving_is_borne_once_also_by_money_that_comes_back_after_its_day(
    session: Session, till: Till, paid: PayIn, codes: Accounts, send_back: Callable[..., PayInRefund], back: str
) -> None:
    row = till.paid(till.announce(paid.instalment.pledge, "700"), "us_bank_account", settled=False)
    before = posted(session, codes.fund), posted(session, codes.borne)
    if back == "refund":
        undo = send_back(row, Money(700_00, "USD")).remote_id
    else:
        undo = banks.dispute(till.world, row.payment_id or "")["id"]
        till.look(row)
    till.clock.pass_(days=5)
    till.look(row)
    assert row.settled_at is not None
    assert (posted(session, codes.fund), posted(session, codes.borne)) == before, "nothing reached the fund yet"

    if back == "refund":
        banks.fail_refund(till.world, undo or "")
    else:
        banks.decide(till.world, undo or "", won=True)
    till.look(row)
    fee = 5_00
    assert sum(each.fee_minor for each in row.movements) == fee, "the dispute's own came back"
    assert posted(session, codes.fund) == before[0] + 700_00 - fee
    assert posted(session, codes.borne) == before[1] + fee
    agree(till, codes)

    if back == "refund":
        banks.fail_refund(till.world, send_back(row, Money(1_00, "USD")).remote_id or "")
        till.look(row)
        assert posted(session, codes.borne) == before[1] + fee, "once"


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "500_before", "500_after", "slow"])
def test_an_unanswered_refund_is_found_out_and_made_once(
    till: Till, paid: PayIn, codes: Accounts, send_back: Callable[..., PayInRefund], kind: str
) -> None:
    refund = send_back(paid, run=False)
    till.server.faults = [Fault(kind, times=1, seconds=0.1, on="POST /v1/refunds")]
    for _ in range(2):
        try:
            till.run(SendRefund(refund.id))
        except ProviderSilent:
            continue
    assert len(sent(till)) == (0 if kind == "500_before" else 1), "a saved 500 is replayed under its key"
    assert refund.status is (RefundStatus.PENDING if sent(till) else RefundStatus.APPROVED)
    if not sent(till):
        till.clock.pass_(days=1)
        till.run(SendRefund(refund.id))
        assert (refund.status, sent(till)) == (RefundStatus.FAILED, [])
        assert "never made it" in (refund.failure or "")


def give_away(session: Session, codes: Accounts, now: datetime, *, key: str = "granted") -> None:
    """All that the fund has is granted."""
    ledger.ensure_account(session, "liabilities:programme:commons:usd", "USD", normal=Side.CREDIT)
    leg = Leg(debit=codes.fund, credit="liabilities:programme:commons:usd", amount=ledger.balance(session, codes.fund).available)
    ledger.post(session, key=key, kind="grants.funded", legs=[leg], at=now)


def test_money_that_is_to_go_back_is_held_from_the_approval_on(
    session: Session, till: Till, paid: PayIn, codes: Accounts, send_back: Callable[..., PayInRefund]
) -> None:
    """What it took from the fund before it was booked could be granted meanwhile, and was a shortfall then."""
    refund = send_back(paid, run=False)
    leg = Leg(debit=codes.fund, credit=codes.refunds, amount=posted(session, codes.fund))
    with pytest.raises(InsufficientFunds), session.begin_nested():
        ledger.post(session, key="all", kind="grants.funded", legs=[leg], at=till.clock())
    give_away(session, codes, till.clock())
    till.run(SendRefund(refund.id))
    till.look(paid)
    till.look(paid)
    assert (posted(session, codes.refunds), posted(session, codes.fund), posted(session, codes.shortfall)) == (0, 0, 0)
    assert ledger.balance(session, codes.fund).debits_pending == 0
    assert (
        len([each for each in ledger.entries_for(session, ref=("refund", str(refund.id))) if each.kind == "pledge.refund_held"])
        == 2
    )
    agree(till, codes)


def test_an_approval_and_its_sending_lock_in_the_order_of_a_look(
    session: Session, till: Till, paid: PayIn, finance: Person, second: Person
) -> None:
    """The other way round, a look at the payment and an approval at the same moment waited for each other."""
    locked: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        found = re.search(r"FROM (pay_in\w*).* FOR (?:NO KEY )?UPDATE", statement, re.DOTALL)
        if found is not None:
            locked.append(found[1])

    refund = refunds.ask(session, paid.id, money=FULL, reason="Paid twice.", actor=finance, now=till.clock())
    session.commit()
    event.listen(session.connection(), "before_cursor_execute", note)
    refunds.approve(session, refund.id, actor=second, now=till.clock())
    session.commit()
    in_order = [PayIn.__tablename__, PayInRefund.__tablename__]
    assert locked == in_order
    locked.clear()
    till.run(SendRefund(refund.id))
    assert locked[:2] == in_order


def test_what_was_held_for_a_refund_that_never_came_to_be_is_the_funds_again(
    session: Session, till: Till, paid: PayIn, codes: Accounts, send_back: Callable[..., PayInRefund]
) -> None:
    before = ledger.balance(session, codes.fund).available
    refund = send_back(paid, run=False)
    assert ledger.balance(session, codes.fund).available == before - 5_000_00
    banks.dispute(till.world, paid.payment_id or "")
    till.run(SendRefund(refund.id))
    assert refund.status is RefundStatus.FAILED
    assert ledger.balance(session, codes.fund).available == before


def test_a_refund_of_unsettled_money_is_held_when_it_settles(
    session: Session, till: Till, paid: PayIn, codes: Accounts, send_back: Callable[..., PayInRefund]
) -> None:
    row = till.paid(till.announce(paid.instalment.pledge, "700"), "us_bank_account", settled=False)
    refund = send_back(row, Money(300_00, "USD"), run=False)
    till.clock.pass_(days=5)
    till.look(row)
    assert ledger.balance(session, codes.fund).debits_pending == 300_00
    give_away(session, codes, till.clock())
    till.run(SendRefund(refund.id))
    till.look(row)
    assert (posted(session, codes.refunds), posted(session, codes.shortfall)) == (0, 0)
    agree(till, codes)


def test_a_refund_that_was_booked_before_anybody_heard_of_it_is_not_held_as_well(
    session: Session, till: Till, paid: PayIn, codes: Accounts, send_back: Callable[..., PayInRefund]
) -> None:
    """The worker died after Stripe made it; one look books it, and settles the money that it came from."""
    row = till.paid(till.announce(paid.instalment.pledge, "700"), "us_bank_account", settled=False)
    refund = send_back(row, Money(300_00, "USD"), run=False)
    till.provider.refund(RefundWanted(refund.id, row.payment_id or "", refund.money, key=f"pw-refund-{refund.id}"))
    till.clock.pass_(days=5)
    till.look(row)
    assert (row.settled_at is not None, refund.status) == (True, RefundStatus.PENDING)
    assert ledger.balance(session, codes.fund).debits_pending == 0, "nothing would ever end such a hold"
    agree(till, codes)


def test_a_debit_that_bounced_leaves_both_of_its_movements_and_no_money(
    session: Session, till: Till, instalment: PledgeInstalment, codes: Accounts
) -> None:
    row = till.open(instalment)
    payment = till.choose(row, "us_bank_account")
    till.look(row)
    checkout.bounce(till.world, payment)
    till.look(row)
    assert (row.status, row.received.amount_minor, row.settled_at) == (PayInStatus.FAILED, 0, None)
    assert {each.kind for each in row.movements} == {MovementKind.ARRIVAL, MovementKind.PAYMENT_FAILED}
    assert posted(session, codes.unsettled) == 0
    agree(till, codes)


def test_a_movement_of_a_kind_nobody_knows_is_said_and_the_rest_is_booked(
    session: Session, till: Till, paid: PayIn, codes: Accounts
) -> None:
    charge = till.world.objects[paid.payment_id or ""]["latest_charge"]
    moved = till.world.move("payment_reversal", -100, "usd", source=charge)
    till.look(paid)
    assert f"{moved['id']} over -1.00 USD is a payment that was taken back" in (paid.unknown or "")
    assert paid.status is PayInStatus.SETTLED
    assert moved["id"] not in {each.id for each in paid.movements}
    del till.world.objects[moved["id"]]
    till.look(paid)
    assert paid.unknown is None


def test_stripe_s_no_ends_a_refund_with_its_words(till: Till, paid: PayIn, send_back: Callable[..., PayInRefund]) -> None:
    refund = send_back(paid, run=False)
    assert paid.payment_id is not None
    banks.dispute(till.world, paid.payment_id)
    till.run(SendRefund(refund.id))
    assert refund.status is RefundStatus.FAILED
    assert "charge_disputed" in (refund.failure or "")
    assert sent(till) == []


def test_nobody_approves_alone_nor_without_being_in_finance(
    session: Session, till: Till, paid: PayIn, finance: Person, second: Person, stranger: Person
) -> None:
    now = till.clock()
    with pytest.raises(NotAllowed):
        refunds.ask(session, paid.id, money=FULL, reason="x", actor=stranger, now=now)
    refund = refunds.ask(session, paid.id, money=FULL, reason="Paid twice.", actor=finance, now=now)
    with pytest.raises(SelfApproval, match="somebody else in finance"):
        refunds.approve(session, refund.id, actor=finance, now=now)
    with pytest.raises(NotAllowed):
        refunds.approve(session, refund.id, actor=stranger, now=now)
    with pytest.raises(IntegrityError, match="four_eyes"), session.begin_nested():
        session.execute(update(PayInRefund).values(approved_by_id=PayInRefund.asked_by_id))
    refunds.turn_down(session, refund.id, actor=finance, now=now)
    with pytest.raises(IllegalTransition):
        refunds.approve(session, refund.id, actor=second, now=now)


def test_what_is_asked_for_is_spoken_for_and_what_is_gone_cannot_go_back(
    session: Session, till: Till, paid: PayIn, finance: Person, second: Person, codes: Accounts
) -> None:
    now = till.clock()
    refunds.ask(session, paid.id, money=Money(4_000_00, "USD"), reason="x", actor=finance, now=now)
    with pytest.raises(InvalidInput, match=r"Between one cent and 1,000\.00 USD"):
        refunds.ask(session, paid.id, money=Money(1_000_01, "USD"), reason="x", actor=finance, now=now)
    rest = refunds.ask(session, paid.id, money=Money(1_000_00, "USD"), reason="x", actor=finance, now=now)
    ledger.ensure_account(session, "liabilities:programme:x:usd", "USD", normal=Side.CREDIT)
    legs = [Leg(debit=codes.fund, credit="liabilities:programme:x:usd", amount=posted(session, codes.fund) - 999_99)]
    ledger.post(session, key="given", kind="test", at=now, legs=legs)
    with pytest.raises(NotRefundable, match=r"holds 999\.99 USD, less than 1,000\.00 USD"):
        refunds.approve(session, rest.id, actor=second, now=now)


# ------------------------------------------------------------------------------------------------ disputes


def test_a_dispute_takes_the_money_and_a_won_one_brings_it_back(
    session: Session, till: Till, paid: PayIn, codes: Accounts, finance: Person
) -> None:
    before = posted(session, codes.fund)
    assert paid.payment_id is not None
    dispute = banks.dispute(till.world, paid.payment_id)
    till.look(paid)
    assert (paid.status, paid.instalment.status) == (PayInStatus.DISPUTED, InstalmentStatus.DISPUTED)
    assert posted(session, codes.fund) == before - 5_000_00
    assert posted(session, codes.fees) == 5_00 + 5_00 + 15_00
    assert queries.disputed_pay_ins(session) == 1
    with pytest.raises(NotRefundable, match="is disputed"):
        refunds.ask(session, paid.id, money=FULL, reason="x", actor=finance, now=till.clock())
    agree(till, codes)
    banks.decide(till.world, dispute["id"], won=True)
    till.look(paid)
    assert (paid.status, posted(session, codes.fund), posted(session, codes.fees)) == (PayInStatus.SETTLED, before, 10_00)
    assert paid.instalment.status is InstalmentStatus.SETTLED
    agree(till, codes)


def test_a_movement_of_nothing_but_a_fee_is_booked_and_what_comes_after_it_too(
    session: Session, till: Till, paid: PayIn, codes: Accounts
) -> None:
    dispute = banks.dispute(till.world, paid.payment_id or "")
    banks.charge_for_dispute(till.world, dispute["id"])
    till.look(paid)
    fund = posted(session, codes.fund)
    assert [each.fee_minor for each in paid.movements if each.kind is MovementKind.FEE] == [15_00]
    assert posted(session, codes.fees) == 5_00 + 5_00 + 15_00 + 15_00
    agree(till, codes)
    banks.charge_for_dispute(till.world, dispute["id"], fee=-15_00)
    banks.decide(till.world, dispute["id"], won=True)
    till.look(paid)
    assert (paid.status, posted(session, codes.fund), posted(session, codes.fees)) == (
        PayInStatus.SETTLED, fund + 5_000_00, 10_00,
    )  # fmt: skip
    agree(till, codes)


def test_a_lost_dispute_of_money_that_was_given_away_leaves_the_fund_short_until_more_settles(
    session: Session, till: Till, paid: PayIn, codes: Accounts
) -> None:
    ledger.ensure_account(session, "liabilities:programme:x:usd", "USD", normal=Side.CREDIT)
    given_away = posted(session, codes.fund)
    legs = [Leg(debit=codes.fund, credit="liabilities:programme:x:usd", amount=given_away)]
    ledger.post(session, key="given", kind="test", at=till.clock(), legs=legs)
    assert paid.payment_id is not None
    dispute = banks.dispute(till.world, paid.payment_id)
    till.look(paid)
    banks.decide(till.world, dispute["id"], won=False)
    till.look(paid)
    assert (paid.status, paid.instalment.status) == (PayInStatus.LOST, InstalmentStatus.LOST)
    assert (posted(session, codes.fund), posted(session, codes.shortfall)) == (0, 5_000_00)
    till.paid(till.announce(paid.instalment.pledge, "6000"), "us_bank_account")
    assert (posted(session, codes.fund), posted(session, codes.shortfall)) == (6_000_00 - 5_00 - 5_000_00, 0)
    agree(till, codes)


def test_a_transfer_that_is_too_large_is_shown_and_not_booked(
    session: Session, till: Till, instalment: PledgeInstalment, codes: Accounts
) -> None:
    row = till.open(instalment)
    payment = till.choose(row, "customer_balance")
    checkout.arrive(till.world, payment, 5_250_00)
    till.look(row)
    assert (row.surplus_minor, row.received) == (250_00, FULL)
    agree(till, codes)


# ------------------------------------------------------------------------------------------------ any order

STEPS = st.lists(
    st.tuples(st.sampled_from(["refund", "fail", "finish", "dispute", "won", "lost", "wait", "look"]), st.integers(1, 3)),
    max_size=10,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, method=st.sampled_from(["card", "us_bank_account"]))
def test_whatever_happens_between_two_looks_the_ledger_ends_where_stripe_is(
    session: Session,
    till: Till,
    instalment: PledgeInstalment,
    codes: Accounts,
    now: datetime,
    steps: list[tuple[str, int]],
    method: str,
) -> None:
    """Refunds made at Stripe, failures, disputes and time pass in any order, looked at or not: the books agree at the end."""
    till.clock.moment = now
    row = till.paid(till.announce(instalment.pledge, "900"), method, settled=False)
    payment = row.payment_id or ""
    for deed, number in steps:
        happen(till, payment, deed, number)
        if deed == "look":
            till.look(row)
    till.look(row)
    agree(till, codes)
    charge = till.world.objects[till.world.objects[payment]["latest_charge"]]
    moved = [each for each in till.world.objects.values() if each["object"] == "balance_transaction"]
    mine = {each.id for each in row.movements}
    assert row.kept.amount_minor == sum(each["amount"] for each in moved if each["id"] in mine)
    assert row.received.amount_minor == charge["amount"]
    counted = queries.payment_of_instalment(session, row.instalment)
    assert (counted.money if counted else Money(0, "USD")) == (row.kept if row.settled_at else Money(0, "USD"))


def happen(till: Till, payment: str, deed: str, number: int) -> None:
    """A deed of the outside world, if Stripe would let it happen now."""
    world = till.world
    charge = world.objects[world.objects[payment]["latest_charge"]]
    mine = [each for each in world.objects.values() if each.get("payment_intent") == payment]
    live = [each for each in mine if each["object"] == "refund" and each["status"] in {"pending", "succeeded"}]
    disputes = [each for each in mine if each["object"] == "dispute" and each["status"] == "needs_response"]
    left = charge["amount"] - charge["amount_refunded"]
    if deed == "refund" and left and not charge["disputed"] and world.available("usd") >= left // number > 0:
        made = banks.create_refund(world, {"payment_intent": payment, "amount": left // number}, base="")
        assert made["object"] == "refund"
    elif deed == "fail" and live:
        banks.fail_refund(world, live[-1]["id"])
    elif deed == "finish" and live and live[-1]["status"] == "pending":
        banks.finish_refund(world, live[-1]["id"])
    elif deed == "dispute" and left and not charge["disputed"]:
        banks.dispute(world, payment, lost=number == 3)
    elif deed in {"won", "lost"} and disputes:
        banks.decide(world, disputes[-1]["id"], won=deed == "won")
    elif deed == "wait":
        till.clock.pass_(days=number)
