"""What people do about a line: confirm what was expected, link what is posted, set aside what nobody can place, book a fee.

Whatever is chosen, one line ends with one entry of the ledger that moves just its amount on the bank's account.
"""

import io
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit, files, ledger
from core.books import between, months, queries, sources
from core.books.models import BankLine, Direction, Match
from core.books.sources import Expected, Finding
from core.errors import DomainError, InvalidInput, NotFound
from core.identity import access
from core.identity.models import Person, Role
from core.ledger import Guard, Leg, Side, closing
from core.ledger.models import EntryRow
from core.money import Money

MATCHING = 0x626F6F6B73
"""The advisory lock of whoever gives a line its entry."""


class LineTaken(DomainError):
    """Somebody dealt with this line already."""

    code = "line_taken"


class DoesNotMeet(DomainError):
    """Line and expectation, or line and entry, are not over the same."""

    code = "does_not_meet"


class NotSaidYet(DomainError):
    """Nobody said that it was sent, so there is nothing to be confirmed by a second person."""

    code = "not_said_yet"


class NotSetAside(DomainError):
    """There is not so much money on that account."""

    code = "not_set_aside"


class InClosedMonth(DomainError):
    """What a month was closed with stays as it is until two people open it."""

    code = "line_in_closed_month"


class FromOurBalance(DomainError):
    """A provider lists a movement between our balance there and the bank that this line may be."""

    code = "from_our_balance"


def confirm(session: Session, line_id: UUID, expected_key: str, *, actor: Person, now: datetime) -> BankLine:
    """Say that this line is what was expected; its domain books it.

    Raises:
        LineTaken, NotFound: line or expectation were dealt with meanwhile.
        DoesNotMeet: other amounts, or the other direction.
        NotSaidYet: a person has to note that it was sent first.
        DomainError: the domain's own rule, such as that whoever said it was sent can't confirm it.
    """
    line = _open_line(session, line_id, actor=actor, now=now)
    each = queries.expected_by_key(session, expected_key)
    _require_same(line, each)
    if not each.is_said:
        raise NotSaidYet(f"Nobody said that {each.reference} was sent; note that first, then another person confirms it.")
    key = sources.source(each.source).found(session, each.id, finding(line), actor=actor, now=now)
    _meet(session, line, key, Match.CONFIRMED, actor=actor, now=now, note=each.reference)
    return line


def note_sent(session: Session, line_id: UUID, expected_key: str, *, actor: Person, now: datetime) -> Expected:
    """Take the line itself for evidence that it was sent. Another person confirms that it arrived.

    Raises:
        LineTaken, NotFound, DoesNotMeet: as for `confirm`.
    """
    line = _open_line(session, line_id, actor=actor, now=now)
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
    sources.source(each.source).note_sent(session, each.id, finding(line), evidence, actor=actor, now=now)
    audit.record(session, "bank_line.taken_for_evidence", line, actor=actor, at=now, reference=each.reference)
    return each


def link(session: Session, line_id: UUID, entry_id: UUID, *, actor: Person, now: datetime) -> BankLine:
    """Say that this line is an entry that the ledger has already. Nothing is posted.

    Raises:
        LineTaken: line or entry were dealt with meanwhile.
        DoesNotMeet: the entry moves another amount on this account.
        InClosedMonth: both are of months that are closed.
    """
    line = _open_line(session, line_id, actor=actor, now=now)
    _require_not_closed_with(session, line, entry_id)
    _meet_entry(session, line, entry_id, Match.LINKED, actor=actor, now=now, note=None)
    return line


def unlink(session: Session, line_id: UUID, *, reason: str, actor: Person, now: datetime) -> BankLine:
    """Take a link back. What was posted for a line stays with it: corrections are new entries.

    Raises:
        LineTaken: it is not linked.
        InvalidInput: no reason.
        InClosedMonth: a month was closed with this link.
    """
    line = _locked(session, line_id, actor=actor, now=now)
    if line.match is not Match.LINKED or line.entry_id is None:
        raise LineTaken("Only a link can be taken back; what was posted for a line stays with it.")
    if not reason.strip():
        raise InvalidInput("Say why the link was wrong.", field="reason")
    _require_not_closed_with(session, line, line.entry_id)
    audit.record(session, "bank_line.unlinked", line, actor=actor, at=now, reason=reason.strip(), entry=str(line.entry_id))
    line.entry_id = line.match = line.matched_by_id = line.matched_at = line.note = None
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
    line = _open_line(session, line_id, actor=actor, now=now)
    if line.direction is not Direction.IN:
        raise DoesNotMeet("Only money that came in can be set aside.")
    _require_not_ours(session, line)
    if not note.strip():
        raise InvalidInput("Say what is known and who is being asked.", field="note")
    each = queries.expected_by_key(session, expected_key) if expected_key else None
    name = each.reference.lower() if each else f"line-{line.id.hex[-10:]}"
    code = f"liabilities:unassigned:{line.currency.lower()}:{name}"
    _ensure_bank(session, line)
    ledger.ensure_account(session, code, line.currency, normal=Side.CREDIT, guard=Guard.CREDIT, name=f"Not assigned yet: {name}")
    _post(session, line, Leg(debit=line.account.ledger_code, credit=code, amount=line.amount_minor), "books.set_aside", now=now)
    _meet(session, line, _key(line), Match.SET_ASIDE, actor=actor, now=now, note=note.strip())
    return line


