"""A change beside the history as it was: small pasts whose waits can be counted by hand."""

import signal
import subprocess
import sys
from dataclasses import replace

from compute.scheduling.model import Limit
from compute.simulation.what_if import PERCENTS, PastJob, Question, Rules, answer
from core.config import ROOT

NOW = 1_790_000_000
AS_IT_WAS = Rules(gpus=8, wall_seconds_max=None, weights={})


def job(at: int, *, project: str = "vllm", gpus: int = 8, run: int = 600, wall: int = 3600) -> PastJob:
    return PastJob(project, "u1", NOW + at, gpus, wall, run, waited_seconds=7)


def test_twice_the_gpus_end_the_wait_behind_another_job() -> None:
    found = answer(Question([job(0), job(60)], AS_IT_WAS, replace(AS_IT_WAS, gpus=16)))
    assert found is not None
    assert found.before.percentiles[-1] == 540
    assert found.after.percentiles[-1] == 0
    assert (found.before.worst_project, found.before.worst_mean) == ("vllm", 270)
    assert found.reality.waits.mean == 7
    assert len(found.after.percentiles) == len(PERCENTS)


def test_a_limit_stops_what_runs_longer_and_counts_it() -> None:
    jobs = [job(0, run=3000), job(60, run=300, wall=900), job(120, run=100)]
    found = answer(Question(jobs, AS_IT_WAS, replace(AS_IT_WAS, wall_seconds_max=1200)))
    assert found is not None
    assert (found.shortened, found.stopped) == (2, 1)
    assert found.before.percentiles[-1] > found.after.percentiles[-1]
    assert found.after.waits.mean * 3 == (1200 - 60) + (1500 - 120)  # the short declared one goes before the other


def test_more_weight_brings_a_project_forward() -> None:
    """Two projects queue the same work; the one that weighs more is served first, and the other pays for it."""
    jobs = [job(0, project="busy", run=900)] + [job(10 + n, project=name) for n in range(20) for name in ("ant", "bee")]
    jobs.sort(key=lambda each: each.submitted_at)
    found = answer(Question(jobs, AS_IT_WAS, replace(AS_IT_WAS, weights={"bee": 5})))
    assert found is not None
    lines = {line.project: line for line in found.projects}
    assert lines["bee"].after.mean < lines["bee"].before.mean
    assert lines["ant"].after.mean > lines["ant"].before.mean
    assert [line.jobs for line in found.days] == [41]


def test_a_limit_of_what_runs_makes_its_project_wait_beside_free_gpus() -> None:
    """Three jobs of two GPUs each on eight: with one at a time they run one after the other, and the neighbour runs at once."""
    jobs = [job(0, gpus=2), job(0, gpus=2), job(0, gpus=2), job(0, project="ray", gpus=2)]
    for limit in (Limit(jobs=1), Limit(gpus=3)):
        found = answer(Question(jobs, AS_IT_WAS, replace(AS_IT_WAS, limits={"vllm": limit})))
        assert found is not None
        lines = {line.project: line for line in found.projects}
        assert (lines["vllm"].before.mean, lines["vllm"].after.mean) == (0, 600), "0, 600 and 1,200 seconds"
        assert (lines["ray"].before.mean, lines["ray"].after.mean) == (0, 0)
    both = replace(AS_IT_WAS, limits={"vllm": Limit(jobs=1)}, weights={"vllm": 3})
    found = answer(Question(jobs, both, both))
    assert found is not None
    assert found.before == found.after
    assert found.before.percentiles[-1] == 1200


def test_a_job_that_alone_is_more_than_its_project_may_have_is_left_out_of_both() -> None:
    found = answer(
        Question([job(0), job(5, gpus=4), job(9, project="ray")], AS_IT_WAS, replace(AS_IT_WAS, limits={"vllm": Limit(gpus=4)}))
    )
    assert found is not None
    assert (found.jobs, found.too_wide) == (2, 1)


def test_what_fits_on_one_side_only_is_left_out_of_both() -> None:
    found = answer(Question([job(0), job(5, gpus=4)], AS_IT_WAS, replace(AS_IT_WAS, gpus=4)))
    assert found is not None
    assert (found.jobs, found.too_wide) == (1, 1)
    assert answer(Question([job(0)], AS_IT_WAS, replace(AS_IT_WAS, gpus=4))) is None


def test_no_change_changes_no_wait() -> None:
    jobs = [job(60 * n, project=f"p{n % 3}", gpus=1 + n % 8, run=300 + 37 * n) for n in range(50)]
    found = answer(Question(jobs, AS_IT_WAS, AS_IT_WAS))
    assert found is not None
    assert found.before == found.after


def test_a_replay_whose_asker_was_killed_ends_by_itself() -> None:
    command = [sys.executable, "-m", "compute.simulation.what_if", "1"]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as left:
        assert left.wait(timeout=30) == -signal.SIGALRM, "it waits for its question, which never comes"
