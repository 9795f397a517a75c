"""Totals over many members. Every one names its population: two figures that don't add up are two populations."""

import enum
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction

from core.money import Money, exponent
from pledge.policies.standing import Standing, round_half_up


@dataclass(frozen=True, slots=True)
class ReportFigure:
    """One report that stands, as far as totals read it."""

    member_id: str
    active: bool
    """The member file says active."""
    year: str
    report_on: date
    standing: Standing

    @property
    def paid(self) -> Money:
        return self.standing.paid


@dataclass(frozen=True, slots=True)
class YearTotal:
    """What was reported under one year's label."""

    reports: int
    reports_active: int
    paid_all: Money
    paid_active: Money
    developers: Decimal
    """Of all reports."""
    per_developer: Money | None
    """Paid by all divided by developers of all, half up to the minor unit; reports without developers are left out."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The figures of one currency on one day."""

    on: date
    members: int
    active: int
    reports: int
    meeting_minimum: int
    all_time_all: Money
    all_time_active: Money
    rolling_year_active: Money
    """The latest report of every active member."""
    rolling_developers_active: Decimal
    developers_max: Decimal
    per_year: dict[str, YearTotal]


def totals(members: Iterable[tuple[str, bool]], reports: Iterable[ReportFigure], *, currency: str, on: date) -> Totals:
    """Sum up. `members` are (id, whether its file says active); reports later than `on` are not counted."""
    known = dict(members)
    counted = [report for report in reports if report.report_on <= on and report.member_id in known]
    latest = latest_of(report for report in counted if report.active)
    years: dict[str, list[ReportFigure]] = defaultdict(list)
    for report in counted:
        years[report.year].append(report)
    zero = Money(0, currency)
    return Totals(
        on=on,
        members=len(known),
        active=sum(known.values()),
        reports=len(counted),
        meeting_minimum=sum(report.standing.met for report in counted),
        all_time_all=sum((report.paid for report in counted), zero),
        all_time_active=sum((report.paid for report in counted if report.active), zero),
        rolling_year_active=sum((report.paid for report in latest), zero),
        rolling_developers_active=sum((report.standing.developers for report in latest), Decimal(0)),
        developers_max=max((report.standing.developers for report in latest), default=Decimal(0)),
        per_year={year: _year(years[year], currency) for year in sorted(years)},
    )


def latest_of(reports: Iterable[ReportFigure]) -> list[ReportFigure]:
    """Each member's latest report: by its date, then by its year's label."""
    latest: dict[str, ReportFigure] = {}
    for report in reports:
        other = latest.get(report.member_id)
        if other is None or (report.report_on, report.year) > (other.report_on, other.year):
            latest[report.member_id] = report
    return list(latest.values())


class Order(enum.StrEnum):
    """How a leaderboard can be sorted. Ties always go by name."""

    DEVELOPERS_DOWN = "developers"
    DEVELOPERS_UP = "developers-up"
    JOINED_NEW = "newest"
    JOINED_OLD = "oldest"


@dataclass(frozen=True, slots=True)
class Place:
    """What a leaderboard sorts by."""

    name: str
    joined_on: date
    standing: Standing


def sort_key(order: Order, place: Place) -> tuple[object, ...]:
    """Ascending sort key. By developers, more dollars per developer come first among equals, whichever way it runs."""
    per_developer = -(place.standing.per_developer or Fraction(0))
    name = place.name.casefold()
    match order:
        case Order.DEVELOPERS_DOWN:
            return (-place.standing.developers, per_developer, name)
        case Order.DEVELOPERS_UP:
            return (place.standing.developers, per_developer, name)
        case Order.JOINED_NEW:
            return (-place.joined_on.toordinal(), name)
        case Order.JOINED_OLD:
            return (place.joined_on.toordinal(), name)


def _year(reports: Sequence[ReportFigure], currency: str) -> YearTotal:
    zero = Money(0, currency)
    staffed = [report for report in reports if report.standing.developers]
    developers = sum((report.standing.developers for report in staffed), Decimal(0))
    return YearTotal(
        reports=len(reports),
        reports_active=sum(report.active for report in reports),
        paid_all=sum((report.paid for report in reports), zero),
        paid_active=sum((report.paid for report in reports if report.active), zero),
        developers=developers,
        per_developer=_pooled(sum((report.paid for report in staffed), zero), developers),
    )


def _pooled(paid: Money, developers: Decimal) -> Money | None:
    if not developers:
        return None
    return Money(round_half_up(Fraction(paid.amount_minor) / Fraction(developers)), paid.currency)


def plain(developers: Decimal) -> int | str:
    """A number of developers for JSON: whole where it is whole, else a decimal string."""
    return int(developers) if developers == int(developers) else f"{developers.normalize():f}"


def amount(money: Money) -> str:
    """An amount as a decimal string with all its minor digits."""
    return f"{money.decimal:.{exponent(money.currency)}f}"
