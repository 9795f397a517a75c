"""The reference of states says what the code knows."""

from pathlib import Path

import pytest

from compute.models import FailureCause, GrantStatus, JobStatus, OfferStatus
from compute.scheduling import Reason
from compute.services.attempts import GAVE_BACK, TAKEN_BACK, WAITING_FOR_RETRY
from compute.services.submit import WAITING_FOR_SCHEDULER

PAGE = (Path(__file__).resolve().parents[3] / "docs/reference/job-states.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "word",
    [
        *JobStatus,
        *GrantStatus,
        *OfferStatus,
        *FailureCause,
        *Reason,
        WAITING_FOR_RETRY,
        WAITING_FOR_SCHEDULER,
        GAVE_BACK,
        TAKEN_BACK,
    ],
)
def test_every_state_cause_and_reason_has_its_line(word: str) -> None:
    assert f"`{word}`" in PAGE
