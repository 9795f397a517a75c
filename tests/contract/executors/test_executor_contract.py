"""What every executor does, whatever it runs jobs on. A new executor is a new row in SUBJECTS."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from executor_jobs import ended, forgotten, git, output, ran, repository, says, spec
from uuid_utils.compat import uuid7

from compute.executors.base import (
    AttemptState,
    Executor,
    ExecutorError,
    Repository,
    Stop,
    UnknownAttempt,
)
from compute.executors.local import LocalExecutor
from compute.executors.rundir import Limits


@dataclass
class Subject:
    """An executor with two slots of flavor CPU, how to reach it anew after a restart, and where it may clone from."""

    executor: Executor
    reopen: Callable[[], Executor]
    repositories: Path


def local(folder: Path) -> Subject:
    def reopen() -> Executor:
        return LocalExecutor(
            slots={"CPU": 2}, folder=folder / "jobs", repositories=[folder], limits=Limits(grace_seconds=0.5), nvidia_smi="none"
        )

    return Subject(reopen(), reopen, folder)


SUBJECTS = {"local": local}


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Subject:
    return SUBJECTS[request.param](tmp_path)


@pytest.fixture
def executor(subject: Subject) -> Executor:
    return subject.executor


def test_a_command_that_ends_with_zero_succeeds(executor: Executor) -> None:
    job = spec("echo hello; echo trouble >&2")

    status = ran(executor, job)

    assert (status.state, status.exit_code, status.reason, status.infrastructure) == (AttemptState.SUCCEEDED, 0, "", False)
    assert status.started_at is not None
    assert status.ended_at is not None
    assert status.started_at <= status.ended_at
    assert output(executor, job.attempt_id) == "hello\ntrouble\n"
    assert status.output_bytes == len(b"hello\ntrouble\n")


def test_another_exit_code_is_the_jobs_own_failure(executor: Executor) -> None:
    status = ran(executor, spec("exit 3"))

    assert (status.state, status.exit_code, status.infrastructure) == (AttemptState.FAILED, 3, False)
    assert status.reason == "It ended with exit code 3."


def test_an_end_by_a_signal_has_a_shells_exit_code(executor: Executor) -> None:
    status = ran(executor, spec("kill -SEGV $$"))

    assert (status.state, status.exit_code, status.infrastructure) == (AttemptState.FAILED, 139, False)
    assert "SIGSEGV" in status.reason


def test_a_command_that_is_not_there_is_the_jobs_own_failure(executor: Executor) -> None:
    status = ran(executor, spec(command=("no-such-program",)))

    assert (status.state, status.exit_code, status.infrastructure) == (AttemptState.FAILED, 127, False)
    assert "no-such-program" in status.reason


def test_starting_twice_runs_once(executor: Executor) -> None:
    job = spec("echo once; sleep 0.5")

    executor.start(job)
    executor.start(job)
    ended(executor, job.attempt_id)
    executor.start(job)

    assert output(executor, job.attempt_id) == "once\n"


def test_an_attempt_nobody_started_is_unknown(executor: Executor) -> None:
    for ask in (
        executor.status,
        executor.artefacts,
        lambda a: executor.read_output(a, 0, 1),
        lambda a: executor.cancel(a, reason=""),
    ):
        with pytest.raises(UnknownAttempt):
            ask(uuid7())


def test_output_can_be_read_while_it_grows(executor: Executor) -> None:
    job = spec("echo one; sleep 60")
    executor.start(job)

    says(executor, job.attempt_id, "one")

    assert executor.status(job.attempt_id).state is AttemptState.RUNNING
    assert executor.read_output(job.attempt_id, 0, 2) == b"on"
    assert executor.read_output(job.attempt_id, 2, 100) == b"e\n"
    assert executor.read_output(job.attempt_id, 4, 100) == b""
    executor.cancel(job.attempt_id, reason="Seen enough.")
    ended(executor, job.attempt_id)


def test_a_job_is_stopped_at_its_wall_time(executor: Executor) -> None:
    status = ran(executor, spec("sleep 60", wall_seconds=1))

    assert (status.state, status.exit_code, status.infrastructure) == (AttemptState.TIMED_OUT, None, False)
    assert status.reason == "It was stopped after the 1 s it had declared."
    assert status.started_at is not None
    assert status.ended_at is not None
    assert 1 <= (status.ended_at - status.started_at).total_seconds() < 10


def test_a_cancelled_job_ends_with_the_reason_given_first(executor: Executor) -> None:
    job = spec("echo ready; sleep 60")
    executor.start(job)
    says(executor, job.attempt_id, "ready")

    executor.cancel(job.attempt_id, reason="Ada withdrew it.")
    executor.cancel(job.attempt_id, reason="Bob too.", stop=Stop.EVICTED)

    status = ended(executor, job.attempt_id)
    assert (status.state, status.reason, status.infrastructure) == (AttemptState.CANCELLED, "Ada withdrew it.", False)
    assert status.exit_code is None


def test_an_evicted_job_is_not_to_blame(executor: Executor) -> None:
    job = spec("echo ready; sleep 60")
    executor.start(job)
    says(executor, job.attempt_id, "ready")

    executor.cancel(job.attempt_id, reason="The donor took the GPUs back.", stop=Stop.EVICTED)

    status = ended(executor, job.attempt_id)
    assert (status.state, status.infrastructure) == (AttemptState.EVICTED, True)
    assert status.reason == "The donor took the GPUs back."


def test_an_ending_can_not_be_changed(executor: Executor) -> None:
    job = spec("exit 5")
    first = ran(executor, job)

    executor.cancel(job.attempt_id, reason="Too late.")

    assert executor.status(job.attempt_id) == first


def test_a_job_runs_the_exact_commit(subject: Subject) -> None:
    older, newer = repository(subject.repositories / "project")
    job = spec("cat which.txt; git rev-parse HEAD", source=Repository(str(subject.repositories / "project"), older))

    status = ran(subject.executor, job)

    said = output(subject.executor, job.attempt_id)
    assert status.state is AttemptState.SUCCEEDED, said
    assert f"first\n{older}\n" in said
    assert newer not in said


def test_a_commit_that_is_not_there_is_the_submitters_mistake(subject: Subject) -> None:
    repository(subject.repositories / "project")

    status = ran(subject.executor, spec(source=Repository(str(subject.repositories / "project"), "0" * 39 + "1")))

    assert (status.state, status.started_at, status.infrastructure) == (AttemptState.FAILED, None, False)
    assert "has no commit 0000" in status.reason


def test_a_commit_must_be_part_of_the_ref_that_an_offer_trusts(subject: Subject) -> None:
    """A server gives any commit by its name, also one that somebody pushed elsewhere; a claim about it has to be true."""
    folder = subject.repositories / "project"
    older, newer = repository(folder)
    git(folder, "tag", "-a", "v1", "-m", "one", older)
    git(folder, "checkout", "--quiet", "-b", "feature")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", "third")
    third = git(folder, "rev-parse", "HEAD")

    def outcome(commit: str, ref: str) -> tuple[AttemptState, str, bool]:
        status = ran(subject.executor, spec(source=Repository(str(folder), commit, ref)))
        return status.state, status.reason, status.infrastructure

    succeeded = (AttemptState.SUCCEEDED, "", False)
    assert outcome(older, "refs/heads/main") == succeeded
    assert outcome(newer, "refs/heads/main") == succeeded
    assert outcome(older, "refs/tags/v1") == succeeded
    assert outcome(third, "refs/heads/feature") == succeeded
    state, reason, infrastructure = outcome(third, "refs/heads/main")
    assert (state, infrastructure) == (AttemptState.FAILED, False)
    assert reason.startswith(f"Commit {third} is not part of refs/heads/main")
    assert outcome(newer, "refs/tags/v1")[0] is AttemptState.FAILED
    assert outcome(older, "refs/heads/gone") == (AttemptState.FAILED, f"{folder} has no refs/heads/gone.", False)


def test_a_repository_that_can_not_be_reached_is_infrastructure(subject: Subject) -> None:
    status = ran(subject.executor, spec(source=Repository(str(subject.repositories / "nowhere"), "a" * 40)))

    assert (status.state, status.started_at, status.infrastructure) == (AttemptState.FAILED, None, True)


def test_files_that_match_are_kept_as_artefacts(executor: Executor) -> None:
    job = spec(
        "mkdir -p out/deep; echo 1 > out/junit.xml; echo 2 > out/deep/x.xml; echo 3 > notes.txt",
        artefact_globs=("out/**/*.xml",),
    )
    executor.start(job)
    assert executor.artefacts(job.attempt_id) == [] or executor.status(job.attempt_id).state.is_final
    ended(executor, job.attempt_id)

    kept = executor.artefacts(job.attempt_id)

    assert [(each.path, each.size_bytes) for each in kept] == [("out/deep/x.xml", 2), ("out/junit.xml", 2)]
    with executor.open_artefact(job.attempt_id, "out/junit.xml") as stream:
        assert stream.read() == b"1\n"
    for name in ("notes.txt", "../spec.json", "/etc/passwd"):
        with pytest.raises(ExecutorError):
            executor.open_artefact(job.attempt_id, name)


def test_artefacts_of_a_failed_job_are_kept_too(executor: Executor) -> None:
    job = spec("echo report > junit.xml; exit 1", artefact_globs=("junit.xml",))

    ran(executor, job)

    assert [each.path for each in executor.artefacts(job.attempt_id)] == ["junit.xml"]


def test_the_environment_is_the_jobs_and_no_more(executor: Executor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://platform:secret@db/pledgeworks")
    monkeypatch.setenv("PLEDGEWORKS_DATA_KEY", "secret")
    job = spec("env", environment={"MODEL": "tiny", "PATH": "/usr/bin:/bin"})

    ran(executor, job)

    said = output(executor, job.attempt_id)
    assert "secret" not in said
    assert {"MODEL=tiny", "PATH=/usr/bin:/bin", "CI=true", f"PLEDGEWORKS_JOB_ID={job.job_id}"} <= set(said.splitlines())


@pytest.mark.parametrize("name", ["HOME", "PLEDGEWORKS_JOB_ID", "CUDA_VISIBLE_DEVICES", "a b", "", "X=Y"])
def test_some_variables_are_not_the_jobs_to_choose(executor: Executor, name: str) -> None:
    with pytest.raises(ExecutorError) as refused:
        executor.start(spec(environment={name: "x"}))

    assert refused.value.permanent


def test_devices_are_given_once_and_given_back(executor: Executor) -> None:
    assert executor.capacity().gpus == {"CPU": 2}
    first, second, third = spec("echo up; sleep 60"), spec("echo up; sleep 60"), spec("true")
    executor.start(first)
    executor.start(second)

    with pytest.raises(ExecutorError) as busy:
        executor.start(third)
    assert not busy.value.permanent
    assert busy.value.message == "This job needs 1 × CPU; 0 are free in this pool now."
    with pytest.raises(UnknownAttempt):
        executor.status(third.attempt_id)
    one, two = (executor.status(job.attempt_id).devices for job in (first, second))
    assert len({*one, *two}) == 2

    executor.cancel(first.attempt_id, reason="Make room.")
    ended(executor, first.attempt_id)
    assert ran(executor, third).state is AttemptState.SUCCEEDED
    executor.cancel(second.attempt_id, reason="Done.")
    ended(executor, second.attempt_id)


def test_a_job_that_can_never_fit_is_refused_for_good(executor: Executor) -> None:
    for job in (spec(gpus=3), spec(flavor="B200")):
        with pytest.raises(ExecutorError) as refused:
            executor.start(job)
        assert refused.value.permanent


def test_a_gang_gets_all_its_devices(executor: Executor) -> None:
    status = ran(executor, spec(gpus=2))

    assert len(set(status.devices)) == 2


def test_too_much_output_keeps_the_beginning_and_the_end(executor: Executor) -> None:
    job = spec("echo first; yes filler | head -c 3000000; echo; echo last", output_bytes_max=20_000)

    status = ran(executor, job)

    said = output(executor, job.attempt_id)
    assert status.state is AttemptState.SUCCEEDED
    assert said.startswith("first\n")
    assert said.rstrip().endswith("last")
    assert "bytes of output are missing here" in said
    assert len(said) < 21_000


def test_a_restarted_worker_finds_the_attempt_as_it_is(subject: Subject) -> None:
    job = spec("echo one; sleep 0.5; echo two")
    subject.executor.start(job)

    status = ended(subject.reopen(), job.attempt_id)

    assert status.state is AttemptState.SUCCEEDED
    assert output(subject.reopen(), job.attempt_id) == "one\ntwo\n"


def test_a_finished_attempt_can_be_forgotten_and_a_running_one_not(executor: Executor) -> None:
    job = spec("echo up; sleep 60")
    executor.start(job)
    with pytest.raises(ExecutorError) as refused:
        executor.forget(job.attempt_id)
    assert not refused.value.permanent
    executor.cancel(job.attempt_id, reason="Done.")
    ended(executor, job.attempt_id)

    forgotten(executor, job.attempt_id)
    executor.forget(job.attempt_id)
    with pytest.raises(UnknownAttempt):
        executor.status(job.attempt_id)
