"""What waiting jobs are told is true when it is checked, and the check finds what is not."""

import random
from dataclasses import replace

import pytest

from bench import explanations
from bench._life import life
from bench._promises import Promises
from bench._ranges import Ranges
from bench._truth import Verdict, check
from bench.explanations import Findings, look_into
from compute.scheduling import Decision, Reason


@pytest.mark.parametrize("seed", [1, 2])
def test_every_explanation_of_a_made_up_life_is_true(seed: int) -> None:
    found = look_into(600, seed, looks=40, jobs_a_day=1500)

    assert len({each.decision.reason for each in found.verdicts}) >= 8
    assert [each for each in found.verdicts if not each.true] == []


@pytest.mark.parametrize(
    ("reason", "fact", "by"),
    [
        (Reason.WAITING_FOR_CAPACITY, "gpus_short", 1),
        (Reason.WAITING_FOR_WINDOW, "gpus_short", 1),
        (Reason.WAITING_FOR_WINDOW, "over_by", 1),
        (Reason.WAITING_FOR_QUOTA, "gpus_short", -1),
        (Reason.WAITING_FOR_QUOTA, "gpus_short", 1),
        (Reason.WAITING_FOR_QUOTA, "own_short", -1),
        (Reason.WAITING_FOR_BUDGET, "ticks_needed", -1),
        (Reason.PROJECT_LIMIT, "in_use", -1),
        (Reason.SUBMITTER_LIMIT, "in_use", 1),
        (Reason.RESERVED_NEXT, "expected_start_at", -1),
    ],
)
def test_a_wrong_explanation_is_found(reason: Reason, fact: str, by: int) -> None:
    for seed in (3, 4, 5):
        playing = life(600, seed, jobs_a_day=1500)
        while (answer := playing.step()) is not None:
            for decision in answer.waiting:
                if decision.reason is reason and getattr(decision, fact) and not decision.never_fits:
                    lie = replace(decision, **{fact: getattr(decision, fact) + by})
                    assert not check(playing.snapshot(), answer, lie).true
                    return
    pytest.fail("nobody waited for this")


def test_one_false_explanation_fails_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    told = [Decision(None, reason, 0, 1, "h100", 1, gpus_free=0, limit=1, in_use=1) for reason in Reason]
    true = Findings([Verdict(each, (), ()) for each in told], [], Promises(), Ranges(random.Random(1)))
    assert explanations.wrong(true) == []
    false = replace(true, verdicts=[*true.verdicts, Verdict(told[-2], ("more GPUs",), ())])
    monkeypatch.setattr(explanations, "look_into", lambda jobs, seed: false)
    monkeypatch.setattr("sys.argv", ["explanations"])
    with pytest.raises(SystemExit, match="more GPUs"):
        explanations.main()
    late = Promises()
    late.broken[Reason.WAITING_FOR_QUOTA] += 1
    assert explanations.wrong(replace(true, promises=late)) != []
    assert explanations.wrong(replace(true, verdicts=true.verdicts[1:])) == ["waiting_for_pool was told nobody"]
