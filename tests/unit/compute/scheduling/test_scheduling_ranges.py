"""Ranges of expected starts: in order, corrected by what came of earlier ones until they hold as often as they should."""

import random
from datetime import UTC, datetime

from compute.scheduling import Correction, Expected, came_out, corrected, held, horizon

HOUR = 3600


def planned(hours: float = 2) -> Expected:
    likely = int(hours * HOUR)
    return Expected(0, likely // 2, likely, likely * 2, None)


def test_a_range_is_wide_as_long_as_nothing_came_of_any() -> None:
    told = corrected(planned(), Correction())

    assert told.soonest_at < planned().soonest_at < told.likely_at == planned().likely_at < planned().late_at < told.late_at


def test_moments_stay_in_order_whatever_was_learnt() -> None:
    told = corrected(planned(), Correction(soonest=3, likely=-2, late=-9))

    assert 0 <= told.soonest_at <= told.likely_at <= told.late_at


def test_an_outcome_moves_each_moment_towards_its_share() -> None:
    told = corrected(planned(), Correction())
    late, early = came_out(Correction(), told, None), came_out(Correction(), told, 1)

    assert (late.late, late.likely, late.soonest) > (1.0, 0.0, -1.0)
    assert (early.late, early.likely, early.soonest) < (1.0, 0.0, -1.0)
    assert late.late - 1 > 5 * (1 - early.late), "one that came too late counts nine times one that did not"


def test_moments_stay_dates_while_nothing_starts() -> None:
    by, told = Correction(), corrected(planned(), Correction())
    for _ in range(5000):  # all told while the pool stood still, and none of them started in time
        by = came_out(by, told, None)
    late = corrected(planned(24 * 30), by).late_at

    assert datetime.fromtimestamp(1_800_000_000 + late, UTC).year < 2100
    assert came_out(by, told, 1).late < by.late, "it goes back as soon as something starts"


def test_ranges_hold_as_often_as_they_should_though_plans_are_wrong_and_things_change() -> None:
    chance, by, came = random.Random(5), Correction(), []
    for number in range(4000):
        told = corrected(planned(), by)
        start = round(planned().likely_at * chance.lognormvariate(1.0 if number < 2000 else -0.5, 0.6))
        in_time = start if start <= told.late_at else None
        by = came_out(by, told, in_time)
        came.append(held(told, in_time))

    assert abs(sum(came) / len(came) - 0.8) < 0.02
    assert abs(sum(came[2000:]) / 2000 - 0.8) < 0.03, "after everything changed, too"
    raw = sum(planned().soonest_at <= 2 * HOUR * chance.lognormvariate(1.0, 0.6) <= planned().late_at for _ in range(2000))
    assert raw / 2000 < 0.5, "the plan alone is far from it"


def test_waits_of_minutes_and_of_days_are_sorts_of_their_own() -> None:
    assert [horizon(planned(hours)) for hours in (0.1, 0.5, 2, 9, 99)] == [0, 1, 2, 3, 4]


def test_the_words_say_how_often_such_ranges_held() -> None:
    told = Expected(0, HOUR, 2 * HOUR, 3 * HOUR, None, ranges=200, held=158)

    assert "between 01:00 UTC and 03:00 UTC; 158 of the last 200 such ranges held" in told.in_short
    assert "wide guess" not in told.detail
    assert "a wide guess" in Expected(0, HOUR, 2 * HOUR, 3 * HOUR, None).detail
