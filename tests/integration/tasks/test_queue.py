"""Tasks exist exactly if their transaction commits, run under one lease at a time, and give up in the open."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Engine, create_engine, select
from sqlalchemy.orm import Session

from core import tasks
from core.errors import NotFound
from core.tasks import queue
from core.tasks.models import TaskRow, TaskStatus
from core.tasks.worker import run_one, work_off

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)


@dataclass(frozen=True)
class Greet(tasks.Task):
    kind = "test.greet"
    tries_max = 3
    name: str


@pytest.fixture
def greeted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the handler of `Greet` was called with; it fails for "trouble" and postpones for "later"."""
    names: list[str] = []

    def greet(task: Greet, run: tasks.Run) -> None:
        names.append(task.name)
        if task.name == "trouble":
            raise RuntimeError("no greeting for trouble")
        if task.name == "later":
            raise tasks.Postpone(timedelta(minutes=1))

    monkeypatch.setattr(queue, "_handlers", {Greet.kind: (Greet, greet)})
    return names


@pytest.fixture
def own_engine(fresh_database: str) -> Iterator[Engine]:
    made = create_engine(fresh_database)
    yield made
    made.dispose()


def put(engine: Engine, name: str, **options: Any) -> None:
    with Session(engine) as session, session.begin():
        tasks.enqueue(session, Greet(name), now=NOW, **options)


def rows(engine: Engine) -> list[TaskRow]:
    with Session(engine) as session:
        return list(session.scalars(select(TaskRow).order_by(TaskRow.created_at)))


def test_a_task_of_a_rolled_back_transaction_never_existed(own_engine: Engine, greeted: list[str]) -> None:
    with Session(own_engine) as session:
        tasks.enqueue(session, Greet("nobody"), now=NOW)
        session.rollback()
    assert work_off(own_engine, now=NOW) == 0
    assert greeted == []


def test_a_due_task_runs_once(own_engine: Engine, greeted: list[str]) -> None:
    put(own_engine, "Ada")
    put(own_engine, "tomorrow", run_at=NOW + timedelta(days=1))
    assert work_off(own_engine, now=NOW) == 1
    assert greeted == ["Ada"]
    assert {row.status for row in rows(own_engine)} == {TaskStatus.DONE, TaskStatus.READY}


def test_equal_wishes_are_one_while_the_first_waits(own_engine: Engine, greeted: list[str]) -> None:
    put(own_engine, "Ada", dedupe_key="ada")
    put(own_engine, "Ada", dedupe_key="ada")
    assert work_off(own_engine, now=NOW) == 1
    put(own_engine, "Ada", dedupe_key="ada")
    assert work_off(own_engine, now=NOW) == 1, "after it ran, the same wish is a new one"


def test_a_failing_task_backs_off_and_is_parked_with_its_error(own_engine: Engine, greeted: list[str]) -> None:
    put(own_engine, "trouble")
    moment, pauses = NOW, []
    for _ in range(Greet.tries_max):
        assert run_one(own_engine, now=moment)
        (row,) = rows(own_engine)
        pauses.append(row.run_at - moment)
        moment = row.run_at
    assert row.status is TaskStatus.PARKED
    assert "no greeting for trouble" in (row.last_error or "")
    assert timedelta(seconds=2.5) <= pauses[0] <= timedelta(seconds=7.5)
    assert timedelta(seconds=5) <= pauses[1] <= timedelta(seconds=15)
    assert not run_one(own_engine, now=NOW + timedelta(days=365)), "a parked task waits for a person"

    with Session(own_engine) as session, session.begin():
        tasks.retry(session, row.id, now=moment)
    assert run_one(own_engine, now=moment)
    assert greeted == ["trouble"] * 4


def test_retrying_what_is_not_parked_is_refused(own_engine: Engine) -> None:
    with Session(own_engine) as session, pytest.raises(NotFound, match="no parked task"):
        tasks.retry(session, uuid4(), now=NOW)


