"""From a submission to its settlement, with the real scheduler, the real local executor and real processes."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil
import pytest
from executor_jobs import WAIT_SECONDS, git, repository

from compute.executors.base import Executor
from compute.executors.local import LocalExecutor
from compute.executors.rundir import Limits
from compute.models import (
    AttemptStatus,
    ComputeGrant,
    FailureCause,
    Job,
    JobAttempt,
    JobKind,
    JobStatus,
    Origin,
    SourceKind,
    Trust,
)
from compute.policies import OfferPolicy
from compute.queries import budget
from compute.services import attempts, catalogue, results, submit, tick
from compute.services.new_jobs import NewJob
from compute.services.takers import NoPoolForJob
from core.db import new_id
from core.identity.models import Membership, Person, Project, Role
from core.units import TICKS_PER_GPU_HOUR, TICKS_PER_GPU_SECOND
from tests.integration.compute.conftest import World


class Machine:
    """A world whose one pool is this machine, moved by hand: a turn of the wheel, launches, results."""

    def __init__(self, world: World, folder: Path) -> None:
        self.world = world
        self.session = world.session
        self.folder = folder
        self.executor = LocalExecutor(
            slots={"cpu": 2},
            folder=folder / "jobs",
            repositories=[folder],
            limits=Limits(grace_seconds=0.5),
            nvidia_smi="none",
        )
        world.now = datetime.now(UTC) - timedelta(seconds=5)
        world.flavor = catalogue.add_flavor(self.session, slug="cpu", name="CPU", vendor="any", author=None, now=world.now)
        catalogue.set_rate(
            self.session, world.flavor, Fraction(1, 2), valid_from=world.now, source="this test", author=None, now=world.now
        )
        world.pool = catalogue.add_pool(
            self.session,
            slug="here",
            name="Here",
            flavor=world.flavor,
            executor="local",
            devices=2,
            runs=[SourceKind.COMMAND, SourceKind.REPOSITORY],
            author=None,
            now=world.now,
        )
        self.launched: set[object] = set()

    def job(
        self, project: Project, command: str, *, wall_seconds: int = 60, submitter: Person | None = None, **other: Any
    ) -> Job:
        new = NewJob(
            name="tests",
            kind=JobKind.CI,
            source=SourceKind.REPOSITORY if "repository" in other else SourceKind.COMMAND,
            command=command,
            flavor="cpu",
            gpus=other.pop("gpus", 1),
            wall_seconds=wall_seconds,
            memory_bytes=2**30,
            **other,
        )
        return submit.submit(self.session, project, new, submitter=submitter, now=self.world.now, local_roots=[self.folder])

    @property
    def executors(self) -> dict[str, Executor]:
        return {"local": self.executor}

    def turn(self) -> None:
        """What the worker does every two seconds, and the tasks that come of it."""
        now = datetime.now(UTC)
        self.world.now = now
        tick.tick(self.world.sessions, self.executors, now=now)
        for attempt in self.session.query(JobAttempt).all():
            if attempt.status is AttemptStatus.HELD:
                tick.launch(self.world.sessions, self.executors, attempt.id, now=now, last_try=True)

    def until(self, job: Job, *states: JobStatus) -> JobAttempt:
        deadline = time.monotonic() + WAIT_SECONDS
        while True:
            self.turn()
            self.session.refresh(job)
            if job.status in states:
                return self.world.attempt(job)
            assert time.monotonic() < deadline, f"{job.status}: {job.waiting_reason}"
            time.sleep(0.05)

    def funded(self, slug: str, gpu_hours: int = 10, **offer: Any) -> tuple[Project, ComputeGrant]:
        project = self.world.project(slug)
        self.world.offer(self.world.organisation(f"donor-of-{slug}"), ticks=100 * TICKS_PER_GPU_HOUR, **offer)
        return project, self.world.grant(project, ticks=gpu_hours * TICKS_PER_GPU_HOUR)


@pytest.fixture
def machine(world: World, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(world, tmp_path)
    yield made
    made.executor.evict_all("The test is over.")


ENDED = (JobStatus.SUCCEEDED, JobStatus.FAILED, JobStatus.TIMED_OUT, JobStatus.CANCELLED, JobStatus.EVICTED, JobStatus.LOST)


def test_a_commit_runs_is_paid_for_and_leaves_its_results(machine: Machine) -> None:
    project, grant = machine.funded("vllm")
    older, _ = repository(machine.folder / "project")
    report = '<testsuite><testcase name="a"/><testcase name="b"><failure/></testcase></testsuite>'
    job = machine.job(
        project,
        repository=str(machine.folder / "project"),
        commit=older,
        command=f"cat which.txt; echo \"$MODEL\"; echo '{report}' > report.xml; sleep 1; exit 1",
        environment={"MODEL": "tiny"},
        artefacts=("*.xml",),
    )

    attempt = machine.until(job, *ENDED)

    assert (job.status, attempt.exit_code, attempt.cause) == (JobStatus.FAILED, 1, FailureCause.TEST)
    used = budget.of_grant(machine.session, grant)
    assert attempt.usage is not None
    assert 1 <= attempt.usage.seconds <= 10
    assert used.settled == attempt.usage.seconds * TICKS_PER_GPU_SECOND // 2, "half a reference GPU-second each second"
    assert used.held == 0
    results.collect(machine.world.sessions, machine.executors, attempt.id, now=machine.world.now)
    attempt = machine.world.attempt(job)
    text = results.read_output(attempt, machine.executors, offset=0, limit=10_000).text
    assert "first\ntiny\n" in text
    assert attempt.test_summary is not None
    assert (attempt.test_summary["tests"], attempt.test_summary["failed"]) == (2, ["b"])
    deadline = time.monotonic() + 20
    while not results.forget(machine.world.sessions, machine.executors, attempt.id):  # its supervisor is just leaving
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert machine.executor.attempts() == [], "the executor has forgotten it"


def test_jobs_wait_in_line_with_a_reason_and_run_when_a_slot_is_free(machine: Machine) -> None:
    project, _ = machine.funded("vllm")
    both = machine.job(project, "sleep 1", gpus=2, wall_seconds=30)
    after = machine.job(project, "true", wall_seconds=600)
    machine.until(both, JobStatus.RUNNING)

    assert (after.status, after.waiting_code) == (JobStatus.QUEUED, "reserved_next")
    assert after.waiting_reason is not None
    assert after.waiting_reason.startswith("needs 1 × cpu, 0 free in pool Here; next in line, expected at")

    assert machine.until(after, *ENDED).status is AttemptStatus.SUCCEEDED


def test_a_cancelled_job_pays_what_it_used_and_leaves_nothing_running(machine: Machine) -> None:
    project, grant = machine.funded("vllm")
    job = machine.job(project, "setsid sleep 4242 & sleep 4242", wall_seconds=3600)
    machine.until(job, JobStatus.RUNNING)

    attempts.cancel(machine.session, job.id, actor=None, reason="Not needed.", now=machine.world.now)
    attempt = machine.until(job, *ENDED)

    assert (attempt.status, attempt.reason) == (AttemptStatus.CANCELLED, "Not needed.")
    used = budget.of_grant(machine.session, grant)
    assert used.held == 0
    assert 0 < used.settled < 60 * TICKS_PER_GPU_SECOND
    assert not [p for p in psutil.process_iter(["cmdline"]) if "4242" in (p.info["cmdline"] or ())]


def test_a_killed_supervisor_is_credited_back_and_the_job_goes_again(machine: Machine) -> None:
    project, grant = machine.funded("vllm")
    job = machine.job(project, "sleep 2", wall_seconds=60)
    first = machine.until(job, JobStatus.RUNNING)
    for process in psutil.process_iter(["cmdline"]):
        if any(str(first.id) in part for part in process.info["cmdline"] or ()):
            process.kill()

    attempt = machine.until(job, JobStatus.SUCCEEDED, JobStatus.FAILED)

    assert (attempt.number, attempt.status) == (2, AttemptStatus.SUCCEEDED)
    machine.session.refresh(first)
    assert (first.status, first.cause) == (AttemptStatus.LOST, FailureCause.INFRASTRUCTURE)
    assert attempt.usage is not None
    assert budget.of_grant(machine.session, grant).settled == attempt.usage.reference_ticks, "the first one cost nothing"


def test_a_pool_for_reviewed_code_proves_the_branch_before_anything_runs(machine: Machine) -> None:
    """Both commits are of the project's own repository, and both are said to be on main; one is a pull request's."""
    project, _ = machine.funded("vllm")
    machine.world.pool.trust = Trust.REVIEWED
    folder = machine.folder / "project"
    project.repository_url = str(folder)
    repository(folder)
    (folder / "test.sh").write_text("#!/bin/sh\necho ran\n")
    (folder / "test.sh").chmod(0o755)
    git(folder, "add", "test.sh")
    git(folder, "commit", "--quiet", "-m", "test")
    merged = git(folder, "rev-parse", "HEAD")
    git(folder, "checkout", "--quiet", "-b", "proposed")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "proposed")
    person = machine.world.person("Contributor")
    machine.session.add(
        Membership(
            id=new_id(), person_id=person.id, project_id=project.id, role=Role.COMPUTE_SUBMITTER, from_on=machine.world.now.date()
        )
    )
    machine.session.flush()
    given = {"repository": str(folder), "ref": "refs/heads/main", "submitter": person}

    honest = machine.until(machine.job(project, "./test.sh", commit=merged, **given), *ENDED)
    liar = machine.until(machine.job(project, "./test.sh", commit=git(folder, "rev-parse", "HEAD"), **given), *ENDED)
    with pytest.raises(NoPoolForJob, match="takes reviewed code only"):
        machine.job(project, "echo anything", commit=merged, **given)

    assert (honest.job.origin, honest.status) == (Origin.REPOSITORY, AttemptStatus.SUCCEEDED)
    assert liar.status is AttemptStatus.FAILED
    assert "is not part of refs/heads/main" in (liar.reason or "")
    assert liar.usage is not None
    assert liar.usage.ticks == 0, "nothing of it ran"


def test_an_offer_for_trusted_refs_is_not_taken_at_somebodys_word(machine: Machine) -> None:
    """The commit was pushed to a branch; its submitter says it is on main."""
    project, grant = machine.funded("vllm", policy=OfferPolicy(trusted_refs=("refs/heads/main",)))
    folder = machine.folder / "project"
    older, _ = repository(folder)
    git(folder, "checkout", "--quiet", "-b", "evil")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "evil")
    given = {"repository": str(folder), "ref": "refs/heads/main"}

    honest = machine.until(machine.job(project, "echo ran", commit=older, **given), *ENDED)
    liar = machine.until(machine.job(project, "echo ran", commit=git(folder, "rev-parse", "HEAD"), **given), *ENDED)

    assert honest.status is AttemptStatus.SUCCEEDED
    assert (liar.status, liar.cause) == (AttemptStatus.FAILED, FailureCause.TEST)
    assert "is not part of refs/heads/main" in (liar.reason or "")
    assert liar.usage is not None
    assert liar.usage.ticks == 0, "nothing of it ran"
    assert budget.of_grant(machine.session, grant).held == 0
