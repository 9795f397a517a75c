"""Totals and orders, each with its population."""

from datetime import date
from decimal import Decimal

from core.money import Money
from pledge.policies.standing import Standing
from pledge.policies.totals import Order, Place, ReportFigure, sort_key, totals


def report(member: str, active: bool, year: str, on: str, devs: str, paid: int) -> ReportFigure:
    standing = Standing(Decimal(devs), Money(2_000_00, "USD"), Money(paid * 100, "USD"))
    return ReportFigure(member, active, year, date.fromisoformat(on), standing)


REPORTS = [
    report("a", True, "2024", "2024-10-01", "10", 20_000),
    report("a", True, "2025", "2025-10-01", "10", 30_000),
    report("b", False, "2024", "2024-11-01", "5", 9_999),
    report("c", True, "2025", "2025-12-01", "0", 5_000),
]
MEMBERS = [("a", True), ("b", False), ("c", True)]


def test_every_total_names_whom_it_counts() -> None:
    found = totals(MEMBERS, REPORTS, currency="USD", on=date(2026, 1, 1))
    assert (found.members, found.active, found.reports, found.meeting_minimum) == (3, 2, 4, 3)
    assert found.all_time_all == Money(64_999_00, "USD")
    assert found.all_time_active == Money(55_000_00, "USD")
    assert found.rolling_year_active == Money(35_000_00, "USD")


def test_nobody_on_staff_is_left_out_of_the_figure_per_developer() -> None:
    year = totals(MEMBERS, REPORTS, currency="USD", on=date(2026, 1, 1)).per_year["2025"]
    assert year.paid_all == Money(35_000_00, "USD")
    assert year.per_developer == Money(3_000_00, "USD")
    only_empty = totals([("c", True)], REPORTS[3:], currency="USD", on=date(2026, 1, 1)).per_year["2025"]
    assert only_empty.per_developer is None


def test_what_was_published_later_is_not_counted() -> None:
    found = totals(MEMBERS, REPORTS, currency="USD", on=date(2025, 6, 1))
    assert found.reports == 2
    assert found.rolling_year_active == Money(20_000_00, "USD")


def test_an_empty_register_has_zeros() -> None:
    found = totals([], [], currency="USD", on=date(2026, 1, 1))
    assert (found.members, found.reports, found.per_year) == (0, 0, {})
    assert found.all_time_all == Money(0, "USD")


def place(name: str, devs: str, paid: int, joined: str = "2024-10-01") -> Place:
    return Place(name, date.fromisoformat(joined), Standing(Decimal(devs), Money(2_000_00, "USD"), Money(paid * 100, "USD")))


def test_the_leaderboard_goes_by_developers_then_dollars_per_developer_then_name() -> None:
    places = [
        place("zeta", "10", 20_000), place("Alpha", "10", 20_000), place("rich", "10", 90_000),
        place("big", "99", 1), place("none", "0", 5_000),
    ]  # fmt: skip
    names = [p.name for p in sorted(places, key=lambda p: sort_key(Order.DEVELOPERS_DOWN, p))]
    assert names == ["big", "rich", "Alpha", "zeta", "none"]
    names = [p.name for p in sorted(places, key=lambda p: sort_key(Order.DEVELOPERS_UP, p))]
    assert names == ["none", "rich", "Alpha", "zeta", "big"]


def test_by_joining_date_ties_go_by_name() -> None:
    places = [place("b", "1", 1, "2025-01-01"), place("A", "1", 1, "2025-01-01"), place("c", "1", 1, "2024-01-01")]
    assert [p.name for p in sorted(places, key=lambda p: sort_key(Order.JOINED_NEW, p))] == ["A", "b", "c"]
    assert [p.name for p in sorted(places, key=lambda p: sort_key(Order.JOINED_OLD, p))] == ["c", "A", "b"]
