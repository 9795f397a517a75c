"""Above a small, dated limit nobody books alone that money is gone, and whoever brought a CSV file never does."""

import threading
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import create_engine, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import audit, ledger
from core.books import bookings, outgoing, proposals, queries, second_looks, several, statements
from core.books.bank_csv import Columns
from core.books.meeting import LineTaken, NotSetAside
from core.books.models import BankAccount, BankLine, Match, Proposal
from core.books.proposals import OwnProposal
from core.books.second_looks import LimitExists, SecondPersonNeeded
from core.db import new_id
from core.errors import InvalidInput, NotAllowed, NotFound
from core.identity.models import Membership, Person, Role
from core.ledger import Guard, InsufficientFunds, Leg
from core.money import Money
from pledge.models import InstalmentStatus, PledgeInstalment
from tests.fakes.bank_statements import IBAN, Ntry, camt

BANK, FEES = "assets:bank:usd", "expenses:fees:bank:usd"
Make = Callable[..., PledgeInstalment]
Read = Callable[..., Sequence[BankLine]]


@pytest.fixture
def cash(session: Session, now: datetime) -> None:
    """$9,000 on our account."""
    ledger.ensure_account(session, BANK, "USD", normal=ledger.Side.DEBIT, guard=Guard.DEBIT)
    ledger.ensure_account(session, "equity:test", "USD", normal=ledger.Side.CREDIT)
    ledger.post(session, key="cash", kind="test", legs=[Leg(debit=BANK, credit="equity:test", amount=9_000_00)], at=now)


@pytest.fixture
def typed(session: Session, account: BankAccount, finance: Person, now: datetime) -> Callable[[str], Sequence[BankLine]]:
    """Lines of a CSV file that Fatima read."""

    def take(rows: str) -> Sequence[BankLine]:
        columns = Columns.checked({"booked_on": "Date", "amount": "Amount", "texts": "Text"})
        statements.map_columns(session, account.id, columns, actor=finance, now=now)
        content = f"Date,Text,Amount\n{rows}\n".encode()
        (taken,) = statements.take(session, content, name="11.csv", account_id=account.id, actor=finance, now=now)
        assert taken.statement is not None
        return queries.lines_of(session, taken.statement.id)

    return take


def fees(session: Session) -> int:
    return ledger.balance(session, FEES).posted if ledger.balances(session, FEES) else 0


@pytest.mark.usefixtures("cash")
def test_a_fee_above_the_limit_is_posted_when_another_person_confirms(
    session: Session, read: Read, finance: Person, second: Person, now: datetime
) -> None:
    (line,) = read(Ntry("100.01", "charges", sign="DBIT"))
    proposal = outgoing.book_fee(session, line.id, note="Charges", actor=finance, now=now)
    assert proposal is not None
    assert (line.entry_id, fees(session), proposals.waiting(session)) == (None, 0, [proposal])
    assert "at most 100.00 USD in 30 days" in proposal.why_two
    assert (proposals.count_for(session, finance), proposals.count_for(session, second)) == (0, 1)
    with pytest.raises(OwnProposal):
        proposals.confirm(session, proposal.id, actor=finance, now=now)
    proposals.confirm(session, proposal.id, actor=second, now=now)
    assert (line.match, line.matched_by_id, fees(session)) == (Match.FEE, second.id, 100_01)
    assert [event.actor_name for event in audit.history(session, line) if event.verb.endswith("proposed")] == ["Fatima"]
    with pytest.raises(LineTaken):
        proposals.confirm(session, proposal.id, actor=second, now=now)


