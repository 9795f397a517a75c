"""Who did what to which thing, when and why: append-only, written in the transaction of the deed itself."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import Index, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from core.db import Base, Id, JsonObject, ShortText, Utc


class Audited(Protocol):
    """Anything with an id and a table can be the object of an event."""

    id: Any
    __tablename__: str


class Event(Base):
    """One deed. A trigger refuses UPDATE, DELETE and TRUNCATE."""

    __tablename__ = "event"
    __table_args__ = (
        Index("ix_event_object", "object_type", "object_id", "at"),
        Index("ix_event_at", "at"),
    )

    id: Mapped[Id]
    at: Mapped[Utc]
    verb: Mapped[ShortText]
    """`domain.happened`, such as `payout.approved`."""
    object_type: Mapped[ShortText]
    object_id: Mapped[UUID]
    actor_id: Mapped[UUID | None]
    """The person; none when the platform itself acted (the clock, a worker)."""
    actor_name: Mapped[ShortText]
    reason: Mapped[str | None]
    details: Mapped[JsonObject] = mapped_column(default=dict)


class Actor(Protocol):
    """Who acts: a person with a name."""

    @property
    def id(self) -> UUID: ...
    @property
    def name(self) -> str: ...


def record(
    session: Session,
    verb: str,
    obj: Audited,
    *,
    actor: Actor | None,
    at: datetime,
    reason: str | None = None,
    **details: Any,
) -> Event:
    """Write one event into the caller's transaction. `details` are JSON values without personal data."""
    event = Event(
        at=at,
        verb=verb,
        object_type=obj.__tablename__,
        object_id=obj.id,
        actor_id=actor.id if actor else None,
        actor_name=actor.name if actor else "Pledgeworks",
        reason=reason,
        details=details,
    )
    session.add(event)
    return event


def history(session: Session, obj: Audited, *, limit: int = 200) -> Sequence[Event]:
    """The newest events of one thing, newest first."""
    return session.scalars(
        select(Event)
        .where(Event.object_type == obj.__tablename__, Event.object_id == obj.id)
        .order_by(Event.at.desc(), Event.id.desc())
        .limit(limit)
    ).all()
