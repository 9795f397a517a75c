"""Jobs that hold devices and do nothing: noticed once, shown to who can act, stopped only by a pool's rule."""

from contextlib import nullcontext
from datetime import timedelta
from uuid import UUID

import pytest
from click.testing import CliRunner

from compute import cli
from compute.executors.base import Activity, Stop
from compute.models import IdleRule, Job, JobAttempt
from compute.queries import activity as looks
from compute.services import activity
from core import audit
from core.clock import utc_now
from core.db import new_id
from core.errors import InvalidInput
from core.identity.models import Membership, Person, Project, Role
from core.units import TICKS_PER_GPU_HOUR
from core.web.context import Application
from tests.integration.compute.conftest import ScriptedExecutor, World
from tests.integration.compute.test_jobs_api import Api, token
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR
MINUTE = timedelta(minutes=1)


class Seeing(ScriptedExecutor):
    """Tells what the test says its GPUs do."""

    percent: int | None = 0
    cpu_seconds = 0.0

    def activity(self, attempt_id: UUID) -> Activity | None:
        return Activity(self.known[attempt_id].started_at, True, self.percent, self.cpu_seconds)  # type: ignore[arg-type]


@pytest.fixture
def seeing(world: World) -> Seeing:
    made = Seeing()
    world.executor = made
    return made


@pytest.fixture
def vllm(world: World) -> Project:
    made = world.project("vllm")
    world.offer(world.organisation("aws"), ticks=1000 * G)
    world.grant(made, ticks=100 * G)
    return made


@pytest.fixture
def attempt(world: World, seeing: Seeing, vllm: Project) -> JobAttempt:
    return world.start(world.job(vllm, gpus=2, wall_seconds=4 * 3600))


def look(world: World, minutes: int = 1) -> None:
    for _ in range(minutes):
        world.now += MINUTE
        activity.look_around(world.sessions, world.executors, now=world.now)


def said(world: World, job: Job) -> list[str]:
    return [event.verb for event in audit.history(world.session, job) if "idle" in event.verb]


def test_it_is_noticed_after_the_pools_time_and_told_once(world: World, attempt: JobAttempt) -> None:
    look(world, 15)
    assert looks.holding(world.session) == []
    look(world)
    (found,) = looks.holding(world.session)
    assert found.sentence == "It holds 2 × NVIDIA H100, which have done nothing for 15 min (16 looks in a row)."
    look(world, 10)
    assert said(world, attempt.job) == ["job.idle_noticed"]
    assert world.attempt(attempt.job).stop is None, "telling stops nothing"


def test_a_busy_look_ends_it_and_it_can_be_noticed_again(world: World, seeing: Seeing, attempt: JobAttempt) -> None:
    look(world, 16)
    seeing.percent = 90
    look(world)
    assert looks.holding(world.session) == []
    seeing.percent = 0
    look(world, 16)
    assert said(world, attempt.job) == ["job.idle_noticed", "job.idle_ended", "job.idle_noticed"]


def test_what_is_not_measured_is_never_called_idle(world: World, seeing: Seeing, attempt: JobAttempt) -> None:
    seeing.percent = None
    look(world, 30)
    assert looks.holding(world.session) == []
    shown = looks.of_attempt(world.session, world.attempt(attempt.job))
    assert shown is not None
    assert "How busy its GPUs are is not measured here" in shown.sentence


def test_an_executor_that_can_not_tell_is_said_so(world: World, vllm: Project) -> None:
    attempt = world.start(world.job(vllm))
    look(world, 30)
    shown = looks.of_attempt(world.session, attempt)
    assert shown is not None
    assert "not measured" in shown.sentence
    assert not shown.idle


def test_a_pool_whose_rule_is_to_stop_stops_it_and_charges_what_it_used(
    world: World, seeing: Seeing, attempt: JobAttempt
) -> None:
    actor = world.person("Olga")
    activity.set_rule(world.session, world.pool, minutes=20, rule=IdleRule.STOP, actor=actor, now=world.now)
    look(world, 20)
    assert world.attempt(attempt.job).stop is None
    look(world)
    stopped = world.attempt(attempt.job)
    assert stopped.stop is Stop.CANCELLED
    assert "Pool Main stops such jobs after 20 minutes." in (stopped.stop_reason or "")
    world.tick()
    assert seeing.stops == [(attempt.id, Stop.CANCELLED)]


def test_a_rule_shorter_than_looks_can_tell_is_refused(world: World) -> None:
    with pytest.raises(InvalidInput):
        activity.set_rule(world.session, world.pool, minutes=4, rule=IdleRule.STOP, actor=world.person("Olga"), now=world.now)


def officer(world: World) -> Person:
    person = world.person("Olga")
    role = Membership(id=new_id(), person_id=person.id, role=Role.PROGRAMME_OFFICER, from_on=world.now.date())
    world.session.add(role)
    world.session.flush()
    return person


def test_submitter_and_desk_see_it_with_what_to_do(
    world: World, attempt: JobAttempt, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compute.views.jobs.executors", lambda: world.executors)
    mo = world.person("Mo")
    attempt.job.submitted_by_id = mo.id
    look(world, 16)
    page = client.get(f"/jobs/{attempt.job_id}")
    assert "which have done nothing for 15 min" in page.words
    assert "If it hangs, cancel it" in page.words
    client.sign_in(mo)
    assert "Does nothing and holds GPUs" in client.get("/work").words
    client.sign_in(officer(world))
    assert "Jobs that hold GPUs and do nothing" in client.get("/work").words
    assert "which have done nothing for 15 min" in client.get("/admin/compute").words
    form = client.get("/admin/compute/pools/main/idle")
    refused = client.submit(form, "Set rule", minutes="2", rule="stop")
    assert refused.status == 422
    assert client.submit(form, "Set rule", minutes="30", rule="stop").status == 303
    world.session.refresh(world.pool)
    assert (world.pool.idle_minutes, world.pool.idle_rule) == (30, IdleRule.STOP)


def test_api_and_command_line_say_it_and_choose_by_it(
    world: World, attempt: JobAttempt, vllm: Project, app: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compute.client.session_scope", lambda: nullcontext(world.session))
    show, chosen = ["show", str(attempt.job_id)], ["list", "--idle"]
    assert "Does       What its devices do is not measured" in CliRunner().invoke(cli.job, show).stdout
    look(world, 3)
    assert "There are no such jobs." in CliRunner().invoke(cli.job, chosen).stdout
    look(world, 13)
    printed = CliRunner().invoke(cli.job, show).stdout
    assert "which have done nothing for 15 min" in printed
    assert "If it hangs, cancel it" in printed
    assert str(attempt.job_id) in CliRunner().invoke(cli.job, chosen).stdout

    world.now = utc_now()  # tokens live by the real clock
    api = Api(app, token(world, world.maintainer(vllm)))
    _, shown = api.get(f"/jobs/{attempt.job_id}")
    assert (shown["activity"]["idle"], shown["activity"]["gpu_percent"]) == (True, 0)
    assert shown["activity"]["advice"]
    other = world.job(vllm)
    assert [job["id"] for job in api.get("/jobs?idle=true")[1]["jobs"]] == [str(attempt.job_id)]
    assert len(api.get("/jobs")[1]["jobs"]) == 2
    assert api.get(f"/jobs/{other.id}")[1]["activity"] is None