def book_fee(session: Session, line_id: UUID, *, note: str, actor: Person, now: datetime) -> BankLine:
    """Book what the bank took for itself.

    Raises:
        LineTaken, DoesNotMeet: it was dealt with, or it is no money out.
        FromOurBalance: a provider received just this from us.
        InvalidInput: no note.
        InsufficientFunds: the ledger knows less cash on this account.
    """
    line = _open_line(session, line_id, actor=actor, now=now)
    _require_out(line, note)
    _require_not_ours(session, line)
    code = f"expenses:fees:bank:{line.currency.lower()}"
    ledger.ensure_account(session, code, line.currency, normal=Side.DEBIT, name=f"Bank fees, {line.currency}")
    _ensure_bank(session, line)
    _post(session, line, Leg(debit=code, credit=line.account.ledger_code, amount=line.amount_minor), "books.bank_fee", now=now)
    _meet(session, line, _key(line), Match.FEE, actor=actor, now=now, note=note.strip())
    return line


def send_back(session: Session, line_id: UUID, code: str, *, note: str, actor: Person, now: datetime) -> BankLine:
    """Book money out that returned what had been set aside.

    Raises:
        LineTaken, DoesNotMeet: it was dealt with, or it is no money out.
        NotSetAside: less is set aside there.
        InvalidInput: no note.
    """
    line = _open_line(session, line_id, actor=actor, now=now)
    _require_out(line, note)
    _require_set_aside(session, code, line.money)
    _post(session, line, Leg(debit=code, credit=line.account.ledger_code, amount=line.amount_minor), "books.sent_back", now=now)
    _meet(session, line, _key(line), Match.SENT_BACK, actor=actor, now=now, note=note.strip())
    return line


