"""What recipients are told about their payment details, and what they answer.

A notice goes to the address known before the change: by mail where the installation has a mail server, else by people.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from core import audit, mail, tasks
from core.config import settings
from core.db import new_id
from core.errors import NotFound
from core.identity.models import Person
from payouts.models import Destination, Notice, Recipient
from payouts.services import holds


@dataclass(frozen=True)
class MailNotice(tasks.Task):
    """Mail a notice to the address it was written for."""

    kind: ClassVar[str] = "payouts.mail_notice"
    notice_id: UUID


def write(session: Session, recipient: Recipient, about: Destination | None, message: str, *, now: datetime) -> None:
    """For the address known now. Without an address there is still whoever signs in for the recipient."""
    signs_in = recipient.person_id is not None or recipient.organisation_id is not None
    if not recipient.email and not signs_in:
        return
    notice = Notice(
        id=new_id(), recipient=recipient, address=recipient.email or "", message=message, destination=about,
        created_at=now, denied=False,
    )  # fmt: skip
    session.add(notice)
    if notice.address and mail.is_configured():
        tasks.enqueue(session, MailNotice(notice.id), now=now)


def letter(session: Session, notice_id: UUID) -> mail.Letter | None:
    """What the mail about a notice says; None once it was taken. An answer does not stop it: it may be the thief's."""
    notice = session.get_one(Notice, notice_id)
    if notice.exported_at is not None:
        return None
    page = f"{settings().base_url}/payouts/mine"
    asked = (
        f"Was it you? If not, sign in at {page} and press “No, stop payments”, or tell those who pay you."
        if notice.recipient.person_id or notice.recipient.organisation_id
        else "If it was not you, tell those who pay you, by a way you used before and not by an address in this mail."
    )
    return mail.Letter(
        key=f"notice-{notice.id}",
        to=notice.address,
        subject="Your payment details were changed",
        text=f"{notice.message}\n\n{asked}\n\nNobody will ask you for a password or for bank details by mail.\n",
        written_at=notice.created_at,
    )


def mailed(session: Session, notice_id: UUID, *, now: datetime) -> None:
    """The mail server has it."""
    notice = session.get_one(Notice, notice_id, with_for_update=True)
    if notice.exported_at is None:
        notice.exported_at = now
        audit.record(session, "recipient.notice_mailed", notice.recipient, actor=None, at=now, notice=str(notice.id))


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
