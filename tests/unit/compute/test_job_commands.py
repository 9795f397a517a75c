"""What `pledgeworks job …` prints of a log, and what it refuses."""

import json
from typing import Any
from uuid import UUID, uuid4

import pytest
from click.testing import CliRunner, Result

from compute import cli
from compute.policies import output
from compute.schemas import JobIn

PART_BYTES = 100
JOB = str(uuid4())
LINES = [f"line {number:03}\n" for number in range(30)]


class LoggingJobs:
    """One ended job with a log of three parts, as the API hands it out."""

    def __init__(self) -> None:
        self.submitted: list[object] = []

    def submit(self, given: object) -> dict[str, Any]:
        self.submitted.append(given)
        return {"id": JOB}

    def log(self, job_id: UUID, *, attempt: int | None, offset: int) -> dict[str, Any]:
        raw = "".join(LINES).encode()
        seen = output.window(raw[offset : offset + PART_BYTES], offset=offset, total_bytes=len(raw), ended=True)
        return {
            "attempt": 1,
            "text": seen.text,
            "offset": offset,
            "next_offset": seen.next_offset,
            "total_bytes": seen.total_bytes,
            "complete": seen.complete,
        }


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> LoggingJobs:
    made = LoggingJobs()
    monkeypatch.setattr("compute.cli.ways.LocalJobs", lambda _email: made)
    return made


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.job, arguments)


@pytest.mark.usefixtures("jobs")
def test_a_log_in_json_is_read_to_its_end_by_its_offsets() -> None:
    text, offset, parts = "", 0, 0
    while True:
        told = run("logs", JOB, "--json", "--offset", str(offset))
        part = json.loads(told.stdout)
        text, offset, parts = text + part["text"], part["next_offset"], parts + 1
        if part["complete"]:
            break
        assert told.stderr == f"There is more of it: go on with --offset {offset}.\n"
    assert (text, parts, told.stderr) == ("".join(LINES), 3, "")


@pytest.mark.usefixtures("jobs")
def test_a_log_as_text_is_printed_to_its_end_from_where_it_is_asked() -> None:
    assert run("logs", JOB).stdout == "".join(LINES)
    for options in (["--offset", "270"], ["--offset", "270", "--follow"]):
        assert run("logs", JOB, *options).stdout == "".join(LINES)[270:]


def test_flavors_are_named_in_the_order_in_which_they_are_liked(jobs: LoggingJobs) -> None:
    told = run(
        "submit", "--project", "vllm", "--flavor", "h200", "--flavor", "h100", "--flavor", "a100", "--wall", "1m", "--", "make"
    )
    assert told.exit_code == 0
    (given,) = jobs.submitted
    assert isinstance(given, JobIn)
    assert (given.flavor, given.alternatives) == ("h200", ["h100", "a100"])


def test_following_in_json_is_refused_before_anything_is_done(jobs: LoggingJobs) -> None:
    for command in (
        ["logs", JOB, "--json", "--follow"],
        ["submit", "--project", "vllm", "--flavor", "h100", "--wall", "1m", "--json", "--follow", "--", "make"],
    ):
        refused = run(*command)
        assert (refused.exit_code, refused.stdout) == (2, "")
        assert "don't go together" in refused.stderr
    assert jobs.submitted == []
