"""A waiting job is told what would have to happen and when it probably starts, on its page and in the API, while it waits."""

from contextlib import nullcontext
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import event, select, update
from sqlalchemy.exc import IntegrityError

from compute import cli, schemas
from compute.executors.base import AttemptState
from compute.models import Job, JobAttempt, JobStatus, PoolStatus, RangeCorrection, ToldStart
from compute.queries import expected, told_starts
from compute.queries import jobs as job_queries
from compute.queries.explain import explain
from compute.services import attempts, expectations
from compute.services import told_starts as services
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import World
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR


@pytest.fixture
def line(world: World) -> tuple[World, Job, Job]:
    """Eight devices in use for an hour, and two jobs in line that need all of them."""
    project = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=1000 * G)
    world.grant(project, ticks=200 * G)
    world.start(world.job(project, gpus=8))
    first, second = (world.job(project, gpus=8) for _ in range(2))
    world.tick()
    expectations.look_ahead(world.sessions, world.executors, now=world.now)
    return world, first, second


def test_everybody_in_line_is_told(line: tuple[World, Job, Job]) -> None:
    world, *waiting = line
    told = [expected.of_job(job_queries.get(world.session, job.id)) for job in waiting]

    assert all(told)
    first, second = sorted(each.latest_at for each in told if each is not None and each.latest_at is not None)
    now = world.now.timestamp()
    assert 3600 <= first - now < 4000
    assert second - first >= 3600, "after the other's whole declared time"
    for job in waiting:
        waits = schemas.JobOut.of(job_queries.get(world.session, job.id)).waiting
        assert waits is not None
        assert waits.remedy
        assert waits.expected is not None
        assert waits.expected.as_of == world.now.replace(microsecond=0)


def test_what_jobs_ran_for_before_moves_the_likely_start_only(line: tuple[World, Job, Job]) -> None:
    world, first, second = line
    before = expected.of_job(job_queries.get(world.session, second.id))
    for _ in range(6):
        world.tick()
        (running,) = world.session.scalars(select(Job).where(Job.status.in_([JobStatus.HELD, JobStatus.RUNNING]))).all()
        attempt = world.start(running) if running.status is JobStatus.HELD else world.attempt(running)
        world.job(first.project, gpus=8)
        world.finish(attempt, AttemptState.SUCCEEDED, after=timedelta(minutes=1), exit_code=0)
    last = world.job(first.project, gpus=8)
    world.tick()

    found = explain(world.session, last, connected=world.executors, now=world.now).expected

    assert before is not None
    assert found is not None
    assert found.latest_at is not None
    assert found.likely_at - found.as_of < (found.latest_at - found.as_of) / 3, "they ran for a minute and declared an hour"
    assert found.likely_at - found.as_of < before.likely_at - before.as_of


def test_what_comes_of_a_range_corrects_the_next_ones_and_is_told_beside_them(line: tuple[World, Job, Job]) -> None:
    world, first, second = line
    rows = list(world.session.scalars(select(ToldStart)))
    assert {row.job_id for row in rows} == {first.id, second.id}, "all of a line as short as this"
    before = expected.of_job(job_queries.get(world.session, second.id))
    assert before is not None
    assert before.ranges == 0
    attempts.cancel(world.session, second.id, actor=None, reason="", now=world.now)
    last = max(row.late_at for row in rows)

    world.now = last + timedelta(seconds=1)
    expectations.look_ahead(world.sessions, world.executors, now=world.now)

    (row,) = world.session.scalars(select(ToldStart).where(ToldStart.over_at.is_not(None)))
    assert (row.job_id, row.held) == (first.id, False), "the other was withdrawn, and nobody will ever know"
    (learnt,) = world.session.scalars(select(RangeCorrection))
    assert (learnt.soonest, learnt.likely, learnt.late) > (-1.0, 0.0, 1.0)
    known = told_starts.records(world.session)
    assert known == {row.horizon: (1, 0)}
    now = expected.of_job(job_queries.get(world.session, first.id))
    assert now is not None
    assert (now.ranges, now.held) == known.get(0, (0, 0)), "the plan says that it starts any moment: another sort of wait"


