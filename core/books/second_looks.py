"""What one person of finance may say about a bank line alone, and what takes two.

Whoever books a fee says by himself that money is gone, and whoever typed a CSV file says by himself that it came: up to a small,
dated limit one person does, above it another one confirms.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from core import audit, ledger
from core.audit import Event
from core.books import queries
from core.books.models import AloneLimit, Assignment, BankLine, Deed, Match, Proposal, StatementFormat
from core.db import new_id
from core.errors import DomainError, InvalidInput
from core.identity import access
from core.identity.models import Person, Role
from core.money import Money

WINDOW = timedelta(days=30)
"""Sums are taken over this long: many small bookings are a large one."""
BY_WORD = (Match.FEE, Match.SENT_BACK)
"""How lines are booked on nothing but a person's word."""
ASSIGNED_ALONE = "bank_line.assigned_alone"
"""One person set it aside and gave it to somebody: the event says how much."""


class SecondPersonNeeded(DomainError):
    """This takes another person of finance."""

    code = "second_person_needed"


class LimitExists(DomainError):
    """Rows of the table are added, never changed."""

    code = "alone_limit_exists"


def why_two(session: Session, line: BankLine, *, actor: Person, now: datetime) -> str | None:
    """Why this person alone can't book the line on their own word; None if they can."""
    if came_from(line, actor):
        return f"{actor.name} read the CSV file that the line came in, and nobody books such lines alone."
    limit, used = alone(session, line.currency, on=now.date()), booked_alone(session, actor, line.currency, now=now)
    if used + line.money <= limit:
        return None
    before = f", and {actor.name} has booked {used}" if used else ""
    return f"One person alone books at most {limit} in 30 days{before}."


def propose(
    session: Session,
    line: BankLine,
    deed: Deed,
    *,
    note: str,
    why: str,
    set_aside_on: str | None = None,
    chosen: Sequence[str] | None = None,
    actor: Person,
    now: datetime,
) -> Proposal:
    """Keep a booking for a second person."""
    made = Proposal(
        id=new_id(), line=line, deed=deed, set_aside_on=set_aside_on, chosen=list(chosen) if chosen is not None else None,
        note=note.strip(), why_two=why, proposed_by_id=actor.id, proposed_at=now,
    )  # fmt: skip
    session.add(made)
    session.flush()
    audit.record(session, "bank_line.booking_proposed", line, actor=actor, at=now, reason=made.note, deed=deed.value)
    return made


def require_other(line: BankLine, actor: Person) -> None:
    """Refuse what whoever read a CSV file can't say alone: that a line of it is this or that.

    Raises:
        SecondPersonNeeded: the actor read the file.
    """
    if came_from(line, actor):
        raise SecondPersonNeeded(
            "You read the CSV file that this line came in. Another person of finance says what its lines are; you can set "
            "this one aside, or propose what it is."
        )


def require_other_to_assign(session: Session, code: str, money: Money, *, actor: Person, now: datetime) -> None:
    """Refuse what goes beyond `may_assign`, and note what this person gives out on their own word.

    Raises:
        SecondPersonNeeded: too much of it was set aside, or brought in a CSV file, by the actor.
    """
    most = may_assign(session, code, money.currency, actor=actor, now=now)
    if money > most:
        raise SecondPersonNeeded(
            f"You set this money aside, or read the CSV file it came in, and alone you assign {most} of it at most: "
            f"{alone(session, money.currency, on=now.date())} in 30 days, fees and money sent back with it, and nothing of a CSV "
            "file that you read. Another person of finance assigns it, or confirms it when you propose it."
        )
    for line, amount in _next(session, code, money):
        if line.matched_by_id == actor.id:
            audit.record(session, ASSIGNED_ALONE, line, actor=actor, at=now, amount_minor=amount, currency=money.currency)


def require_seen_by_other(session: Session, proposed: Assignment, *, actor: Person) -> None:
    """Refuse to confirm a proposal with money that its author can't have looked at.

    What they saw may have left the account meanwhile. What lies there instead may be what the actor set aside, or typed, since.

    Raises:
        SecondPersonNeeded: some of it is the actor's, and later than the proposal.
    """
    for line, _ in _next(session, proposed.set_aside_on, proposed.money):
        is_later = line.matched_at is not None and line.matched_at > proposed.proposed_at
        if is_later and (line.matched_by_id == actor.id or came_from(line, actor)):
            raise SecondPersonNeeded(
                f"This would take {line.label}, which was set aside after {proposed.proposed_by.name} proposed it, and which you "
                "set aside or brought in a CSV file. Decline this; once it is proposed anew, somebody else has looked at it."
            )


