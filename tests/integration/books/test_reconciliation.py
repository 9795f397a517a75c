"""Both ways, three lists: everything outside meets one entry, and every entry that moved money elsewhere met something."""

import io
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import files, ledger
from core.books import balances, bookings, explanations, queries, reconciliation, tasks
from core.books.explanations import AlreadyExplained, SamePerson
from core.books.feeds import FeedUnreachable, Seen
from core.books.models import BankLine, OutsideMovement, Side, Subject
from core.errors import InvalidInput, NotAllowed, NotFound
from core.identity.models import Membership, Person, Role
from core.ledger import Guard, Leg
from core.money import Money
from payouts.models import Outcome, PayoutStatus
from payouts.rails.movements import OpenCollectiveMovements, StripeMovements
from payouts.rails.opencollective import OpenCollectiveRail
from payouts.rails.stripe_connect import StripeConnectRail
from payouts.services import resolutions
from payouts.services.engine import Engine
from pledge.models import Pledge, PledgeInstalment
from pledge.services import instalments
from tests.fakes import graphql_server
from tests.fakes import payouts_world as world
from tests.fakes.bank_statements import Ntry
from tests.fakes.opencollective import FUND as OC_FUND
from tests.fakes.opencollective import TOKEN, OpenCollectiveServer
from tests.fakes.pay_ins import Clock, Till
from tests.fakes.stripe import StripeServer, World, connect, invoices, refunds, serving
from tests.fakes.stripe.server import KEY

STRIPE, FUND = "assets:rail:stripe:usd", "liabilities:fund:open-pledge:usd"
Make = Callable[..., PledgeInstalment]
Read = Callable[..., Sequence[BankLine]]


def listed(session: Session) -> list[tuple[Side, int]]:
    return [(each.side, each.money.amount_minor) for each in reconciliation.differences(session)]


def at_stripe(session: Session, cents: int, txn: str, now: datetime) -> ledger.Entry:
    """A pay-in by Stripe as its domain posts it, with the movement's own id."""
    ledger.ensure_account(session, STRIPE, "USD", normal=ledger.Side.DEBIT, guard=Guard.DEBIT)
    ledger.ensure_account(session, FUND, "USD", normal=ledger.Side.CREDIT, guard=Guard.CREDIT)
    return ledger.post(
        session, key=f"test:{txn}:{cents}", kind="test", legs=[Leg(debit=STRIPE, credit=FUND, amount=cents)], at=now,
        refs={"rail": "stripe", "balance_transaction": txn},
    )  # fmt: skip


def told(session: Session, cents: int, txn: str, now: datetime, *, kind: str = "charge", about: str | None = None) -> None:
    reconciliation.take(session, "stripe", [Seen(txn, kind, now, Money(cents, "USD"), about)], now=now)


def test_a_line_and_an_entry_that_met_are_in_no_list(
    session: Session, said: Make, read: Read, finance: Person, now: datetime
) -> None:
    row = said()
    (line,) = read(Ntry("5000.00", row.reference))
    assert listed(session) == [(Side.MISSING_HERE, 5_000_00)]
    bookings.confirm(session, line.id, f"pledge:{row.id}", actor=finance, now=now)
    assert listed(session) == []


def test_an_entry_the_bank_does_not_know_is_missing_there(session: Session, said: Make, finance: Person, now: datetime) -> None:
    row = said()
    instalments.confirm(session, row.id, received_on=now.date(), bank_reference="44", actor=finance, now=now)
    (item,) = reconciliation.differences(session)
    assert (item.side, item.subject, item.money, item.on) == (Side.MISSING_THERE, Subject.ENTRY, row.money, now.date())


def test_money_out_has_its_sign_in_every_list(session: Session, read: Read) -> None:
    read(Ntry("12.50", "fee", sign="DBIT"))
    assert listed(session) == [(Side.MISSING_HERE, -12_50)]


def test_a_movement_meets_the_entry_that_carries_its_id(session: Session, now: datetime) -> None:
    entry = at_stripe(session, 100_00, "txn_1", now)
    told(session, 100_00, "txn_1", now)
    told(session, 7_00, "txn_2", now)
    assert listed(session) == [(Side.MISSING_HERE, 100_00), (Side.MISSING_HERE, 7_00), (Side.MISSING_THERE, 100_00)]
    assert reconciliation.meet(session, "stripe") == 1
    assert listed(session) == [(Side.MISSING_HERE, 7_00)]
    assert reconciliation.meet(session, "stripe") == 0
    assert session.query(OutsideMovement).filter_by(remote_id="txn_1").one().entry_id == entry.id


