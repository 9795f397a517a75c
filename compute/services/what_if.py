"""What-if questions: ask, replay our own history with the change in a process apart, keep the answer."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from compute.models import Flavor, WhatIf, WhatIfStatus
from compute.queries import history, run_limits, shares, what_if
from compute.queries.history import Ran
from compute.scheduling import Limit
from compute.simulation import apart
from compute.simulation.what_if import ANSWER, Answer, PastJob, Question, Rules
from core import audit, tasks
from core.clock import utc_now
from core.db import new_id
from core.errors import DomainError, InvalidInput
from core.identity import limits
from core.identity.models import Person, Project

JOBS_MAX = 5_000
"""The newest so many runs of the days asked for: behind a long line 3,000 take half a minute, and 8,000 more than a whole one."""

SECONDS_MAX = 120.0
"""How long both replays may take together."""

TURN = 0x77686174  # "what"
"""The advisory lock of whoever takes the turn to replay."""

PER_PERSON = limits.Limit(count=10, per=timedelta(hours=1))


class NoChange(InvalidInput):
    """A what-if that changes nothing."""

    code = "no_change"


class NoPastJobs(DomainError):
    """Nothing ran on this kind of accelerator in the days asked about."""

    code = "no_past_jobs"


@dataclass(frozen=True)
class ReplayHistory(tasks.Task):
    """Answer a what-if."""

    kind: ClassVar[str] = "compute.replay_history"
    tries_max: ClassVar[int] = 2
    what_if_id: UUID


@dataclass(frozen=True, slots=True)
class Change:
    """What is to be different."""

    gpus: int  # so many more, or below zero fewer
    wall_seconds_max: int | None
    project: Project | None
    weight: int | None
    limit: Limit  # how much may run at a time ...
    limited: Project | None  # ... of this project; none: of each


def ask(session: Session, flavor: Flavor, change: Change, *, days: int, asker: Person, now: datetime) -> WhatIf:
    """Write a question down and have it answered in the background.

    Raises:
        NoChange, InvalidInput: nothing would be different, or the change makes no sense.
        NoPastJobs: there is nothing to replay.
        TooMany: the person asked often within the last hour.
    """
    devices = what_if.devices(session, flavor)
    _require_sense(change, devices, flavor)
    if not history.any_ran(session, since=now - timedelta(days=days), until=now, flavor=flavor.slug):
        raise NoPastJobs(f"No job on {flavor.name} has run in the last {days} days; choose more days or another accelerator.")
    limits.require(
        session,
        f"what-if:{asker.id}",
        PER_PERSON,
        sentence="You asked ten times within an hour; ask again in {minutes}.",
        now=now,
    )
    asked = WhatIf(
        id=new_id(),
        asked_by_id=asker.id,
        asked_at=now,
        days=days,
        flavor=flavor,
        gpus_before=devices,
        gpus_after=devices + change.gpus,
        wall_seconds_max=change.wall_seconds_max,
        project=change.project,
        weight_after=change.weight,
        limit_project=change.limited,
        limit_jobs=change.limit.jobs,
        limit_gpus=change.limit.gpus,
        status=WhatIfStatus.WAITING,
        status_at=now,
    )
    session.add(asked)
    session.flush()
    audit.record(session, "what_if.asked", asked, actor=asker, at=now)
    tasks.enqueue(session, ReplayHistory(asked.id), now=now)
    return asked


def reply(sessions: Callable[[], AbstractContextManager[Session]], what_if_id: UUID) -> bool:
    """Answer a question: read the past and mark, replay with no transaction open, keep what came out.

    Run again after a worker died, it begins anew; once there is an answer it finds nothing to do. False if another replay has its
    turn: one runs at a time on the whole platform, so that questions never take all threads of the workers, which launch jobs.
    """
    with sessions() as session:
        # Held for this short transaction; from its end the row itself says that a replay runs. A lock for the replay's whole time
        # would keep a connection, and a transaction, open for minutes.
        if not session.scalar(select(func.pg_try_advisory_xact_lock(TURN))) or what_if.other_runs(
            session, what_if_id, now=utc_now()
        ):
            return False
        question = _begin(session, what_if_id, now=utc_now())
    if question is None:
        return True
    found: Answer | None = None
    failure = ""
    try:
        found = apart.replay(question, seconds=SECONDS_MAX)
    except (apart.ReplayTooLong, apart.ReplayFailed) as error:
        failure = error.message
    with sessions() as session:
        _end(session, what_if_id, found, failure, now=utc_now())
    return True


def _require_sense(change: Change, devices: int, flavor: Flavor) -> None:
    if not devices:
        raise InvalidInput(f"No open pool has {flavor.name}; there is nothing to compare with.", field="flavor")
    if devices + change.gpus < 1:
        raise InvalidInput(f"There are {devices} × {flavor.name}; take away {devices - 1} at most.", field="gpus")
    if (change.project is None) != (change.weight is None):
        missing = "project" if change.project is None else "weight"
        raise InvalidInput("A changed weight takes both: whose, and how much.", field=missing)
    if change.limited is not None and change.limit == Limit():
        raise InvalidInput("Say how many jobs or GPUs it may have running at a time.", field="limit_jobs")
    if not change.gpus and change.wall_seconds_max is None and change.weight is None and change.limit == Limit():
        raise NoChange(
            "Change something: the number of GPUs, the longest declared time, a project’s weight, or how much may run at a time.",
            field="gpus",
        )


def _begin(session: Session, what_if_id: UUID, *, now: datetime) -> Question | None:
    asked = what_if.locked(session, what_if_id)
    if not asked.open:
        return None
    asked.advance(WhatIfStatus.RUNNING, now)
    since = asked.asked_at - timedelta(days=asked.days)
    rows = history.ran(session, since=since, until=asked.asked_at, flavor=asked.flavor.slug, newest=JOBS_MAX)
    weights = {row.project.slug: row.weight for row in shares.all_weights(session)}
    changed = {**weights, asked.project.slug: asked.weight_after} if asked.project and asked.weight_after else weights
    limits = {row.project.slug: Limit(row.jobs, row.gpus) for row in run_limits.all_limits(session) if row.project is not None}
    return Question(
        jobs=[
            PastJob(
                row.project,
                str(row.submitter_id),
                row.submitted_at,
                row.gpus,
                row.wall_seconds,
                row.run_seconds,
                row.waited_seconds,
            )
            for row in rows
        ],
        before=Rules(asked.gpus_before, None, weights, limits),
        after=Rules(asked.gpus_after, asked.wall_seconds_max, changed, {**limits, **_limits_after(asked, rows)}),
    )


def _limits_after(asked: WhatIf, rows: Iterable[Ran]) -> dict[str, Limit]:
    """How much may run at a time with the change, of those whom it is about."""
    limit = Limit(asked.limit_jobs, asked.limit_gpus)
    if limit == Limit():
        return {}
    about = {row.project for row in rows} if asked.limit_project is None else {asked.limit_project.slug}
    return dict.fromkeys(sorted(about), limit)


def _end(session: Session, what_if_id: UUID, found: Answer | None, failure: str, *, now: datetime) -> None:
    asked = what_if.locked(session, what_if_id)
    if not asked.open:
        return  # another worker took over, and was faster
    if found is None:
        asked.advance(WhatIfStatus.FAILED, now)
        asked.failure = failure
    else:
        asked.advance(WhatIfStatus.ANSWERED, now)
        asked.answer = ANSWER.dump_python(found, mode="json")
    audit.record(session, f"what_if.{asked.status}", asked, actor=None, at=now, reason=failure or None)
