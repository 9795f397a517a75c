"""A what-if replay in a process of its own, with an end: it can take neither the worker's time nor more than it was given."""

import math
import subprocess
import sys

import structlog

from compute.simulation.what_if import ANSWER, QUESTION, Answer, Question
from core.config import ROOT
from core.errors import DomainError

GRACE_SECONDS = 5
"""So long after its limit the process ends by itself, if nobody is left to end it."""

log = structlog.get_logger()


class ReplayTooLong(DomainError):
    """A replay did not end in the time it has."""

    code = "replay_too_long"


class ReplayFailed(DomainError):
    """A replay ended without an answer."""

    code = "replay_failed"


def replay(question: Question, *, seconds: float) -> Answer:
    """Ask the question apart.

    Raises:
        ReplayTooLong: no answer after so many seconds.
        ReplayFailed: no job fits, or the other process failed; then the log has its last words.
    """
    ends_after = str(math.ceil(seconds) + GRACE_SECONDS)
    try:
        ran = subprocess.run(  # noqa: S603 - our own module, and a number
            [sys.executable, "-m", "compute.simulation.what_if", ends_after],
            input=QUESTION.dump_json(question),
            capture_output=True,
            timeout=seconds,
            cwd=ROOT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ReplayTooLong(
            f"The replay of {len(question.jobs):,} jobs did not end within {seconds:.0f} seconds; ask about fewer days."
        ) from None
    if ran.returncode != 0:
        log.error("compute.replay_failed", returncode=ran.returncode, said=ran.stderr.decode(errors="replace")[-2000:])
        raise ReplayFailed(
            "The replay stopped with an error; the worker's log has it. Asking again does not help before it is found."
        )
    found = ANSWER.validate_json(ran.stdout)
    if found is None:
        raise ReplayFailed(
            "Every job of these days needs more GPUs than there would be, or than its project might have; "
            "take fewer away, or allow more."
        )
    return found
