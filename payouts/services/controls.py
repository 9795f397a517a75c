"""What holds the engine back: the switch of each rail, the dated limits, and alarms."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from core import audit
from core.db import new_id
from core.errors import DomainError, InvalidInput, NotFound
from core.identity.models import Person
from core.money import Money
from payouts.models import Alarm, Payout, PayoutRule, PayoutStatus, RailSwitch, Recipient, RuleKind, Run
from payouts.policies import Usage

MONTH = timedelta(days=30)


class RailStopped(DomainError):
    """The kill switch of the rail is on."""

    code = "rail_stopped"


class NoLimitSet(DomainError):
    """A currency without a limit for single payouts is a currency nobody has thought about."""

    code = "no_limit_set"


# ------------------------------------------------------------------------------------------------ kill switch


def stop_rail(session: Session, rail: str, *, reason: str, actor: Person | None, now: datetime) -> RailSwitch:
    """No new money on this rail, and nothing more is sent on it, from the moment this commits. Look-ups go on.

    Raises:
        InvalidInput: without a reason.
    """
    if not reason.strip():
        raise InvalidInput("Say why the rail is stopped; whoever starts it again needs to know.", field="reason")
    return _switch(session, rail, stopped=True, reason=reason.strip(), actor=actor, now=now)


def start_rail(session: Session, rail: str, *, reason: str, actor: Person, now: datetime) -> RailSwitch:
    """Let money leave on this rail again.

    Raises:
        InvalidInput: without a reason.
    """
    if not reason.strip():
        raise InvalidInput("Say why the rail may run again.", field="reason")
    return _switch(session, rail, stopped=False, reason=reason.strip(), actor=actor, now=now)


def _switch(session: Session, rail: str, *, stopped: bool, reason: str, actor: Person | None, now: datetime) -> RailSwitch:
    session.execute(insert(RailSwitch).values(id=new_id(), rail=rail, stopped=False, changed_at=now).on_conflict_do_nothing())
    # FOR UPDATE waits for every claim that has read the switch and not committed: after our commit none is on its way.
    switch = session.scalars(select(RailSwitch).where(RailSwitch.rail == rail).with_for_update()).one()
    if switch.stopped is not stopped:
        switch.stopped, switch.reason, switch.changed_at = stopped, reason, now
        switch.changed_by_id = actor.id if actor else None
        audit.record(session, "rail.stopped" if stopped else "rail.started", switch, actor=actor, at=now, reason=reason)
    return switch


def require_running(session: Session, rail: str) -> None:
    """Read the switch under a shared lock, so that stopping waits for this transaction and this one for stopping.

    Raises:
        RailStopped: with the reason.
    """
    switch = session.scalars(
        select(RailSwitch).where(RailSwitch.rail == rail).with_for_update(read=True).execution_options(populate_existing=True)
    ).one_or_none()
    if switch is not None and switch.stopped:
        raise RailStopped(f"The rail “{rail}” is stopped: {switch.reason} An approver can start it under Payouts → Rails.")


# ------------------------------------------------------------------------------------------------ limits


@dataclass(frozen=True)
class Limits:
    """The numbers in force at a moment."""

    rules: dict[tuple[RuleKind, str | None, str | None], int]

    def money(self, kind: RuleKind, currency: str, rail: str | None = None) -> Money | None:
        value = self.rules.get((kind, currency, rail))
        return None if value is None else Money(value, currency)

    @property
    def cool_off(self) -> timedelta:
        return timedelta(hours=self.rules.get((RuleKind.COOL_OFF_HOURS, None, None), 0))

    def approvals_needed(self, total: Money) -> int:
        """Two people from a certain size of run on."""
        threshold = self.money(RuleKind.SECOND_APPROVER_FROM, total.currency)
        return 2 if threshold is not None and total >= threshold else 1


def limits(session: Session, *, now: datetime) -> Limits:
    """For each kind, currency and rail the newest number that has begun."""
    columns = (PayoutRule.kind, PayoutRule.currency, PayoutRule.rail, PayoutRule.value)
    rows = session.execute(select(*columns).where(PayoutRule.valid_from <= now).order_by(PayoutRule.valid_from, PayoutRule.id))
    return Limits({(row.kind, row.currency, row.rail): row.value for row in rows})


def set_rule(
    session: Session,
    *,
    kind: RuleKind,
    value: int,
    currency: str | None,
    rail: str | None,
    valid_from: datetime,
    reason: str,
    actor: Person,
    now: datetime,
) -> PayoutRule:
    """Add a number with the moment from which it holds; the older one stays readable.

    Raises:
        InvalidInput: negative, without a reason, back-dated, or with a currency or rail where none belongs.
    """
    if value < 0:
        raise InvalidInput("A limit is zero or more.", field="value")
    if not reason.strip():
        raise InvalidInput("Say why; the reason stays with the number.", field="reason")
    if valid_from < now:
        raise InvalidInput("A limit can't hold from a moment that has passed.", field="valid_from")
    if (kind is RuleKind.COOL_OFF_HOURS) == bool(currency):
        raise InvalidInput("Amounts have a currency, hours have none.", field="currency")
    if (kind is RuleKind.RAIL_DAY_MAX) != bool(rail):
        raise InvalidInput("Name the rail for a limit per rail, and for no other.", field="rail")
    rule = PayoutRule(
        id=new_id(), kind=kind, value=value, currency=currency, rail=rail, valid_from=valid_from,
        reason=reason.strip(), set_by_id=actor.id,
    )  # fmt: skip
    session.add(rule)
    audit.record(session, "payout_rule.set", rule, actor=actor, at=now, reason=rule.reason, kind=kind.value, value=value)
    return rule


def usages(session: Session, payout: Payout, *, now: datetime, known: Limits | None = None) -> list[Usage]:
    """Every limit that a payout counts against if it is reserved now.

    Raises:
        NoLimitSet: nobody set a maximum for single payouts in this currency.
    """
    numbers = known or limits(session, now=now)
    currency, wanted = payout.currency, payout.money
    largest = numbers.money(RuleKind.PAYOUT_MAX, currency)
    if largest is None:
        raise NoLimitSet(f"No limit is set for payouts in {currency}; an approver sets one under Payouts → Limits first.")
    nothing, day = Money(0, currency), now.replace(hour=0, minute=0, second=0, microsecond=0)
    found = [Usage(RuleKind.PAYOUT_MAX, "one payout", largest, nothing, wanted)]
    # Nothing is summed for a limit that nobody set.
    if (most := numbers.money(RuleKind.RECIPIENT_MONTH_MAX, currency)) is not None:
        used = _taken(session, currency, since=now - MONTH, recipient_ids=_alike(session, payout.recipient))
        found.append(Usage(RuleKind.RECIPIENT_MONTH_MAX, f"{payout.recipient.name} in 30 days", most, used, wanted))
    if (most := numbers.money(RuleKind.DAY_MAX, currency)) is not None:
        found.append(Usage(RuleKind.DAY_MAX, "all payouts of a day", most, _taken(session, currency, since=day), wanted))
    if (most := numbers.money(RuleKind.RAIL_DAY_MAX, currency, payout.rail)) is not None:
        used = _taken(session, currency, since=day, rail=payout.rail)
        found.append(Usage(RuleKind.RAIL_DAY_MAX, f"the rail “{payout.rail}” on a day", most, used, wanted))
    if payout.run is not None and (most := numbers.money(RuleKind.RUN_MAX, currency)) is not None:
        found.append(Usage(RuleKind.RUN_MAX, "one run", most, nothing, _run_total(session, payout.run, most)))
    return found


def lock_limits(session: Session, currency: str) -> None:
    """One reservation of a currency at a time, so that two can't both fit under what only one fits under."""
    session.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))"), {"key": f"payouts.limits:{currency}"})


