"""Reads of the books: lines, what they could be, and what of the ledger met no line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Select, and_, case, exists, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session, aliased

from core import ledger
from core.books import sources
from core.books.matching import Line, Movement, Suggestion, suggest
from core.books.models import BankAccount, BankLine, BankLinePart, BankStatement, Direction, OutsideMovement, Proposal
from core.books.sources import Expected
from core.errors import NotFound
from core.ledger.models import Account, EntryRow, Phase, TransferRow
from core.money import Money

OPEN_MAX = 2_000
"""So many open lines are looked at together; the rest come when these are dealt with."""


@dataclass(frozen=True, slots=True)
class SetAside:
    """Money that came in and is not assigned yet."""

    code: str
    money: Money


def statements() -> Select[BankStatement]:
    """Every statement."""
    return select(BankStatement)


def statement(session: Session, statement_id: UUID) -> BankStatement:
    """One statement.

    Raises:
        NotFound: there is none.
    """
    found = session.get(BankStatement, statement_id)
    if found is None:
        raise NotFound("There is no such bank statement. Books lists those that were read.")
    return found


def lines_in(statement_id: UUID) -> Select[BankLine]:
    """The lines a statement brought."""
    return select(BankLine).where(BankLine.statement_id == statement_id)


def lines_of(session: Session, statement_id: UUID) -> Sequence[BankLine]:
    """The same, in their order."""
    return session.scalars(lines_in(statement_id).order_by(BankLine.position)).all()


def line(session: Session, line_id: UUID) -> BankLine:
    """One line.

    Raises:
        NotFound: there is none.
    """
    found = session.get(BankLine, line_id)
    if found is None:
        raise NotFound("There is no such line of a bank statement. Open the list of lines again.")
    return found


def waiting_proposal(session: Session, line_id: UUID) -> Proposal | None:
    """The booking of this line that waits for a second person."""
    return session.scalars(select(Proposal).where(Proposal.line_id == line_id, Proposal.decided_at.is_(None))).one_or_none()


def _undealt() -> ColumnElement[bool]:
    """Lines that met nothing, and for which no booking waits for its second person."""
    proposed = exists().where(Proposal.line_id == BankLine.id, Proposal.decided_at.is_(None))
    return and_(BankLine.match.is_(None), ~proposed)


def open_lines(session: Session) -> Sequence[BankLine]:
    """Lines that nobody dealt with, the oldest first."""
    return session.scalars(
        select(BankLine).where(_undealt()).order_by(BankLine.booked_on, BankLine.position, BankLine.id).limit(OPEN_MAX)
    ).all()


def count_open(session: Session) -> int:
    """How many lines nobody dealt with."""
    return session.scalar(select(func.count()).select_from(BankLine).where(_undealt())) or 0


def open_by_statement(session: Session, ids: Sequence[UUID]) -> Mapping[UUID, tuple[int, int]]:
    """How many lines each of these statements brought, and how many of them are open."""
    rows = session.execute(
        select(BankLine.statement_id, func.count(), func.count().filter(BankLine.match.is_(None)))
        .where(BankLine.statement_id.in_(ids))
        .group_by(BankLine.statement_id)
    )
    return {statement_id: (count, waiting) for statement_id, count, waiting in rows}


def gap_before(session: Session, here: BankStatement) -> BankStatement | None:
    """The statement before this one of its account, if the balances say that something lies between them."""
    if here.opening_minor is None:
        return None
    before = session.scalars(
        select(BankStatement)
        .where(
            BankStatement.account_id == here.account_id,
            BankStatement.id != here.id,
            BankStatement.closing_minor.is_not(None),
            BankStatement.until_on <= here.from_on,
        )
        .order_by(BankStatement.until_on.desc(), BankStatement.id.desc())
        .limit(1)
    ).first()
    return before if before is not None and before.closing_minor != here.opening_minor else None


def suggestions(session: Session) -> Mapping[UUID, Suggestion]:
    """What each open line probably is."""
    lines = open_lines(session)
    if not lines:
        return {}
    codes = {each.account.ledger_code: each.account.currency for each in lines}
    return suggest(
        [as_line(each) for each in lines],
        expected(session),
        [movement for code in sorted(codes) for movement in open_movements(session, code)],
    )


def as_line(row: BankLine) -> Line:
    """A line as matching sees it."""
    texts = [text for text in (row.end_to_end, row.text, row.bank_reference) if text]
    return Line(row.id, row.booked_on, row.direction, row.money, texts, row.position)


def expected(session: Session) -> list[Expected]:
    """Everything that any domain expects on a bank account."""
    return [each for source in sources.all_sources() for each in source.expected(session)]


def alike(session: Session, line: BankLine) -> list[Expected]:
    """What is expected in the amount and direction of this line."""
    return [each for each in expected(session) if (each.direction, each.money) == (line.direction, line.money)]


def expected_by_key(session: Session, key: str) -> Expected:
    """One thing that is expected.

    Raises:
        NotFound: nobody expects it (any more).
    """
    found = next((each for each in expected(session) if each.key == key), None)
    if found is None:
        raise NotFound("This is not expected any more: somebody dealt with it. Open the line again.")
    return found


def open_movements(
    session: Session, code: str, *, only: Money | None = None, direction: Direction | None = None
) -> list[Movement]:
    """What the ledger moved on this account that met no line, the oldest first; of one amount and direction if asked."""
    account = session.execute(select(Account.id, Account.commodity).where(Account.code == code)).one_or_none()
    if account is None:
        return []
    signed = func.sum(case((TransferRow.debit_id == account.id, TransferRow.amount), else_=-TransferRow.amount))
    # A payment that a provider has told of did not leave from our bank; one between the two stays until the bank tells it too.
    met = or_(
        met_line(EntryRow.id, account.commodity),
        and_(exists().where(OutsideMovement.entry_id == EntryRow.id), ~touches_provider(EntryRow.id)),
    )
    query = (
        select(EntryRow.id, EntryRow.key, EntryRow.at, EntryRow.memo, signed.label("moved"))
        .join(TransferRow, TransferRow.entry_id == EntryRow.id)
        .where(
            or_(TransferRow.debit_id == account.id, TransferRow.credit_id == account.id),
            TransferRow.phase.in_([Phase.DIRECT, Phase.SETTLE]),
            TransferRow.debit_id != TransferRow.credit_id,
            ~met,
        )
        .group_by(EntryRow.id)
        .having(signed != 0)
        .order_by(EntryRow.at, EntryRow.id)
    )
    if only is not None:
        query = query.having(signed == (only if direction is Direction.IN else -only).amount_minor)
    rows = session.execute(query).all()
    posted = {
        key: each for source in sources.all_sources() for key, each in source.posted(session, [row.key for row in rows]).items()
    }
    made = []
    for row in rows:
        known = posted.get(row.key)
        made.append(
            Movement(
                entry_id=row.id,
                on=row.at.date(),
                direction=Direction.IN if row.moved > 0 else Direction.OUT,
                money=Money(abs(int(row.moved)), account.commodity),
                references=tuple(known.references) if known else (),
                who=known.who if known else row.memo,
                path=known.path if known else f"/ledger/entries/{row.id}",
            )
        )
    return made


def set_aside(session: Session, currency: str | None = None) -> list[SetAside]:
    """Where money lies that came in and is not assigned, with what can be taken of it; empty accounts are left out."""
    prefix = "liabilities:unassigned" + (f":{currency.lower()}" if currency else "")
    return [
        SetAside(each.account, Money(each.available, each.commodity))
        for each in ledger.balances(session, prefix)
        if each.available > 0
    ]


def lines_on(session: Session, code: str) -> Sequence[BankLine]:
    """The lines that were set aside on this account, the oldest first."""
    entries = select(TransferRow.entry_id).join(Account, Account.id == TransferRow.credit_id).where(Account.code == code)
    return session.scalars(select(BankLine).where(BankLine.entry_id.in_(entries)).order_by(BankLine.booked_on, BankLine.id)).all()


def parts_of(session: Session, line: BankLine) -> Sequence[tuple[EntryRow, Money]]:
    """The entries that a line is the sum of, and what each moves on the bank's account, in the line's direction."""
    signed = func.sum(case((TransferRow.debit_id == Account.id, TransferRow.amount), else_=-TransferRow.amount))
    rows = session.execute(
        select(EntryRow, signed)
        .join(BankLinePart, BankLinePart.entry_id == EntryRow.id)
        .join(TransferRow, TransferRow.entry_id == EntryRow.id)
        .join(Account, or_(Account.id == TransferRow.debit_id, Account.id == TransferRow.credit_id))
        .where(
            BankLinePart.line_id == line.id,
            Account.code == line.account.ledger_code,
            TransferRow.phase.in_([Phase.DIRECT, Phase.SETTLE]),
        )
        .group_by(EntryRow.id)
        .order_by(EntryRow.at, EntryRow.id)
    )
    way = 1 if line.direction is Direction.IN else -1
    return [(entry, Money(way * int(moved), line.currency)) for entry, moved in rows]


def account_in_use(session: Session, account: BankAccount) -> bool:
    """Whether any line of it is here."""
    return bool(session.scalar(select(exists().where(BankLine.account_id == account.id))))


def met_line(entry_id: InstrumentedAttribute[UUID], currency: InstrumentedAttribute[str] | str) -> ColumnElement[bool]:
    """Did the entry meet a line of a bank statement in this currency, alone or as one of several?"""
    return or_(
        exists().where(BankLine.entry_id == entry_id, BankLine.currency == currency),
        exists().where(BankLinePart.entry_id == entry_id, BankLinePart.currency == currency),
    )


def of_provider(account: type[Account]) -> ColumnElement[bool]:
    """Is this what we have with a provider, or what we owe one?"""
    return or_(account.code.startswith("assets:rail:"), account.code.startswith("liabilities:rail:"))


def provider_of(account: type[Account]) -> ColumnElement[str]:
    """Which provider an account is with, if it is with one."""
    return func.split_part(account.code, ":", 3)


def touches_provider(entry_id: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    """Does the entry move a balance with a provider?"""
    transfer, other = aliased(TransferRow), aliased(Account)
    return exists().where(
        transfer.entry_id == entry_id,
        or_(transfer.debit_id == other.id, transfer.credit_id == other.id),
        of_provider(other),
    )
