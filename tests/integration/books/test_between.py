"""Money between our balance with a provider and our bank is counted once: one entry meets the line and the movement."""

from collections.abc import Callable, Sequence
from datetime import datetime

import pytest
from sqlalchemy.orm import Session
from web_client import Client

from core import ledger
from core.books import balances, between, bookings, explanations, movements, outgoing, queries, reconciliation
from core.books.between import NAME, SaidByProvider
from core.books.feeds import Seen
from core.books.matching import Kind
from core.books.meeting import FromOurBalance
from core.books.models import BankLine, Match, OutsideMovement, Subject
from core.books.movements import NotBookable, NotBookedThere
from core.books.sources import Expected
from core.clock import utc_now
from core.errors import NotAllowed, NotFound
from core.identity.models import Person
from core.ledger import Guard, Leg
from core.money import Money
from tests.fakes.bank_statements import Ntry

BANK, STRIPE, FUND = "assets:bank:usd", "assets:rail:stripe:usd", "liabilities:fund:open-pledge:usd"
Read = Callable[..., Sequence[BankLine]]


@pytest.fixture
def now() -> datetime:
    """Pages read the wall clock."""
    return utc_now()


@pytest.fixture(autouse=True)
def paid_in(session: Session, now: datetime) -> None:
    """$500 that Stripe received for us, told by both."""
    ledger.ensure_account(session, STRIPE, "USD", normal=ledger.Side.DEBIT, guard=Guard.DEBIT)
    ledger.ensure_account(session, FUND, "USD", normal=ledger.Side.CREDIT, guard=Guard.CREDIT)
    ledger.post(
        session, key="paid-in", kind="test", legs=[Leg(debit=STRIPE, credit=FUND, amount=500_00)], at=now,
        refs={"rail": "stripe", "balance_transaction": "txn_in"},
    )  # fmt: skip
    told(session, "500", "txn_in", now, kind="charge", about="ch_1")


def told(session: Session, amount: str, txn: str, now: datetime, *, kind: str = "payout", about: str = "po_1") -> None:
    reconciliation.take(session, "stripe", [Seen(txn, kind, now, Money.parse(amount, "USD"), about)], now=now)
    reconciliation.meet(session, "stripe")


def ours(session: Session) -> list[Expected]:
    return [each for each in queries.expected(session) if each.source == NAME]


def posted(session: Session, code: str) -> int:
    return sum(each.posted for each in ledger.balances(session, code))


def test_a_payout_of_our_balance_meets_line_and_movement(session: Session, read: Read, finance: Person, now: datetime) -> None:
    told(session, "-300", "txn_out", now)
    (line,) = read(Ntry("300.00", "STRIPE PAYOUT"))
    assert queries.suggestions(session)[line.id].kind is Kind.SAME_AMOUNT
    (each,) = ours(session)
    bookings.confirm(session, line.id, each.key, actor=finance, now=now)
    assert (posted(session, BANK), posted(session, STRIPE), posted(session, FUND)) == (300_00, 200_00, 500_00)
    assert reconciliation.differences(session) == []
    assert (line.match, line.note) == (Match.CONFIRMED, "po_1")
    (entry,) = ledger.entries_for(session, ("balance_transaction", "txn_out"))
    assert (entry.id, entry.refs["rail"]) == (line.entry_id, "stripe")


def test_a_payout_is_neither_set_aside_nor_met_twice(session: Session, read: Read, finance: Person, now: datetime) -> None:
    told(session, "-300", "txn_out", now)
    line, other, twin = read(Ntry("300.00", "STRIPE"), Ntry("299.99", "Acme"), Ntry("300.00", "Acme"))
    with pytest.raises(FromOurBalance, match="po_1"):
        bookings.set_aside(session, line.id, note="What is it?", actor=finance, now=now)
    bookings.set_aside(session, other.id, note="Another amount.", actor=finance, now=now)
    (each,) = ours(session)
    bookings.confirm(session, line.id, each.key, actor=finance, now=now)
    with pytest.raises(NotFound):
        bookings.confirm(session, twin.id, each.key, actor=finance, now=now)
    bookings.set_aside(session, twin.id, note="Same amount, and the payout has its line.", actor=finance, now=now)


def test_what_was_set_aside_before_the_payout_was_known_is_assigned_to_it(
    session: Session, read: Read, finance: Person, second: Person, now: datetime
) -> None:
    (line,) = read(Ntry("300.00", "STRIPE"))
    bookings.set_aside(session, line.id, note="Stripe?", actor=finance, now=now)
    told(session, "-300", "txn_out", now)
    (aside,), (each,) = queries.set_aside(session), ours(session)
    bookings.assign(session, aside.code, each.key, actor=second, now=now)
    assert (posted(session, BANK), posted(session, STRIPE), queries.set_aside(session)) == (300_00, 200_00, [])
    assert reconciliation.differences(session) == []