def _run_total(session: Session, run: Run, most: Money) -> Money:
    """What a run comes to. While what was approved keeps the limit, that: not every claim adds up every line."""
    if run.approved_minor is not None and run.approved_minor <= most.amount_minor:
        return Money(run.approved_minor, run.currency)
    total = session.scalar(
        select(func.coalesce(func.sum(Payout.amount_minor), 0)).where(
            Payout.run_id == run.id, Payout.status != PayoutStatus.CANCELLED
        )
    )
    return Money(int(total or 0), run.currency)


def _taken(
    session: Session, currency: str, *, since: datetime, recipient_ids: Sequence[UUID] | None = None, rail: str | None = None
) -> Money:
    """What was reserved since then. Money that came back still left; what was taken back before it left has no time."""
    query = select(func.coalesce(func.sum(Payout.amount_minor), 0)).where(
        Payout.currency == currency, Payout.reserved_at >= since
    )
    if recipient_ids is not None:
        query = query.where(Payout.recipient_id.in_(recipient_ids))
    if rail is not None:
        query = query.where(Payout.rail == rail)
    return Money(int(session.scalar(query) or 0), currency)


def _alike(session: Session, recipient: Recipient) -> Sequence[UUID]:
    """The recipients that are the same person or organisation: a limit per payee is not passed under another name."""
    if recipient.person_id is not None:
        return session.scalars(select(Recipient.id).where(Recipient.person_id == recipient.person_id)).all()
    if recipient.organisation_id is not None:
        return session.scalars(select(Recipient.id).where(Recipient.organisation_id == recipient.organisation_id)).all()
    return [recipient.id]


# ------------------------------------------------------------------------------------------------ alarms


def raise_alarm(session: Session, payout: Payout, message: str, *, now: datetime) -> None:
    """Something that must not happen: put it where people can't miss it, once."""
    known = session.scalars(
        select(Alarm).where(Alarm.payout_id == payout.id, Alarm.message == message, Alarm.closed_at.is_(None))
    ).first()
    if known is None:
        session.add(Alarm(id=new_id(), payout_id=payout.id, message=message, raised_at=now))
        audit.record(session, "payout.alarm", payout, actor=None, at=now, reason=message)


def close_alarm(session: Session, alarm_id: UUID, *, note: str, actor: Person, now: datetime) -> Alarm:
    """A person looked at it and says what it was.

    Raises:
        NotFound: there is no open alarm of this id.
        InvalidInput: without a note.
    """
    alarm = session.scalars(select(Alarm).where(Alarm.id == alarm_id, Alarm.closed_at.is_(None)).with_for_update()).one_or_none()
    if alarm is None:
        raise NotFound("There is no such open alarm.")
    if not note.strip():
        raise InvalidInput("Say what it was and what was done.", field="note")
    alarm.closed_by_id, alarm.closed_at, alarm.closing_note = actor.id, now, note.strip()
    audit.record(session, "alarm.closed", alarm, actor=actor, at=now, reason=alarm.closing_note)
    return alarm