def may_assign(session: Session, code: str, currency: str, *, actor: Person, now: datetime) -> Money:
    """The most of the money set aside on this account that one person gives to somebody.

    All that others set aside, and of what they set aside themselves a little; nothing of a CSV file that they read. Every cent
    counts for itself: a small line of somebody else on the same account lifts no limit for the rest.
    """
    left = alone(session, currency, on=now.date()) - booked_alone(session, actor, currency, now=now)
    of_own, most = max(left.amount_minor, 0), 0
    for line, amount in _left(session, code):
        if came_from(line, actor):
            break
        if line.matched_by_id == actor.id:
            most += min(amount, of_own)
            if amount > of_own:
                break
            of_own -= amount
        else:
            most += amount
    return Money(most, currency)


def _left(session: Session, code: str) -> Iterator[tuple[BankLine, int]]:
    """The lines set aside on an account and what is left of each: the first that was set aside is the first to leave."""
    aside = ledger.balance(session, code)
    gone = aside.credits_posted - aside.available
    for line in sorted(queries.lines_on(session, code), key=lambda each: (each.matched_at, each.id)):
        left = max(line.amount_minor - gone, 0)
        gone = max(gone - line.amount_minor, 0)
        if left:
            yield line, left


def _next(session: Session, code: str, money: Money) -> Iterator[tuple[BankLine, int]]:
    """The lines that this much is taken of, and how much of each."""
    wanted = money.amount_minor
    for line, amount in _left(session, code):
        taken = min(amount, wanted)
        if taken:
            yield line, taken
        wanted -= taken


def came_from(line: BankLine, person: Person) -> bool:
    """Did this person bring the line in a file that anybody can type?"""
    return line.statement.format is StatementFormat.CSV and line.statement.imported_by_id == person.id


def alone(session: Session, currency: str, *, on: date) -> Money:
    """What one person may book alone in 30 days; nothing where no row is in force."""
    row = session.scalars(
        select(AloneLimit)
        .where(AloneLimit.currency == currency, AloneLimit.valid_from <= on)
        .order_by(AloneLimit.valid_from.desc())
        .limit(1)
    ).first()
    return row.money if row is not None else Money(0, currency)


def booked_alone(session: Session, person: Person, currency: str, *, now: datetime) -> Money:
    """What this person booked on their own word in the last 30 days, and gave out of what they had set aside themselves."""
    # Of just this booking: one that was taken back again vouches for nothing.
    confirmed = select(Proposal.id).where(
        Proposal.line_id == BankLine.id,
        Proposal.confirmed.is_(True),
        Proposal.decided_at == BankLine.matched_at,
        Proposal.decided_by_id == BankLine.matched_by_id,
    )
    total = session.scalar(
        select(func.coalesce(func.sum(BankLine.amount_minor), 0)).where(
            BankLine.matched_by_id == person.id,
            BankLine.match.in_(BY_WORD),
            BankLine.currency == currency,
            BankLine.matched_at > now - WINDOW,
            ~confirmed.exists(),
        )
    )
    given = session.scalar(
        select(func.coalesce(func.sum(Event.details["amount_minor"].as_integer()), 0)).where(
            Event.at > now - WINDOW,
            Event.verb == ASSIGNED_ALONE,
            Event.actor_id == person.id,
            Event.details["currency"].as_string() == currency,
        )
    )
    return Money(int(total or 0) + int(given or 0), currency)


def limits(session: Session) -> Sequence[AloneLimit]:
    """Every row, the newest first in each currency."""
    return session.scalars(select(AloneLimit).order_by(AloneLimit.currency, AloneLimit.valid_from.desc())).all()


def add_limit(session: Session, *, amount: Money, valid_from: date, source: str, actor: Person, now: datetime) -> AloneLimit:
    """Set what one person books alone in 30 days from a day on; zero always takes two.

    Raises:
        NotAllowed: the actor approves no payouts; whom a limit binds does not set it.
        InvalidInput: no source, below zero, or from a day that has passed.
        LimitExists: there is a row of this currency and day.
    """
    access.require_role(session, actor, Role.PAYOUT_APPROVER, on=now.date())
    if not source.strip():
        raise InvalidInput("Say who decided it and why; it stays with the limit.", field="source")
    if amount.amount_minor < 0:
        raise InvalidInput("A limit is zero or more.", field="amount")
    if valid_from <= now.date():
        # Somebody with both roles could otherwise lift it, book, and only then be seen.
        raise InvalidInput("A limit begins tomorrow or later, so that others see it before it counts.", field="valid_from")
    same = select(AloneLimit.id).where(AloneLimit.currency == amount.currency, AloneLimit.valid_from == valid_from)
    if session.scalar(same) is not None:
        raise LimitExists(
            f"There is a limit in {amount.currency} from {valid_from} on already; add one from another day.", field="valid_from"
        )
    row = AloneLimit(
        id=new_id(),
        currency=amount.currency,
        valid_from=valid_from,
        amount_minor=amount.amount_minor,
        source=source.strip(),
        author=actor.name,
        created_at=now,
    )
    session.add(row)
    session.flush()
    audit.record(session, "books.alone_limit_added", row, actor=actor, at=now, amount=str(amount), reason=source.strip())
    return row
