"""Past weeks of the demo. Its jobs never ran, and say so in their log."""

import heapq
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from sqlalchemy import delete
from sqlalchemy.orm import Session

from compute import scheduling
from compute.executors.base import AttemptState, AttemptStatus
from compute.models import JobAttempt, JobKind, SourceKind
from compute.queries import snapshot
from compute.services import attempts, results, starts, submit
from compute.services.new_jobs import NewJob
from core import files
from core.identity.models import Project
from core.tasks import TaskRow

LOG_LINE = b"This is a demo job. It did not run: its hours are demo hours, there to show what a statement looks like.\n"


@dataclass(frozen=True)
class Work:
    """A kind of past demo job."""

    project: str
    name: str
    command: str
    kind: JobKind
    flavor: str
    gpus: int
    wall_minutes: int
    alternatives: tuple[str, ...] = ()


PAST_WORK = (
    Work("vllm", "kernels", "pytest tests/kernels", JobKind.CI, "h100", 1, 240),
    Work("vllm", "distributed, 2 GPUs", "pytest tests/distributed", JobKind.CI, "h100", 2, 180),
    Work("vllm", "distributed, 4 GPUs", "pytest tests/distributed", JobKind.CI, "h100", 4, 120),
    Work("vllm", "serving latency, nightly", "vllm bench serve --num-prompts 1000", JobKind.BENCHMARK, "h100", 2, 300),
    Work("vllm", "entry points", "pytest tests/entrypoints", JobKind.CI, "h200-7th", 1, 120),
    Work("deepspeed", "unit tests, world size 2", "pytest tests/unit -m 'not sequential'", JobKind.CI, "h100", 2, 60),
    Work("deepspeed", "unit tests, world size 4", "pytest tests/unit -m 'not sequential'", JobKind.CI, "h100", 4, 60),
)

ON_EITHER = (
    Work("vllm", "distributed, 4 GPUs", "pytest tests/distributed", JobKind.CI, "h100", 4, 120),
    Work("vllm", "quantization, on either", "pytest tests/quantization", JobKind.CI, "h100", 1, 60, alternatives=("h200-7th",)),
)
"""The second prefers what the first has taken, and starts on the other."""


class Past:
    """Plays past weeks: every job is submitted, scheduled, held, run and settled by the real services, at its own moment."""

    def __init__(self, session: Session, projects: Mapping[str, Project]) -> None:
        self._session = session
        self._projects = projects
        self._rng = random.Random(20261122)  # noqa: S311 - the same demo for everybody
        self._events: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._count = 0
        self._made: list[str] = []

    def play(self, start: datetime, now: datetime) -> None:
        """A job a day, none of which outlives the present."""
        day = start + timedelta(hours=20)
        while day < now - timedelta(days=1):
            for work in self._rng.sample(PAST_WORK, 1):
                self._at(day + timedelta(minutes=self._rng.randrange(240)), partial(self._submit, work))
            day += timedelta(days=1)
        for minutes, work in enumerate(ON_EITHER):
            self._at(now - timedelta(hours=6) + timedelta(minutes=minutes), partial(self._submit, work))
        while self._events:
            moment, _, act = heapq.heappop(self._events)
            act(moment)
        # What the history has done already must not be done again by a worker.
        self._session.execute(delete(TaskRow).where(TaskRow.arguments["attempt_id"].astext.in_(self._made)))

    def _at(self, moment: datetime, act: Callable[[datetime], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (moment, self._count, act))

    def _submit(self, work: Work, moment: datetime) -> None:
        submit.submit(
            self._session,
            self._projects[work.project],
            NewJob(
                name=work.name,
                kind=work.kind,
                source=SourceKind.COMMAND,
                command=work.command,
                flavor=work.flavor,
                alternatives=work.alternatives,
                gpus=work.gpus,
                wall_seconds=work.wall_minutes * 60,
                is_demo=True,
            ),
            submitter=None,
            now=moment,
        )
        self._schedule(moment)

    def _schedule(self, moment: datetime) -> None:
        for start in scheduling.plan(snapshot.take(self._session, now=moment)).starts:
            attempt = starts.hold(self._session, start, now=moment)
            if attempt is not None:
                self._made.append(str(attempt.id))
                attempts.begin_launch(self._session, attempt.id, now=moment)
                lasted = timedelta(seconds=attempt.wall_seconds * self._rng.uniform(0.35, 0.95))
                self._at(moment + lasted, partial(self._finish, attempt, moment))

    def _finish(self, attempt: JobAttempt, began: datetime, ended: datetime) -> None:
        state, code, lost, reason = self._rng.choices(
            [
                (AttemptState.SUCCEEDED, 0, False, ""),
                (AttemptState.FAILED, 1, False, ""),
                (AttemptState.LOST, None, True, "The machine went away (demo)."),
            ],
            weights=[20, 4, 1],
        )[0]
        seen = AttemptStatus(attempt.id, state, began, ended, code, reason, len(LOG_LINE), infrastructure=lost)
        attempts.observe(self._session, attempt.id, seen, now=ended)
        files.write_object(results.output_key(attempt.id), LOG_LINE)
        attempt.collected_at = ended
        self._session.flush()
        self._schedule(ended)
