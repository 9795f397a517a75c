"""How much a project and a person may have running at a time: set by officers, kept by the scheduler, said to whoever waits."""

import json

import pytest
from click.testing import CliRunner
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from app import main
from compute import scheduling
from compute.models import Job, JobStatus, RunLimit, SourceKind
from compute.queries import run_limits as limit_queries
from compute.queries import snapshot
from compute.scheduling import Limit
from compute.services import catalogue, run_limits, starts, submit
from compute.services.run_limits import OverLimit
from core import audit
from core.db import new_id
from core.errors import InvalidInput, NotAllowed, NotFound
from core.identity.models import Membership, Person, Project, Role
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import World
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR


@pytest.fixture
def officer(world: World) -> Person:
    made = world.person("Olga")
    world.session.add(Membership(person_id=made.id, role=Role.PROGRAMME_OFFICER, from_on=world.now.date()))
    world.session.flush()
    return made


@pytest.fixture
def vllm(world: World) -> Project:
    world.offer(world.organisation("aws"), ticks=1000 * G)
    return _granted(world, "vllm")


def _granted(world: World, slug: str) -> Project:
    project = world.project(slug)
    world.grant(project, ticks=1000 * G)
    return project


def _limit(world: World, officer: Person, whose: run_limits.Whose, **limit: int) -> RunLimit:
    return run_limits.set_limit(world.session, whose, Limit(**limit), reason="A release.", actor=officer, now=world.now)


def _by(world: World, person: Person, project: Project, gpus: int = 1) -> Job:
    job = world.job(project, gpus=gpus)
    job.submitted_by_id = person.id
    world.session.flush()
    return job


def _started(*jobs: Job) -> list[bool]:
    return [job.status is not JobStatus.QUEUED for job in jobs]


def test_a_project_runs_no_more_than_it_may_and_others_do(world: World, officer: Person, vllm: Project) -> None:
    ray = _granted(world, "ray")
    _limit(world, officer, vllm, gpus=3)
    ours, theirs = [world.job(vllm, gpus=2) for _ in range(2)], world.job(ray, gpus=4)
    world.tick()
    assert _started(*ours, theirs) == [True, False, True]
    waits = ours[1]
    assert waits.waiting_code == "project_limit"
    assert waits.waiting_reason == "its project may use 3 GPUs at a time: 2 in use or promised, 2 more needed"
    assert waits.waiting_remedy == "its project has 1 GPU less running or promised, or the limit is raised by as much"
    run_limits.lift(world.session, vllm, reason="It is over.", actor=officer, now=world.now)
    world.tick()
    assert all(_started(*ours))


def test_jobs_are_limited_too(world: World, officer: Person, vllm: Project) -> None:
    _limit(world, officer, vllm, jobs=1)
    jobs = [world.job(vllm) for _ in range(2)]
    world.tick()
    assert sorted(_started(*jobs)) == [False, True]
    assert "its project may run 1 job at a time" in " ".join(job.waiting_reason or "" for job in jobs)


def test_a_person_is_limited_in_all_projects_together_and_may_be_an_exception(
    world: World, officer: Person, vllm: Project
) -> None:
    ray = _granted(world, "ray")
    _limit(world, officer, None, gpus=2)
    mo, eve = world.maintainer(vllm, "Mo"), world.person("Eve")
    _limit(world, officer, eve)
    jobs = [_by(world, mo, vllm), _by(world, mo, ray), _by(world, mo, ray), *(_by(world, eve, ray) for _ in range(4))]
    world.tick()
    assert sum(_started(*jobs[:3])) == 2
    assert all(_started(*jobs[3:])), "an exception: as much as there is"
    (waits,) = (job for job in jobs[:3] if job.status is JobStatus.QUEUED)
    assert waits.waiting_code == "submitter_limit"
    assert "its submitter may use 2 GPUs at a time" in (waits.waiting_reason or "")
    nobody = [world.job(vllm) for _ in range(2)]
    world.tick()
    assert all(_started(*nobody)), "a job of nobody in particular is under no person's limit"


def test_two_pools_can_not_start_more_together(world: World, officer: Person, vllm: Project) -> None:
    catalogue.add_pool(
        world.session, slug="other", name="Other", flavor=world.flavor, executor="scripted", devices=8,
        runs=[SourceKind.COMMAND], author=None, now=world.now,
    )  # fmt: skip
    jobs = [world.job(vllm, gpus=2) for _ in range(2)]
    decided = scheduling.plan(snapshot.take(world.session, now=world.now)).starts
    assert len(decided) == 2
    _limit(world, officer, vllm, gpus=3)
    assert len(starts.hold_many(world.session, decided, now=world.now)) == 1, "seen again before anything is held"
    assert starts.hold_many(world.session, decided, now=world.now) == []
    run_limits.lift(world.session, vllm, reason="It is over.", actor=officer, now=world.now)
    assert len(starts.hold_many(world.session, decided, now=world.now)) == 1, "without the limit the same start is made"
    assert all(job.status is JobStatus.HELD for job in jobs)


