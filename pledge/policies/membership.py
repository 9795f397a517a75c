"""When a membership falls due, is overdue and lapses: dates in, states out."""

import calendar
import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Protocol, TypeVar

from pledge.models import RENEWING, MembershipStatus


class RenewalState(enum.StrEnum):
    """What the dates alone say."""

    CURRENT = "current"
    DUE_SOON = "due_soon"
    OVERDUE = "overdue"
    LAPSED = "lapsed"


STATUS_OF = dict(zip(RenewalState, RENEWING, strict=True))
"""The membership status that each renewal state means."""


class Rule(Protocol):
    """The months and days of a renewal rule."""

    @property
    def valid_from(self) -> date: ...
    @property
    def due_after_months(self) -> int: ...
    @property
    def due_soon_months(self) -> int: ...
    @property
    def grace_months(self) -> int: ...
    @property
    def reminder_days(self) -> list[int]: ...


AnyRule = TypeVar("AnyRule", bound=Rule)


def rule_on(rules: Sequence[AnyRule], on: date) -> AnyRule:
    """The rule in force on a day; days before the first rule follow the first."""
    ordered = sorted(rules, key=lambda rule: rule.valid_from)
    return next((rule for rule in reversed(ordered) if rule.valid_from <= on), ordered[0])


@dataclass(frozen=True, slots=True)
class Renewal:
    """The four dates that follow from a latest report. An exception moves the last one, and only later."""

    due_soon_from: date
    due_on: date
    """The last day that is not late."""
    grace_until: date
    """The last day before the membership lapses."""

    def state(self, on: date) -> RenewalState:
        if on < self.due_soon_from:
            return RenewalState.CURRENT
        if on <= self.due_on:
            return RenewalState.DUE_SOON
        return RenewalState.OVERDUE if on <= self.grace_until else RenewalState.LAPSED

    def starts(self, state: RenewalState) -> date | None:
        """The first day of a state; none for the first one, which a report starts."""
        return {
            RenewalState.CURRENT: None,
            RenewalState.DUE_SOON: self.due_soon_from,
            RenewalState.OVERDUE: self.due_on + timedelta(days=1),
            RenewalState.LAPSED: self.grace_until + timedelta(days=1),
        }[state]


def renewal(latest_report_on: date, rule: Rule, *, exception_until: date | None = None) -> Renewal:
    """The dates that follow from the latest report."""
    due_on = add_months(latest_report_on, rule.due_after_months)
    grace_until = add_months(due_on, rule.grace_months)
    return Renewal(
        due_soon_from=add_months(due_on, -rule.due_soon_months),
        due_on=due_on,
        grace_until=max(grace_until, exception_until or grace_until),
    )


def steps(status: MembershipStatus, state: RenewalState) -> Iterator[RenewalState]:
    """The states that time takes a membership through, from where it stands to what the dates say; none backwards."""
    states = list(RenewalState)
    here, there = RENEWING.index(status), states.index(state)
    yield from states[here + 1 : there + 1]


def reminder_due(due_on: date, offsets: Sequence[int], *, on: date) -> int | None:
    """The newest reminder whose day has come; none before the first. After an outage only the newest is worth sending."""
    passed = [offset for offset in offsets if due_on + timedelta(days=offset) <= on]
    return max(passed, default=None)


def reminder_text(name: str, due_on: date, grace_until: date, *, on: date) -> str:
    """The sentence the company reads."""
    days = (due_on - on).days
    if days > 0:
        return f"The next annual report of {name} is due on {due_on:%-d %b %Y}, in {days} {'day' if days == 1 else 'days'}."
    if days == 0:
        return f"The annual report of {name} is due today, {due_on:%-d %b %Y}."
    return (
        f"The annual report of {name} was due on {due_on:%-d %b %Y}, {-days} {'day' if days == -1 else 'days'} ago. "
        f"Without it the membership lapses after {grace_until:%-d %b %Y}; one report brings it back at any time."
    )


def add_months(day: date, months: int) -> date:
    """The same day some months later (or earlier); where the month is too short, its last day (29 February → 28)."""
    index = day.year * 12 + day.month - 1 + months
    year, month = divmod(index, 12)
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))
