"""Money that went out and that nobody had asked for: a fee of the bank, or what had been set aside and went back.

Up to a limit one person books it; else it waits as a proposal, and nothing is posted before a second person confirms it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit, ledger
from core.books import meeting, second_looks
from core.books.meeting import DoesNotMeet, LineTaken
from core.books.models import BankLine, Deed, Direction, Match, Proposal
from core.db import new_id
from core.errors import DomainError, InvalidInput, NotFound
from core.identity.models import Person
from core.ledger import Leg, Side

MATCHES: Mapping[Deed, Match] = {Deed.FEE: Match.FEE, Deed.SENT_BACK: Match.SENT_BACK}
assert MATCHES.keys() == set(Deed)


class OwnProposal(DomainError):
    """Whoever proposed a booking can't confirm it."""

    code = "own_proposal"


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


def confirm(session: Session, proposal_id: UUID, *, actor: Person, now: datetime) -> BankLine:
    """Confirm a booking as the second person; it is posted now.

    Raises:
        NotFound: no such booking waits.
        OwnProposal: the actor proposed it.
        NotSetAside, FromOurBalance, InsufficientFunds: as for the booking itself, as things are now.
    """
    proposal, line = _waiting(session, proposal_id, actor=actor, now=now)
    if proposal.proposed_by_id == actor.id:
        raise OwnProposal("You proposed this booking; another person of finance confirms it.")
    _decide(session, proposal, True, actor=actor, now=now)
    _carry_out(session, line, proposal.deed, proposal.set_aside_on, note=proposal.note, actor=actor, now=now)
    audit.record(
        session, "bank_line.booking_confirmed", line, actor=actor, at=now, proposal=str(proposal.id),
        proposed_by=proposal.proposed_by.name,
    )  # fmt: skip
    return line


def decline(session: Session, proposal_id: UUID, *, reason: str, actor: Person, now: datetime) -> BankLine:
    """Turn a booking down, or take one's own back; the line waits again.

    Raises:
        NotFound: no such booking waits.
        InvalidInput: another one's is declined without a reason.
    """
    proposal, line = _waiting(session, proposal_id, actor=actor, now=now)
    if proposal.proposed_by_id != actor.id and not reason.strip():
        raise InvalidInput(f"Say why, so that {proposal.proposed_by.name} knows what to do with the line.", field="reason")
    _decide(session, proposal, False, actor=actor, now=now)
    audit.record(
        session, "bank_line.booking_declined", line, actor=actor, at=now, reason=reason.strip() or None, proposal=str(proposal.id)
    )
    return line


def waiting(session: Session) -> Sequence[Proposal]:
    """The bookings that wait for a second person, the longest waiting first."""
    return session.scalars(
        select(Proposal).where(Proposal.decided_at.is_(None)).order_by(Proposal.proposed_at, Proposal.id).limit(200)
    ).all()


def count_for(session: Session, person: Person) -> int:
    """How many bookings of others wait for this person of finance."""
    others = (Proposal.decided_at.is_(None), Proposal.proposed_by_id != person.id)
    return session.scalar(select(func.count()).select_from(Proposal).where(*others)) or 0


def _book(
    session: Session, line_id: UUID, deed: Deed, code: str | None, *, note: str, actor: Person, now: datetime
) -> Proposal | None:
    line = meeting.open_line(session, line_id, actor=actor, now=now)
    _require_possible(session, line, deed, code)
    if not note.strip():
        raise InvalidInput("Say what it was for.", field="note")
    why = second_looks.why_two(session, line, actor=actor, now=now)
    if why is None:
        _carry_out(session, line, deed, code, note=note.strip(), actor=actor, now=now)
        return None
    made = Proposal(
        id=new_id(), line=line, deed=deed, set_aside_on=code, note=note.strip(), why_two=why, proposed_by_id=actor.id,
        proposed_at=now,
    )  # fmt: skip
    session.add(made)
    session.flush()
    audit.record(session, "bank_line.booking_proposed", line, actor=actor, at=now, reason=made.note, deed=deed.value)
    return made


def _require_possible(session: Session, line: BankLine, deed: Deed, code: str | None) -> None:
    if line.direction is not Direction.OUT:
        raise DoesNotMeet("This is for money that went out. Money that came in is confirmed, linked or set aside.")
    meeting.require_not_ours(session, line)
    if deed is Deed.SENT_BACK:
        assert code is not None, "a constraint of the table says so too"
        meeting.require_set_aside(session, code, line.money)


def _carry_out(
    session: Session, line: BankLine, deed: Deed, code: str | None, *, note: str, actor: Person, now: datetime
) -> None:
    _require_possible(session, line, deed, code)
    if code is None:
        code = f"expenses:fees:bank:{line.currency.lower()}"
        ledger.ensure_account(session, code, line.currency, normal=Side.DEBIT, name=f"Bank fees, {line.currency}")
    leg = Leg(debit=code, credit=line.account.ledger_code, amount=line.amount_minor)
    meeting.post(session, line, leg, "books.bank_fee" if deed is Deed.FEE else "books.sent_back", now=now)
    meeting.meet(session, line, meeting.key(line), MATCHES[deed], actor=actor, now=now, note=note)


def _waiting(session: Session, proposal_id: UUID, *, actor: Person, now: datetime) -> tuple[Proposal, BankLine]:
    """The proposal and its line, both locked, the line first as everywhere."""
    line_id = session.scalar(select(Proposal.line_id).where(Proposal.id == proposal_id))
    if line_id is None:
        raise NotFound("There is no such booking. Open Books again: it lists what waits.")
    line = meeting.locked(session, line_id, actor=actor, now=now)
    found = session.get(Proposal, proposal_id, with_for_update={"of": Proposal}, populate_existing=True)
    assert found is not None, "proposals are not deleted"
    if found.decided_at is not None:
        raise LineTaken("Somebody decided about this booking already. The line's page says how.")
    return found, line


def _decide(session: Session, proposal: Proposal, confirmed: bool, *, actor: Person, now: datetime) -> None:
    proposal.decided_by_id, proposal.decided_at, proposal.confirmed = actor.id, now, confirmed
    session.flush()  # the database looks for it when the line is booked
