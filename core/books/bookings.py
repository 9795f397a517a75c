"""What people do about a line: confirm what was expected, link what is posted, set aside what nobody can place, and assign it.

Whatever is chosen, one line ends with one entry of the ledger that moves just its amount on the bank's account. What went out and
nobody had asked for is in `outgoing`.
"""

import io
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit, files, ledger
from core.books import meeting, queries, second_looks, several, sources
from core.books.meeting import DoesNotMeet, LineTaken
from core.books.models import BankLine, Direction, Match
from core.books.sources import Expected, Finding
from core.errors import DomainError, InvalidInput
from core.identity import access
from core.identity.models import Person, Role
from core.ledger import Guard, Leg, Side


class NotSaidYet(DomainError):
    """Nobody said that it was sent, so there is nothing to be confirmed by a second person."""

    code = "not_said_yet"


def confirm(session: Session, line_id: UUID, expected_key: str, *, actor: Person, now: datetime) -> BankLine:
    """Say that this line is what was expected; its domain books it.

    Raises:
        LineTaken, NotFound: line or expectation were dealt with meanwhile.
        DoesNotMeet: other amounts, or the other direction.
        NotSaidYet: a person has to note that it was sent first.
        SecondPersonNeeded: the actor read the CSV file that the line is of.
        DomainError: the domain's own rule, such as that whoever said it was sent can't confirm it.
    """
    line = meeting.open_line(session, line_id, actor=actor, now=now)
    second_looks.require_other(line, actor)
    each = queries.expected_by_key(session, expected_key)
    _require_same(line, each)
    if not each.is_said:
        raise NotSaidYet(f"Nobody said that {each.reference} was sent; note that first, then another person confirms it.")
    key = sources.source(each.source).found(session, each.id, meeting.finding(line), actor=actor, now=now)
    meeting.meet(session, line, key, Match.CONFIRMED, actor=actor, now=now, note=each.reference)
    return line


def note_sent(session: Session, line_id: UUID, expected_key: str, *, actor: Person, now: datetime) -> Expected:
    """Take the line itself for evidence that it was sent. Another person confirms that it arrived.

    Raises:
        LineTaken, NotFound, DoesNotMeet: as for `confirm`.
    """
    line = meeting.open_line(session, line_id, actor=actor, now=now)
    each = queries.expected_by_key(session, expected_key)
    _require_same(line, each)
    evidence = files.store(
        session,
        io.BytesIO(_in_words(line).encode()),
        name=f"bank-line-{each.reference.lower()}.txt",
        uploaded_by_id=actor.id,
        now=now,
    )
    session.flush()
    sources.source(each.source).note_sent(session, each.id, meeting.finding(line), evidence, actor=actor, now=now)
    audit.record(session, "bank_line.taken_for_evidence", line, actor=actor, at=now, reference=each.reference)
    return each


def link(session: Session, line_id: UUID, entry_id: UUID, *, actor: Person, now: datetime) -> BankLine:
    """Say that this line is an entry that the ledger has already. Nothing is posted.

    Raises:
        LineTaken: line or entry were dealt with meanwhile.
        DoesNotMeet: the entry moves another amount on this account.
        SecondPersonNeeded: the actor read the CSV file that the line is of.
        InClosedMonth: both are of months that are closed.
    """
    line = meeting.open_line(session, line_id, actor=actor, now=now)
    second_looks.require_other(line, actor)
    meeting.require_not_closed_with(session, line, entry_id)
    meeting.meet_entry(session, line, entry_id, Match.LINKED, actor=actor, now=now, note=None)
    return line


def unlink(session: Session, line_id: UUID, *, reason: str, actor: Person, now: datetime) -> BankLine:
    """Take a link back. What was posted for a line stays with it: corrections are new entries.

    Raises:
        LineTaken: it is not linked.
        InvalidInput: no reason.
        InClosedMonth: a month was closed with this link.
    """
    line = meeting.locked(session, line_id, actor=actor, now=now)
    if line.match not in {Match.LINKED, Match.SEVERAL}:
        raise LineTaken(
            "Only a link can be taken back; what was posted for a line stays with it. Correct it with an entry of today."
        )
    if not reason.strip():
        raise InvalidInput("Say why the link was wrong.", field="reason")
    entries = [line.entry_id] if line.entry_id is not None else [part.entry_id for part in line.parts]
    if line.match is Match.SEVERAL:
        several.take_back(session, line)
    else:
        meeting.require_not_closed_with(session, line, entries[0])
        line.entry_id = line.match = line.matched_by_id = line.matched_at = line.note = None
    audit.record(
        session, "bank_line.unlinked", line, actor=actor, at=now, reason=reason.strip(), entries=[str(each) for each in entries]
    )
    return line


