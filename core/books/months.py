"""Closing a month: when outside and ledger agree, or every difference is explained, nothing is posted into it any more.

The ledger itself keeps the door shut: a trigger refuses entries dated before the end of the last closed month, and `core.ledger`
says so in words before it comes to that. docs/decisions/0009-month-close.md has the reasons.
"""

import calendar
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit
from core.books import feeds, held, readings, reconciliation
from core.books.models import ClosedMonth, ProviderBalance, Subject
from core.books.reconciliation import Item
from core.db import new_id
from core.errors import DomainError, InvalidInput, NotFound
from core.identity import access
from core.identity.models import Person, Role
from core.ledger import closing


class DifferencesOpen(DomainError):
    """Something up to the end of the month is on one side only, and nobody has explained it."""

    code = "differences_open"


class NotReadSince(DomainError):
    """A provider's list or a bank account was not read since the month ended: what is missing there is not known."""

    code = "not_read_since"


class NotOver(DomainError):
    """The month still runs."""

    code = "month_not_over"


class ClosedAlready(DomainError):
    """This month, or a later one, is closed."""

    code = "month_closed_already"


class NotTheLast(DomainError):
    """A later month is closed; the last one is opened first."""

    code = "not_the_last_month"


class SameTwo(DomainError):
    """Reopening takes two people."""

    code = "reopening_takes_two"


def first_of(month: str) -> date:
    """`2026-10` as its first day.

    Raises:
        InvalidInput: no month.
    """
    try:
        return datetime.strptime(month.strip(), "%Y-%m").date()  # noqa: DTZ007 - a month has no zone
    except ValueError:
        raise InvalidInput("Write a month like 2026-10.", field="month") from None


def last_day(month: date) -> date:
    """The last day of the month that begins on this day."""
    return month.replace(day=calendar.monthrange(month.year, month.month)[1])


def close(session: Session, month: date, *, actor: Person, now: datetime) -> ClosedMonth:
    """Close a month and everything before it.

    Raises:
        NotAllowed: the actor is not in finance.
        NotOver: it still runs.
        ClosedAlready: it, or a later one, is closed.
        NotReadSince: a provider or a bank account was not read since it ended.
        DifferencesOpen: outside and ledger differ, and nobody has explained it.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    month = month.replace(day=1)
    if now.date() <= last_day(month):
        raise NotOver(f"{month:%B %Y} is not over; it can be closed from {last_day(month) + timedelta(days=1):%-d %b %Y} on.")
    closing.lock(session)  # whoever posts into the past just now is done first, and whoever comes later sees the door shut
    last = last_closed(session)
    if last is not None and last.month >= month:
        raise ClosedAlready(
            f"{last.month:%B %Y} is closed, and everything before it. Post corrections today, or have two people open it."
        )
    unread = readings.unread(session, since=last_day(month) + timedelta(days=1))
    if unread:
        raise NotReadSince(f"{month:%B %Y} can’t be closed yet: nobody asked outside since it ended. {' '.join(unread)}")
    items = reconciliation.differences(session, until=last_day(month))
    open_ones = [each for each in items if not each.is_explained]
    if open_ones:
        told = "".join(f" {_what_to_do(each)}" for each in rests_among(session, open_ones))
        raise DifferencesOpen(
            f"{len(open_ones)} {'difference' if len(open_ones) == 1 else 'differences'} up to {last_day(month):%-d %b %Y} "
            f"must meet, or be explained by two people, before the month can be closed.{told}",
            open=len(open_ones),
        )
    made = ClosedMonth(id=new_id(), month=month, explained=len(items), closed_by_id=actor.id, closed_at=now)
    session.add(made)
    session.flush()
    odd = {f"{each.provider}, {each.currency}": str(each.unexplained) for each in held.latest(session) if each.unexplained}
    audit.record(
        session,
        "books.month_closed",
        made,
        actor=actor,
        at=now,
        month=f"{month:%Y-%m}",
        explained=len(items),
        balances_differ=odd,
    )
    return made


def rests_among(session: Session, items: Sequence[Item]) -> list[ProviderBalance]:
    """The balances of providers that stand among these differences, because no list explains them."""
    ids = {each.subject_id for each in items if each.subject is Subject.PROVIDER_BALANCE}
    return [each.balance for each in held.rests(session) if each.id in ids]


def ask_reopening(session: Session, month_id: UUID, *, reason: str, actor: Person, now: datetime) -> ClosedMonth:
    """Ask for the last closed month to be opened again; another person of finance does it.

    Raises:
        NotAllowed: the actor is not in finance.
        InvalidInput: no reason.
        NotFound, NotTheLast: it is not closed, or a later one is.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    if not reason.strip():
        raise InvalidInput("Say what has to be corrected in it.", field="reason")
    found = _last(session, month_id)
    found.reopening_asked_by_id, found.reopening_asked_at, found.reopening_reason = actor.id, now, reason.strip()
    audit.record(session, "books.reopening_asked", found, actor=actor, at=now, reason=reason.strip())
    return found


