"""When a running job does nothing, as far as it can be seen."""

from datetime import UTC, datetime, timedelta

import pytest

from compute.executors import devices
from compute.policies import idle
from compute.policies.idle import Look, Seen, Stretch

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def gpu(percent: int | None, at: datetime = START, cpu: float | None = None) -> Look:
    return Look(at, True, percent, cpu)


def slot(cpu: float | None, at: datetime) -> Look:
    return Look(at, False, None, cpu)


@pytest.mark.parametrize(
    ("percent", "found"), [(0, Seen.IDLE), (1, Seen.IDLE), (2, Seen.BUSY), (100, Seen.BUSY), (None, Seen.NOT_MEASURED)]
)
def test_a_gpu_is_judged_by_the_gpu(percent: int | None, found: Seen) -> None:
    assert idle.seen(None, gpu(percent)) is found
    working, later = gpu(percent, cpu=0), gpu(percent, START + MINUTE, cpu=60)
    assert idle.seen(working, later) is found, "busy processes say nothing about a GPU"


@pytest.mark.parametrize(
    ("used", "found"), [(0, Seen.IDLE), (0.5, Seen.IDLE), (0.7, Seen.BUSY), (60, Seen.BUSY), (None, Seen.NOT_MEASURED)]
)
def test_a_slot_is_judged_by_its_processes_between_two_looks(used: float | None, found: Seen) -> None:
    assert idle.seen(slot(100, START), slot(None if used is None else 100 + used, START + MINUTE)) is found
    assert idle.seen(None, slot(100, START)) is Seen.NOT_MEASURED


def row(*found: Seen, gap: timedelta = MINUTE) -> Stretch | None:
    stretch, last = None, None
    for number, each in enumerate(found):
        look = gpu(None, START + number * gap)
        stretch, last = idle.stretch(stretch, last, look, each), look.at
    return stretch


def test_only_an_unbroken_row_of_idle_looks_counts() -> None:
    assert row(*[Seen.IDLE] * 16) == Stretch(START, 16)
    assert row(*[Seen.IDLE] * 9, Seen.BUSY, Seen.IDLE) == Stretch(START + 10 * MINUTE, 1)
    assert row(*[Seen.IDLE] * 9, Seen.NOT_MEASURED) is None
    assert row(*[Seen.IDLE] * 3, gap=6 * MINUTE) == Stretch(START + 12 * MINUTE, 1), "nobody knows what was between"


def test_idle_holding_takes_time_and_looks() -> None:
    quarter = timedelta(minutes=15)
    assert Stretch(START, 16).holds(START + quarter, quarter)
    assert not Stretch(START, 15).holds(START + quarter - MINUTE, quarter)
    assert not Stretch(START, 4).holds(START + quarter, quarter)


def test_the_advice_tells_preparing_from_hanging() -> None:
    assert "in a job without GPUs" in idle.advice(has_gpus=True, cpu=0.9)
    assert "If it hangs, cancel it" in idle.advice(has_gpus=True, cpu=0.0)
    assert "If it hangs, cancel it" in idle.advice(has_gpus=True, cpu=None)


def test_what_nvidia_smi_prints_is_read_and_not_available_is_not_zero() -> None:
    one, other = "GPU-5c1c1ab0-7b3f-11ee-b962-0242ac120002", "GPU-5c1c1ab0-7b3f-11ee-b962-0242ac120003"
    printed = [f"{one}, 37", f"{other}, [N/A]", "GPU-x, [Not Supported]", ""]
    assert devices.parse_busy("\n".join(printed)) == {one: 37}