def test_the_same_list_twice_changes_nothing(session: Session, now: datetime) -> None:
    seen = [Seen("txn_1", "charge", now, Money(5_00, "USD"))]
    assert reconciliation.take(session, "stripe", seen, now=now) == 1
    assert reconciliation.take(session, "stripe", seen, now=now) == 0
    assert reconciliation.since(session, "stripe") == now - reconciliation.OVERLAP
    assert reconciliation.since(session, "other") is None


def test_another_amount_is_a_difference_of_its_own(session: Session, now: datetime) -> None:
    at_stripe(session, 100_00, "txn_1", now)
    told(session, 97_10, "txn_1", now)
    reconciliation.meet(session, "stripe")
    assert listed(session) == [(Side.DIFFERENT, -2_90)]


def test_a_fee_in_the_same_entry_counts(session: Session, now: datetime) -> None:
    for code, normal in (
        (STRIPE, ledger.Side.DEBIT),
        ("expenses:fees:stripe:usd", ledger.Side.DEBIT),
        (FUND, ledger.Side.CREDIT),
    ):
        ledger.ensure_account(session, code, "USD", normal=normal)
    legs = [Leg(debit=STRIPE, credit=FUND, amount=100_00), Leg(debit="expenses:fees:stripe:usd", credit=STRIPE, amount=2_90)]
    refs = {"rail": "stripe", "balance_transaction": "txn_1"}
    ledger.post(session, key="k", kind="test", legs=legs, at=now, refs=refs)
    told(session, 97_10, "txn_1", now)
    reconciliation.meet(session, "stripe")
    assert listed(session) == []


def test_what_a_provider_takes_beyond_our_balance_is_one_movement(session: Session, now: datetime) -> None:
    """What we have there and what we owe there are one balance to the provider."""
    at_stripe(session, 60_00, "txn_1", now)
    owed = "liabilities:rail:stripe:usd"
    ledger.ensure_account(session, owed, "USD", normal=ledger.Side.CREDIT)
    legs = [Leg(debit=FUND, credit=STRIPE, amount=60_00), Leg(debit="equity:lost", credit=owed, amount=40_00)]
    ledger.ensure_account(session, "equity:lost", "USD", normal=ledger.Side.DEBIT)
    refs = {"rail": "stripe", "balance_transaction": "txn_2"}
    ledger.post(session, key="dispute", kind="test", legs=legs, at=now, refs=refs)
    assert sorted(cents for _, cents in listed(session)) == [-100_00, 60_00]
    for cents, txn in ((60_00, "txn_1"), (-100_00, "txn_2")):
        told(session, cents, txn, now)
    reconciliation.meet(session, "stripe")
    assert listed(session) == []


def test_two_entries_that_name_one_movement_both_stay_in_the_list(session: Session, now: datetime) -> None:
    at_stripe(session, 100_00, "txn_1", now)
    at_stripe(session, 100_01, "txn_1", now)
    told(session, 100_00, "txn_1", now)
    assert reconciliation.meet(session, "stripe") == 0
    assert len(listed(session)) == 3


def test_a_payout_of_the_provider_to_our_bank_needs_both_sides(
    session: Session, read: Read, finance: Person, now: datetime
) -> None:
    at_stripe(session, 100_00, "txn_1", now)
    ledger.ensure_account(session, "assets:bank:usd", "USD", normal=ledger.Side.DEBIT, guard=Guard.DEBIT)
    entry = ledger.post(
        session, key="to-bank", kind="test", legs=[Leg(debit="assets:bank:usd", credit=STRIPE, amount=60_00)], at=now,
        refs={"rail": "stripe", "balance_transaction": "txn_2"},
    )  # fmt: skip
    told(session, 100_00, "txn_1", now)
    told(session, -60_00, "txn_2", now, kind="payout")
    reconciliation.meet(session, "stripe")
    assert listed(session) == [(Side.MISSING_THERE, 60_00)], "the bank has not said it yet"
    (line,) = read(Ntry("60.00", "STRIPE PAYOUT"))
    bookings.link(session, line.id, entry.id, actor=finance, now=now)
    assert listed(session) == []