@pytest.mark.usefixtures("cash")
def test_what_waits_keeps_its_line_and_a_decline_frees_it(
    session: Session, read: Read, finance: Person, second: Person, now: datetime
) -> None:
    line, other = read(Ntry("500.00", "charges", sign="DBIT"), Ntry("600.00", "charges", sign="DBIT"))
    proposal = outgoing.book_fee(session, line.id, note="Charges", actor=finance, now=now)
    assert proposal is not None
    with pytest.raises(LineTaken, match="Fatima proposed"):
        outgoing.book_fee(session, line.id, note="n", actor=second, now=now)
    with pytest.raises(LineTaken, match="Fatima proposed"):
        bookings.link(session, line.id, new_id(), actor=second, now=now)
    with pytest.raises(InvalidInput, match="Fatima"):
        proposals.decline(session, proposal.id, reason=" ", actor=second, now=now)
    proposals.decline(session, proposal.id, reason="That was a payment.", actor=second, now=now)
    again = outgoing.book_fee(session, line.id, note="Charges", actor=second, now=now)
    mine = outgoing.book_fee(session, other.id, note="Charges", actor=second, now=now)
    assert again is not None
    assert mine is not None
    proposals.decline(session, mine.id, reason="", actor=second, now=now)
    assert (proposals.waiting(session), line.entry_id, fees(session)) == ([again], None, 0)
    with pytest.raises(NotFound):
        proposals.confirm(session, new_id(), actor=finance, now=now)


@pytest.mark.usefixtures("cash")
def test_many_small_fees_are_a_large_one(session: Session, read: Read, finance: Person, second: Person, now: datetime) -> None:
    lines = read(*[Ntry("40.00", f"fee {number}", sign="DBIT") for number in range(4)])
    for line in lines[:2]:
        assert outgoing.book_fee(session, line.id, note="Fee", actor=finance, now=now) is None
    third = outgoing.book_fee(session, lines[2].id, note="Fee", actor=finance, now=now)
    assert third is not None
    assert "Fatima has booked 80.00 USD" in third.why_two
    proposals.confirm(session, third.id, actor=second, now=now)
    assert outgoing.book_fee(session, lines[3].id, note="Fee", actor=second, now=now) is None, "confirming uses up nothing"
    (later,) = read(Ntry("40.00", "fee", sign="DBIT"), name="45")
    assert outgoing.book_fee(session, later.id, note="Fee", actor=finance, now=now + timedelta(days=31)) is None


@pytest.mark.usefixtures("cash")
def test_whoever_read_a_csv_file_books_and_confirms_nothing_of_it_alone(
    session: Session, said: Make, typed: Callable[[str], Sequence[BankLine]], finance: Person, second: Person, now: datetime
) -> None:
    row = said()
    came, fee, linked = typed(f"2026-11-05,{row.reference},5000.00\n2026-11-06,fee,-5.00\n2026-11-07,cash,9000.00")
    with pytest.raises(SecondPersonNeeded, match="You read the CSV file"):
        bookings.confirm(session, came.id, f"pledge:{row.id}", actor=finance, now=now)
    (cash,) = queries.open_movements(session, BANK)
    with pytest.raises(SecondPersonNeeded):
        bookings.link(session, linked.id, cash.entry_id, actor=finance, now=now)
    proposal = outgoing.book_fee(session, fee.id, note="Fee", actor=finance, now=now)
    assert proposal is not None
    assert "Fatima read the CSV file" in proposal.why_two
    bookings.set_aside(session, came.id, note="Whose is it?", actor=finance, now=now)
    (aside,) = queries.set_aside(session)
    with pytest.raises(SecondPersonNeeded):
        bookings.assign(session, aside.code, f"pledge:{row.id}", actor=finance, now=now)
    assert (row.status, fees(session)) == (InstalmentStatus.PROCESSING, 0)
    bookings.assign(session, aside.code, f"pledge:{row.id}", actor=second, now=now)
    bookings.link(session, linked.id, cash.entry_id, actor=second, now=now)
    proposals.confirm(session, proposal.id, actor=second, now=now)
    assert (row.status, fees(session)) == (InstalmentStatus.SETTLED, 5_00)


