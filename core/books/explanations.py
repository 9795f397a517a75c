"""Why a difference stands: one person says it, another confirms. Nothing is posted by it."""

from collections.abc import Mapping
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from core import audit
from core.books.models import BankLine, Explanation, OutsideMovement, Subject
from core.db import new_id
from core.errors import DomainError, InvalidInput, NotFound
from core.identity import access
from core.identity.models import Person, Role
from core.ledger.models import EntryRow

IDS: Mapping[Subject, InstrumentedAttribute[UUID]] = {
    Subject.BANK_LINE: BankLine.id,
    Subject.OUTSIDE_MOVEMENT: OutsideMovement.id,
    Subject.ENTRY: EntryRow.id,
}
assert IDS.keys() == set(Subject)
SECOND_PEOPLE = (Role.FINANCE, Role.PAYOUT_APPROVER)
"""Who may be the second pair of eyes."""


class AlreadyExplained(DomainError):
    """An explanation stands or waits for its second person."""

    code = "already_explained"


class SamePerson(DomainError):
    """Whoever proposed it can't be the second person."""

    code = "same_person"


def explain(session: Session, subject: Subject, subject_id: UUID, *, text: str, actor: Person, now: datetime) -> Explanation:
    """Say why something is on one side only. It counts when another person has confirmed it.

    Raises:
        NotAllowed: the actor is not in finance.
        InvalidInput: nothing is said.
        NotFound: there is no such thing.
        AlreadyExplained: one stands or waits.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    if not text.strip():
        raise InvalidInput("Say why it is so, and what will become of it.", field="text")
    if session.scalar(select(IDS[subject]).where(IDS[subject] == subject_id)) is None:
        raise NotFound("There is no such line, movement or entry.")
    known = session.scalar(
        select(Explanation.id).where(
            Explanation.subject == subject, Explanation.subject_id == subject_id, Explanation.confirmed.is_not(False)
        )
    )
    if known is not None:
        raise AlreadyExplained("It is explained, or an explanation waits for its second person.")
    made = Explanation(
        id=new_id(), subject=subject, subject_id=subject_id, text=text.strip(), proposed_by_id=actor.id, proposed_at=now
    )
    session.add(made)
    session.flush()
    audit.record(session, "books.explained", made, actor=actor, at=now, reason=made.text, subject=str(subject_id))
    return made


def decide(session: Session, explanation_id: UUID, *, confirm: bool, actor: Person, now: datetime) -> Explanation:
    """Confirm an explanation as a second person, or turn it down, which also who proposed it may.

    Raises:
        NotAllowed: the actor is neither in finance nor approves payouts.
        NotFound: there is no open explanation of this id.
        SamePerson: the same person proposed it.
    """
    if not any(access.has_role(session, actor, role, on=now.date()) for role in SECOND_PEOPLE):
        access.refuse(SECOND_PEOPLE)
    found = session.get(Explanation, explanation_id, with_for_update={"of": Explanation}, populate_existing=True)
    if found is None or found.decided_at is not None:
        raise NotFound("There is no such explanation, or somebody decided about it.")
    if confirm and found.proposed_by_id == actor.id:
        raise SamePerson("You gave this explanation; another person confirms it.")
    found.decided_by_id, found.decided_at, found.confirmed = actor.id, now, confirm
    verb = "books.explanation_confirmed" if confirm else "books.explanation_turned_down"
    audit.record(session, verb, found, actor=actor, at=now, reason=found.text, subject=str(found.subject_id))
    return found


def waiting_for(session: Session, person: Person, *, on: date) -> int:
    """How many explanations of others this person could confirm."""
    if not any(access.has_role(session, person, role, on=on) for role in SECOND_PEOPLE):
        return 0
    others = (Explanation.decided_at.is_(None), Explanation.proposed_by_id != person.id)
    return session.scalar(select(func.count()).select_from(Explanation).where(*others)) or 0