def test_a_job_that_could_never_start_is_refused_at_once(world: World, officer: Person, vllm: Project) -> None:
    mo = world.maintainer(vllm)
    _limit(world, officer, None, gpus=2)
    with pytest.raises(OverLimit, match="Mo may have 2 GPUs at a time; this job asks for 3"):
        run_limits.require_within(world.session, vllm, mo, 3)
    _limit(world, officer, vllm, gpus=4)
    with pytest.raises(OverLimit, match="Vllm may have 4 GPUs at a time"):
        world.job(vllm, gpus=5)
    assert submit.may_submit(world.session, mo, vllm, on=world.now.date())
    assert world.job(vllm, gpus=4).status is JobStatus.QUEUED


def test_others_and_nonsense_are_refused(world: World, officer: Person, vllm: Project) -> None:
    with pytest.raises(NotAllowed):
        _limit(world, world.maintainer(vllm), vllm, gpus=3)
    for limit in ({"gpus": 0}, {"jobs": -1}, {"gpus": 10**7}):
        with pytest.raises(InvalidInput):
            _limit(world, officer, vllm, **limit)
    with pytest.raises(InvalidInput):
        run_limits.set_limit(world.session, vllm, Limit(jobs=1), reason=" ", actor=officer, now=world.now)
    with pytest.raises(NotFound):
        run_limits.lift(world.session, vllm, reason="None there.", actor=officer, now=world.now)
    assert limit_queries.all_limits(world.session) == []


def test_what_was_set_and_lifted_is_kept(world: World, officer: Person, vllm: Project) -> None:
    first = _limit(world, officer, vllm, gpus=3)
    assert _limit(world, officer, vllm, jobs=2).id == first.id
    run_limits.lift(world.session, vllm, reason="It is over.", actor=officer, now=world.now)
    told = [(event.verb, event.details["before"]) for event in audit.history(world.session, vllm) if "limit" in event.verb]
    assert ("run_limit.lifted", {"jobs": 2, "gpus": None}) in told
    assert ("run_limit.set", {"jobs": None, "gpus": 3}) in told
    assert len(told) == 3


def test_the_database_has_one_limit_for_everybody(world: World, officer: Person) -> None:
    _limit(world, officer, None, gpus=2)
    wrong = insert(RunLimit).values(id=new_id(), gpus=3, reason="x", set_at=world.now)
    with pytest.raises(IntegrityError, match="uq_run_limit_everybody"), world.session.begin_nested():
        world.session.execute(wrong)


def test_the_desk_shows_sets_and_lifts_them(world: World, officer: Person, vllm: Project, client: Client) -> None:
    client.sign_in(officer)
    assert "No limit: projects and people" in client.get("/admin/compute").words
    new = "/admin/compute/limits/new"
    wrong = client.submit(client.get(new), "Set limit", whose="person", person="nobody@example.org", reason="x")
    assert wrong.status == 422
    assert "There is nobody with this address here." in wrong.words
    assert client.submit(client.get(new), "Set limit", whose="project", project="", reason="x").status == 422
    sent = client.submit(client.get(new), "Set limit", whose="project", project="vllm", gpus="3", reason="A release.")
    assert sent.status == 303, sent.words
    assert "A release." in client.get("/admin/compute").words
    row = world.session.scalars(select(RunLimit)).one()
    lift = f"/admin/compute/limits/{row.id}"
    assert client.submit(client.get(lift), "Lift limit", reason="").status == 422
    assert client.submit(client.get(lift), "Lift limit", reason="It is over.").status == 303
    assert client.get(lift).status == 404


def test_the_commands_do_what_the_pages_do(world: World, officer: Person, vllm: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compute.cli.limits.session_scope", world.sessions)
    mo = world.maintainer(vllm)

    def run(*words: str) -> str:
        done = CliRunner().invoke(main, ["compute", *words])
        assert done.exit_code == 0, done.output
        return done.output

    by = ("--reason", "A release.", "--as", officer.email)
    assert "No limit was set" in run("limits")
    assert json.loads(run("limit", "--project", "vllm", "--gpus", "3", *by, "--json"))["gpus"] == 3
    assert "Everybody: jobs 5, GPUs any at a time." in run("limit", "--everybody", "--jobs", "5", *by)
    run("limit", "--person", mo.email, *by)
    listed = json.loads(run("limits", "--json"))["limits"]
    assert [(row["whose"], row["jobs"], row["gpus"]) for row in listed] == [
        ("Everybody", 5, None),
        ("Vllm", None, 3),
        ("Mo", None, None),
    ]
    assert "The limit is lifted." in run("lift-limit", "--everybody", *by)
    for wrong in (("--jobs", "1"), ("--everybody", "--project", "vllm"), ("--person", "x@example.org")):
        assert CliRunner().invoke(main, ["compute", "limit", *wrong, *by]).exit_code != 0
