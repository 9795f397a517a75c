"""Accounts that payees have at a rail: opening one, whether it can be paid, and the way in. Nothing of it is kept here
but the account's id, as a destination: the rail is asked each time, and a link in lives for minutes."""

from collections.abc import Callable
from typing import ParamSpec, TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from core.errors import DomainError
from payouts import queries
from payouts.models import Destination, Recipient, RecipientKind
from payouts.rails.base import Payee, RailError, Refused

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
