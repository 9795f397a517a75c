"""What recipients are told about their payment details, and what they answer. The platform itself sends no mail."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit
from core.db import new_id
from core.errors import NotFound
from core.identity.models import Person
from payouts.models import Destination, Notice, Recipient
from payouts.services import holds


def write(session: Session, recipient: Recipient, about: Destination | None, message: str, *, now: datetime) -> None:
    """For the address known now. Without an address there is still whoever signs in for the recipient."""
    signs_in = recipient.person_id is not None or recipient.organisation_id is not None
    if recipient.email or signs_in:
        session.add(
            Notice(
                id=new_id(), recipient=recipient, address=recipient.email or "", message=message, destination=about,
                created_at=now, denied=False,
            )
        )  # fmt: skip


def told(session: Session, notice_id: UUID, *, actor: Person, now: datetime) -> Notice:
    """A person has told the recipient.

    Raises:
        NotFound: there is no such notice, or somebody told them already.
    """
    notice = session.scalars(
        select(Notice).where(Notice.id == notice_id, Notice.told_at.is_(None)).with_for_update()
    ).one_or_none()
    if notice is None:
        raise NotFound("There is no such open notice.")
    notice.told_by_id, notice.told_at = actor.id, now
    audit.record(session, "recipient.told", notice.recipient, actor=actor, at=now, notice=str(notice.id))
    return notice


def answer(session: Session, notice_id: UUID, *, denied: bool, payee: Person, now: datetime) -> Notice:
    """The payee says that it knows of a change, or that it was somebody else.

    A denied change takes effect at once: the destination is taken out of use, and nothing is paid to this recipient until an
    approver has found out what happened. It can be denied after it was confirmed, too: whoever made the change may have been the
    one who confirmed it.

    Raises:
        NotFound: there is no such notice, or it was denied already, or confirmed and is confirmed again.
    """
    notice = session.get(Notice, notice_id, with_for_update=True)
    if notice is None or notice.denied or (notice.answered_at is not None and not denied):
        raise NotFound("There is no such notice that waits for an answer.")
    notice.answered_by_id, notice.answered_at, notice.denied = payee.id, now, denied
    recipient, place = notice.recipient, notice.destination
    if denied:
        if place is not None and place.retired_at is None:
            place.retired_at = now
        holds.hold(session, recipient, reason="The payee says that it did not change its payment details.", actor=payee, now=now)
    session.flush()
    audit.record(
        session, "recipient.change_denied" if denied else "recipient.change_confirmed", recipient, actor=payee, at=now,
        reason=notice.message,
    )  # fmt: skip
    return notice


def export(session: Session, *, take: bool, now: datetime) -> Sequence[Notice]:
    """Notices that no mailer took yet, the oldest first; with `take` they count as taken from now on."""
    found = session.scalars(
        select(Notice)
        .where(Notice.exported_at.is_(None), Notice.address != "")
        .order_by(Notice.created_at, Notice.id)
        .with_for_update(skip_locked=True)
    ).all()
    if take:
        for notice in found:
            notice.exported_at = now
            audit.record(session, "recipient.notice_exported", notice.recipient, actor=None, at=now, notice=str(notice.id))
    return found