def test_set_aside_and_sent_back_takes_two(
    session: Session, said: Make, read: Read, finance: Person, second: Person, now: datetime
) -> None:
    """Together the two would take any sum out of the books."""
    row = said()
    came, left = read(Ntry("5000.00", "no reference"), Ntry("5000.00", "back", sign="DBIT"))
    bookings.set_aside(session, came.id, note="Whose is it?", actor=finance, now=now)
    (aside,) = queries.set_aside(session)
    with pytest.raises(SecondPersonNeeded, match="You set this money aside"):
        bookings.assign(session, aside.code, f"pledge:{row.id}", actor=finance, now=now)
    proposal = outgoing.send_back(session, left.id, aside.code, note="Sent in error.", actor=finance, now=now)
    assert proposal is not None
    bookings.assign(session, aside.code, f"pledge:{row.id}", actor=second, now=now)
    with pytest.raises(NotSetAside):
        proposals.confirm(session, proposal.id, actor=second, now=now)


def test_little_is_assigned_by_whoever_set_it_aside(
    session: Session, said: Make, read: Read, finance: Person, now: datetime
) -> None:
    row = said("100")
    (line,) = read(Ntry("100.00", "no reference"))
    bookings.set_aside(session, line.id, note="Whose is it?", actor=finance, now=now)
    bookings.assign(session, queries.set_aside(session)[0].code, f"pledge:{row.id}", actor=finance, now=now)
    assert row.status is InstalmentStatus.SETTLED


def test_a_small_line_of_another_person_vouches_for_nothing_beside_it(
    session: Session, said: Make, read: Read, typed: Callable[[str], Sequence[BankLine]], finance: Person, second: Person,
    now: datetime,
) -> None:  # fmt: skip
    """The company says that it sent $5,000, $100 really arrives, and a typed line is to make up the rest."""
    row = said()
    (real,) = read(Ntry("100.00", row.reference, day="2026-11-20"), name="2026-47")
    bookings.set_aside(session, real.id, note="A part.", expected_key=f"pledge:{row.id}", actor=second, now=now)
    (false,) = typed(f"2026-10-05,{row.reference},4900.00")
    later = now + timedelta(minutes=1)
    bookings.set_aside(session, false.id, note="The rest.", expected_key=f"pledge:{row.id}", actor=finance, now=later)
    (aside,) = queries.set_aside(session)
    assert second_looks.may_assign(session, aside.code, "USD", actor=finance, now=later) == Money(100_00, "USD")
    with pytest.raises(SecondPersonNeeded, match=r"alone you assign 100\.00 USD of it"):
        bookings.assign(session, aside.code, f"pledge:{row.id}", actor=finance, now=later)
    assert row.status is InstalmentStatus.PROCESSING
    bookings.assign(session, aside.code, f"pledge:{row.id}", actor=second, now=later)
    assert row.status is InstalmentStatus.SETTLED


def test_what_was_assigned_vouches_for_nothing_set_aside_later(
    session: Session, said: Make, read: Read, finance: Person, second: Person, now: datetime
) -> None:
    first, then = said("1000"), said("1000")
    (theirs,) = read(Ntry("1000.00", "one"))
    bookings.set_aside(session, theirs.id, note="n", expected_key=f"pledge:{then.id}", actor=second, now=now)
    (aside,) = queries.set_aside(session)
    bookings.assign(session, aside.code, f"pledge:{first.id}", actor=finance, now=now)
    (mine,) = read(Ntry("1000.00", "two"), name="45")
    later = now + timedelta(minutes=1)
    bookings.set_aside(session, mine.id, note="n", expected_key=f"pledge:{then.id}", actor=finance, now=later)
    with pytest.raises(SecondPersonNeeded):
        bookings.assign(session, aside.code, f"pledge:{then.id}", actor=finance, now=later)
    bookings.assign(session, aside.code, f"pledge:{then.id}", actor=second, now=later)


