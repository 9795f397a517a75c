"""Money that went out and that nobody had asked for: a fee of the bank, or what had been set aside and went back.

Up to a limit one person books it; else it waits as a proposal, and nothing is posted before a second person confirms it.
"""

from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from core import ledger
from core.books import meeting, second_looks
from core.books.meeting import DoesNotMeet
from core.books.models import BankLine, Deed, Direction, Match, Proposal
from core.errors import InvalidInput
from core.identity.models import Person
from core.ledger import Leg, Side

MATCHES: Mapping[Deed, Match] = {Deed.FEE: Match.FEE, Deed.SENT_BACK: Match.SENT_BACK}


def book_fee(session: Session, line_id: UUID, *, note: str, actor: Person, now: datetime) -> Proposal | None:
    """Book what the bank took for itself, or propose it. None: it is booked.

    Raises:
        LineTaken, DoesNotMeet: it was dealt with, or it is no money out.
        FromOurBalance: a provider received just this from us.
        InvalidInput: no note.
        InsufficientFunds: the ledger knows less cash on this account.
    """
    return _book(session, line_id, Deed.FEE, None, note=note, actor=actor, now=now)


def send_back(session: Session, line_id: UUID, code: str, *, note: str, actor: Person, now: datetime) -> Proposal | None:
    """Book money out that returned what had been set aside, or propose it. None: it is booked.

    Raises:
        LineTaken, DoesNotMeet: it was dealt with, or it is no money out.
        NotSetAside: less is set aside there.
        InvalidInput: no note.
    """
    return _book(session, line_id, Deed.SENT_BACK, code, note=note, actor=actor, now=now)


def carry_out(session: Session, line: BankLine, deed: Deed, code: str | None, *, note: str, actor: Person, now: datetime) -> None:
    """Post it and let the line meet it.

    Raises:
        DomainError: it is not possible, or not any more.
    """
    _require_possible(session, line, deed, code)
    if code is None:
        code = f"expenses:fees:bank:{line.currency.lower()}"
        ledger.ensure_account(session, code, line.currency, normal=Side.DEBIT, name=f"Bank fees, {line.currency}")
    leg = Leg(debit=code, credit=line.account.ledger_code, amount=line.amount_minor)
    meeting.post(session, line, leg, "books.bank_fee" if deed is Deed.FEE else "books.sent_back", now=now)
    meeting.meet(session, line, meeting.key(line), MATCHES[deed], actor=actor, now=now, note=note)


def _book(
    session: Session, line_id: UUID, deed: Deed, code: str | None, *, note: str, actor: Person, now: datetime
) -> Proposal | None:
    line = meeting.open_line(session, line_id, actor=actor, now=now)
    _require_possible(session, line, deed, code)
    if not note.strip():
        raise InvalidInput("Say what it was for.", field="note")
    why = second_looks.why_two(session, line, actor=actor, now=now)
    if why is None:
        carry_out(session, line, deed, code, note=note.strip(), actor=actor, now=now)
        return None
    return second_looks.propose(session, line, deed, note=note, why=why, set_aside_on=code, actor=actor, now=now)


def _require_possible(session: Session, line: BankLine, deed: Deed, code: str | None) -> None:
    if line.direction is not Direction.OUT:
        raise DoesNotMeet("This is for money that went out. Money that came in is confirmed, linked or set aside.")
    meeting.require_not_ours(session, line)
    if deed is Deed.SENT_BACK:
        assert code is not None, "a constraint of the table says so too"
        meeting.require_set_aside(session, code, line.money)