def test_a_start_within_its_range_is_kept_as_held(line: tuple[World, Job, Job]) -> None:
    world, first, _ = line
    (told,) = world.session.scalars(select(ToldStart).where(ToldStart.job_id == first.id))
    held_at = told.likely_at
    world.session.execute(update(Job).where(Job.id == first.id).values(status=JobStatus.QUEUED))
    world.session.flush()

    assert services.learn(world.session, now=held_at) == 0, "it waits, and the range is not over"
    running = next(iter(world.session.scalars(select(JobAttempt))))
    running.job_id, running.held_at = first.id, held_at
    world.session.flush()
    world.session.expire_all()

    assert services.learn(world.session, now=held_at) == 1
    assert (told.held, told.over_at) == (True, held_at)
    assert services.learn(world.session, now=held_at) == 0, "once"


def test_a_job_that_waits_for_somebody_is_promised_nothing(line: tuple[World, Job, Job]) -> None:
    world, _, second = line
    world.pool.status = PoolStatus.DRAINING
    world.session.flush()
    world.tick()

    assert expectations.look_ahead(world.sessions, world.executors, now=world.now) == 0

    waits = job_queries.get(world.session, second.id)
    world.session.refresh(waits)
    assert expected.of_job(waits) is None
    assert waits.waiting_remedy == "a pool that it may use opens or grows to 8 × h100"


def test_what_was_expected_ends_with_the_wait(line: tuple[World, Job, Job]) -> None:
    world, first, second = line
    attempts.cancel(world.session, first.id, actor=None, reason="", now=world.now)

    assert expected.of_job(first) is None
    assert first.waiting_remedy is None
    assert expected.of_job(second) is not None


def test_the_database_keeps_no_half_of_an_expected_start(line: tuple[World, Job, Job]) -> None:
    world, first, _ = line
    first.expected_late_at = None

    with pytest.raises(IntegrityError, match="expected_start"):
        world.session.flush()


def test_page_and_explanation_say_it_in_words(
    line: tuple[World, Job, Job], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, first, second = line
    monkeypatch.setattr("compute.views.jobs.executors", lambda: world.executors)

    for job in (first, second):
        page = client.get(f"/jobs/{job.id}").words
        assert "What has to happen:" in page
        assert "Expected start: probably at" in page
        assert "if all take as long as they declared and the line stays as it is" in page
        assert "Expected start: probably at" in client.get(f"/jobs/{job.id}/explanation").words


def test_lists_say_it_in_short_and_what_somebody_has_to_do_instead(
    line: tuple[World, Job, Job], client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, first, _ = line
    monkeypatch.setattr("compute.client.session_scope", lambda: nullcontext(world.session))
    told = expected.of_job(job_queries.get(world.session, first.id))
    assert told is not None
    assert told.in_short in client.get("/jobs").words
    printed = CliRunner().invoke(cli.job, ["list"]).stdout
    assert "EXPECTED START" in printed
    assert told.in_short in printed

    world.pool.status = PoolStatus.DRAINING
    world.session.flush()
    world.tick()
    expectations.look_ahead(world.sessions, world.executors, now=world.now)
    assert told.in_short not in client.get("/jobs").words
    assert "Not known: when a pool that it may use opens or grows to 8 × h100" in client.get("/jobs").words
    assert "not known" in CliRunner().invoke(cli.job, ["list"]).stdout


def test_a_longer_list_takes_no_more_statements(line: tuple[World, Job, Job], client: Client) -> None:
    world, *_ = line
    short = statements_for(world, client)
    for number in range(60):
        project = world.project(f"project-{number}")
        world.grant(project, ticks=G * 10)
        world.job(project)
    assert statements_for(world, client) == short
    assert client.get("/jobs").text.count("<tr>") == 51, "fifty of sixty-three, and the heading"


def statements_for(world: World, client: Client) -> int:
    """How many SQL statements the list of jobs takes."""
    world.session.expire_all()
    seen: list[str] = []
    keep = lambda *said: seen.append(said[2])  # noqa: E731 - removed by name below
    event.listen(world.session.get_bind(), "before_cursor_execute", keep)
    client.get("/jobs")
    event.remove(world.session.get_bind(), "before_cursor_execute", keep)
    return len(seen)
