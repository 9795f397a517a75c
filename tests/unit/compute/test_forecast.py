"""The pace of the last weeks, and what it makes of a budget."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.policies import forecast, forecast_words
from compute.policies.forecast import Demand, Forecast, Gift, Outlook, TooShort, Verdict

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
DAY = timedelta(days=1)
G = 840 * 3600


def of(daily: list[int], *, left: int, ends_in: timedelta) -> Forecast:
    found = forecast.forecast(daily, given=left, left=left, now=NOW, ends_at=NOW + ends_in)
    assert isinstance(found, Forecast)
    return found


def test_a_steady_pace_says_the_day() -> None:
    found = of([10 * G] * 28, left=200 * G, ends_in=60 * DAY)
    assert found.verdict is Verdict.RUNS_OUT
    assert found.expected == found.quiet == found.busy == Outlook(NOW + 20 * DAY, 0)
    assert "used up about 12 Dec 2026, 40 days before its end" in forecast_words.sentence(found)


def test_a_week_of_work_and_weekends_counts_as_a_week() -> None:
    found = of([10 * G, 10 * G, 10 * G, 10 * G, 10 * G, 0, 0] * 4, left=50 * G, ends_in=60 * DAY)
    assert (found.pace.quiet, found.pace.middle, found.pace.busy) == (50 * G, 50 * G, 50 * G)


def test_one_odd_day_does_not_carry_the_figure() -> None:
    daily = [10 * G] * 28
    daily[13] = 10_000 * G
    found = of(daily, left=200 * G, ends_in=60 * DAY)
    assert found.expected == Outlook(NOW + 20 * DAY, 0)
    assert found.busy.used_up_at is not None
    assert found.busy.used_up_at < NOW + DAY


def test_a_job_a_week_is_a_pace_too() -> None:
    found = of([0, 0, 0, 7 * G, 0, 0, 0] * 4, left=100 * G, ends_in=14 * DAY)
    assert found.verdict is Verdict.LAPSES
    assert found.expected.unused == 86 * G
    assert "about 86 GPU-hours are not used when it ends on 6 Dec 2026, and lapse" in forecast_words.sentence(found)


def test_what_is_used_up_is_said_so_and_warned_of_no_more() -> None:
    found = of([10 * G] * 28, left=0, ends_in=60 * DAY)
    assert forecast_words.sentence(found) == "All of it is used."
    assert forecast.due_mark([30, 14, 7], found.date, NOW) is None


def test_a_forecast_says_no_hundredths() -> None:
    week = [0, 0, 0, 7 * G + 12345, 0, 0, 0]
    assert "about 86 GPU-hours are not used" in forecast_words.sentence(of(week * 4, left=100 * G, ends_in=14 * DAY))
    assert "about 0.50 GPU-hours are not used" in forecast_words.sentence(of([0] * 28, left=G // 2 + 1, ends_in=14 * DAY))


def test_what_nobody_uses_lapses_whole() -> None:
    found = of([0] * 28, left=100 * G, ends_in=14 * DAY)
    assert (found.verdict, found.expected.unused) == (Verdict.LAPSES, 100 * G)


@pytest.mark.parametrize(
    ("left", "verdict"), [(139, Verdict.RUNS_OUT), (140, Verdict.FITS), (147, Verdict.FITS), (148, Verdict.LAPSES)]
)
def test_the_verdict_turns_where_it_says(left: int, verdict: Verdict) -> None:
    assert of([10 * G] * 28, left=left * G, ends_in=14 * DAY).verdict is verdict


@pytest.mark.parametrize("days", [0, 1, 13])
def test_too_little_history_says_nothing(days: int) -> None:
    found = forecast.forecast([G] * days, given=G, left=G, now=NOW, ends_at=NOW + DAY)
    assert found == TooShort(days)
    assert forecast_words.sentence(found) == f"No forecast yet: it needs 14 days of history, and there are {days}."
    assert isinstance(forecast.forecast([G] * 14, given=G, left=G, now=NOW, ends_at=NOW + DAY), Forecast)


@given(st.lists(st.integers(0, 10**9), min_size=14, max_size=40), st.integers(0, 10**11), st.integers(1, 400))
def test_a_busier_pace_never_lasts_longer(daily: list[int], left: int, days: int) -> None:
    found = of(daily, left=left, ends_in=days * DAY)
    last = [outlook.used_up_at or found.ends_at for outlook in (found.busy, found.expected, found.quiet)]
    assert last == sorted(last)
    assert found.busy.unused <= found.expected.unused <= found.quiet.unused <= left


FIRST, SECOND, OTHER = uuid4(), uuid4(), uuid4()


def gift(gift_id: UUID, hours: int, closes_in: int, opens_in: int = 0) -> Gift:
    return Gift(gift_id, hours * G, NOW + opens_in * DAY, NOW + closes_in * DAY)


def both(used: int = 1) -> Demand:
    return Demand(used, frozenset({FIRST, SECOND}))


def test_offers_are_drawn_soonest_end_first() -> None:
    found = forecast.draw_down([gift(SECOND, 70, 60), gift(FIRST, 70, 30)], [both()], per_week=70 * G, now=NOW)
    assert found == {FIRST: Outlook(NOW + 7 * DAY, 0), SECOND: Outlook(NOW + 14 * DAY, 0)}


def test_an_offer_behind_another_is_not_said_to_lapse_although_nobody_draws_it_yet() -> None:
    # Alone, the second would be judged by its own use, which is nothing.
    found = forecast.draw_down([gift(FIRST, 70, 30), gift(SECOND, 700, 60)], [both()], per_week=70 * G, now=NOW)
    assert found[SECOND] == Outlook(None, 170 * G)  # 53 days of 10 hours


def test_what_closes_before_it_is_drawn_lapses_and_the_next_takes_over() -> None:
    found = forecast.draw_down([gift(FIRST, 100, 7), gift(SECOND, 70, 60)], [both()], per_week=70 * G, now=NOW)
    assert found == {FIRST: Outlook(None, 30 * G), SECOND: Outlook(NOW + 14 * DAY, 0)}


def test_an_offer_that_opens_later_waits() -> None:
    found = forecast.draw_down([gift(FIRST, 70, 60, opens_in=10)], [Demand(1, frozenset({FIRST}))], per_week=70 * G, now=NOW)
    assert found == {FIRST: Outlook(NOW + 17 * DAY, 0)}


def test_a_projects_use_goes_only_where_it_is_permitted() -> None:
    demands = [both(used=3), Demand(4, frozenset({OTHER}))]
    gifts = [gift(FIRST, 30, 70), gift(SECOND, 60, 71), gift(OTHER, 500, 70)]
    found = forecast.draw_down(gifts, demands, per_week=70 * G, now=NOW)
    assert found == {FIRST: Outlook(NOW + 7 * DAY, 0), SECOND: Outlook(NOW + 21 * DAY, 0), OTHER: Outlook(None, 100 * G)}


def test_without_any_use_every_offer_lapses() -> None:
    found = forecast.draw_down([gift(FIRST, 70, 30), gift(SECOND, 10, 5)], [], per_week=0, now=NOW)
    assert found == {FIRST: Outlook(None, 70 * G), SECOND: Outlook(None, 10 * G)}


def test_warnings_come_at_their_marks_and_only_for_what_stands_out() -> None:
    found = of([10 * G] * 28, left=200 * G, ends_in=60 * DAY)
    assert forecast.warning_dates(found, [30, 14, 7], NOW) == [NOW + 6 * DAY, NOW + 13 * DAY]
    assert forecast.due_mark([30, 14, 7], found.date, NOW) == 30
    assert forecast.due_mark([30, 14, 7], found.date, NOW + 13 * DAY) == 7
    assert forecast.due_mark([14, 7], found.date, NOW) is None
    fits = of([10 * G] * 28, left=140 * G, ends_in=14 * DAY)
    assert forecast.warning_dates(fits, [30, 14, 7], NOW) == []
