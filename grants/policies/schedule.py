"""Cutting a grant into instalments with dates."""

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from core.errors import InvalidInput
from core.money import Money
from grants.models import Schedule
from grants.policies.hosting import total

INSTALMENTS_MAX = 60
MONTHS_BETWEEN = {Schedule.MONTHLY: 1, Schedule.QUARTERLY: 3}


@dataclass(frozen=True)
class Milestone:
    """A named part with a sum of its own; without a date it is due when it is reached."""

    name: str
    money: Money
    due_on: date | None = None


@dataclass(frozen=True)
class Part:
    """One instalment to be."""

    name: str
    money: Money
    due_on: date | None
    gated: bool


def plan(
    amount: Money,
    schedule: Schedule,
    *,
    starts_on: date,
    count: int = 1,
    milestones: Sequence[Milestone] = (),
    report_gate: bool = False,
) -> list[Part]:
    """The instalments of a grant; their sum is the grant, earlier parts carrying the odd minor units.

    With a gate, every instalment but the first waits for an accepted report; of milestones every one does, since its report
    is the request for payment.

    Raises:
        InvalidInput: a number of parts that can't be, or milestones that don't sum to the grant.
    """
    if schedule is Schedule.MILESTONES:
        return _milestones(amount, milestones, report_gate)
    if schedule is Schedule.UPFRONT:
        return [Part("The whole grant", amount, starts_on, gated=False)]
    if not 1 <= count <= INSTALMENTS_MAX:
        raise InvalidInput(f"A grant has 1 to {INSTALMENTS_MAX} instalments.", field="count")
    if amount.amount_minor < count:
        raise InvalidInput(f"{amount} can't be cut into {count} instalments.", field="count")
    step = MONTHS_BETWEEN[schedule]
    word = "Month" if schedule is Schedule.MONTHLY else "Quarter"
    return [
        Part(f"{word} {i + 1}", money, months_later(starts_on, i * step), gated=report_gate and i > 0)
        for i, money in enumerate(amount.split([1] * count).parts)
    ]


def ends_on(schedule: Schedule, parts: Sequence[Part], *, starts_on: date, months: int | None) -> date | None:
    """The day the grant's time is over: as agreed in months, else one period after the last instalment."""
    if months is not None:
        return months_later(starts_on, months)
    if schedule in MONTHS_BETWEEN:
        return months_later(starts_on, len(parts) * MONTHS_BETWEEN[schedule])
    dates = [part.due_on for part in parts]
    return max((day for day in dates if day is not None), default=None) if None not in dates else None


def months_later(day: date, months: int) -> date:
    """The same day of a later month, or that month's last day."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _milestones(amount: Money, milestones: Sequence[Milestone], report_gate: bool) -> list[Part]:
    if not 1 <= len(milestones) <= INSTALMENTS_MAX:
        raise InvalidInput(f"Name 1 to {INSTALMENTS_MAX} milestones.", field="milestones")
    if any(not milestone.name.strip() for milestone in milestones):
        raise InvalidInput("Every milestone needs a name.", field="milestones")
    if any(milestone.money.amount_minor <= 0 or milestone.money.currency != amount.currency for milestone in milestones):
        raise InvalidInput(f"Every milestone needs a sum above zero in {amount.currency}.", field="milestones")
    together = total(milestone.money for milestone in milestones)
    if together != amount:
        raise InvalidInput(f"The milestones sum to {together}, the grant is {amount}.", field="milestones")
    return [Part(milestone.name.strip(), milestone.money, milestone.due_on, gated=report_gate) for milestone in milestones]
