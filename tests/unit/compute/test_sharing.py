"""Use beside fair share, counted by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.policies.sharing import Span, fair_shares

HOUR = 3600


def spans(*rows: tuple[str, int, int, int, int]) -> list[Span]:
    return [Span(name, gpus, wanted * HOUR, had * HOUR, over * HOUR) for name, gpus, wanted, had, over in rows]


def test_who_waited_while_another_had_everything_had_a_fair_share_of_half() -> None:
    ant, bee = fair_shares(spans(("ant", 8, 0, 0, 4), ("bee", 8, 0, 4, 8)), gpus=8, weights={})
    assert (ant.project, ant.used, ant.fair) == ("ant", 8 * 4 * HOUR, pytest.approx(4 * 4 * HOUR))
    assert (bee.used, bee.fair) == (8 * 4 * HOUR, pytest.approx((4 * 4 + 8 * 4) * HOUR))


def test_weights_shift_the_fair_share_and_nobody_gets_more_than_it_wants() -> None:
    rows = spans(("ant", 8, 0, 0, 4), ("bee", 2, 0, 0, 4), ("cat", 8, 0, 4, 5))
    by_name = {got.project: got.fair / HOUR for got in fair_shares(rows, gpus=8, weights={"ant": 3})}
    assert by_name["bee"] == pytest.approx(1.6 * 4)  # a fifth of eight, less than the two it wants
    assert by_name["ant"] == pytest.approx(4.8 * 4)
    assert by_name["cat"] == pytest.approx(1.6 * 4 + 8)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("abc"), st.integers(1, 8), st.integers(0, 30_000), st.integers(0, 9_000), st.integers(1, 9_000)
        ),
        max_size=20,
    )
)
def test_no_share_exceeds_what_was_wanted(rows: list[tuple[str, int, int, int, int]]) -> None:
    made = [Span(name, gpus, at, at + wait, at + wait + run) for name, gpus, at, wait, run in rows]
    wanted = {name: sum(span.gpus * (span.over_at - span.wanted_at) for span in made if span.project == name) for name in "abc"}
    found = fair_shares(made, gpus=8, weights={"a": 2})
    assert all(got.fair <= wanted[got.project] + 1e-3 for got in found)
    assert sum(got.used for got in found) == sum(span.gpus * (span.over_at - span.had_at) for span in made)
