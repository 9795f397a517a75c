"""What a process of test_killed_processes.py does until it is killed: it turns compute's wheel."""

import random
import time
from pathlib import Path

from sqlalchemy import select

from compute.models import AttemptStatus, JobAttempt
from compute.services import tick
from compute.services.keeper import Keeper
from core.clock import utc_now
from core.db import session_scope
from tests.fakes.folder_executor import FolderExecutor


def main(folder: Path, seed: int) -> None:
    rng = random.Random(seed)
    executors, keeper = {"folder": FolderExecutor(folder)}, Keeper()
    while True:
        tick.tick(session_scope, executors, now=utc_now(), keeper=keeper)
        with session_scope() as session:
            # As the task queue does after a killed worker: whatever was not launched for sure is launched (again).
            waiting = session.scalars(
                select(JobAttempt.id).where(JobAttempt.status.in_([AttemptStatus.HELD, AttemptStatus.STARTING]))
            ).all()
        for attempt_id in rng.sample(waiting, len(waiting)):
            tick.launch(session_scope, executors, attempt_id, now=utc_now(), last_try=False)
        time.sleep(rng.uniform(0, 0.05))