def set_aside(
    session: Session, line_id: UUID, *, note: str, expected_key: str | None = None, actor: Person, now: datetime
) -> BankLine:
    """Book money in whose purpose is open: on an account of its own, from which nothing is granted.

    Parts of one payment that name the same reference lie together, so that they can be assigned when they suffice.

    Raises:
        LineTaken, DoesNotMeet: it was dealt with, or it is no money in.
        FromOurBalance: a provider paid just this to us from our own balance there, which the ledger has already.
        InvalidInput: no note.
    """
    line = meeting.open_line(session, line_id, actor=actor, now=now)
    if line.direction is not Direction.IN:
        raise DoesNotMeet("Only money that came in can be set aside. What went out is a fee, was sent back, or is linked.")
    meeting.require_not_ours(session, line)
    if not note.strip():
        raise InvalidInput("Say what is known and who is being asked.", field="note")
    each = queries.expected_by_key(session, expected_key) if expected_key else None
    name = each.reference.lower() if each else f"line-{line.id.hex[-10:]}"
    code = f"liabilities:unassigned:{line.currency.lower()}:{name}"
    ledger.ensure_account(session, code, line.currency, normal=Side.CREDIT, guard=Guard.CREDIT, name=f"Not assigned yet: {name}")
    meeting.post(
        session, line, Leg(debit=line.account.ledger_code, credit=code, amount=line.amount_minor), "books.set_aside", now=now
    )
    meeting.meet(session, line, meeting.key(line), Match.SET_ASIDE, actor=actor, now=now, note=note.strip())
    return line


def assign(session: Session, code: str, expected_key: str, *, actor: Person, now: datetime) -> Expected:
    """Confirm something that is expected with money that was set aside; what is left stays there.

    Raises:
        NotSetAside: less is set aside there.
        SecondPersonNeeded: the actor set some of it aside, and that is not little.
        NotFound, NotSaidYet, DomainError: as for `confirm`.
    """
    each = assignable(session, code, expected_key, actor=actor, now=now)
    second_looks.require_other_to_assign(session, code, each.money, actor=actor, now=now)
    give(session, code, each, actor=actor, now=now)
    return each


def assignable(session: Session, code: str, expected_key: str, *, actor: Person, now: datetime) -> Expected:
    """What is expected, if it can be met with the money set aside there; whoever else assigns waits until this is done.

    Raises:
        NotAllowed: the actor is not in finance.
        NotFound, DoesNotMeet, NotSetAside, NotSaidYet: it can't.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    meeting.lock(session)  # what one person gives out alone is counted first
    each = queries.expected_by_key(session, expected_key)
    if each.direction is not Direction.IN:
        raise DoesNotMeet("Money that is set aside came in; it can only be for something that should come in.")
    meeting.require_set_aside(session, code, each.money)
    if not each.is_said:
        raise NotSaidYet(f"Nobody said that {each.reference} was sent; ask the company to say so, with its own evidence.")
    return each


def give(session: Session, code: str, each: Expected, *, actor: Person, now: datetime) -> None:
    """Confirm it with money of this account. Who may is looked at before."""
    lines = queries.lines_on(session, code)
    last = lines[-1]
    where = "; ".join(line.label for line in lines)[:200]
    found = Finding(f"Set aside: {where}", last.booked_on, each.money, last.bank_reference, set_aside=code)
    sources.source(each.source).found(session, each.id, found, actor=actor, now=now)
    for line in lines:
        audit.record(session, "bank_line.assigned", line, actor=actor, at=now, reference=each.reference, amount=str(each.money))


def _require_same(line: BankLine, each: Expected) -> None:
    if (line.direction, line.money) != (each.direction, each.money):
        raise DoesNotMeet(
            f"The line is over {line.money} {line.direction}, and {each.reference} over {each.money} {each.direction}. "
            "Set aside what does not fit, or look for the right one."
        )


def _in_words(line: BankLine) -> str:
    """The one line as evidence: the statement itself names other people's payments."""
    rows = [
        ("Statement", line.statement.name), ("Line", str(line.position)), ("Booked on", line.booked_on.isoformat()),
        ("Amount", str(line.money)), ("From", line.counterparty or "not named"), ("Text", line.text or "none"),
        ("Bank reference", line.bank_reference or "none"),
    ]  # fmt: skip
    return "".join(f"{name}: {value}\n" for name, value in rows)