def test_postponing_does_not_count_as_a_try(own_engine: Engine, greeted: list[str]) -> None:
    put(own_engine, "later")
    for minute in range(10):
        assert run_one(own_engine, now=NOW + timedelta(minutes=minute))
    (row,) = rows(own_engine)
    assert (row.status, row.tries) == (TaskStatus.READY, 0)


def test_a_lease_is_held_by_one_worker_and_taken_over_after_its_end(own_engine: Engine, greeted: list[str]) -> None:
    put(own_engine, "Ada")
    kinds = queue.registered()
    with Session(own_engine) as first, Session(own_engine) as second:
        claimed = queue.claim(first, now=NOW, kinds=kinds)
        assert claimed is not None
        assert queue.claim(second, now=NOW, kinds=kinds) is None, "locked by an open transaction: skipped, not waited for"
        second.rollback()
        first.commit()
        assert queue.claim(second, now=NOW + timedelta(seconds=1), kinds=kinds) is None, "under lease"
        second.rollback()
        taken_over = queue.claim(second, now=claimed.lease_until, kinds=kinds)
        assert taken_over is not None
        second.commit()
        assert taken_over.token != claimed.token
        assert not queue.finish(first, claimed, now=NOW), "the worker thought dead comes back and changes nothing"
        first.commit()
        assert queue.fail(second, taken_over, RuntimeError("x"), now=NOW, rng=random.Random(1))


def claim_and_die(engine: Engine, now: datetime) -> queue.Claim | None:
    """What a worker leaves that is killed in the middle of a task."""
    with Session(engine) as session, session.begin():
        return queue.claim(session, now=now, kinds=queue.registered())


def test_a_task_that_kills_its_workers_is_parked_and_the_next_one_taken(own_engine: Engine, greeted: list[str]) -> None:
    put(own_engine, "deadly")
    moment = NOW
    for _ in range(Greet.tries_max):
        claimed = claim_and_die(own_engine, moment)
        assert claimed is not None
        moment = claimed.lease_until
    put(own_engine, "Ada", run_at=moment)
    assert work_off(own_engine, now=moment) == 1
    assert greeted == ["Ada"]
    deadly = next(row for row in rows(own_engine) if row.arguments == {"name": "deadly"})
    assert (deadly.status, deadly.tries, deadly.finished_at) == (TaskStatus.PARKED, Greet.tries_max, moment)
    assert deadly.last_error == "Its worker died 3 times."

    with Session(own_engine) as session, session.begin():
        tasks.retry(session, deadly.id, now=moment)
    assert work_off(own_engine, now=moment) == 1
    assert greeted == ["Ada", "deadly"]


def test_a_task_that_kills_its_last_worker_keeps_the_error_of_the_try_before(own_engine: Engine, greeted: list[str]) -> None:
    put(own_engine, "trouble")
    moment = NOW
    for _ in range(Greet.tries_max - 1):
        assert run_one(own_engine, now=moment)
        moment = rows(own_engine)[0].run_at
    claimed = claim_and_die(own_engine, moment)
    assert claimed is not None
    assert claim_and_die(own_engine, claimed.lease_until) is None
    (row,) = rows(own_engine)
    assert row.status is TaskStatus.PARKED
    assert "no greeting for trouble" in (row.last_error or "")
    assert (row.last_error or "").endswith("\nIts worker died on try 3, the last.")


def test_a_kind_this_worker_does_not_know_is_left_for_another(own_engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    put(own_engine, "Ada")
    monkeypatch.setattr(queue, "_handlers", {})
    assert not run_one(own_engine, now=NOW)


def test_enqueuing_outlives_the_driver_preparing_its_statement(session: Session) -> None:
    """The driver prepares what it repeats, and the server then plans without the parameters: none may name the index."""
    for number in range(40):
        tasks.enqueue(session, Greet(f"guest {number}"), now=NOW, dedupe_key=f"guest {number % 4}")
    assert len(session.scalars(select(TaskRow).where(TaskRow.kind == Greet.kind)).all()) == 4