def test_an_explanation_counts_when_another_person_confirms_it(
    session: Session, read: Read, finance: Person, second: Person, editor: Person, now: datetime
) -> None:
    (line,) = read(Ntry("5.00", "x"))
    with pytest.raises(NotAllowed):
        explanations.explain(session, Subject.BANK_LINE, line.id, text="mine", actor=editor, now=now)
    with pytest.raises(InvalidInput):
        explanations.explain(session, Subject.BANK_LINE, line.id, text="  ", actor=finance, now=now)
    with pytest.raises(NotFound):
        explanations.explain(session, Subject.ENTRY, line.id, text="t", actor=finance, now=now)
    first = explanations.explain(session, Subject.BANK_LINE, line.id, text="A test of the bank.", actor=finance, now=now)
    with pytest.raises(AlreadyExplained):
        explanations.explain(session, Subject.BANK_LINE, line.id, text="again", actor=second, now=now)
    with pytest.raises(SamePerson):
        explanations.decide(session, first.id, confirm=True, actor=finance, now=now)
    with pytest.raises(NotAllowed):
        explanations.decide(session, first.id, confirm=True, actor=editor, now=now)
    assert not reconciliation.differences(session)[0].is_explained
    explanations.decide(session, first.id, confirm=False, actor=finance, now=now)
    again = explanations.explain(session, Subject.BANK_LINE, line.id, text="It is sent back.", actor=finance, now=now)
    explanations.decide(session, again.id, confirm=True, actor=second, now=now)
    (item,) = reconciliation.differences(session)
    assert item.is_explained
    with pytest.raises(NotFound):
        explanations.decide(session, again.id, confirm=False, actor=second, now=now)


def test_the_database_wants_two_people_behind_an_explanation(
    session: Session, read: Read, finance: Person, now: datetime
) -> None:
    (line,) = read(Ntry("5.00", "x"))
    made = explanations.explain(session, Subject.BANK_LINE, line.id, text="t", actor=finance, now=now)
    made.decided_by_id, made.decided_at, made.confirmed = finance.id, now, True
    with pytest.raises(IntegrityError, match="two_people"):
        session.flush()


@pytest.fixture
def stripe_server() -> Iterator[StripeServer]:
    with serving() as server:
        server.world.top_up(10_000_000)
        connect.connected_account(server.world, account_id="acct_1Ada000000000001")
        yield server


def test_payouts_by_stripe_meet_their_movements(session: Session, stripe_server: StripeServer, now: datetime) -> None:
    """Against the stand-in: its top-up is nobody's, its transfer is the payout's."""
    rail = StripeConnectRail(KEY, api_base=stripe_server.url, timeout=timedelta(seconds=9))
    cast = world.cast(session, now)
    session.add(Membership(person_id=cast.finance.id, role=Role.FINANCE, from_on=date(2020, 1, 1)))
    world.fund(session, Money(10_000_000, "USD"), now=now, cash=STRIPE)
    who = world.recipient(session, "Ada", rail=rail, by=cast.finance, now=now, details={"account": "acct_1Ada000000000001"})
    payout = world.owed(session, who, 2_500_00, by=cast.officer, now=now)
    world.sent_run(session, cast, rails={rail.name: rail}, now=now)
    session.commit()
    Engine(rails={rail.name: rail}, sessions=world.Sessions(session.connection()), clock=lambda: now).drive(payout.id)
    session.expire_all()
    assert payout.status is PayoutStatus.PAID
    feed = StripeMovements(KEY, api_base=stripe_server.url)
    assert reconciliation.take(session, feed.name, feed.read(None), now=now) == 2
    assert reconciliation.meet(session, feed.name) == 1
    kinds = {(each.side, each.money.amount_minor) for each in reconciliation.differences(session)}
    assert kinds == {(Side.MISSING_HERE, 10_000_000), (Side.MISSING_THERE, 10_000_000)}, "what the test itself made up"
    assert list(feed.read(datetime(2100, 1, 1, tzinfo=now.tzinfo))) == []


def test_a_provider_out_of_reach_says_so_without_its_key(stripe_server: StripeServer) -> None:
    feed = StripeMovements(KEY, api_base="http://127.0.0.1:9")
    with pytest.raises(FeedUnreachable, match="Stripe gave no list") as refusal:
        feed.read(None)
    assert KEY not in str(refusal.value)


