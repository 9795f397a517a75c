"""From a line to the ledger: two people, one entry for each line, and nothing by itself."""

from collections.abc import Callable, Sequence
from datetime import datetime

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import audit, files, ledger
from core.books import bookings, outgoing, proposals, queries
from core.books.bookings import NotSaidYet
from core.books.matching import Kind
from core.books.meeting import DoesNotMeet, LineTaken, NotSetAside
from core.books.models import BankLine, Match
from core.errors import IllegalTransition, InvalidInput, NotAllowed, NotFound
from core.identity.models import Person, Role
from core.ledger import InsufficientFunds
from pledge.models import InstalmentStatus, PledgeInstalment
from pledge.services import instalments
from pledge.services.instalments import SelfConfirmation
from tests.fakes.bank_statements import Ntry

BANK, FUND = "assets:bank:usd", "liabilities:fund:open-pledge:usd"
Make = Callable[..., PledgeInstalment]
Read = Callable[..., Sequence[BankLine]]


def posted(session: Session, code: str) -> int:
    known = ledger.balances_of(session, [code])
    return known[code].posted if code in known else 0


def expected_key(row: PledgeInstalment) -> str:
    return f"pledge:{row.id}"


def test_reading_a_statement_settles_nothing(session: Session, said: Make, read: Read) -> None:
    row = said()
    (line,) = read(Ntry("5000.00", f"Pledge {row.reference}"))
    assert (row.status, line.entry_id) == (InstalmentStatus.PROCESSING, None)
    assert queries.suggestions(session)[line.id].kind is Kind.EXACT
    assert posted(session, BANK) == 0


def test_confirming_a_line_settles_the_pay_in_and_meets_its_entry(
    session: Session, said: Make, read: Read, finance: Person, now: datetime
) -> None:
    row = said()
    (line,) = read(Ntry("5000.00", f"Pledge {row.reference}", reference="B-17"))
    bookings.confirm(session, line.id, expected_key(row), actor=finance, now=now)
    assert row.status is InstalmentStatus.SETTLED
    assert (row.received_on, row.bank_reference) == (line.booked_on, "2026-44, line 1")
    assert (posted(session, BANK), posted(session, FUND)) == (5_000_00, 5_000_00)
    (entry,) = ledger.entries_for(session, ("pledge_instalment", str(row.id)))
    assert (line.entry_id, line.match, line.matched_by_id) == (entry.id, Match.CONFIRMED, finance.id)
    with pytest.raises(LineTaken):
        bookings.confirm(session, line.id, expected_key(row), actor=finance, now=now)


def test_who_said_that_it_was_sent_does_not_confirm_the_line(
    session: Session, said: Make, read: Read, editor: Person, give_role: Callable[[Person, Role], None], now: datetime
) -> None:
    row = said()
    (line,) = read(Ntry("5000.00", row.reference))
    give_role(editor, Role.FINANCE)
    with pytest.raises(SelfConfirmation):
        bookings.confirm(session, line.id, expected_key(row), actor=editor, now=now)


def test_what_was_only_announced_takes_two_people_of_finance(
    session: Session, announced: Make, read: Read, finance: Person, second: Person, now: datetime
) -> None:
    row = announced()
    (line, _) = read(Ntry("5000.00", row.reference, who="Acme"), Ntry("7.00", "somebody else's secret", who="Secret Ltd"))
    assert queries.suggestions(session)[line.id].kind is Kind.NOT_SAID
    with pytest.raises(NotSaidYet):
        bookings.confirm(session, line.id, expected_key(row), actor=finance, now=now)
    bookings.note_sent(session, line.id, expected_key(row), actor=finance, now=now)
    assert row.status is InstalmentStatus.PROCESSING
    assert row.evidence_file is not None
    shown = files.read(row.evidence_file).decode()
    assert "5,000.00 USD" in shown
    assert "Secret" not in shown, "the company sees its own line, not the statement"
    with pytest.raises(SelfConfirmation):
        bookings.confirm(session, line.id, expected_key(row), actor=finance, now=now)
    bookings.confirm(session, line.id, expected_key(row), actor=second, now=now)
    assert row.status is InstalmentStatus.SETTLED


