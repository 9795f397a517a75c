"""Priority classes: named reasons to go first, scarce, chosen by whom they are for, and told to whom they pass."""

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest
from click.testing import CliRunner
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from app import main
from compute.executors.base import AttemptState
from compute.models import Job, JobKind, JobStatus, PriorityClass, PriorityUse, SourceKind
from compute.queries import explain
from compute.queries import priorities as priority_queries
from compute.services import priorities, submit
from compute.services.new_jobs import NewJob
from compute.services.priorities import JobDoesNotWait, NewClass, PriorityUsedUp
from core import audit
from core.db import new_id
from core.errors import InvalidInput, NotAllowed
from core.identity.models import Membership, Person, Project, Role
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import HOUR, World
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR
RELEASE = NewClass("release", "Release", 10, PriorityUse.MAINTAINERS, needs_reason=True, month_ticks=4 * G)
SPARE = NewClass("spare-time", "Spare time", -10, PriorityUse.EVERYBODY, needs_reason=False, month_ticks=None)
SECURITY = NewClass("security", "Security fix", 50, PriorityUse.OFFICERS, needs_reason=True, month_ticks=None)


@pytest.fixture
def officer(world: World) -> Person:
    made = world.person("Olga")
    world.session.add(Membership(person_id=made.id, role=Role.PROGRAMME_OFFICER, from_on=world.now.date()))
    world.session.flush()
    for each in (RELEASE, SPARE, SECURITY):
        priorities.set_class(world.session, each, actor=made, now=world.now)
    return made


@pytest.fixture
def vllm(world: World) -> Project:
    world.offer(world.organisation("aws"), ticks=1000 * G)
    return _granted(world, "vllm")


def _granted(world: World, slug: str) -> Project:
    project = world.project(slug)
    world.grant(project, ticks=1000 * G)
    return project


def _urgent(world: World, project: Project, gpus: int = 1, **more: object) -> Job:
    return world.job(project, gpus=gpus, **{"priority": "release", "priority_reason": "1.0 is due."} | more)


def test_a_higher_rank_goes_first_and_a_lower_one_last(world: World, officer: Person, vllm: Project) -> None:
    spare = world.job(vllm, gpus=4, priority="spare-time")
    ordinary = [world.job(vllm, gpus=4) for _ in range(2)]
    first = _urgent(world, vllm, 4)
    world.tick()
    assert first.status is JobStatus.HELD
    assert sorted(job.status for job in ordinary) == [JobStatus.HELD, JobStatus.QUEUED]
    assert spare.status is JobStatus.QUEUED
    found = explain.explain(world.session, spare, connected=world.executors, now=world.now)
    assert found.passed_by == {"Ordinary": 1}
    assert found.place == 2


def test_ordinary_jobs_alone_go_in_the_order_of_fair_turns(world: World, officer: Person, vllm: Project) -> None:
    jobs = [world.job(vllm, gpus=4, wall_seconds=wall) for wall in (7200, 3600, 3600)]
    world.tick()
    assert [job.status for job in jobs] == [JobStatus.QUEUED, JobStatus.HELD, JobStatus.HELD], "the negative of the test above"
    found = explain.explain(world.session, jobs[0], connected=world.executors, now=world.now)
    assert found.passed_by == {}


def test_a_projects_month_is_an_end_to_it(world: World, officer: Person, vllm: Project) -> None:
    _urgent(world, vllm, 3)
    with pytest.raises(PriorityUsedUp, match=r"may use as “Release” in a month, .* are left"):
        _urgent(world, vllm, 2)
    assert _urgent(world, _granted(world, "ray"), 4).priority is not None, "each project has its own"
    world.now = (world.now.replace(day=1) + timedelta(days=31)).replace(day=1, hour=0, minute=0)
    world.grant(vllm, ticks=1000 * G, lasts=timedelta(days=30))
    world.offer(world.organisation("nvidia"), ticks=100 * G)
    assert _urgent(world, vllm, 4).priority is not None, "and a new one every month, UTC"