def reopen(session: Session, month_id: UUID, *, actor: Person, now: datetime) -> ClosedMonth:
    """Open it, as the second person.

    Raises:
        NotAllowed: the actor is not in finance.
        NotFound, NotTheLast: it is not closed, or a later one is.
        SameTwo: nobody asked for it, or the same person did.
    """
    access.require_role(session, actor, Role.FINANCE, on=now.date())
    found = _last(session, month_id)
    if found.reopening_asked_by_id is None or found.reopening_asked_by_id == actor.id:
        raise SameTwo("One person of finance asks for it with a reason, and another one opens it.")
    found.reopened_by_id, found.reopened_at = actor.id, now
    session.flush()
    audit.record(session, "books.month_reopened", found, actor=actor, at=now, reason=found.reopening_reason)
    return found


def last_closed(session: Session) -> ClosedMonth | None:
    """The last month that is closed."""
    return session.scalars(
        select(ClosedMonth).where(ClosedMonth.reopened_at.is_(None)).order_by(ClosedMonth.month.desc()).limit(1)
    ).first()


def next_to_close(session: Session, *, on: date) -> date | None:
    """The first month that is over and not closed: after the last closed one, or that of the first entry of money elsewhere."""
    last = last_closed(session)
    if last is not None:
        after = last_day(last.month) + timedelta(days=1)
    else:
        # Of what a balance is over or under, nobody knows when it came.
        dated = [each.on for each in reconciliation.differences(session) if each.subject is not Subject.PROVIDER_BALANCE]
        oldest = min(dated, default=on - timedelta(days=on.day))
        after = oldest.replace(day=1)
    return after if last_day(after) < on else None


def all_closed(session: Session) -> list[ClosedMonth]:
    """Every closing there was, the newest first."""
    return list(session.scalars(select(ClosedMonth).order_by(ClosedMonth.closed_at.desc()).limit(120)))


def _what_to_do(balance: ProviderBalance) -> str:
    return (
        f"{feeds.title_of(balance.provider)} says it holds {balance.there}; the ledger has {balance.ledger} and the lists come "
        f"to {balance.in_lists}, so {balance.unexplained} is a movement that nobody told. Ask the providers again, look for it "
        "on their own pages, and explain what nobody finds under Reconciliation, Different amount."
    )


def _last(session: Session, month_id: UUID) -> ClosedMonth:
    closing.lock(session)
    found = session.get(ClosedMonth, month_id, populate_existing=True)
    if found is None or found.reopened_at is not None:
        raise NotFound("This month is not closed, or somebody opened it meanwhile. Months says what is closed.")
    last = session.scalar(select(func.max(ClosedMonth.month)).where(ClosedMonth.reopened_at.is_(None)))
    if last != found.month:
        raise NotTheLast(f"{last:%B %Y} is closed as well; the last one is opened first.")
    return found
