"""Accounts that payees have at a rail: opening one, whether it can be paid, and the way in. All that is kept here is the
account's id, as a destination, and in a sentence what the rail said last; a link in lives for minutes and is never kept."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import ParamSpec, TypeVar
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core.db import new_id
from core.errors import DomainError
from payouts import queries
from payouts.models import Destination, Payout, PayoutStatus, Recipient, RecipientKind
from payouts.models import Standing as Remembered
from payouts.rails.base import OnboardingRail, Payee, Rail, RailError, Refused, Standing

P = ParamSpec("P")
R = TypeVar("R")


class RailRefused(DomainError):
    """The rail said no to something that is no payment."""

    code = "rail_refused"


class RailSilent(DomainError):
    """The rail gave no clear answer; nothing here has changed."""

    code = "rail_silent"
    status = 503


def payee(session: Session, recipient_id: UUID) -> Payee:
    """Who a new account would be for.

    Raises:
        NotFound: there is no such recipient.
    """
    recipient = queries.recipient(session, recipient_id)
    return Payee(
        key=str(recipient.id),
        name=recipient.name,
        country=recipient.country,
        email=recipient.email,
        is_person=recipient.kind is RecipientKind.PERSON,
    )


def account_at(recipient: Recipient, rail: str) -> Destination | None:
    """The recipient's destination on a rail that is in use, the newest if there are several currencies."""
    return next((place for place in recipient.destinations if place.rail == rail and place.retired_at is None), None)


def remember(session: Session, place: Destination, standing: Standing, *, now: datetime) -> None:
    """Keep what the rail said last, so that a run can be prepared without asking it about every payee."""
    session.execute(
        insert(Remembered)
        .values(id=new_id(), destination_id=place.id, problem=standing.problem, asked_at=now)
        .on_conflict_do_update(index_elements=["destination_id"], set_={"problem": standing.problem, "asked_at": now})
    )


def to_ask(session: Session, rails: Mapping[str, Rail], *, most: int = 500) -> Sequence[Destination]:
    """Accounts of payees who are owed something, the longest not asked about first."""
    names = [name for name, rail in rails.items() if isinstance(rail, OnboardingRail)]
    owed = select(Payout.id).where(
        Payout.recipient_id == Destination.recipient_id,
        Payout.currency == Destination.currency,
        Payout.status.in_([PayoutStatus.DRAFT, PayoutStatus.APPROVED]),
    )
    return session.scalars(
        select(Destination)
        .outerjoin(Remembered, Remembered.destination_id == Destination.id)
        .where(Destination.rail.in_(names), Destination.retired_at.is_(None), owed.exists())
        .order_by(Remembered.asked_at.asc().nulls_first(), Destination.id)
        .limit(most)
    ).all()


def asked(call: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
    """Ask a rail for something that moves no payout, and put its no into words. Call it with no transaction open.

    Raises:
        RailRefused: it said no.
        RailSilent: no clear answer; asking again does no harm.
    """
    try:
        return call(*args, **kwargs)
    except Refused as error:
        raise RailRefused(str(error)) from error
    except RailError as error:
        raise RailSilent(f"{error} Nothing was changed here; try again in a minute.") from error