def test_a_top_up_leaves_the_bank_and_is_no_fee(session: Session, read: Read, finance: Person, now: datetime) -> None:
    told(session, "-300", "txn_out", now)
    came, left = read(Ntry("300.00", "STRIPE"), Ntry("100.00", "STRIPE", sign="DBIT"))
    bookings.confirm(session, came.id, ours(session)[0].key, actor=finance, now=now)
    told(session, "100", "txn_up", now, kind="topup", about="tu_1")
    with pytest.raises(FromOurBalance, match="tu_1"):
        outgoing.book_fee(session, left.id, note="A fee?", actor=finance, now=now)
    (each,) = ours(session)
    with pytest.raises(SaidByProvider):
        bookings.note_sent(session, left.id, each.key, actor=finance, now=now)
    bookings.confirm(session, left.id, each.key, actor=finance, now=now)
    assert (posted(session, BANK), posted(session, STRIPE)) == (200_00, 300_00)
    assert reconciliation.differences(session) == []


def test_a_payout_that_two_people_explained_waits_for_no_line(
    session: Session, read: Read, finance: Person, second: Person, now: datetime
) -> None:
    told(session, "-300", "txn_out", now)
    (each,) = ours(session)
    made = explanations.explain(session, Subject.OUTSIDE_MOVEMENT, each.id, text="It failed.", actor=finance, now=now)
    assert len(ours(session)) == 1, "one person's word is not enough"
    explanations.decide(session, made.id, confirm=True, actor=second, now=now)
    assert ours(session) == []
    (line,) = read(Ntry("300.00", "Acme"))
    bookings.set_aside(session, line.id, note="Asked Acme.", actor=finance, now=now)


def test_of_two_payouts_of_one_amount_a_person_chooses(
    client: Client, session: Session, read: Read, finance: Person, now: datetime
) -> None:
    told(session, "-200", "txn_1", now)
    told(session, "-200", "txn_2", now, about="po_2")
    (line,) = read(Ntry("200.00", "STRIPE"))
    client.sign_in(finance, fresh_factor=True)
    page = client.get(f"/books/lines/{line.id}")
    assert "More than one thing of this amount is expected" in page.words
    assert "It came from our own balance at a provider" in page.words
    page = client.submit(page, "Confirm as po_2", follow=True)
    assert "It was confirmed as expected" in page.words
    assert [each.reference for each in ours(session)] == ["po_1"]


def row(session: Session, txn: str) -> OutsideMovement:
    return session.query(OutsideMovement).filter_by(remote_id=txn).one()


def at_bank(session: Session, cents: int, now: datetime) -> None:
    ledger.ensure_account(session, BANK, "USD", normal=ledger.Side.DEBIT, guard=Guard.DEBIT)
    ledger.post(session, key="at-bank", kind="test", legs=[Leg(debit=BANK, credit=FUND, amount=cents)], at=now)


def test_a_top_up_is_booked_from_the_providers_list_and_the_banks_line_meets_it_later(
    client: Client, session: Session, read: Read, finance: Person, now: datetime
) -> None:
    at_bank(session, 100_00, now)
    told(session, "100", "txn_up", now, kind="topup", about="tu_1TopUp")
    client.sign_in(finance, fresh_factor=True)
    page = client.submit(client.get("/books/reconciliation"), "It came from our bank", follow=True)
    assert "It is booked." in page.words
    assert (posted(session, BANK), posted(session, STRIPE)) == (0, 600_00)
    session.expire_all()
    line, other = read(Ntry("100.00", "STRIPE TU_1TOPUP", sign="DBIT"), Ntry("100.00", "A fee?", sign="DBIT"))
    with pytest.raises(FromOurBalance, match="Link this line to it"):
        outgoing.book_fee(session, other.id, note="A fee?", actor=finance, now=now)
    suggested = queries.suggestions(session)[line.id]
    assert (suggested.kind, suggested.movement.who if suggested.movement else None) == (Kind.POSTED, "Our balance at Stripe")
    entry_id = row(session, "txn_up").entry_id
    assert entry_id is not None
    bookings.link(session, line.id, entry_id, actor=finance, now=now)
    left = [(each.subject, each.where) for each in reconciliation.differences(session)]
    assert left == [(Subject.BANK_LINE, "Main account"), (Subject.ENTRY, BANK)], "only what the test itself put there"
    with pytest.raises(NotFound, match="somebody was faster"):
        movements.book(session, row(session, "txn_up").id, actor=finance, now=now)


def test_more_than_the_bank_holds_is_not_booked_as_gone_from_it(session: Session, finance: Person, now: datetime) -> None:
    told(session, "100", "txn_up", now, kind="topup", about="tu_1")
    with pytest.raises(NotBookedThere, match=r"has 0\.00 USD on our bank.* these 100\.00 USD.*First read the bank’s statement"):
        movements.book(session, row(session, "txn_up").id, actor=finance, now=now)
    assert row(session, "txn_up").entry_id is None
    told(session, "-501", "txn_out", now)
    with pytest.raises(NotBookedThere, match=r"has 500\.00 USD at Stripe, .*First book what came there"):
        movements.book(session, row(session, "txn_out").id, actor=finance, now=now)


