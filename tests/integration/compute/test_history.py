"""Our own past, exported as a trace and read by the simulator."""

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compute.cli import history as history_cli
from compute.cli.history import export_history
from compute.executors.base import AttemptState
from compute.queries import history
from compute.simulation import PEERS, read_trace, simulate
from core import audit
from core.cli import Commands
from core.identity.models import Project
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, World

G = TICKS_PER_GPU_HOUR
Run = Callable[..., Result]


@pytest.fixture
def project(world: World) -> Project:
    made = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=1000 * G)
    world.grant(made, ticks=500 * G)
    return made


@pytest.fixture
def run(world: World, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setattr(history_cli, "session_scope", world.sessions)
    monkeypatch.setattr(history_cli, "utc_now", lambda: world.now)
    group = Commands("job", commands=[export_history])
    return lambda *arguments: CliRunner().invoke(group, ["export-history", "--from", "2026-11-01", *arguments])


@pytest.fixture
def two_ran(world: World, project: Project) -> World:
    """One job had all devices for 50 minutes; another came five minutes after it and waited for it."""
    first = world.start(world.job(project, gpus=8, command="secret-command"))
    world.now += timedelta(minutes=5)
    second = world.job(project, gpus=2, wall_seconds=7200, name="second")
    world.finish(first, AttemptState.SUCCEEDED, after=timedelta(minutes=45), started_at=first.started_at, exit_code=0)
    attempt = world.start(second)
    world.finish(attempt, AttemptState.FAILED, after=HOUR, started_at=attempt.started_at, exit_code=1)
    return world


def rows(result: Result) -> list[dict[str, str]]:
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(io.StringIO(result.stdout)))


def test_the_past_is_exported_without_what_jobs_ran(two_ran: World, run: Run) -> None:
    result = run()
    first, second = rows(result)
    assert [row["project"] for row in (first, second)] == ["vllm", "vllm"]
    assert (first["gpus"], first["duration_s"], first["declared_walltime_s"]) == ("8", "3000", "3600")
    assert (second["gpus"], second["duration_s"], second["declared_walltime_s"]) == ("2", "3600", "7200")
    assert int(second["start_time_s"]) - int(second["submit_time_s"]) == 45 * 60
    assert "secret-command" not in result.stdout


def test_a_replay_of_the_past_waits_as_long_as_the_jobs_did(two_ran: World, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "history.csv.gz"
    assert run("--out", str(file)).exit_code == 0
    jobs = read_trace(file).jobs
    schedule = simulate(jobs, 8, PEERS["fifo"].start(8, {}))
    assert [start - job.ask.submitted_at for start, job in zip(schedule.starts, jobs, strict=True)] == [0, 45 * 60]


def test_what_the_infrastructure_failed_and_went_again_took_devices_twice(world: World, project: Project) -> None:
    job = world.job(project)
    lost = world.start(job)
    world.finish(lost, AttemptState.LOST, after=timedelta(minutes=10), started_at=lost.started_at, infrastructure=True)
    attempt = world.start(job)
    world.finish(attempt, AttemptState.SUCCEEDED, after=timedelta(minutes=20), started_at=attempt.started_at, exit_code=0)
    first, second = history.ran(world.session, since=world.now - HOUR, until=world.now)
    assert (first.id, first.run_seconds) == (str(job.id), 600)
    assert (second.id, second.run_seconds) == (f"{job.id}.2", 1200)
    assert second.submitted_at == first.submitted_at + 600


def test_submitters_are_numbers_unless_an_administrator_asks(world: World, project: Project, run: Run) -> None:
    person = world.maintainer(project)
    job = world.job(project)
    job.submitted_by_id = person.id
    attempt = world.start(job)
    world.finish(attempt, AttemptState.SUCCEEDED, after=HOUR / 2, started_at=attempt.started_at, exit_code=0)
    assert [row["user"] for row in rows(run())] == ["u1"]
    refused = run("--emails", "--as", person.email)
    assert refused.exit_code == 1
    assert "is no administrator" in refused.stderr
    assert run("--emails").exit_code == 2
    person.is_admin = True
    assert [row["user"] for row in rows(run("--emails", "--as", person.email))] == [person.email]
    assert [event.verb for event in audit.history(world.session, person)] == ["history.emails_exported"]
    person.email = "=1+1@example.org"
    assert [row["user"] for row in rows(run("--emails", "--as", person.email))] == ["'=1+1@example.org"]


def test_days_without_jobs_say_so(world: World, run: Run) -> None:
    refused = run("--flavor", "h100")
    assert refused.exit_code == 1
    assert "has run on h100; choose other days" in refused.stderr
    assert "is not after" in run("--to", "2026-10-01").stderr
