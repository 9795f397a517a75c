"""Payouts that left in a bank file, found on the statement."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from core import ledger
from core.books import bookings, meeting, outgoing, proposals, queries, reconciliation, several, statements
from core.books.matching import Kind
from core.books.models import BankAccount, BankLine, Direction
from core.identity.models import Membership, Person, Role
from core.money import Money
from payouts import rails as known_rails
from payouts.models import Payout, PayoutStatus
from payouts.services import bank_files
from payouts.services.bank_lines import BankPayments, NotWaiting
from payouts.services.engine import Engine
from tests.fakes import payouts_world as world
from tests.fakes.bank_statements import Ntry, camt


@pytest.fixture
def finn(session: Session, now: datetime) -> Person:
    """Finance, who also prepared the run."""
    return people(session, now).finance


def people(session: Session, now: datetime) -> world.Cast:
    made = world.cast(session, now)
    session.add(Membership(person_id=made.finance.id, role=Role.FINANCE, from_on=now.date() - timedelta(days=1)))
    session.flush()
    return made


@pytest.fixture
def in_a_file(session: Session, now: datetime) -> tuple[world.Cast, Sequence[Payout]]:
    """Two payouts in one file for the bank; Ada's takes 25,000, Bo's 400."""
    cast, rails = people(session, now), known_rails.configured()
    world.fund(session, Money(10_000_000, "USD"), now=now)
    owed = []
    for name, cents, iban in (("Ada", 2_500_000, "DE89370400440532013000"), ("Bo", 40_000, "GB33BUKB20201555555555")):
        who = world.recipient(session, name, rail=rails["bank_file"], by=cast.finance, now=now, details={"iban": iban})
        owed.append(world.owed(session, who, cents, by=cast.officer, now=now))
    world.sent_run(session, cast, rails=rails, now=now)
    session.commit()
    for payout in owed:
        Engine(rails=rails, sessions=world.Sessions(session.connection())).drive(payout.id)
    session.expire_all()
    bank_files.export(session, currency="USD", actor=cast.finance, now=now)
    return cast, owed


def lines(session: Session, finance: Person, now: datetime, *entries: Ntry) -> Sequence[BankLine]:
    number = "DE02120300000000202051"
    if not any(each.number == number for each in statements.accounts(session)):
        statements.add_account(session, name="Main", number=number, currency="USD", actor=finance, now=now)
    (taken,) = statements.take(session, camt(entries, account=number, opening=None), name="a.xml", actor=finance, now=now)
    assert isinstance(taken.account, BankAccount)
    assert taken.statement is not None
    return queries.lines_of(session, taken.statement.id)


def test_a_payment_found_on_the_statement_is_paid(
    session: Session, in_a_file: tuple[world.Cast, Sequence[Payout]], now: datetime
) -> None:
    cast, (ada, bo) = in_a_file
    reference = ada.attempts[0].idem_key
    (line,) = lines(session, cast.finance, now, Ntry("25000.00", sign="DBIT", end_to_end=reference, reference="B-1", who="Ada"))
    it = queries.suggestions(session)[line.id]
    assert (it.kind, it.expected and it.expected.who) == (Kind.EXACT, "Ada")
    assert (line.direction, ada.status) == (Direction.OUT, PayoutStatus.RESERVED)
    assert it.expected is not None
    bookings.confirm(session, line.id, it.expected.key, actor=cast.finance, now=now)
    assert (ada.status, bo.status) == (PayoutStatus.PAID, PayoutStatus.RESERVED)
    assert ada.attempts[0].remote_id == "B-1"
    assert ledger.balance(session, world.BANK).posted == 10_000_000 - 2_500_000
    entry = ledger.entry_by_key(session, ada.settle_key)
    assert entry is not None
    assert line.entry_id == entry.id


def test_a_collective_booking_pays_each_of_its_payments(
    session: Session, in_a_file: tuple[world.Cast, Sequence[Payout]], now: datetime
) -> None:
    cast, (ada, bo) = in_a_file
    details = "".join(
        f"<TxDtls><Refs><EndToEndId>{payout.attempts[0].idem_key}</EndToEndId></Refs>"
        f"<Amt Ccy='USD'>{payout.money.decimal}</Amt><CdtDbtInd>DBIT</CdtDbtInd></TxDtls>"
        for payout in (ada, bo)
    )
    for line in lines(session, cast.finance, now, Ntry("25400.00", sign="DBIT", details=details, reference="FILE-1")):
        it = queries.suggestions(session)[line.id]
        assert it.expected is not None
        bookings.confirm(session, line.id, it.expected.key, actor=cast.finance, now=now)
    assert [payout.status for payout in (ada, bo)] == [PayoutStatus.PAID] * 2
    assert len({payout.attempts[0].remote_id for payout in (ada, bo)}) == 2, "one reference of the bank for both is told apart"


def test_a_payment_the_bank_answered_before_is_linked_to_its_line(
    session: Session, in_a_file: tuple[world.Cast, Sequence[Payout]], now: datetime
) -> None:
    cast, (ada, _) = in_a_file
    reference = ada.attempts[0].idem_key
    (line,) = lines(session, cast.finance, now, Ntry("25000.00", reference, sign="DBIT"))
    key = next(each.key for each in queries.expected(session) if each.reference == reference)
    (first,) = lines(session, cast.finance, now, Ntry("25000.00", f"{reference} booked", sign="DBIT", day="2026-11-02"))
    bookings.confirm(session, first.id, key, actor=cast.finance, now=now)
    assert queries.suggestions(session)[line.id].kind is Kind.UNKNOWN, "a second line for one payment is nobody's"
    with pytest.raises(NotWaiting):
        BankPayments().found(session, ada.attempts[0].id, meeting.finding(line), actor=cast.finance, now=now)
    assert outgoing.book_fee(session, line.id, note="The bank paid twice; claim is open.", actor=cast.finance, now=now)


def test_a_batch_that_the_bank_books_in_one_sum_pays_each_of_its_payments(
    session: Session, in_a_file: tuple[world.Cast, Sequence[Payout]], now: datetime
) -> None:
    """Banks that book the file in one sum name none of its payments; a person says which it holds, and another confirms."""
    cast, (ada, bo) = in_a_file
    session.add(Membership(person_id=cast.approver.id, role=Role.FINANCE, from_on=now.date()))
    session.flush()
    (line,) = lines(session, cast.finance, now, Ntry("25405.00", "SEPA BATCH 1", sign="DBIT", reference="FILE-1"))
    known = several.candidates(session, line)
    assert [each.who for each in known] == ["Ada", "Bo"]
    chosen = [each.key for each in known]
    proposal = several.propose(session, line.id, chosen, note="Bank file 1", actor=cast.finance, now=now)
    assert {payout.status for payout in (ada, bo)} == {PayoutStatus.RESERVED}
    proposals.confirm(session, proposal.id, actor=cast.approver, now=now)
    assert {payout.status for payout in (ada, bo)} == {PayoutStatus.PAID}
    assert len({payout.attempts[0].remote_id for payout in (ada, bo)}) == 2
    assert ledger.balance(session, world.BANK).posted == 10_000_000 - 2_540_500
    assert [each for each in reconciliation.differences(session) if each.money.amount_minor < 0] == []
