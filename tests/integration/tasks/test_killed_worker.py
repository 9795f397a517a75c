"""Real worker processes, killed with SIGKILL in the middle of a task: another one does it again, nobody repairs anything."""

import os
import signal
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from sqlalchemy import create_engine, text
from sqlalchemy.orm import Session

from core import tasks
from core.clock import utc_now
from core.tasks.models import TaskStatus
from tests.integration.tasks.slow_worker import LEASE_SECONDS, Slow

ROOT = Path(__file__).resolve().parents[3]


def start_worker(url: str, marks: Path) -> subprocess.Popen[bytes]:
    script = [sys.executable, "-m", "tests.integration.tasks.slow_worker", url, str(marks)]
    return subprocess.Popen(script, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})


def wait_for(condition: object, *, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():  # type: ignore[operator]
            return
        time.sleep(0.05)
    raise AssertionError("it did not happen in time")


def test_a_killed_worker_s_task_is_done_by_the_next_one(fresh_database: str, tmp_path: Path) -> None:
    engine = create_engine(fresh_database)
    marks = tmp_path / "marks"
    marks.mkdir()
    with Session(engine) as session, session.begin():
        task_id = tasks.enqueue(session, Slow("report"), now=utc_now())

    doomed = start_worker(fresh_database, marks)
    wait_for(lambda: list(marks.glob("started-*")))
    doomed.send_signal(signal.SIGKILL)
    doomed.wait()
    (marks / "go").touch()

    healthy = start_worker(fresh_database, marks)
    try:

        def done() -> bool:
            with engine.connect() as connection:
                status = connection.scalar(text("SELECT status FROM task WHERE id = :id"), {"id": task_id})
            return status == TaskStatus.DONE

        wait_for(done, seconds=LEASE_SECONDS + 20)
        healthy.send_signal(signal.SIGTERM)
        assert healthy.wait(timeout=15) == 0, "a worker told to stop ends cleanly"
    finally:
        healthy.kill()
        engine.dispose()
    assert len(list(marks.glob("started-*"))) == 2
    assert len(list(marks.glob("finished-*"))) == 1
    assert Slow.lease == timedelta(seconds=LEASE_SECONDS)
