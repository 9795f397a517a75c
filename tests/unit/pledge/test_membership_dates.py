"""Due, overdue, lapsed: what dates alone say."""

from datetime import date, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pledge.models import NEXT_MEMBERSHIP, RENEWING, MembershipStatus
from pledge.policies.membership import (
    STATUS_OF,
    Renewal,
    RenewalState,
    add_months,
    reminder_due,
    reminder_text,
    renewal,
    rule_on,
    steps,
)

RULE = SimpleNamespace(
    valid_from=date(2021, 1, 1), due_after_months=12, due_soon_months=2, grace_months=1, reminder_days=[-60, -30, -7, 0, 14]
)
DAYS = st.dates(min_value=date(1996, 1, 1), max_value=date(2096, 12, 31))


def dates(latest: str) -> Renewal:
    return renewal(date.fromisoformat(latest), RULE)


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        ("2024-02-29", 12, "2025-02-28"),
        ("2024-02-29", 48, "2028-02-29"),
        ("2023-02-28", 12, "2024-02-28"),
        ("2026-01-31", 1, "2026-02-28"),
        ("2024-01-31", 1, "2024-02-29"),
        ("2026-12-31", 2, "2027-02-28"),
        ("2026-01-15", -2, "2025-11-15"),
        ("2026-04-30", -2, "2026-02-28"),
    ],
)
def test_months_end_where_the_month_ends(day: str, months: int, expected: str) -> None:
    assert add_months(date.fromisoformat(day), months) == date.fromisoformat(expected)


@pytest.mark.parametrize(
    ("on", "state"),
    [
        ("2025-12-31", RenewalState.CURRENT),
        ("2026-01-01", RenewalState.DUE_SOON),
        ("2026-03-01", RenewalState.DUE_SOON),
        ("2026-03-02", RenewalState.OVERDUE),
        ("2026-04-01", RenewalState.OVERDUE),
        ("2026-04-02", RenewalState.LAPSED),
    ],
)
def test_the_due_day_itself_is_not_late_and_grace_ends_a_month_later(on: str, state: RenewalState) -> None:
    assert dates("2025-03-01").state(date.fromisoformat(on)) is state


@given(latest=DAYS, offset=st.integers(0, 900))
def test_states_follow_each_other_and_never_go_back(latest: date, offset: int) -> None:
    found = renewal(latest, RULE)
    assert latest < found.due_soon_from < found.due_on < found.grace_until
    states = list(RenewalState)
    today, tomorrow = latest + timedelta(days=offset), latest + timedelta(days=offset + 1)
    assert states.index(found.state(today)) <= states.index(found.state(tomorrow))
    for state in states[1:]:
        starts = found.starts(state)
        assert starts is not None
        assert found.state(starts) is state
        assert found.state(starts - timedelta(days=1)) is states[states.index(state) - 1]


@given(latest=DAYS)
def test_a_year_later_is_the_same_day_except_after_29_february(latest: date) -> None:
    due = renewal(latest, RULE).due_on
    assert (due.year, due.month) == (latest.year + 1, latest.month)
    assert due.day == (28 if (latest.month, latest.day) == (2, 29) else latest.day)
    assert 365 <= (due - latest).days <= 366


@given(latest=DAYS, extra=st.integers(-400, 400))
def test_an_exception_only_ever_gives_more_time(latest: date, extra: int) -> None:
    plain = renewal(latest, RULE)
    until = plain.grace_until + timedelta(days=extra)
    assert renewal(latest, RULE, exception_until=until).grace_until == max(plain.grace_until, until)
    assert renewal(latest, RULE, exception_until=until).due_on == plain.due_on


@given(start=st.sampled_from(RENEWING), state=st.sampled_from(RenewalState))
def test_time_takes_only_legal_steps(start: MembershipStatus, state: RenewalState) -> None:
    status = start
    for step in steps(start, state):
        assert STATUS_OF[step] in NEXT_MEMBERSHIP[status]
        status = STATUS_OF[step]
    assert status == max(start, STATUS_OF[state], key=RENEWING.index)


def test_every_state_that_is_not_active_can_be_left_by_a_report() -> None:
    for status in RENEWING[1:]:
        assert MembershipStatus.ACTIVE in NEXT_MEMBERSHIP[status]


def test_the_newest_reminder_whose_day_has_come_is_the_one_to_send() -> None:
    due = date(2026, 11, 30)
    expected = {-61: None, -60: -60, -31: -60, -30: -30, -8: -30, -7: -7, -1: -7, 0: 0, 13: 0, 14: 14, 300: 14}
    found = {day: reminder_due(due, RULE.reminder_days, on=due + timedelta(days=day)) for day in expected}
    assert found == expected


def test_reminders_say_how_many_days_there_are() -> None:
    due, grace = date(2026, 11, 30), date(2026, 12, 30)
    assert "due on 30 Nov 2026, in 30 days." in reminder_text("Acme", due, grace, on=date(2026, 10, 31))
    assert "in 1 day." in reminder_text("Acme", due, grace, on=date(2026, 11, 29))
    assert "due today" in reminder_text("Acme", due, grace, on=due)
    late = reminder_text("Acme", due, grace, on=date(2026, 12, 14))
    assert "14 days ago" in late
    assert "lapses after 30 Dec 2026" in late


def test_days_before_the_first_rule_follow_the_first_rule() -> None:
    later = SimpleNamespace(**{**vars(RULE), "valid_from": date(2027, 1, 1)})
    assert rule_on([later, RULE], date(2019, 1, 1)) is RULE
    assert rule_on([later, RULE], date(2026, 12, 31)) is RULE
    assert rule_on([later, RULE], date(2027, 1, 1)) is later