def test_a_line_of_another_amount_confirms_nothing(
    session: Session, said: Make, read: Read, finance: Person, now: datetime
) -> None:
    row = said()
    (line,) = read(Ntry("4999.00", row.reference))
    with pytest.raises(DoesNotMeet):
        bookings.confirm(session, line.id, expected_key(row), actor=finance, now=now)


def test_two_parts_are_set_aside_and_make_one_whole(
    session: Session, said: Make, read: Read, finance: Person, second: Person, now: datetime
) -> None:
    row = said()
    first, then = read(Ntry("3000.00", row.reference), Ntry("2000.00", row.reference))
    for line in (first, then):
        assert queries.suggestions(session)[line.id].kind is Kind.PARTIAL
        bookings.set_aside(session, line.id, note="The rest follows.", expected_key=expected_key(row), actor=finance, now=now)
    (aside,) = queries.set_aside(session)
    assert (aside.code, aside.money) == (f"liabilities:unassigned:usd:{row.reference.lower()}", row.money)
    assert (posted(session, BANK), posted(session, FUND)) == (5_000_00, 0), "in the ledger, and nothing of it can be granted"
    bookings.assign(session, aside.code, expected_key(row), actor=second, now=now)
    assert row.status is InstalmentStatus.SETTLED
    assert (posted(session, BANK), posted(session, FUND)) == (5_000_00, 5_000_00)
    assert queries.set_aside(session) == []


def test_too_much_is_assigned_in_part_and_the_rest_sent_back(
    session: Session, said: Make, read: Read, finance: Person, second: Person, now: datetime
) -> None:
    row = said()
    (line, back) = read(Ntry("5500.00", row.reference), Ntry("500.00", "Return", sign="DBIT", day="2026-11-02"))
    assert queries.suggestions(session)[line.id].kind is Kind.TOO_MUCH
    bookings.set_aside(session, line.id, note="Asked the company.", expected_key=expected_key(row), actor=finance, now=now)
    (aside,) = queries.set_aside(session)
    bookings.assign(session, aside.code, expected_key(row), actor=second, now=now)
    assert [each.money.amount_minor for each in queries.set_aside(session)] == [500_00]
    proposal = outgoing.send_back(session, back.id, aside.code, note="The company asked for it.", actor=finance, now=now)
    assert proposal is not None
    proposals.confirm(session, proposal.id, actor=second, now=now)
    assert queries.set_aside(session) == []
    assert posted(session, BANK) == 5_000_00


def test_more_than_is_set_aside_is_neither_assigned_nor_sent_back(
    session: Session, said: Make, read: Read, finance: Person, now: datetime
) -> None:
    row = said()
    (line, back) = read(Ntry("4999.99", row.reference), Ntry("5000.00", "Return", sign="DBIT"))
    bookings.set_aside(session, line.id, note="n", expected_key=expected_key(row), actor=finance, now=now)
    (aside,) = queries.set_aside(session)
    with pytest.raises(NotSetAside):
        bookings.assign(session, aside.code, expected_key(row), actor=finance, now=now)
    with pytest.raises(NotSetAside):
        outgoing.send_back(session, back.id, aside.code, note="n", actor=finance, now=now)
    with pytest.raises(NotSetAside):
        outgoing.send_back(session, back.id, "liabilities:fund:open-pledge:usd", note="n", actor=finance, now=now)


def test_who_said_it_was_sent_does_not_assign_it(
    session: Session, said: Make, read: Read, finance: Person, editor: Person, give_role: Callable[[Person, Role], None],
    now: datetime,
) -> None:  # fmt: skip
    row = said()
    (line,) = read(Ntry("5000.00", "no reference at all"))
    bookings.set_aside(session, line.id, note="Who is it?", actor=finance, now=now)
    (aside,) = queries.set_aside(session)
    give_role(editor, Role.FINANCE)
    with pytest.raises(SelfConfirmation):
        bookings.assign(session, aside.code, expected_key(row), actor=editor, now=now)