def test_pay_ins_and_disputes_by_stripe_all_meet(
    session: Session, pledge: Pledge, editor: Person, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    """Against the stand-in, whatever the fees: what its books say is what ours say, movement by movement."""
    clock = Clock(now)
    with serving(World(clock=clock.seconds)) as server:
        monkeypatch.setenv("PLEDGEWORKS_STRIPE_KEY", KEY)
        monkeypatch.setenv("PLEDGEWORKS_STRIPE_URL", server.url)
        till = Till(session, server, editor, clock)
        debit = till.paid(till.announce(pledge, "5000"), "us_bank_account")
        assert debit.payment_id is not None
        refunds.dispute(till.world, debit.payment_id, reason="insufficient_funds", lost=True)
        till.look(debit)
        till.paid(till.announce(pledge, "100"))
        feed = StripeMovements(KEY, api_base=server.url)
        count = reconciliation.take(session, feed.name, feed.read(None), now=clock())
        assert count >= 3
        assert len(listed(session)) == 2 * count
        assert reconciliation.meet(session, feed.name) == count
        assert listed(session) == []


def test_the_price_of_a_paid_invoice_needs_no_hands(
    session: Session, pledge: Pledge, editor: Person, monkeypatch: pytest.MonkeyPatch, now: datetime
) -> None:
    """Stripe takes it by a movement of its own, which no payment knows."""
    clock = Clock(now)
    with serving(World(clock=clock.seconds)) as server:
        monkeypatch.setenv("PLEDGEWORKS_STRIPE_KEY", KEY)
        monkeypatch.setenv("PLEDGEWORKS_STRIPE_URL", server.url)
        till = Till(session, server, editor, clock)
        till.world.invoicing_fee = True
        row = till.invoice(till.announce(pledge, "5000"))
        invoices.transfer(till.world, till.stripe_invoice(row)["customer"], 5_000_00)
        till.look(row)
        feed = StripeMovements(KEY, api_base=server.url)
        assert tasks.keep(session, feed.name, feed.read(None), now=clock()) == (2, 2)
        assert listed(session) == []
        (held,) = balances.keep(session, feed.name, feed.holds(), now=clock())
        assert (str(held.there), str(held.difference)) == ("4,975.00 USD", "0.00 USD")


def test_payments_from_a_fund_at_open_collective_meet_its_rows(session: Session, shared: Path, read: Read, now: datetime) -> None:
    """Against the stand-in that executes Open Collective's own schema: a payment, and the refund that two people found."""
    with graphql_server.serving(OpenCollectiveServer(shared / "schemas" / "opencollective-v2.graphql")) as server:
        rail = OpenCollectiveRail(server.url, TOKEN, fund=OC_FUND, timeout=timedelta(seconds=6), visibility=timedelta(0))
        cast = world.cast(session, now)
        world.fund(session, Money(10_000_000, "USD"), now=now, cash=world.COLLECTIVE)
        who = world.recipient(session, "Babel", rail=rail, by=cast.finance, now=now, details={"collective": "babel"})
        payout = world.owed(session, who, 600_00, by=cast.officer, now=now)
        world.sent_run(session, cast, rails={rail.name: rail}, now=now)
        session.commit()
        Engine(rails={rail.name: rail}, sessions=world.Sessions(session.connection()), clock=lambda: now).drive(payout.id)
        session.expire_all()
        assert payout.status is PayoutStatus.PAID
        feed = OpenCollectiveMovements(server.url, TOKEN, fund=OC_FUND)
        assert reconciliation.take(session, feed.name, feed.read(None), now=now) == 1
        assert reconciliation.meet(session, feed.name) == 1
        assert listed(session) == [(Side.MISSING_THERE, 10_000_000)], "what the test itself put into the fund"
        server.refund(server.orders[0])
        assert reconciliation.take(session, feed.name, feed.read(None), now=now) == 1
        assert reconciliation.meet(session, feed.name) == 0, "nobody here knows of the refund yet"
        (held,) = feed.holds()
        assert held.amount_minor == server.balance(OC_FUND)
        (row,) = balances.keep(session, feed.name, [held], now=now)
        assert row.in_lists == Money(600_00 - 10_000_000, "USD"), "the refund is there alone, the test's own money here"
        evidence = files.store(session, io.BytesIO(b"refunded"), name="row.txt", uploaded_by_id=None, now=now)
        session.flush()
        finding = resolutions.propose(
            session, payout.attempts[0].id, outcome=Outcome.RETURNED, remote_id=None, evidence=evidence, note="Refunded.",
            actor=cast.finance, now=now,
        )  # fmt: skip
        resolutions.decide(session, finding.id, confirm=True, actor=cast.approver, now=now)
        assert reconciliation.meet(session, feed.name) == 1
        unexplained = (Side.DIFFERENT, row.unexplained.amount_minor)
        assert listed(session) == [unexplained, (Side.MISSING_THERE, 10_000_000)], "and what the stand-in held from the start"
        (line,) = read(Ntry("600.00", "no payment of ours", sign="DBIT"))
        alike = queries.open_movements(session, "assets:bank:usd", only=line.money, direction=line.direction)
        assert alike == [], "what Open Collective told did not leave from our bank"
        with pytest.raises(FeedUnreachable, match="gave no ledger rows") as refusal:
            OpenCollectiveMovements(server.url, "another-token", fund=OC_FUND).read(None)
        assert "another-token" not in str(refusal.value)
