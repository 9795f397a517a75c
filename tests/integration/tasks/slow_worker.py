"""A worker process with one kind of task that waits for a sign, for test_killed_worker."""

import os
import sys
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import create_engine

from core import tasks
from core.tasks.worker import run_worker

LEASE_SECONDS = 2


@dataclass(frozen=True)
class Slow(tasks.Task):
    kind = "test.slow"
    lease = timedelta(seconds=LEASE_SECONDS)
    name: str


def main(url: str, marks: Path) -> None:
    @tasks.handler(Slow)
    def work(task: Slow, run: tasks.Run) -> None:
        (marks / f"started-{os.getpid()}").touch()
        while not (marks / "go").exists():
            time.sleep(0.02)
        (marks / f"finished-{os.getpid()}").touch()

    run_worker(create_engine(url), threads=1, with_clock=False)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