def assign(session: Session, code: str, expected_key: str, *, actor: Person, now: datetime) -> Expected:
    """Confirm something that is expected with money that was set aside; what is left stays there.

    Raises:
        NotSetAside: less is set aside there.
        NotFound, NotSaidYet, DomainError: as for `confirm`.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    each = queries.expected_by_key(session, expected_key)
    if each.direction is not Direction.IN:
        raise DoesNotMeet("Money that is set aside came in; it can only be for something that should come in.")
    _require_set_aside(session, code, each.money)
    if not each.is_said:
        raise NotSaidYet(f"Nobody said that {each.reference} was sent; ask the company to say so, with its own evidence.")
    lines = queries.lines_on(session, code)
    last = lines[-1]
    where = "; ".join(line.label for line in lines)[:200]
    found = Finding(f"Set aside: {where}", last.booked_on, each.money, last.bank_reference, set_aside=code)
    sources.source(each.source).found(session, each.id, found, actor=actor, now=now)
    for line in lines:
        audit.record(session, "bank_line.assigned", line, actor=actor, at=now, reference=each.reference, amount=str(each.money))
    return each


def finding(line: BankLine) -> Finding:
    """The line as a domain is told of it."""
    return Finding(line.label, line.value_on or line.booked_on, line.money, line.bank_reference)


def _locked(session: Session, line_id: UUID, *, actor: Person, now: datetime) -> BankLine:
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    # One person at a time: two lines that both fit one entry are mostly of one statement, and looked at side by side.
    session.execute(select(func.pg_advisory_xact_lock(MATCHING)))
    line = session.scalars(
        select(BankLine).where(BankLine.id == line_id).with_for_update(of=BankLine).execution_options(populate_existing=True)
    ).one_or_none()
    if line is None:
        raise NotFound("There is no such line of a bank statement.")
    return line


def _open_line(session: Session, line_id: UUID, *, actor: Person, now: datetime) -> BankLine:
    line = _locked(session, line_id, actor=actor, now=now)
    if line.entry_id is not None:
        raise LineTaken("This line is dealt with: somebody was faster.")
    return line


def _require_not_closed_with(session: Session, line: BankLine, entry_id: UUID) -> None:
    """What a month was closed with stays: a link posts nothing, so the ledger's own door to the past does not see it change.

    A line of a closed month may still meet an entry of an open one: its explanation said that it was to come. Two that both lie
    behind the door were explained each for itself, and a link that was there at closing is why nobody had to explain anything.
    """
    closing.lock(session)  # whoever closes a month just now is done first
    last = months.last_closed(session)
    posted_at = session.scalar(select(EntryRow.at).where(EntryRow.id == entry_id))
    if last is None or posted_at is None:
        return
    is_closed = [day <= months.last_day(last.month) for day in (line.booked_on, posted_at.astimezone(UTC).date())]
    if all(is_closed) if line.matched_at is None else any(is_closed) and line.matched_at <= last.closed_at:
        raise InClosedMonth(f"{last.month:%B %Y} was closed with this as it is. Two people open it first, under Months.")


def _require_same(line: BankLine, each: Expected) -> None:
    if (line.direction, line.money) != (each.direction, each.money):
        raise DoesNotMeet(
            f"The line is over {line.money} {line.direction}, and {each.reference} over {each.money} {each.direction}."
        )


def _require_out(line: BankLine, note: str) -> None:
    if line.direction is not Direction.OUT:
        raise DoesNotMeet("This is for money that went out.")
    if not note.strip():
        raise InvalidInput("Say what it was for.", field="note")


def _require_not_ours(session: Session, line: BankLine) -> None:
    """What moved between two places of ours is in the ledger already; as anything else it would be there twice."""
    ours = next((each for each in queries.alike(session, line) if each.source == between.NAME), None)
    if ours is not None:
        raise FromOurBalance(
            f"{ours.who} lists {ours.reference} over just {line.money}, which the ledger has already. Confirm that this line is "
            f"it. If it is something else, deal with the line of {ours.reference} first."
        )


def _require_set_aside(session: Session, code: str, wanted: Money) -> None:
    known = {each.code: each.money for each in queries.set_aside(session, wanted.currency)}
    if code not in known or known[code] < wanted:
        raise NotSetAside(f"{known.get(code, Money(0, wanted.currency))} are set aside there, less than {wanted}.")


def _ensure_bank(session: Session, line: BankLine) -> None:
    ledger.ensure_account(
        session, line.account.ledger_code, line.currency, normal=Side.DEBIT, guard=Guard.DEBIT, name=f"Bank, {line.currency}"
    )


def _key(line: BankLine) -> str:
    return f"bank-line:{line.id}"


def _post(session: Session, line: BankLine, leg: Leg, kind: str, *, now: datetime) -> None:
    # The ledger is public: the statement's own name may hold an account number.
    memo = f"Bank statement line of {line.booked_on:%-d %b %Y}"
    ledger.post(session, key=_key(line), kind=kind, legs=[leg], at=now, memo=memo, refs={"bank_line": str(line.id)})


def _meet(session: Session, line: BankLine, key: str, how: Match, *, actor: Person, now: datetime, note: str | None) -> None:
    entry = ledger.entry_by_key(session, key)
    assert entry is not None, "the domain has just posted it"
    _meet_entry(session, line, entry.id, how, actor=actor, now=now, note=note)


def _meet_entry(
    session: Session, line: BankLine, entry_id: UUID, how: Match, *, actor: Person, now: datetime, note: str | None
) -> None:
    code = line.account.ledger_code
    alike = queries.open_movements(session, code, only=line.money, direction=line.direction)
    if entry_id not in {movement.entry_id for movement in alike}:
        raise DoesNotMeet(f"That entry does not move {line.money} {line.direction} on {code}, or it met another line.")
    line.entry_id, line.match, line.matched_by_id, line.matched_at, line.note = entry_id, how, actor.id, now, note
    session.flush()
    audit.record(session, f"bank_line.{how.value}", line, actor=actor, at=now, reason=note, entry=str(entry_id))


def _in_words(line: BankLine) -> str:
    """The one line as evidence: the statement itself names other people's payments."""
    rows = [
        ("Statement", line.statement.name), ("Line", str(line.position)), ("Booked on", line.booked_on.isoformat()),
        ("Amount", str(line.money)), ("From", line.counterparty or "not named"), ("Text", line.text or "none"),
        ("Bank reference", line.bank_reference or "none"),
    ]  # fmt: skip
    return "".join(f"{name}: {value}\n" for name, value in rows)
