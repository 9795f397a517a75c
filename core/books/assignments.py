"""Set-aside money that one person says is for something and another confirms, where neither may assign it alone.

Two people who each set a part of one payment aside could else only wait for a third one, whom a small organisation does not have.
Together they are two pairs of eyes on every part: each looks at what the other set aside, or brought in a CSV file.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit
from core.books import bookings, meeting, second_looks
from core.books.models import Assignment
from core.books.proposals import OwnProposal
from core.db import new_id
from core.errors import DomainError, InvalidInput, NotFound
from core.identity import access
from core.identity.models import Person, Role

WAITS = Assignment.decided_at.is_(None)


class ProposedAlready(DomainError):
    """Somebody proposed money for this, and it waits for a second person."""

    code = "assignment_proposed_already"


def propose(session: Session, code: str, expected_key: str, *, actor: Person, now: datetime) -> Assignment:
    """Say what set-aside money is for; nothing is posted before another person of finance confirms it.

    Raises:
        NotAllowed, NotFound, DoesNotMeet, NotSetAside, NotSaidYet: as for assigning it.
        ProposedAlready: that waits already.
    """
    each = bookings.assignable(session, code, expected_key, actor=actor, now=now)
    before = session.scalars(select(Assignment).where(WAITS, Assignment.expected_key == expected_key)).one_or_none()
    if before is not None:
        raise ProposedAlready(
            f"{before.proposed_by.name} proposed money for {before.reference} already. Confirm or decline that first."
        )
    made = Assignment(
        id=new_id(),
        set_aside_on=code,
        expected_key=expected_key,
        reference=each.reference,
        amount_minor=each.money.amount_minor,
        currency=each.money.currency,
        proposed_by_id=actor.id,
        proposed_at=now,
    )
    session.add(made)
    session.flush()
    amount = str(each.money)
    audit.record(session, "books.assignment_proposed", made, actor=actor, at=now, reference=each.reference, amount=amount)
    return made


def confirm(session: Session, assignment_id: UUID, *, actor: Person, now: datetime) -> Assignment:
    """Confirm it as the second person; it is posted now.

    Raises:
        NotFound: no such assignment waits, or what it is for was dealt with meanwhile.
        OwnProposal: the actor proposed it.
        SecondPersonNeeded: it would take money that only the actor has seen, since it came after the proposal.
        DomainError: as for assigning it, as things are now.
    """
    found = _waiting(session, assignment_id, actor=actor, now=now)
    if found.proposed_by_id == actor.id:
        raise OwnProposal("You proposed this; another person of finance confirms it.")
    each = bookings.assignable(session, found.set_aside_on, found.expected_key, actor=actor, now=now)
    if each.money != found.money:
        raise meeting.DoesNotMeet(
            f"{found.reference} is over {each.money} by now, not {found.money}. Decline this; propose it anew."
        )
    second_looks.require_seen_by_other(session, found, actor=actor)
    _decide(session, found, confirmed=True, actor=actor, now=now)
    bookings.give(session, found.set_aside_on, each, actor=actor, now=now)
    return found


def decline(session: Session, assignment_id: UUID, *, reason: str, actor: Person, now: datetime) -> Assignment:
    """Turn it down, or take one's own back; the money stays set aside.

    Raises:
        NotFound: no such assignment waits.
        InvalidInput: another one's is declined without a reason.
    """
    found = _waiting(session, assignment_id, actor=actor, now=now)
    if found.proposed_by_id != actor.id and not reason.strip():
        raise InvalidInput(f"Say why, so that {found.proposed_by.name} knows what to do with the money.", field="reason")
    _decide(session, found, confirmed=False, actor=actor, now=now, reason=reason.strip() or None)
    return found


def waiting(session: Session) -> Sequence[Assignment]:
    """What waits for a second person, the longest waiting first."""
    return session.scalars(select(Assignment).where(WAITS).order_by(Assignment.proposed_at, Assignment.id).limit(200)).all()


def count_for(session: Session, person: Person) -> int:
    """How many proposals of others wait for this person of finance."""
    others = (WAITS, Assignment.proposed_by_id != person.id)
    return session.scalar(select(func.count()).select_from(Assignment).where(*others)) or 0


def _waiting(session: Session, assignment_id: UUID, *, actor: Person, now: datetime) -> Assignment:
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    meeting.lock(session)
    found = session.get(Assignment, assignment_id, with_for_update={"of": Assignment}, populate_existing=True)
    if found is None or found.decided_at is not None:
        raise NotFound("There is no such proposal, or somebody decided about it. Set aside lists what waits.")
    return found


def _decide(
    session: Session, found: Assignment, *, confirmed: bool, actor: Person, now: datetime, reason: str | None = None
) -> None:
    found.decided_by_id, found.decided_at, found.confirmed = actor.id, now, confirmed
    session.flush()
    verb = "books.assignment_confirmed" if confirmed else "books.assignment_declined"
    audit.record(session, verb, found, actor=actor, at=now, reason=reason, reference=found.reference, amount=str(found.money))