def test_a_fee_needs_money_and_a_note(session: Session, said: Make, read: Read, finance: Person, now: datetime) -> None:
    row = said()
    pay_in, fee = read(Ntry("5000.00", row.reference), Ntry("12.50", "Monthly fee", sign="DBIT"))
    with pytest.raises(InsufficientFunds):
        outgoing.book_fee(session, fee.id, note="Monthly fee", actor=finance, now=now)
    bookings.confirm(session, pay_in.id, expected_key(row), actor=finance, now=now)
    with pytest.raises(InvalidInput):
        outgoing.book_fee(session, fee.id, note=" ", actor=finance, now=now)
    outgoing.book_fee(session, fee.id, note="Monthly fee", actor=finance, now=now)
    assert (posted(session, BANK), posted(session, "expenses:fees:bank:usd")) == (4_987_50, 12_50)
    with pytest.raises(DoesNotMeet):
        outgoing.book_fee(session, read(Ntry("1.00", "in"), name="45")[0].id, note="n", actor=finance, now=now)


def test_what_was_confirmed_by_hand_is_linked_and_can_be_unlinked(
    session: Session, said: Make, read: Read, finance: Person, now: datetime
) -> None:
    row = said()
    instalments.confirm(session, row.id, received_on=now.date(), bank_reference="Statement 44", actor=finance, now=now)
    line, twin = read(Ntry("5000.00", row.reference), Ntry("5000.00", f"again {row.reference}"))
    it = queries.suggestions(session)[line.id]
    assert it.kind is Kind.POSTED
    assert it.movement is not None
    bookings.link(session, line.id, it.movement.entry_id, actor=finance, now=now)
    assert posted(session, BANK) == 5_000_00, "linking posts nothing"
    with pytest.raises(DoesNotMeet):
        bookings.link(session, twin.id, it.movement.entry_id, actor=finance, now=now)
    bookings.unlink(session, line.id, reason="It was the other one.", actor=finance, now=now)
    session.flush()
    bookings.link(session, twin.id, it.movement.entry_id, actor=finance, now=now)
    assert {event.verb for event in audit.history(session, line)} == {"bank_line.linked", "bank_line.unlinked"}


def test_what_was_posted_for_a_line_stays_with_it(session: Session, read: Read, finance: Person, now: datetime) -> None:
    (line,) = read(Ntry("5.00", "x"))
    bookings.set_aside(session, line.id, note="n", actor=finance, now=now)
    with pytest.raises(LineTaken):
        bookings.unlink(session, line.id, reason="r", actor=finance, now=now)
    with pytest.raises(IntegrityError, match="stays with it"):
        session.execute(update(BankLine).values(entry_id=None, match=None, matched_by_id=None, matched_at=None))


def test_the_database_gives_an_entry_to_one_line_only(session: Session, read: Read, finance: Person, now: datetime) -> None:
    line, other = read(Ntry("5.00", "x"), Ntry("5.00", "y"))
    bookings.set_aside(session, line.id, note="n", actor=finance, now=now)
    with pytest.raises(IntegrityError, match="uq_bank_line_entry"):
        session.execute(
            update(BankLine)
            .where(BankLine.id == other.id)
            .values(entry_id=line.entry_id, match=Match.LINKED, matched_by_id=finance.id, matched_at=now)
        )


def test_only_finance_acts_on_lines(session: Session, said: Make, read: Read, editor: Person, now: datetime) -> None:
    row = said()
    (line,) = read(Ntry("5000.00", row.reference))
    with pytest.raises(NotAllowed):
        bookings.confirm(session, line.id, expected_key(row), actor=editor, now=now)
    with pytest.raises(NotAllowed):
        bookings.set_aside(session, line.id, note="n", actor=editor, now=now)


def test_what_somebody_dealt_with_is_not_expected_any_more(
    session: Session, said: Make, read: Read, finance: Person, now: datetime
) -> None:
    row = said()
    (line,) = read(Ntry("5000.00", row.reference))
    instalments.fail(session, row.id, reason="Did not come.", actor=finance, now=now)
    with pytest.raises(NotFound, match="not expected any more"):
        bookings.confirm(session, line.id, expected_key(row), actor=finance, now=now)
    with pytest.raises(IllegalTransition):
        instalments.note_arrival(session, row.id, sent_on=line.booked_on, evidence=line.statement.file, actor=finance, now=now)