def test_many_small_sums_assigned_alone_are_a_large_one(
    session: Session, said: Make, read: Read, finance: Person, second: Person, now: datetime
) -> None:
    rows = [said("60"), said("60")]
    for row, line in zip(rows, read(Ntry("60.00", "one"), Ntry("60.00", "two")), strict=True):
        bookings.set_aside(session, line.id, note="Whose?", expected_key=f"pledge:{row.id}", actor=finance, now=now)
    codes = [f"liabilities:unassigned:usd:{row.reference.lower()}" for row in rows]
    bookings.assign(session, codes[0], f"pledge:{rows[0].id}", actor=finance, now=now)
    with pytest.raises(SecondPersonNeeded, match=r"alone you assign 40\.00 USD"):
        bookings.assign(session, codes[1], f"pledge:{rows[1].id}", actor=finance, now=now)
    assert second_looks.booked_alone(session, second, "USD", now=now) == Money(0, "USD")
    bookings.assign(session, codes[1], f"pledge:{rows[1].id}", actor=finance, now=now + timedelta(days=31))


def test_a_currency_without_a_limit_always_takes_two(session: Session, finance: Person, now: datetime) -> None:
    account = statements.add_account(session, name="Tokyo", number="0001234", currency="JPY", actor=finance, now=now)
    content = camt([Ntry("1", "fee", sign="DBIT", currency="JPY")], account=account.number, currency="JPY", opening=None)
    (taken,) = statements.take(session, content, name="1.xml", actor=finance, now=now)
    assert taken.statement is not None
    (line,) = queries.lines_of(session, taken.statement.id)
    assert outgoing.book_fee(session, line.id, note="Fee", actor=finance, now=now) is not None


def test_a_limit_is_set_by_whom_it_does_not_bind_and_from_tomorrow_on(
    session: Session, finance: Person, give_role: Callable[[Person, Role], None], now: datetime
) -> None:
    tomorrow = now.date() + timedelta(days=1)

    def add(amount: str = "250", valid_from: date = tomorrow, source: str = "Board, 1 Nov") -> None:
        money = Money.parse(amount, "USD")
        second_looks.add_limit(session, amount=money, valid_from=valid_from, source=source, actor=finance, now=now)

    with pytest.raises(NotAllowed):
        add()
    give_role(finance, Role.PAYOUT_APPROVER)
    for wrong in ({"amount": "-1"}, {"valid_from": now.date()}, {"source": " "}):
        with pytest.raises(InvalidInput):
            add(**wrong)  # type: ignore[arg-type]  # each is one of the three
    add()
    with pytest.raises(LimitExists):
        add()
    known = [second_looks.alone(session, "USD", on=day) for day in (now.date(), tomorrow)]
    assert [each.amount_minor for each in known] == [100_00, 250_00]


@pytest.mark.usefixtures("cash")
def test_the_database_wants_two_people_whoever_writes(
    session: Session, read: Read, finance: Person, second: Person, now: datetime
) -> None:
    (line,) = read(Ntry("500.00", "charges", sign="DBIT"))
    proposal = outgoing.book_fee(session, line.id, note="Charges", actor=finance, now=now)
    assert proposal is not None
    with pytest.raises(IntegrityError, match="two_people"), session.begin_nested():
        session.execute(update(Proposal).values(decided_by_id=finance.id, decided_at=now, confirmed=True))
    session.refresh(proposal)
    entry = ledger.entry_by_key(session, "cash")
    assert entry is not None
    values = {"entry_id": entry.id, "match": Match.FEE, "matched_by_id": finance.id, "matched_at": now}
    with pytest.raises(IntegrityError, match="takes two people"), session.begin_nested():
        session.execute(update(BankLine).where(BankLine.id == line.id).values(values))


