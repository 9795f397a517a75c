"""What GPU time is worth: exact slices, exact splits, and a conversion that never settles above its hold."""

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compute.policies import charged_seconds, device_ticks, in_reference, say_gpu_time, soonest_first
from core.units import TICKS_PER_GPU_HOUR, gpu_hours

START = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
RATES = st.fractions(min_value=Fraction(1, 10**6), max_value=1000, max_denominator=10**6)


def test_seven_slice_hours_are_one_gpu_hour() -> None:
    """AE-043: an H200 as seven 1g.18gb slices; eight GPUs give 56 slices."""
    assert device_ticks(7, 7, 3600) == TICKS_PER_GPU_HOUR
    assert device_ticks(56, 7, 3600) == 8 * TICKS_PER_GPU_HOUR
    assert gpu_hours(device_ticks(1, 7, 3600)) == Fraction(1, 7)


@pytest.mark.parametrize(
    ("gpus", "seconds", "gpu_seconds"), [(1, 291, 291), (1, 614, 614), (1, 446, 446), (8, 760, 6080), (8, 1521, 12168)]
)
def test_a_charge_is_devices_times_seconds(gpus: int, seconds: int, gpu_seconds: int) -> None:
    """AE-040: the jobs of Delta's page, exact; its SU are these, rounded (and doubled for interactive ones)."""
    assert device_ticks(gpus, 1, seconds) == gpu_seconds * 840


@pytest.mark.parametrize(
    ("gpus", "seconds", "factor", "units"),
    [(1, 291, 1, "0.08"), (1, 614, 1, "0.17"), (1, 446, 1, "0.12"), (8, 760, 1, "1.69"), (8, 1521, 2, "6.76")],
)
def test_the_units_delta_shows_are_our_charge_rounded(gpus: int, seconds: int, factor: int, units: str) -> None:
    """AE-040: the last job is interactive, whose 8 GPUs count double: a rate of 2."""
    charge = in_reference(device_ticks(gpus, 1, seconds), Fraction(factor))
    assert f"{float(gpu_hours(charge)):.2f}" == units


@given(devices=st.integers(1, 64), slices=st.integers(1, 8), seconds=st.integers(0, 10**6))
def test_every_slice_is_metered_without_rounding(devices: int, slices: int, seconds: int) -> None:
    ticks = device_ticks(devices, slices, seconds)
    assert gpu_hours(ticks) == Fraction(devices, slices) * Fraction(seconds, 3600)


@given(ticks=st.integers(0, 10**12), more=st.integers(0, 10**9), rate=RATES)
def test_converting_is_monotonic_and_off_by_less_than_a_tick(ticks: int, more: int, rate: Fraction) -> None:
    converted = in_reference(ticks, rate)
    assert 0 <= converted - ticks * rate < 1
    assert converted <= in_reference(ticks + more, rate)


@given(
    seconds=st.integers(0, 10**6),
    devices=st.integers(1, 16),
    slices=st.integers(1, 8),
    denominator=st.integers(1, 120),
    numerator=st.integers(1, 500),
)
def test_ordinary_rates_are_exact(seconds: int, devices: int, slices: int, numerator: int, denominator: int) -> None:
    rate = Fraction(numerator, denominator)
    ticks = device_ticks(devices, slices, seconds)
    if 840 // slices % denominator == 0:
        assert in_reference(ticks, rate) == ticks * rate


@given(held=st.lists(st.integers(1, 10**9), min_size=1, max_size=6), share=st.fractions(0, 1))
def test_what_was_used_comes_from_the_soonest_ending_offers_and_sums_exactly(held: list[int], share: Fraction) -> None:
    used = int(sum(held) * share)
    parts = soonest_first(used, held)
    assert sum(parts) == used
    assert all(0 <= part <= most for part, most in zip(parts, held, strict=True))
    touched = [i for i, part in enumerate(parts) if part]
    assert all(parts[i] == held[i] for i in touched[:-1]), "an offer was left before it was used up"


def test_more_than_held_is_a_bug_not_a_split() -> None:
    with pytest.raises(ValueError, match="more were used"):
        soonest_first(11, [4, 6])


@pytest.mark.parametrize(
    ("lasted", "charged"),
    [(timedelta(0), 0), (timedelta(milliseconds=1), 1), (timedelta(seconds=59, milliseconds=1), 60), (timedelta(hours=2), 3600)],
)
def test_seconds_are_rounded_up_and_bounded_by_the_wall_time(lasted: timedelta, charged: int) -> None:
    assert charged_seconds(START, START + lasted, 3600) == charged


def test_what_never_began_costs_nothing() -> None:
    assert charged_seconds(None, START, 3600) == 0
    assert charged_seconds(START, None, 3600) == 0


@pytest.mark.parametrize(
    ("ticks", "words"),
    [
        (80 * 60 * 840, "80 GPU-minutes"),
        (60 * 840, "1 GPU-minute"),
        (TICKS_PER_GPU_HOUR, "1 GPU-hour"),
        (1_000 * TICKS_PER_GPU_HOUR, "1,000 GPU-hours"),
        (TICKS_PER_GPU_HOUR // 7, "0.14 GPU-hours"),
        (840, "0.000278 GPU-hours"),
    ],
)
def test_gpu_time_in_words(ticks: int, words: str) -> None:
    assert say_gpu_time(ticks) == words
