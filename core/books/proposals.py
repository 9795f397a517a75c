"""What becomes of bookings that wait for a second person: confirmed, and then posted, or declined."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit
from core.books import meeting, outgoing, several
from core.books.meeting import LineTaken
from core.books.models import BankLine, Proposal
from core.errors import DomainError, InvalidInput, NotFound
from core.identity.models import Person


class OwnProposal(DomainError):
    """Whoever proposed a booking can't confirm it."""

    code = "own_proposal"


def confirm(session: Session, proposal_id: UUID, *, actor: Person, now: datetime) -> BankLine:
    """Confirm a booking as the second person; it is posted now.

    Raises:
        NotFound: no such booking waits.
        OwnProposal: the actor proposed it.
        DomainError: as for the booking itself, as things are now.
    """
    proposal, line = _waiting(session, proposal_id, actor=actor, now=now)
    if proposal.proposed_by_id == actor.id:
        raise OwnProposal("You proposed this booking; another person of finance confirms it.")
    _decide(session, proposal, True, actor=actor, now=now)
    if proposal.chosen is not None:
        several.carry_out(session, line, proposal.chosen, note=proposal.note, actor=actor, now=now)
    else:
        outgoing.carry_out(session, line, proposal.deed, proposal.set_aside_on, note=proposal.note, actor=actor, now=now)
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
