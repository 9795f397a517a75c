"""Reading a bank's file in: every line is stored once, however often and in whatever file it comes."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit, files
from core.books import readings
from core.books.bank_csv import Columns, read_csv
from core.books.camt import account_number, read_camt
from core.books.models import BankAccount, BankLine, BankStatement, StatementFormat
from core.books.parsed import ParsedLine, ParsedStatement, StatementUnreadable, identities
from core.books.xml import SIZE_MAX_BYTES
from core.db import new_id
from core.errors import DomainError, InvalidInput, NotFound
from core.files import StoredFile
from core.identity import access
from core.identity.models import Person, Role
from core.money import exponent

CSV_TYPE, XML_TYPE = "text/csv; charset=utf-8", "application/xml"


class AccountKnown(DomainError):
    """An account of this number and currency is there already."""

    code = "bank_account_known"


class NotOurAccount(DomainError):
    """The statement is of an account that nobody entered."""

    code = "not_our_account"
    status = 422


class MixedFormats(DomainError):
    """These days came in another format already; the same line would be stored twice."""

    code = "mixed_formats"


class MayBeThere(InvalidInput):
    """Lines without a reference of the bank's came under another name: only a person can tell whether they are the same."""

    code = "lines_may_be_there"


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one statement of a file."""

    account: BankAccount
    name: str
    new: int
    known: int
    not_booked: int
    statement: BankStatement | None
    """None: every line was known."""


def add_account(session: Session, *, name: str, number: str, currency: str, actor: Person, now: datetime) -> BankAccount:
    """Enter an account of ours.

    Raises:
        NotAllowed: the actor is not in finance.
        InvalidInput: no such currency, or a number that is none.
        AccountKnown: it is there already.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    plain = account_number(number)
    if plain is None or len(plain) < 4:
        raise InvalidInput(
            "Enter the account's number as the bank's statements name it: 4 to 34 letters and digits.", field="number"
        )
    exponent(currency)
    if session.scalar(select(BankAccount.id).where(BankAccount.number == plain, BankAccount.currency == currency)) is not None:
        raise AccountKnown(
            f"The account {plain} in {currency} is there already; its statements can be read as it is.", number=plain
        )
    made = BankAccount(id=new_id(), name=name.strip(), number=plain, currency=currency, added_by_id=actor.id, added_at=now)
    session.add(made)
    session.flush()
    audit.record(session, "bank_account.added", made, actor=actor, at=now, currency=currency)
    return made


def map_columns(session: Session, account_id: UUID, columns: Columns, *, actor: Person, now: datetime) -> BankAccount:
    """Say what the columns of this account's CSV files mean.

    Raises:
        NotAllowed: the actor is not in finance.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    account = locked_account(session, account_id)
    account.csv_columns = columns.as_json()
    audit.record(session, "bank_account.columns_mapped", account, actor=actor, at=now, columns=account.csv_columns)
    return account


def take(
    session: Session,
    content: bytes,
    *,
    name: str,
    account_id: UUID | None = None,
    are_others: bool = False,
    actor: Person,
    now: datetime,
) -> list[Taken]:
    """Read a CAMT.053 file, or a CSV file of the given account: all of it, or nothing. Known lines are passed over.

    `are_others`: the person looked, and lines that equal those of another statement are other movements all the same.

    Raises:
        NotAllowed: the actor is not in finance.
        StatementUnreadable: says where the first thing is that can't be read.
        NotOurAccount: a statement is of an account that nobody entered.
        MixedFormats: days of it came in the other format.
        MayBeThere: it may be a statement that came under another name, and nobody said that it is not.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    parsed = _read(session, content, name=name, account_id=account_id)
    stored: list[StoredFile] = []
    return [_take(session, each, content, stored, name=name, are_others=are_others, actor=actor, now=now) for each in parsed]


def _read(session: Session, content: bytes, *, name: str, account_id: UUID | None) -> list[ParsedStatement]:
    if len(content) > SIZE_MAX_BYTES:
        raise StatementUnreadable(f"The file is larger than {SIZE_MAX_BYTES // 1_000_000} MB.", field="file")
    if not content.strip():
        raise StatementUnreadable("The file is empty.", field="file")
    if _is_xml(content):
        return read_camt(content)
    if account_id is None:
        raise StatementUnreadable("This is no XML. For a CSV file, choose the account it is of.", field="account")
    account = locked_account(session, account_id)
    if account.csv_columns is None:
        raise StatementUnreadable(
            f"Nobody has said yet what the columns of {account.name}'s files mean; do that first, under Bank accounts.",
            field="account",
        )
    columns = Columns.checked(account.csv_columns)
    return [read_csv(content, columns, account=account.number, currency=account.currency, name=name)]


def _is_xml(content: bytes) -> bool:
    head = content[:200].replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf").removeprefix(b"\xff\xfe").removeprefix(b"\xfe\xff")
    return head.lstrip().startswith(b"<")