@pytest.mark.usefixtures("cash")
def test_a_booking_that_was_taken_back_vouches_for_no_other(
    session: Session, read: Read, finance: Person, second: Person, now: datetime
) -> None:
    """Two people say that the line is two entries, one takes it back: what it is now takes two again."""
    ids = []
    for number in range(2):
        leg = Leg(debit="equity:test", credit=BANK, amount=250_00)
        ids.append(ledger.post(session, key=f"out-{number}", kind="test", legs=[leg], at=now).id)
    (line,) = read(Ntry("500.00", "batch", sign="DBIT"))
    proposal = several.propose(session, line.id, [f"entry:{each}" for each in ids], note="n", actor=finance, now=now)
    proposals.confirm(session, proposal.id, actor=second, now=now)
    bookings.unlink(session, line.id, reason="Wrong.", actor=second, now=now)
    later = now + timedelta(minutes=1)
    fee = {"match": Match.FEE, "entry_id": ids[0], "matched_by_id": second.id, "matched_at": later}
    with pytest.raises(IntegrityError, match="takes two people"), session.begin_nested():
        session.execute(update(BankLine).where(BankLine.id == line.id).values(fee))
    with pytest.raises(IntegrityError, match="takes two people"), session.begin_nested():
        session.execute(update(BankLine).where(BankLine.id == line.id).values({**fee, "matched_at": now}))
    again = outgoing.book_fee(session, line.id, note="A fee.", actor=finance, now=later)
    assert again is not None
    proposals.confirm(session, again.id, actor=second, now=later)
    assert line.match is Match.FEE


@pytest.mark.usefixtures("cash")
def test_a_booking_that_has_become_impossible_is_refused_and_stays(
    session: Session, read: Read, finance: Person, second: Person, now: datetime
) -> None:
    (line,) = read(Ntry("9000.01", "charges", sign="DBIT"))
    proposal = outgoing.book_fee(session, line.id, note="Charges", actor=finance, now=now)
    assert proposal is not None
    with pytest.raises(InsufficientFunds), session.begin_nested():
        proposals.confirm(session, proposal.id, actor=second, now=now)
    session.refresh(proposal)
    assert proposals.waiting(session) == [proposal]


def test_two_who_confirm_at_once_post_once(fresh_database: str, now: datetime) -> None:
    engine = create_engine(fresh_database)
    with Session(engine, expire_on_commit=False) as session, session.begin():
        people = [Person(id=new_id(), email=f"{name.lower()}@example.org", name=name, created_at=now) for name in ("A", "B", "C")]
        session.add_all(people)
        session.flush()
        session.add_all(Membership(person_id=each.id, role=Role.FINANCE, from_on=date(2020, 1, 1)) for each in people)
        session.flush()
        ledger.ensure_account(session, BANK, "USD", normal=ledger.Side.DEBIT, guard=Guard.DEBIT)
        ledger.ensure_account(session, "equity:test", "USD", normal=ledger.Side.DEBIT)
        ledger.post(session, key="cash", kind="t", legs=[Leg(debit=BANK, credit="equity:test", amount=900_00)], at=now)
        statements.add_account(session, name="Main", number=IBAN, currency="USD", actor=people[0], now=now)
        (taken,) = statements.take(session, camt([Ntry("500.00", "x", sign="DBIT")]), name="44.xml", actor=people[0], now=now)
        assert taken.statement is not None
        (line,) = queries.lines_of(session, taken.statement.id)
        proposal = outgoing.book_fee(session, line.id, note="Charges", actor=people[0], now=now)
        assert proposal is not None
    said: list[str] = []

    def confirm(person: Person) -> None:
        with Session(engine) as own, own.begin():
            try:
                proposals.confirm(own, proposal.id, actor=person, now=now)
                said.append("booked")
            except LineTaken:
                said.append("too late")

    threads = [threading.Thread(target=confirm, args=(person,)) for person in people[1:]]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=20)
    with Session(engine) as session:
        assert (sorted(said), ledger.balance(session, FEES).posted) == (["booked", "too late"], 500_00)
    engine.dispose()
