"""Why a difference stands: one person says it, another confirms. Nothing is posted by it."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit
from core.books import reconciliation
from core.books.models import Explanation, Side, Subject
from core.books.reconciliation import Item
from core.db import new_id
from core.errors import DomainError, InvalidInput, NotFound
from core.identity import access
from core.identity.models import Person, Role
from core.money import Money

SECOND_PEOPLE = (Role.FINANCE, Role.PAYOUT_APPROVER)
"""Who may be the second pair of eyes."""


class AlreadyExplained(DomainError):
    """An explanation stands or waits for its second person."""

    code = "already_explained"


class SamePerson(DomainError):
    """Whoever proposed it can't be the second person."""

    code = "same_person"


class Changed(DomainError):
    """What is to be explained, or was, is not the difference that stands now."""

    code = "difference_changed"


def explain(
    session: Session,
    subject: Subject,
    subject_id: UUID,
    *,
    text: str,
    side: Side | None = None,
    money: Money | None = None,
    actor: Person,
    now: datetime,
) -> Explanation:
    """Say why something is on one side only, or of another amount. It counts when another person has confirmed it.

    Side and amount are what the person saw; without them it is about the one difference there is.

    Raises:
        NotAllowed: the actor is not in finance.
        InvalidInput: nothing is said.
        NotFound: nothing differs there.
        Changed: the difference is another one by now, or there are two and nobody said which.
        AlreadyExplained: one stands or waits.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    if not text.strip():
        raise InvalidInput("Say why it is so, and what will become of it.", field="text")
    item = _difference(session, subject, subject_id, side, money)
    if item.explanation is not None:
        raise AlreadyExplained(
            "It is explained, or an explanation waits for its second person. If that one is wrong, have it turned down first."
        )
    made = Explanation(
        id=new_id(),
        subject=subject,
        subject_id=subject_id,
        side=item.side,
        amount_minor=item.money.amount_minor,
        currency=item.money.currency,
        text=text.strip(),
        proposed_by_id=actor.id,
        proposed_at=now,
    )
    session.add(made)
    session.flush()
    audit.record(
        session, "books.explained", made, actor=actor, at=now, reason=made.text, subject=str(subject_id), side=item.side.value,
        amount=str(item.money),
    )  # fmt: skip
    return made


def decide(session: Session, explanation_id: UUID, *, confirm: bool, actor: Person, now: datetime) -> Explanation:
    """Confirm an explanation as a second person, or turn it down, which also who proposed it may.

    Raises:
        NotAllowed: the actor is neither in finance nor approves payouts.
        NotFound: there is no open explanation of this id.
        SamePerson: the same person proposed it.
        Changed: the difference is gone, or another one by now; it can only be turned down.
    """
    if not any(access.has_role(session, actor, role, on=now.date()) for role in SECOND_PEOPLE):
        access.refuse(SECOND_PEOPLE)
    found = session.get(Explanation, explanation_id, with_for_update={"of": Explanation}, populate_existing=True)
    if found is None or found.decided_at is not None:
        raise NotFound("There is no such explanation, or somebody decided about it. Open Reconciliation again.")
    if confirm:
        if found.proposed_by_id == actor.id:
            raise SamePerson("You gave this explanation; another person confirms it.")
        _require_current(session, found)
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


def overtaken(session: Session, items: Sequence[Item]) -> Sequence[Explanation]:
    """Those that wait for a second person though the difference they are of is gone; somebody turns them down."""
    current = {each.explanation.id for each in items if each.explanation is not None}
    waiting = session.scalars(
        select(Explanation).where(Explanation.decided_at.is_(None)).order_by(Explanation.proposed_at, Explanation.id)
    )
    return [each for each in waiting if each.id not in current]


def _difference(session: Session, subject: Subject, subject_id: UUID, side: Side | None, money: Money | None) -> Item:
    standing = _standing(session, subject, subject_id)
    if not standing:
        raise NotFound("Nothing differs there, or not any more. Open Reconciliation again: it lists what does.")
    found = [each for each in standing if side in {None, each.side} and money in {None, each.money}]
    if len(found) != 1:
        raise Changed(f"Say which difference it is about: {_in_words(standing)}.")
    return found[0]


def _require_current(session: Session, found: Explanation) -> None:
    standing = _standing(session, found.subject, found.subject_id)
    if not any((each.side, each.money) == (found.side, found.money) for each in standing):
        now = f"it is {_in_words(standing)}" if standing else "outside and ledger agree about it"
        raise Changed(f"What this explains has changed: {now} by now. Turn it down, and explain what is left.")


def _standing(session: Session, subject: Subject, subject_id: UUID) -> Sequence[Item]:
    return [each for each in reconciliation.differences(session) if (each.subject, each.subject_id) == (subject, subject_id)]


def _in_words(items: Sequence[Item]) -> str:
    return "; ".join(f"{each.side.replace('_', ' ')}, {each.money} ({each.where})" for each in items)