def _take(
    session: Session,
    parsed: ParsedStatement,
    content: bytes,
    stored: list[StoredFile],
    *,
    name: str,
    are_others: bool,
    actor: Person,
    now: datetime,
) -> Taken:
    account = session.scalars(
        select(BankAccount)
        .where(BankAccount.number == parsed.account, BankAccount.currency == parsed.currency)
        .with_for_update()  # two imports of one account wait for each other, so that neither misses the other's lines
    ).one_or_none()
    if account is None:
        raise NotOurAccount(
            f"“{parsed.name}” is of the account {parsed.account} in {parsed.currency}, which nobody entered; add it under Bank "
            "accounts if it is ours.",
            field="file",
        )
    readings.note_account(session, account, until=_last_day(parsed), at=now)
    marks = identities(parsed)
    known = set(session.scalars(select(BankLine.identity).where(BankLine.account_id == account.id, BankLine.identity.in_(marks))))
    fresh = [(line, mark) for line, mark in zip(parsed.lines, marks, strict=True) if mark not in known]
    if not fresh:
        return Taken(account, parsed.name, 0, len(marks), parsed.not_booked, None)
    days = [line.booked_on for line, _ in fresh]
    _require_one_format(session, account, parsed.format, min(days), max(days))
    if not are_others:
        _require_no_equal(session, account, [line for line, _ in fresh if not line.bank_reference], min(days), max(days))
    if not stored:
        media_type = XML_TYPE if parsed.format is StatementFormat.CAMT else CSV_TYPE
        stored.append(
            files.store(session, io.BytesIO(content), name=name, uploaded_by_id=actor.id, now=now, media_type=media_type)
        )
    statement = BankStatement(
        id=new_id(),
        account=account,
        format=parsed.format,
        name=parsed.name,
        from_on=min([*days, *([parsed.from_on] if parsed.from_on else [])]),
        until_on=_last_day(parsed),
        opening_minor=parsed.opening.amount_minor if parsed.opening is not None else None,
        closing_minor=parsed.closing.amount_minor if parsed.closing is not None else None,
        file=stored[0],
        imported_by_id=actor.id,
        imported_at=now,
    )
    session.add(statement)
    session.flush()
    session.add_all(
        BankLine(
            id=new_id(), account_id=account.id, statement_id=statement.id, position=line.position, identity=mark,
            booked_on=line.booked_on, value_on=line.value_on, direction=line.direction, amount_minor=line.money.amount_minor,
            currency=line.money.currency, bank_reference=line.bank_reference, end_to_end=line.end_to_end,
            counterparty=line.counterparty, counterparty_account=line.counterparty_account, text=line.text,
        )
        for line, mark in fresh
    )  # fmt: skip
    session.flush()
    audit.record(
        session, "bank_statement.imported", statement, actor=actor, at=now,
        account=str(account.id), new=len(fresh), known=len(marks) - len(fresh), sha256=stored[0].sha256, are_others=are_others,
    )  # fmt: skip
    return Taken(account, parsed.name, len(fresh), len(marks) - len(fresh), parsed.not_booked, statement)


def _last_day(parsed: ParsedStatement) -> date:
    """The last day that the file says anything about."""
    return max([*(line.booked_on for line in parsed.lines), *([parsed.until_on] if parsed.until_on else [])])


def _require_one_format(session: Session, account: BankAccount, came_as: StatementFormat, first: date, last: date) -> None:
    """CAMT and CSV say the same movement in different words: nothing could tell that it is one."""
    other = session.scalar(
        select(BankStatement.format)
        .join(BankLine, BankLine.statement_id == BankStatement.id)
        .where(BankLine.account_id == account.id, BankStatement.format != came_as, BankLine.booked_on.between(first, last))
        .limit(1)
    )
    if other is not None:
        raise MixedFormats(
            f"Lines of {account.name} between {first:%-d %b %Y} and {last:%-d %b %Y} came as {other.upper()} before. As "
            f"{came_as.upper()} they would be stored twice; import only days that are not there yet.",
            field="file",
        )


def _require_no_equal(session: Session, account: BankAccount, lines: Sequence[ParsedLine], first: date, last: date) -> None:
    """A CAMT line without a reference is known by its statement's name; issued again under another, it would be there twice."""
    stored = session.scalars(
        select(BankLine)
        .join(BankStatement, BankStatement.id == BankLine.statement_id)
        .where(
            BankLine.account_id == account.id,
            BankStatement.format == StatementFormat.CAMT,
            BankLine.bank_reference.is_(None),
            BankLine.booked_on.between(first, last),
        )
    )
    known = {_said(line): line.statement.name for line in stored}
    equal = next((line for line in lines if _said(line) in known), None)
    if equal is not None:
        raise MayBeThere(
            f"Line {equal.position}, {equal.money} of {equal.booked_on:%-d %b %Y}, equals one of “{known[_said(equal)]}”, and "
            "neither has a reference of the bank's. If this is that statement again, don't read it. If both moved money, say so "
            "and read it.",
            field="are_others",
        )


def _said(line: BankLine | ParsedLine) -> tuple[object, ...]:
    """What a bank says about a line, but for the statement's name."""
    return (
        line.booked_on, line.value_on, line.direction, line.money, line.end_to_end, line.counterparty, line.counterparty_account,
        line.text,
    )  # fmt: skip


def locked_account(session: Session, account_id: UUID) -> BankAccount:
    """An account, locked.

    Raises:
        NotFound: there is no such account.
    """
    found = session.get(BankAccount, account_id, with_for_update=True, populate_existing=True)
    if found is None:
        raise NotFound("There is no such bank account. Bank accounts lists ours.")
    return found


def accounts(session: Session) -> Sequence[BankAccount]:
    """Every account of ours, by name."""
    return session.scalars(select(BankAccount).order_by(BankAccount.name, BankAccount.id)).all()