def test_a_job_that_ended_counts_with_what_it_used(world: World, officer: Person, vllm: Project) -> None:
    attempt = world.start(_urgent(world, vllm, 4))
    world.finish(attempt, AttemptState.SUCCEEDED, after=HOUR / 4, exit_code=0)
    assert priority_queries.used_this_month(world.session, attempt.job.priority, vllm.id, now=world.now) == G  # type: ignore[arg-type]
    _urgent(world, vllm, 3)
    with pytest.raises(PriorityUsedUp):
        _urgent(world, vllm, 1)


def test_classes_are_for_whom_they_are(world: World, officer: Person, vllm: Project) -> None:
    submitter, maintainer = world.person("Sam"), world.maintainer(vllm)
    world.session.add(
        Membership(person_id=submitter.id, project_id=vllm.id, role=Role.COMPUTE_SUBMITTER, from_on=world.now.date())
    )
    world.session.flush()
    new = NewJob(
        name="tests", kind=JobKind.CI, source=SourceKind.COMMAND, command="make test", flavor="h100", gpus=1, wall_seconds=600,
        priority="release", priority_reason="1.0 is due.",
    )  # fmt: skip

    def send(person: Person, *, as_maintainer: bool = True, **changes: object) -> Job:
        job = replace(new, **changes)  # type: ignore[arg-type]
        return submit.submit(world.session, vllm, job, submitter=person, as_maintainer=as_maintainer, now=world.now)

    with pytest.raises(NotAllowed, match="“Release” is for maintainers"):
        send(submitter)
    with pytest.raises(NotAllowed, match="“Security fix” is for programme officers"):
        send(maintainer, priority="security")
    with pytest.raises(InvalidInput, match="Say why this job is “Release”"):
        send(maintainer, priority_reason=" ")
    with pytest.raises(InvalidInput, match="There is: ordinary, security, release, spare-time"):
        send(maintainer, priority="now")
    with pytest.raises(InvalidInput, match="An ordinary job needs no reason"):
        send(maintainer, priority="")
    assert send(submitter, priority="spare-time", priority_reason="").priority_reason is None
    with pytest.raises(NotAllowed, match=r"this token does not speak for one.*jobs:urgent"):
        send(maintainer, as_maintainer=False)
    with pytest.raises(NotAllowed, match=r"“Release” is for maintainers of the project\.$"):
        send(submitter, as_maintainer=True)
    assert send(maintainer, as_maintainer=False, priority="spare-time").priority_reason == "1.0 is due."
    assert send(maintainer).priority_reason == "1.0 is due."
    assert send(maintainer, priority="ordinary", priority_reason="").priority is None
    priorities.set_class(world.session, replace(RELEASE, is_open=False), actor=officer, now=world.now)
    with pytest.raises(InvalidInput, match="“Release” is closed"):
        send(maintainer)


def test_an_officer_gives_one_to_a_job_that_waits(world: World, officer: Person, vllm: Project) -> None:
    job, other = world.job(vllm, gpus=8, wall_seconds=7200), world.job(vllm, gpus=8)
    priorities.give(world.session, job, "security", reason="CVE-2026-1 is public.", actor=officer, now=world.now)
    world.tick()
    assert [job.status, other.status] == [JobStatus.HELD, JobStatus.QUEUED], "without it the shorter one goes first"
    assert (job.priority_reason, job.priority_ticks) == ("CVE-2026-1 is public.", None)
    assert "job.priority_given" in {event.verb for event in audit.history(world.session, job)}
    with pytest.raises(JobDoesNotWait):
        priorities.give(world.session, job, "ordinary", reason="Fixed.", actor=officer, now=world.now)
    with pytest.raises(NotAllowed):
        priorities.give(world.session, other, "security", reason="Mine.", actor=world.maintainer(vllm), now=world.now)
    priorities.give(world.session, other, "spare-time", reason="Not needed now.", actor=officer, now=world.now)
    priorities.give(world.session, other, "ordinary", reason="Needed again.", actor=officer, now=world.now)
    assert (other.priority, other.priority_reason) == (None, None)


