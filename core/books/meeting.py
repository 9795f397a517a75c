"""How a line gets its entry of the ledger: one person at a time, and an entry that moves just its amount at the bank."""

from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit, ledger
from core.books import between, months, queries
from core.books.models import BankLine, Match
from core.books.sources import Finding
from core.errors import DomainError, NotFound
from core.identity import access
from core.identity.models import Person, Role
from core.ledger import Guard, Leg, Side, closing
from core.ledger.models import EntryRow
from core.money import Money

MATCHING = 0x626F6F6B73
"""The advisory lock of whoever gives a line its entry."""


class LineTaken(DomainError):
    """Somebody dealt with this line already, or a booking of it waits for its second person."""

    code = "line_taken"


class DoesNotMeet(DomainError):
    """Line and expectation, or line and entry, are not over the same."""

    code = "does_not_meet"


class InClosedMonth(DomainError):
    """What a month was closed with stays as it is until two people open it."""

    code = "line_in_closed_month"


class FromOurBalance(DomainError):
    """A provider lists a movement between our balance there and the bank that this line may be."""

    code = "from_our_balance"


class NotSetAside(DomainError):
    """There is not so much money on that account."""

    code = "not_set_aside"


def lock(session: Session) -> None:
    """One person at a time: two lines that both fit one entry are mostly of one statement, and looked at side by side."""
    session.execute(select(func.pg_advisory_xact_lock(MATCHING)))


def locked(session: Session, line_id: UUID, *, actor: Person, now: datetime) -> BankLine:
    """The line, for whoever of finance changes something about it.

    Raises:
        NotAllowed: the actor is not in finance.
        NotFound: there is no such line.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    lock(session)
    line = session.scalars(
        select(BankLine).where(BankLine.id == line_id).with_for_update(of=BankLine).execution_options(populate_existing=True)
    ).one_or_none()
    if line is None:
        raise NotFound("There is no such line of a bank statement. Open the list of lines again.")
    return line


def open_line(session: Session, line_id: UUID, *, actor: Person, now: datetime) -> BankLine:
    """The same, if nobody has dealt with it.

    Raises:
        LineTaken: somebody has, or a booking waits for its second person.
    """
    line = locked(session, line_id, actor=actor, now=now)
    if line.match is not None:
        raise LineTaken("This line is dealt with: somebody was faster. Its page says how.")
    waiting = queries.waiting_proposal(session, line.id)
    if waiting is not None:
        raise LineTaken(
            f"{waiting.proposed_by.name} proposed a booking of this line, which waits for a second person. "
            "Confirm or decline that first."
        )
    return line


def finding(line: BankLine) -> Finding:
    """The line as a domain is told of it."""
    return Finding(line.label, line.value_on or line.booked_on, line.money, line.bank_reference)


def post(session: Session, line: BankLine, leg: Leg, kind: str, *, now: datetime) -> None:
    """Post what a line moved, for want of a domain that does."""
    code = line.account.ledger_code
    ledger.ensure_account(session, code, line.currency, normal=Side.DEBIT, guard=Guard.DEBIT, name=f"Bank, {line.currency}")
    # The ledger is public: the statement's own name may hold an account number.
    memo = f"Bank statement line of {line.booked_on:%-d %b %Y}"
    ledger.post(session, key=key(line), kind=kind, legs=[leg], at=now, memo=memo, refs={"bank_line": str(line.id)})


def key(line: BankLine) -> str:
    """The ledger's key of what is posted for a line here."""
    return f"bank-line:{line.id}"


def meet(session: Session, line: BankLine, key: str, how: Match, *, actor: Person, now: datetime, note: str | None) -> None:
    """Give the line the entry of this key, which has just been posted."""
    entry = ledger.entry_by_key(session, key)
    assert entry is not None, "it has just been posted"
    meet_entry(session, line, entry.id, how, actor=actor, now=now, note=note)


def meet_entry(
    session: Session, line: BankLine, entry_id: UUID, how: Match, *, actor: Person, now: datetime, note: str | None
) -> None:
    """Give the line this entry.

    Raises:
        DoesNotMeet: it moves another amount on the bank's account, or met another line.
    """
    code = line.account.ledger_code
    alike = queries.open_movements(session, code, only=line.money, direction=line.direction)
    if entry_id not in {movement.entry_id for movement in alike}:
        raise DoesNotMeet(
            f"That entry does not move {line.money} {line.direction} on {code}, or it met another line. Open the line again: it "
            "lists the entries that fit."
        )
    line.entry_id, line.match, line.matched_by_id, line.matched_at, line.note = entry_id, how, actor.id, now, note
    session.flush()
    audit.record(session, f"bank_line.{how.value}", line, actor=actor, at=now, reason=note, entry=str(entry_id))


def require_not_ours(session: Session, line: BankLine) -> None:
    """What moved between two places of ours is in the ledger already; as anything else it would be there twice.

    Raises:
        FromOurBalance: a provider lists a movement of just this amount.
    """
    ours = next((each for each in queries.alike(session, line) if each.source == between.NAME), None)
    if ours is not None:
        raise FromOurBalance(
            f"{ours.who} lists {ours.reference} over just {line.money}, which the ledger has already. Confirm that this line is "
            f"it. If it is something else, deal with the line of {ours.reference} first."
        )
    booked = between.waits_for_line(session, line)
    if booked is not None:
        raise FromOurBalance(
            f"{booked.about or booked.remote_id} over just {line.money} was booked between our balance at a provider and the "
            "bank, and waits for its line. Link this line to it."
        )


def require_set_aside(session: Session, code: str, wanted: Money) -> None:
    """Is there so much to be taken?

    Raises:
        NotSetAside: less is set aside there.
    """
    known = {each.code: each.money for each in queries.set_aside(session, wanted.currency)}
    if code not in known or known[code] < wanted:
        raise NotSetAside(
            f"{known.get(code, Money(0, wanted.currency))} are set aside there, less than {wanted}. Choose where enough lies; "
            "“Set aside” lists it."
        )


def require_not_closed_with(session: Session, line: BankLine, entry_id: UUID) -> None:
    """What a month was closed with stays: a link posts nothing, so the ledger's own door to the past does not see it change.

    A line of a closed month may still meet an entry of an open one: its explanation said that it was to come. Two that both lie
    behind the door were explained each for itself, and a link that was there at closing is why nobody had to explain anything.

    Raises:
        InClosedMonth: it would change what a month was closed with.
    """
    closing.lock(session)  # whoever closes a month just now is done first
    last = months.last_closed(session)
    posted_at = session.scalar(select(EntryRow.at).where(EntryRow.id == entry_id))
    if last is None or posted_at is None:
        return
    is_closed = [day <= months.last_day(last.month) for day in (line.booked_on, posted_at.astimezone(UTC).date())]
    if all(is_closed) if line.matched_at is None else any(is_closed) and line.matched_at <= last.closed_at:
        raise InClosedMonth(f"{last.month:%B %Y} was closed with this as it is. Two people open it first, under Months.")
