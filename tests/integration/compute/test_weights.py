"""How much a project counts: set by people with a reason, followed by the scheduler."""

import json

import pytest
from click.testing import CliRunner
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from app import main
from compute.models import JobStatus, ProjectWeight
from compute.services import shares
from core import audit
from core.errors import InvalidInput, NotAllowed
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


def granted(world: World, slug: str) -> Project:
    project = world.project(slug)
    world.grant(project, ticks=1000 * G)
    return project


def test_a_weight_is_kept_with_its_reason_and_in_the_history(world: World, officer: Person) -> None:
    project = granted(world, "vllm")
    shares.set_weight(world.session, project, 3, reason=" Serves the others. ", actor=officer, now=world.now)
    row = shares.set_weight(world.session, project, 2, reason="Less now.", actor=officer, now=world.now)
    assert (row.weight, row.reason, row.set_by_id) == (2, "Less now.", officer.id)
    told = [event for event in audit.history(world.session, project) if event.verb == "project.weight_set"]
    assert {(event.details["before"], event.details["weight"]) for event in told} == {(1, 3), (3, 2)}


def test_others_and_nonsense_are_refused(world: World, officer: Person) -> None:
    project = granted(world, "vllm")
    with pytest.raises(NotAllowed):
        shares.set_weight(world.session, project, 3, reason="Mine.", actor=world.maintainer(project), now=world.now)
    for weight, reason in ((0, "x"), (1001, "x"), (2, "  ")):
        with pytest.raises(InvalidInput):
            shares.set_weight(world.session, project, weight, reason=reason, actor=officer, now=world.now)
    assert world.session.get(ProjectWeight, project.id) is None


def test_the_database_refuses_a_weight_below_one(world: World) -> None:
    project = granted(world, "vllm")
    wrong = insert(ProjectWeight).values(project_id=project.id, weight=0, reason="x", set_at=world.now)
    with pytest.raises(IntegrityError, match="ck_project_weight_range"), world.session.begin_nested():
        world.session.execute(wrong)


@pytest.mark.parametrize(("weight", "started"), [(1, 4), (3, 6)])
def test_turns_follow_the_weights(world: World, officer: Person, weight: int, started: int) -> None:
    """Eight GPUs, two projects with enough to do: by equal weights each gets half, by three to one three quarters."""
    heavy, light = granted(world, "heavy"), granted(world, "light")
    world.offer(world.organisation("aws"), ticks=1000 * G)
    shares.set_weight(world.session, heavy, weight, reason="A test.", actor=officer, now=world.now)
    jobs = [world.job(project) for _ in range(8) for project in (heavy, light)]
    world.tick()
    chosen = [job for job in jobs if job.project_id == heavy.id and job.status is not JobStatus.QUEUED]
    assert len(chosen) == started


def test_the_desk_shows_and_sets_them(world: World, officer: Person, client: Client) -> None:
    project = granted(world, "vllm")
    client.sign_in(officer)
    assert "Every project weighs 1" in client.get("/admin/compute").words
    wrong = client.submit(client.get("/admin/compute/weights/new"), "Set weight", project="vllm", weight="0", reason="x")
    assert wrong.status == 422
    sent = client.submit(
        client.get("/admin/compute/weights/new"), "Set weight", project="vllm", weight="3", reason="Serves the others."
    )
    assert sent.status == 303, sent.words
    page = client.get("/admin/compute")
    assert "Serves the others." in page.words
    assert world.session.get_one(ProjectWeight, project.id).weight == 3


def test_the_commands_do_what_the_page_does(world: World, officer: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    granted(world, "vllm")
    monkeypatch.setattr("compute.cli.weights.session_scope", world.sessions)
    run = CliRunner().invoke
    empty = run(main, ["compute", "weights"])
    assert "Every project weighs 1." in empty.output
    done = run(main, ["compute", "weigh", "vllm", "4", "--reason", "Serves the others.", "--as", officer.email, "--json"])
    assert json.loads(done.output)["weight"] == 4
    listed = json.loads(run(main, ["compute", "weights", "--json"]).output)["weights"]
    assert [(row["project"], row["weight"]) for row in listed] == [("vllm", 4)]
    refused = run(main, ["compute", "weigh", "vllm", "0", "--reason", "x", "--as", officer.email])
    assert refused.exit_code == 2
