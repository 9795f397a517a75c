"""Rates from benchmarks: the linear program, its prices, and what they promise."""

import random
from collections.abc import Sequence
from fractions import Fraction
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compute.policies import calibration
from compute.policies.calibration import Benchmark, Prices, PricesNotFound

ONE = Fraction(1)


def solved(gpus: dict[str, int], *benchmarks: dict[str, float], weights: Sequence[int] = ()) -> Prices:
    rows = [
        Benchmark(str(number), Fraction(weights[number]) if weights else ONE, seconds)
        for number, seconds in enumerate(benchmarks)
    ]
    return calibration.prices(rows, {name: Fraction(count) for name, count in gpus.items()}, "h100")


def test_one_benchmark_makes_the_rate_its_speed() -> None:
    found = solved({"h100": 8, "a100": 8, "t4": 2}, {"h100": 100, "a100": 200, "t4": 1000})
    assert found.flavors["h100"].middle == pytest.approx(1)
    assert found.flavors["a100"].middle == pytest.approx(0.5)
    assert found.flavors["t4"].middle == pytest.approx(0.1)


def test_the_rate_is_that_of_whoever_uses_the_last_gpu() -> None:
    half, near = {"h100": 100.0, "a100": 200.0}, {"h100": 100.0, "a100": 125.0}
    assert solved({"h100": 8, "a100": 2}, half, near).flavors["a100"].middle == pytest.approx(0.8), "few: the best user's"
    assert solved({"h100": 8, "a100": 80}, half, near).flavors["a100"].middle == pytest.approx(0.5), "many: the other's too"


def test_where_several_prices_clear_the_middle_is_taken_and_the_range_said() -> None:
    # Each benchmark gets exactly the GPUs it is best at, so any rate between their two speeds clears.
    found = solved({"h100": 13, "a100": 13}, {"h100": 100, "a100": 200}, {"h100": 100, "a100": 50}).flavors["a100"]
    assert (found.low, found.middle, found.high) == pytest.approx((0.5, 1.25, 2))


def test_a_pair_nobody_measured_is_taken_from_the_others() -> None:
    rows = [
        Benchmark("a", ONE, {"h100": 100, "a100": 200}),
        Benchmark("b", ONE, {"h100": 100, "a100": 50}),
        Benchmark("c", ONE, {"h100": 7}),
    ]
    assert calibration.speeds(rows, ["a100", "h100"], "h100")[2] == pytest.approx([1.0, 1.0])


@settings(max_examples=40)
@given(
    st.integers(1, 5).flatmap(
        lambda kinds: st.lists(st.lists(st.floats(10, 1000), min_size=kinds, max_size=kinds), min_size=1, max_size=6)
    ),
    st.lists(st.integers(1, 500), min_size=6, max_size=6),
    st.lists(st.integers(1, 9), min_size=6, max_size=6),
)
def test_at_these_prices_the_fair_work_costs_what_all_gpus_are_worth(
    others: list[list[float]], counts: list[int], weights: list[int]
) -> None:
    names = [f"f{number}" for number in range(len(others[0]))]
    gpus = {"h100": counts[0], **{name: counts[number + 1] for number, name in enumerate(names)}}
    rows = [{"h100": 100.0, **dict(zip(names, times, strict=True))} for times in others]
    found = solved(gpus, *rows, weights=weights)
    price = {name: found.flavors[name].middle for name in gpus}  # HiGHS holds each constraint to 1e-7
    worth = sum(price[name] * count for name, count in gpus.items())
    share = [weight / sum(weights[: len(rows)]) for weight in weights[: len(rows)]]
    cost = 0.0
    for row, part in zip(rows, share, strict=True):
        speed = {name: 100.0 / row[name] for name in gpus}
        wanted = found.fair * part * sum(speed[name] * count for name, count in gpus.items())
        cost += wanted * min(price[name] / speed[name] for name in gpus)
    assert cost == pytest.approx(worth, rel=1e-4)
    assert found.fair >= 1 - 1e-6, "an equal share of everything is always to be had"
    for name in names:
        measured = [100.0 / row[name] for row in rows]
        assert min(measured) * (1 - 1e-4) <= price[name] <= max(measured) * (1 + 1e-4), "no rate beyond what anybody measured"


@pytest.mark.parametrize("seed", [1, 27, 232])
def test_speeds_far_apart_have_prices_too(seed: int) -> None:
    # A second beside a day, one GPU beside thousands: unscaled, the solver took 27 and 232 for infeasible.
    rng = random.Random(seed)
    gpus = {"h100": rng.choice([1, 64, 4000]), "a100": rng.choice([1, 64, 4000]), "t4": rng.choice([1, 64, 4000])}
    rows = [{name: 10 ** rng.uniform(0, 7) for name in gpus} for _ in range(rng.choice([2, 5, 20]))]
    found = solved(gpus, *rows).flavors
    assert all(0 < price.low <= price.middle <= price.high for price in found.values())


def test_what_the_solver_cannot_tell_is_a_sentence_and_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scipy.optimize.linprog", lambda *_, **__: SimpleNamespace(status=2, message="infeasible"))
    with pytest.raises(PricesNotFound, match="too far apart"):
        solved({"h100": 8, "a100": 8}, {"h100": 100, "a100": 200})


@pytest.mark.parametrize(
    ("rate", "fraction"),
    [
        (1.0, "1"),
        (0.5000000003, "1/2"),
        (1.41, "7/5"),
        (0.66, "2/3"),
        (2.97, "3"),
        (0.05, "1/20"),
        (0.1234, "1/8"),
        (0.004, "1/250"),
    ],
)
def test_rates_are_rounded_to_the_simplest_near_fraction(rate: float, fraction: str) -> None:
    assert calibration.rounded(rate) == Fraction(fraction)


@given(st.floats(0.001, 1000))
def test_rounding_stays_near(rate: float) -> None:
    assert abs(float(calibration.rounded(rate)) - rate) <= rate * 0.051
