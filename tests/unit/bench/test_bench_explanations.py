"""What waiting jobs are told is true when it is checked, and the check finds what is not."""

from dataclasses import replace

import pytest

from bench._life import life
from bench._truth import check
from bench.explanations import look_into
from compute.scheduling import Reason


@pytest.mark.parametrize("seed", [1, 2])
def test_every_explanation_of_a_made_up_life_is_true(seed: int) -> None:
    found = look_into(600, seed, looks=40, jobs_a_day=1500)

    assert len({each.decision.reason for each in found.verdicts}) >= 6
    assert [each for each in found.verdicts if not each.true] == []


@pytest.mark.parametrize("fact", ["gpus_free", "ticks_needed", "in_use", "expected_start_at"])
def test_a_wrong_explanation_is_found(fact: str) -> None:
    playing = life(600, 3, jobs_a_day=1500)
    while (answer := playing.step()) is not None:
        for decision in answer.waiting:
            if getattr(decision, fact) is not None and decision.reason is _ABOUT[fact] and decision.opens_at is None:
                lie = replace(decision, **{fact: getattr(decision, fact) + (1 if fact == "gpus_free" else -1)})
                assert not check(playing.snapshot(), answer, lie).true
                return
    pytest.fail("nobody waited for this")


_ABOUT = {
    "gpus_free": Reason.WAITING_FOR_CAPACITY,
    "ticks_needed": Reason.WAITING_FOR_BUDGET,
    "in_use": Reason.PROJECT_LIMIT,
    "expected_start_at": Reason.RESERVED_NEXT,
}
