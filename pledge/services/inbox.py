"""The provider's notices: taken in once, handled once. A notice says where to look; what is true is fetched.

Taking in is one row and one task in one transaction, so a notice that was answered with 200 is handled whatever dies.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.errors import NotFound
from core.tasks import Task, enqueue
from pledge import queries
from pledge.models import StripeEvent
from pledge.providers.base import Notice

OVERLAP = timedelta(hours=2)
"""How far the hourly list reaches back behind the newest notice: the provider delivers and lists out of order."""
LISTED_FOR = timedelta(days=29)
"""The provider lists events for 30 days."""

NOT_OURS = "nothing of ours"


@dataclass(frozen=True)
class HandleNotice(Task):
    """Look where a notice points."""

    kind: ClassVar[str] = "pledge.handle_stripe_event"
    event_id: str


def take_in(session: Session, notice: Notice, *, polled: bool, now: datetime) -> bool:
    """Keep a notice and see to it that it is handled. False: it is known already."""
    fresh = session.execute(
        insert(StripeEvent)
        .values(
            id=notice.id,
            type=notice.type,
            object_type=notice.object_type,
            object_id=notice.object_id,
            api_version=notice.api_version,
            created_at=notice.created_at,
            received_at=now,
            polled=polled,
        )
        .on_conflict_do_nothing()
        .returning(StripeEvent.id)
    ).scalar_one_or_none()
    if fresh is None:
        return False
    enqueue(session, HandleNotice(notice.id), now=now)
    return True


def waiting(session: Session, event_id: str) -> StripeEvent | None:
    """A notice that nobody has handled yet.

    Raises:
        NotFound: there is no such notice.
    """
    event = session.get(StripeEvent, event_id)
    if event is None:
        raise NotFound(f"No notice {event_id} came in.")
    return event if event.handled_at is None else None


def known_pay_in(session: Session, event: StripeEvent) -> UUID | None:
    """The pay-in that a notice is about, if its object is known here."""
    found = queries.pay_in_by_object(session, event.object_id)
    return found.id if found else None


def mark(session: Session, event_id: str, outcome: str, *, now: datetime) -> None:
    """Note what became of a notice, once: whoever comes second changes nothing."""
    event = session.get(StripeEvent, event_id, with_for_update=True, populate_existing=True)
    if event is not None and event.handled_at is None:
        event.handled_at, event.outcome = now, outcome


def list_since(session: Session, *, now: datetime) -> datetime:
    """From when on the provider is asked for notices that were not delivered."""
    newest = queries.latest_event_at(session)
    return max(newest - OVERLAP, now - LISTED_FOR) if newest else now - timedelta(days=1)
