"""The documents a grant waits for before its first payment."""

from datetime import datetime
from typing import IO
from uuid import UUID

from sqlalchemy.orm import Session

from core import audit, files
from core.errors import InvalidInput
from core.identity.models import Person
from grants import queries
from grants.models import GrantStatus, PaperworkItem, PaperworkStatus
from grants.services.grants import activate_if_complete
from grants.services.instalments import GrantNotActive


def hand_in(session: Session, item_id: UUID, *, person: Person, stream: IO[bytes], name: str, now: datetime) -> PaperworkItem:
    """The recipient uploads a document.

    Raises:
        NotFound: no such item of a grant of this person.
        IllegalTransition: it was handed in or closed before.
        InvalidInput: the file isn't taken.
    """
    item = queries.locked_paperwork(session, item_id)
    queries.own_grant(session, item.grant_id, person, on=now.date())
    item.advance(PaperworkStatus.RECEIVED)
    item.file = files.store(session, stream, name=name, uploaded_by_id=person.id, now=now)
    item.note = ""
    audit.record(session, "paperwork.received", item, actor=person, at=now)
    session.flush()
    return item


def check(session: Session, item_id: UUID, *, officer: Person, now: datetime) -> PaperworkItem:
    """An officer has the document and it is in order. With the last one, payments begin.

    Raises:
        NotFound, NotAllowed: no such item, or not the programme's officer.
        IllegalTransition: closed before.
    """
    return _close(session, item_id, PaperworkStatus.DONE, officer, "", now)


def waive(session: Session, item_id: UUID, *, officer: Person, reason: str, now: datetime) -> PaperworkItem:
    """The document isn't needed after all.

    Raises:
        NotFound, NotAllowed: no such item, or not the programme's officer.
        InvalidInput: no reason.
        IllegalTransition: closed before.
    """
    if not reason.strip():
        raise InvalidInput("Say why this document isn't needed.", field="reason")
    return _close(session, item_id, PaperworkStatus.WAIVED, officer, reason.strip(), now)


def ask_again(session: Session, item_id: UUID, *, officer: Person, reason: str, now: datetime) -> PaperworkItem:
    """The document handed in is not the right one.

    Raises:
        NotFound, NotAllowed: no such item, or not the programme's officer.
        InvalidInput: no reason.
        IllegalTransition: nothing was handed in.
    """
    item = _for_officer(session, item_id, officer, now)
    if not reason.strip():
        raise InvalidInput("Say what is wrong with it; the recipient reads it.", field="reason")
    item.advance(PaperworkStatus.OPEN)
    item.note = reason.strip()
    audit.record(session, "paperwork.asked_again", item, actor=officer, at=now, reason=reason.strip())
    session.flush()
    return item


def add(
    session: Session, grant_id: UUID, *, name: str, guidance: str, days_expected: int, officer: Person, now: datetime
) -> PaperworkItem:
    """Ask one recipient for one more document, such as a tax-residency certificate of its country.

    Raises:
        NotFound, NotAllowed: no such grant, or not the programme's officer.
        GrantNotActive: the grant isn't collecting paperwork.
        InvalidInput: no name.
    """
    grant = queries.locked_grant(session, grant_id)
    queries.require_officer(session, grant.programme, officer, on=now.date())
    if grant.status is not GrantStatus.PAPERWORK:
        raise GrantNotActive(f"The grant is {grant.status.replace('_', ' ')}; documents are collected before the first payment.")
    if not name.strip() or days_expected < 1:
        raise InvalidInput("Name the document, and the days it may take.", field="name")
    item = PaperworkItem(
        position=len(grant.paperwork) + 1,
        name=name.strip(),
        guidance=guidance.strip(),
        days_expected=days_expected,
        status=PaperworkStatus.OPEN,
        opened_at=now,
    )
    grant.paperwork.append(item)
    session.flush()
    audit.record(session, "paperwork.added", item, actor=officer, at=now)
    return item


def _close(session: Session, item_id: UUID, to: PaperworkStatus, officer: Person, note: str, now: datetime) -> PaperworkItem:
    item = _for_officer(session, item_id, officer, now)
    item.advance(to)
    item.closed_at, item.note = now, note
    audit.record(session, f"paperwork.{to.value}", item, actor=officer, at=now, reason=note or None)
    activate_if_complete(session, item.grant, actor=officer, now=now)
    session.flush()
    return item


def _for_officer(session: Session, item_id: UUID, officer: Person, now: datetime) -> PaperworkItem:
    item = queries.locked_paperwork(session, item_id)
    queries.require_other_side(session, item.grant, officer, on=now.date())
    return item
