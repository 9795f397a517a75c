"""Small jobs for tests of executors, and waiting for them."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from compute.executors.base import AttemptStatus, Executor, ExecutorError, LaunchSpec

WAIT_SECONDS = 30
"""How long a test waits before it fails; a busy machine is slow, a broken executor is for ever."""


def spec(script: str = "true", **other: Any) -> LaunchSpec:
    """A job that runs a shell script on one CPU slot, with limits no honest test meets."""
    known: dict[str, Any] = {
        "attempt_id": uuid7(),
        "job_id": uuid7(),
        "source": None,
        "command": ("sh", "-c", script),
        "environment": {},
        "gpus": 1,
        "flavor": "CPU",
        "wall_seconds": 60,
        "memory_bytes": 512 * 1024**2,
        "output_bytes_max": 1024**2,
        "artefact_globs": (),
        "artefact_bytes_max": 1024**2,
    }
    return LaunchSpec(**known | other)


def until(what: Callable[[], bool], why: str) -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not what():
        assert time.monotonic() < deadline, f"waited {WAIT_SECONDS} s in vain: {why}"
        time.sleep(0.03)


def ended(executor: Executor, attempt_id: UUID) -> AttemptStatus:
    """The status after the end."""
    until(lambda: executor.status(attempt_id).state.is_final, f"{attempt_id} ends")
    return executor.status(attempt_id)


def ran(executor: Executor, job: LaunchSpec) -> AttemptStatus:
    """Start a job and wait for its end."""
    executor.start(job)
    return ended(executor, job.attempt_id)


def forgotten(executor: Executor, attempt_id: UUID) -> None:
    """Forget an attempt that has ended, as soon as its executor has cleared up behind it."""

    def done() -> bool:
        try:
            executor.forget(attempt_id)
        except ExecutorError as error:
            if error.permanent:
                raise
            return False
        return True

    until(done, f"{attempt_id} is forgotten")


def output(executor: Executor, attempt_id: UUID) -> str:
    """All the output there is."""
    return executor.read_output(attempt_id, 0, 10**9).decode()


def says(executor: Executor, attempt_id: UUID, text: str) -> None:
    """Wait until the job has printed this."""
    until(lambda: text in output(executor, attempt_id), f"{attempt_id} prints “{text}”")


def git(folder: Path, *arguments: str) -> str:
    """Run git for a test's own repository, with nobody's configuration."""
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(folder),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_COMMITTER_NAME": "Ada",
        "GIT_COMMITTER_EMAIL": "ada@example.org",
    }
    done = subprocess.run(["git", "-C", str(folder), *arguments], env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def repository(folder: Path) -> tuple[str, str]:
    """A repository with two commits, whose newer one differs; returns the older and the newer."""
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    commits = []
    for text in ("first", "second"):
        (folder / "which.txt").write_text(f"{text}\n", encoding="utf-8")
        git(folder, "add", "which.txt")
        git(folder, "commit", "--quiet", "-m", text)
        commits.append(git(folder, "rev-parse", "HEAD"))
    return commits[0], commits[1]