def test_a_providers_own_fee_is_booked_and_nothing_else_is(
    session: Session, finance: Person, editor: Person, now: datetime
) -> None:
    told(session, "-2", "txn_fee", now, kind="stripe_fee", about="")
    told(session, "-50", "txn_tr", now, kind="transfer", about="tr_1")
    with pytest.raises(NotAllowed):
        movements.book(session, row(session, "txn_fee").id, actor=editor, now=now)
    movements.book(session, row(session, "txn_fee").id, actor=finance, now=now)
    assert (posted(session, STRIPE), posted(session, "expenses:fees:stripe:usd")) == (498_00, 2_00)
    with pytest.raises(NotBookable, match="kind “transfer”"):
        movements.book(session, row(session, "txn_tr").id, actor=finance, now=now)


def collective(session: Session, amount: str, txn: str, now: datetime, kind: str) -> None:
    seen = [Seen(txn, kind, now, Money.parse(amount, "USD"), f"or_{txn}")]
    reconciliation.take(session, "open_collective", seen, now=now)


def test_what_a_fund_was_given_is_ours_by_the_banks_line_and_what_it_gave_is_a_payment(
    client: Client, session: Session, read: Read, finance: Person, now: datetime
) -> None:
    """A stranger's donation looks like ours: one person does not say that it left our bank."""
    at_bank(session, 300_00, now)
    for number, kind in enumerate(("added_funds", "contribution")):
        collective(session, "150", f"in{number}", now, kind)
    movements.book(session, row(session, "in0").id, actor=finance, now=now)
    with pytest.raises(NotBookable, match="Anybody may have given this"):
        movements.book(session, row(session, "in1").id, actor=finance, now=now)
    client.sign_in(finance)
    assert "It came from our bank" not in client.get("/books/reconciliation").words
    (line,) = read(Ntry("150.00", "Our fund", sign="DBIT"))
    (each,) = [each for each in ours(session) if each.reference == "or_in1"]
    bookings.confirm(session, line.id, each.key, actor=finance, now=now)
    assert (posted(session, BANK), posted(session, "assets:rail:open_collective:usd")) == (0, 300_00)
    collective(session, "-20", "out", now, "contribution")
    with pytest.raises(NotBookable):
        movements.book(session, row(session, "out").id, actor=finance, now=now)
    assert "or_out" not in [each.reference for each in ours(session)]


def test_what_moved_between_two_providers_is_no_money_of_the_bank(
    session: Session, read: Read, finance: Person, now: datetime
) -> None:
    """A payout to our financial account: both list it under the payout's name. Told by one alone it may be for the bank."""
    told(session, "-200", "txn_out", now, about="po_2")
    assert [each.reference for each in ours(session)] == ["po_2"]
    assert between.join(session, now=now) == 0
    there = [Seen("trxn_1", "received_credit", now, Money(200_00, "USD"), "po_2")]
    assert reconciliation.take(session, "stripe_financial", there, now=now) == 1
    assert ours(session) == []
    assert between.join(session, now=now) == 2
    assert (posted(session, STRIPE), posted(session, "assets:rail:stripe_financial:usd")) == (300_00, 200_00)
    assert reconciliation.differences(session) == []
    row(session, "trxn_1").entry_id = None
    session.flush()
    (item,) = [each for each in reconciliation.differences(session) if each.subject is Subject.ENTRY]
    assert item.where == "provider stripe_financial", "an entry between two providers is met when both told it"


def test_other_amounts_under_one_name_are_not_joined(session: Session, now: datetime) -> None:
    told(session, "-200", "txn_out", now, about="po_2")
    for txn, cents in (("less", 199_99), ("more", 200_01)):
        reconciliation.take(
            session, "stripe_financial", [Seen(txn, "received_credit", now, Money(cents, "USD"), "po_2")], now=now
        )
    assert between.join(session, now=now) == 0


def test_a_provider_that_holds_something_else_stands_out_and_the_month_is_told(
    client: Client, session: Session, finance: Person, now: datetime
) -> None:
    client.sign_in(finance)
    balances.keep(session, "stripe", [Money(500_00, "USD")], now=now)
    page = client.get("/books/reconciliation")
    assert "Stripe" in page.words
    assert "500.00 none – Agrees" in page.words.replace("$", "")
    balances.keep(session, "stripe", [Money(493_00, "USD")], now=now)
    assert "that no list explains" in client.get("/books/reconciliation").words
    page = client.get("/books/months")
    assert "A provider holds something else than the ledger says" in page.words
    assert "7.00 that no list explains" in page.words
