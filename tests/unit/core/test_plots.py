"""Curves are drawn where their figures are."""

import pytest

from core import plots


def test_a_curve_goes_from_corner_to_corner() -> None:
    made = plots.plot("T", {"up": [(0, 0), (10, 4)]}, across=[(0, "then"), (10, "now")], top=4, up=str)
    assert made.curves[0].points == "64.0,194.0 628.0,10.0"
    assert [tick.label for tick in made.up] == ["0.0", "2.0", "4"]
    assert [(tick.at, tick.anchor) for tick in made.across] == [(64, "start"), (628, "end")]


def test_what_lies_above_the_axis_is_drawn_at_its_top() -> None:
    made = plots.plot("T", {"over": [(0, 9)]}, across=[(0, "then"), (1, "now")], top=4, up=str)
    assert made.curves[0].points == "64.0,10.0"


@pytest.mark.parametrize(("seconds", "top"), [(0, 10), (11, 20), (3601, 7200), (10**9, 128 * 86_400)])
def test_an_axis_of_durations_ends_at_a_round_one(seconds: int, top: int) -> None:
    assert plots.duration_top(seconds) == top


@pytest.mark.parametrize(("most", "top"), [(0, 2), (3, 4), (5, 10), (11, 20), (99, 100), (101, 200)])
def test_an_axis_of_counts_ends_at_a_round_one(most: int, top: int) -> None:
    assert plots.count_top(most) == top