def test_what_held_before_is_in_the_audit(world: World, officer: Person) -> None:
    made = replace(RELEASE, slug="hotfix")
    row = priorities.set_class(world.session, made, actor=officer, now=world.now)
    priorities.set_class(world.session, replace(made, rank=20), actor=officer, now=world.now)
    told = [event.details for event in audit.history(world.session, row)]
    assert {(each["after"]["rank"], (each["before"] or {}).get("rank")) for each in told} == {(10, None), (20, 10)}


@pytest.mark.parametrize(
    "wrong",
    [{"slug": "Ab"}, {"slug": "ordinary"}, {"name": " "}, {"rank": 0}, {"rank": 101}, {"month_ticks": 0}, {"month_ticks": None}],
)
def test_nonsense_is_refused(world: World, officer: Person, wrong: Mapping[str, object]) -> None:
    with pytest.raises(InvalidInput):
        priorities.set_class(world.session, replace(RELEASE, **wrong), actor=officer, now=world.now)  # type: ignore[arg-type]


def test_the_database_refuses_to_put_everything_first(world: World) -> None:
    wrong = insert(PriorityClass).values(
        id=new_id(), slug="all", name="All", rank=5, use=PriorityUse.EVERYBODY, needs_reason=False, set_at=world.now
    )
    with pytest.raises(IntegrityError, match="ck_priority_class_first_is_scarce"), world.session.begin_nested():
        world.session.execute(wrong)


def test_the_pages_name_choose_and_give_them(
    world: World, officer: Person, vllm: Project, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compute.views.jobs.executors", lambda: world.executors)
    client.sign_in(officer)
    new = "/admin/compute/priorities/new"
    wrong = client.submit(client.get(new), "Set priority", slug="nightly", name="Nightly", rank="5", month_hours="")
    assert wrong.status == 422
    assert "Say how many GPU-hours a month" in wrong.words
    assert (
        client.submit(client.get(new), "Set priority", slug="nightly", name="Nightly", rank="5", month_hours="20").status == 303
    )
    assert "Nightly" in client.get("/admin/compute").words
    changed = client.submit(client.get("/admin/compute/priorities/nightly"), "Set priority", rank="-5", month_hours="")
    assert changed.status == 303, changed.words
    assert world.session.scalars(select(PriorityClass.rank).where(PriorityClass.slug == "nightly")).one() == -5
    job = world.job(vllm)
    give = f"/admin/compute/jobs/{job.id}/priority"
    assert client.submit(client.get(give), "Give priority", priority="security", reason="").status == 422
    assert client.submit(client.get(give), "Give priority", priority="security", reason="CVE-2026-1").status == 303
    assert "Security fix: CVE-2026-1" in client.get(f"/jobs/{job.id}").words
    assert "Its priority" in client.get(f"/jobs/{job.id}/explanation").words


def test_the_commands_do_what_the_pages_do(world: World, officer: Person, vllm: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compute.cli.priorities.session_scope", world.sessions)
    monkeypatch.setattr("compute.client.session_scope", world.sessions)

    def run(*words: str) -> str:
        done = CliRunner().invoke(main, [*words])
        assert done.exit_code == 0, done.output
        return done.output

    made = run("compute", "set-priority", "nightly", "--name", "Nightly", "--rank", "-5", "--as", officer.email, "--json")
    assert json.loads(made)["rank"] == -5
    listed = json.loads(run("compute", "priorities", "--json"))["priorities"]
    assert [row["priority"] for row in listed] == ["security", "release", "nightly", "spare-time"]
    maintainer = world.maintainer(vllm)
    job = json.loads(
        run(
            "job", "submit", "--project", "vllm", "--flavor", "h100", "--wall", "10m", "--priority", "release",
            "--priority-reason", "1.0 is due.", "--as", maintainer.email, "--json", "--", "make", "test",
        )
    )  # fmt: skip
    assert job["priority"] == {"slug": "release", "name": "Release", "rank": 10, "reason": "1.0 is due."}
    given = run("compute", "prioritise", job["id"], "ordinary", "--reason", "No more.", "--as", officer.email)
    assert "The job is ordinary." in given
    assert "Priority" not in run("job", "show", job["id"], "--as", maintainer.email)
