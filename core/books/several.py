"""One line that is the sum of several entries: a batch of payments, an invoice for many, with what was charged on top as a fee.

Nothing at the bank says which ones, so a person chooses and another one confirms. What is in the ledger is met as it is; what is
only expected is booked by its domain, as it would be from a line of its own.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

from core import audit, ledger
from core.books import between, meeting, queries, second_looks, sources
from core.books.meeting import DoesNotMeet
from core.books.models import BankLine, BankLinePart, Deed, Direction, Match, Proposal
from core.books.sources import Expected, Finding
from core.errors import InvalidInput
from core.identity.models import Person
from core.ledger import Leg, Side
from core.money import Money

ENTRY = "entry"


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something that a line may be a part of the sum of: an entry that met nothing, or what a domain expects."""

    key: str
    on: date | None
    """None: it is expected, and nobody knows the day."""
    money: Money
    who: str
    references: Sequence[str]
    path: str

    def names(self, text: str) -> bool:
        """Does one of its names contain this?"""
        return any(text.casefold() in name.casefold() for name in (self.who, *self.references))


def candidates(
    session: Session, line: BankLine, *, containing: str = "", from_on: date | None = None, until_on: date | None = None
) -> Sequence[Candidate]:
    """What the line may be the sum of, the oldest first and what is only expected last; narrowed by name and day if asked."""
    posted = [
        Candidate(f"{ENTRY}:{each.entry_id}", each.on, each.money, each.who, each.references, each.path)
        for each in queries.open_movements(session, line.account.ledger_code)
        if each.direction is line.direction
    ]
    expected = [
        Candidate(each.key, None, each.money, each.who, (each.reference,), each.path)
        for each in queries.expected(session)
        if _can_be_part(each, line)
    ]
    return [
        each
        for each in (*posted, *expected)
        if each.names(containing.strip())
        and (each.on is None or ((from_on is None or from_on <= each.on) and (until_on is None or each.on <= until_on)))
    ]


def propose(session: Session, line_id: UUID, keys: Collection[str], *, note: str, actor: Person, now: datetime) -> Proposal:
    """Say what a line is the sum of. It counts, and anything is posted, when another person confirms it.

    Raises:
        LineTaken: the line was dealt with.
        InvalidInput: nothing chosen, or no note.
        DoesNotMeet: something chosen is not open any more, or together they do not come to the line.
    """
    line = meeting.open_line(session, line_id, actor=actor, now=now)
    if not keys:
        raise InvalidInput("Choose what the line is the sum of.", field="chosen")
    if not note.strip():
        raise InvalidInput(
            "Say what shows that it is just these, such as the number of the invoice or of the batch.", field="note"
        )
    fee_of(line, chosen(session, line, keys))
    why = "One person chose what this line is the sum of."
    return second_looks.propose(session, line, Deed.SEVERAL, note=note, why=why, chosen=sorted(set(keys)), actor=actor, now=now)


def carry_out(session: Session, line: BankLine, keys: Collection[str], *, note: str, actor: Person, now: datetime) -> None:
    """Let the line meet them, and book what is only expected and the fee.

    Raises:
        DoesNotMeet: something chosen is not open any more, or together they do not come to the line.
        InClosedMonth: an entry and the line are of closed months.
        DomainError: a domain's own rule about what it expects.
    """
    fee = fee_of(line, chosen(session, line, keys))
    parts = {UUID(key.removeprefix(f"{ENTRY}:")): False for key in keys if key.startswith(f"{ENTRY}:")}
    for entry_id in parts:
        meeting.require_not_closed_with(session, line, entry_id)
    expected = {each.key: each for each in queries.expected(session)}
    for key in keys:
        if key in expected:
            parts[_found(session, line, expected[key], actor=actor, now=now)] = True
    if fee:
        parts[_fee(session, line, fee, now=now)] = True
    _require_sum(session, line, parts)
    session.add_all(
        BankLinePart(line_id=line.id, entry_id=entry_id, currency=line.currency, posted=posted)
        for entry_id, posted in parts.items()
    )
    line.match, line.matched_by_id, line.matched_at, line.note = Match.SEVERAL, actor.id, now, note
    session.flush()
    audit.record(session, "bank_line.several", line, actor=actor, at=now, reason=note, parts=len(parts), fee=str(fee))


