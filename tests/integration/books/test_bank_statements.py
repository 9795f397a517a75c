"""Reading statements: each line once, however often and in whatever file it comes."""

from collections.abc import Callable, Sequence
from datetime import datetime

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from core import files
from core.books import queries, statements
from core.books.bank_csv import Columns
from core.books.models import BankAccount, BankLine, BankStatement, StatementFormat
from core.books.parsed import StatementUnreadable
from core.books.statements import AccountKnown, MixedFormats, NotOurAccount
from core.errors import InvalidInput, NotAllowed
from core.identity.models import Person
from tests.fakes.bank_statements import IBAN, Ntry, camt

COLUMNS = Columns.checked({"booked_on": "Date", "amount": "Amount", "texts": "Text"})
CSV = b"Date,Text,Amount\n2026-11-05,PW-1,5000.00\n2026-11-06,fee,-10.00\n"


def count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(BankLine)) or 0


def test_the_same_file_again_changes_nothing(session: Session, account: BankAccount, finance: Person, now: datetime) -> None:
    content = camt([Ntry("5.00", "a", reference="R1"), Ntry("5.00", "a"), Ntry("5.00", "a")])
    (first,) = statements.take(session, content, name="a.xml", actor=finance, now=now)
    (again,) = statements.take(session, content, name="a.xml", actor=finance, now=now)
    assert (first.new, first.known, again.new, again.known, again.statement) == (3, 0, 0, 3, None)
    assert count(session) == 3
    assert session.scalar(select(func.count()).select_from(BankStatement)) == 1


def test_a_longer_statement_brings_only_what_is_new(read: Callable[..., Sequence[BankLine]], session: Session) -> None:
    read(Ntry("5.00", "a", reference="R1"), name="day 1")
    (line,) = read(Ntry("5.00", "a", reference="R1"), Ntry("6.00", "b", reference="R2"), name="month 11")
    assert line.amount_minor == 6_00
    assert count(session) == 2


def test_the_file_is_kept_as_it_came(read: Callable[..., Sequence[BankLine]]) -> None:
    (line,) = read(Ntry("5.00", "a"))
    stored = line.statement.file
    assert files.read(stored) == camt([Ntry("5.00", "a")], opening=None)
    assert (line.statement.format, stored.media_type) == (StatementFormat.CAMT, "application/xml")


def test_a_statement_of_another_account_is_refused_whole(
    session: Session, account: BankAccount, finance: Person, now: datetime
) -> None:
    with pytest.raises(NotOurAccount, match="GB33BUKB20201555555555 in USD, which nobody entered"):
        statements.take(session, camt([Ntry("5.00")], account="GB33BUKB20201555555555"), name="a.xml", actor=finance, now=now)
    assert count(session) == 0


def test_csv_needs_its_columns_first(session: Session, account: BankAccount, finance: Person, now: datetime) -> None:
    with pytest.raises(StatementUnreadable, match="choose the account it is of"):
        statements.take(session, CSV, name="a.csv", actor=finance, now=now)
    with pytest.raises(StatementUnreadable, match="what the columns"):
        statements.take(session, CSV, name="a.csv", account_id=account.id, actor=finance, now=now)
    statements.map_columns(session, account.id, COLUMNS, actor=finance, now=now)
    (taken,) = statements.take(session, CSV, name="a.csv", account_id=account.id, actor=finance, now=now)
    assert taken.new == 2
    longer = CSV + b"2026-11-07,more,1.00\n"
    (taken,) = statements.take(session, longer, name="b.csv", account_id=account.id, actor=finance, now=now)
    assert (taken.new, taken.known) == (1, 2)


def test_the_same_days_do_not_come_in_two_formats(
    session: Session, account: BankAccount, read: Callable[..., Sequence[BankLine]], finance: Person, now: datetime
) -> None:
    statements.map_columns(session, account.id, COLUMNS, actor=finance, now=now)
    statements.take(session, CSV, name="a.csv", account_id=account.id, actor=finance, now=now)
    with pytest.raises(MixedFormats, match="came as CSV before"):
        read(Ntry("5000.00", "PW-1", day="2026-11-05"))
    assert len(read(Ntry("1.00", "later", day="2026-11-08"))) == 1


def test_a_statement_between_two_is_missed(read: Callable[..., Sequence[BankLine]], session: Session) -> None:
    read(Ntry("5.00", "a", day="2026-11-01"), name="1", opening="10.00")
    (line,) = read(Ntry("5.00", "b", day="2026-11-03"), name="3", opening="100.00")
    before = queries.gap_before(session, line.statement)
    assert before is not None
    assert (before.name, before.closing_minor) == ("1", 15_00)
    (line,) = read(Ntry("5.00", "c", day="2026-11-04"), name="4", opening="105.00")
    assert queries.gap_before(session, line.statement) is None


def test_only_finance_reads_statements(session: Session, account: BankAccount, editor: Person, now: datetime) -> None:
    with pytest.raises(NotAllowed):
        statements.take(session, camt([Ntry("5.00")]), name="a.xml", actor=editor, now=now)
    with pytest.raises(NotAllowed):
        statements.add_account(session, name="x", number="12345", currency="USD", actor=editor, now=now)


def test_an_account_is_entered_once(session: Session, account: BankAccount, finance: Person, now: datetime) -> None:
    with pytest.raises(AccountKnown):
        statements.add_account(
            session, name="again", number=f"{IBAN[:4]} {IBAN[4:]}".lower(), currency="USD", actor=finance, now=now
        )
    with pytest.raises(InvalidInput, match="4 to 34"):
        statements.add_account(session, name="x", number="-", currency="USD", actor=finance, now=now)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE bank_line SET amount_minor = 1",
        "UPDATE bank_line SET text = 'other'",
        "DELETE FROM bank_line",
        "TRUNCATE bank_line CASCADE",
    ],
)
def test_the_database_keeps_what_the_bank_said(read: Callable[..., Sequence[BankLine]], session: Session, statement: str) -> None:
    read(Ntry("5.00", "a"))
    with pytest.raises(IntegrityError, match=r"does not change|kept for good"):
        session.execute(text(statement))