def take_back(session: Session, line: BankLine) -> None:
    """Take the line's parts off it, if nothing was posted with it.

    Raises:
        LineTaken: something was.
        InClosedMonth: a month was closed with it.
    """
    if any(each.posted for each in line.parts):
        raise meeting.LineTaken("Something was posted with this line, and stays with it. Correct it with entries of today.")
    for each in line.parts:
        meeting.require_not_closed_with(session, line, each.entry_id)
    line.match = line.matched_by_id = line.matched_at = line.note = None
    session.flush()  # while it is met, the database keeps the parts
    session.execute(delete(BankLinePart).where(BankLinePart.line_id == line.id))
    session.expire(line, ["parts"])


def chosen(session: Session, line: BankLine, keys: Collection[str]) -> Sequence[Candidate]:
    """What was chosen, as it stands now.

    Raises:
        DoesNotMeet: something is not open any more.
    """
    known = {each.key: each for each in candidates(session, line)}
    gone = [key for key in keys if key not in known]
    if gone:
        raise DoesNotMeet(
            f"{len(gone)} of what was chosen met another line by now, or is not expected any more. Decline the booking if it "
            "waits, and choose again."
        )
    return [known[key] for key in sorted(set(keys))]


def fee_of(line: BankLine, parts: Sequence[Candidate]) -> Money:
    """What the bank or the provider took: on top of what left, out of what came.

    Raises:
        DoesNotMeet: they do not come to the line, or are a single one of its amount.
    """
    total = sum((each.money for each in parts), Money(0, line.currency))
    fee = line.money - total if line.direction is Direction.OUT else total - line.money
    if fee.amount_minor < 0:
        more = "more" if line.direction is Direction.OUT else "less"
        raise DoesNotMeet(f"They come to {total}, {more} than the {line.money} of the line. Choose others.")
    if len(parts) == 1 and not fee:
        raise DoesNotMeet("It is a single one of just this amount: confirm it, or link it, on the line's page.")
    return fee


def _can_be_part(each: Expected, line: BankLine) -> bool:
    same = each.direction is line.direction and each.money.currency == line.currency
    return same and each.is_said and each.source != between.NAME


def _found(session: Session, line: BankLine, each: Expected, *, actor: Person, now: datetime) -> UUID:
    # The bank's reference is the batch's; what tells one payment of it is our own.
    found = Finding(f"{line.label}, {each.reference}", line.value_on or line.booked_on, each.money, None)
    entry = ledger.entry_by_key(session, sources.source(each.source).found(session, each.id, found, actor=actor, now=now))
    assert entry is not None, "the domain has just posted it"
    return entry.id


def _fee(session: Session, line: BankLine, fee: Money, *, now: datetime) -> UUID:
    code = f"expenses:fees:bank:{line.currency.lower()}"
    ledger.ensure_account(session, code, line.currency, normal=Side.DEBIT, name=f"Bank fees, {line.currency}")
    leg = Leg(debit=code, credit=line.account.ledger_code, amount=fee.amount_minor)
    meeting.post(session, line, leg, "books.bank_fee", now=now)
    entry = ledger.entry_by_key(session, meeting.key(line))
    assert entry is not None, "it has just been posted"
    return entry.id


def _require_sum(session: Session, line: BankLine, parts: Collection[UUID]) -> None:
    """The ledger has the last word: what the entries move on the account, all transfers together, is the line."""
    moved = {each.entry_id: each for each in queries.open_movements(session, line.account.ledger_code)}
    if not moved.keys() >= set(parts):
        raise DoesNotMeet("One of these met another line by now. Decline the booking, and choose again.")
    signed = [moved[each].money if moved[each].direction is line.direction else -moved[each].money for each in parts]
    total = sum(signed, Money(0, line.currency))
    if total != line.money:
        raise DoesNotMeet(f"In the ledger they move {total}, and the line is over {line.money}. Choose others.")
