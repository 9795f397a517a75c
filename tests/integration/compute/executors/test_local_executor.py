"""The local executor against real processes that do their worst."""

import os
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from executor_jobs import ended, forgotten, git, output, ran, repository, says, spec, until
from uuid_utils.compat import uuid7

from compute.executors.base import AttemptState, ExecutorError, Image, LaunchSpec, Repository
from compute.executors.local import LocalExecutor
from compute.executors.rundir import MARKER, Limits
from core.config import ROOT, settings


@pytest.fixture
def jobs(tmp_path: Path) -> Path:
    return tmp_path / "jobs"


def executor_in(jobs: Path, **limits: Any) -> LocalExecutor:
    allowed = Limits(**{"grace_seconds": 0.5} | limits)
    return LocalExecutor(slots={"CPU": 2}, folder=jobs, repositories=[jobs.parent], limits=allowed, nvidia_smi="none")


@pytest.fixture
def executor(jobs: Path) -> LocalExecutor:
    return executor_in(jobs)


def python(program: str, **other: Any) -> LaunchSpec:
    return spec(command=(sys.executable, "-c", textwrap.dedent(program)), **other)


def alive(word: str) -> list[int]:
    """Processes whose command line holds this word; tests use words that nothing else does."""
    return [
        process.pid
        for process in psutil.process_iter(["cmdline", "status"])
        if any(word in part for part in process.info["cmdline"] or ()) and process.info["status"] != psutil.STATUS_ZOMBIE
    ]


# Leaves its session, its parent and its environment behind; only being a descendant is left. The argument names it.
DAEMON = """
import os, sys, time
word = sys.argv[1]
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        os.execve("/bin/sh", ["sh", "-c", f"trap '' TERM HUP; : {word}; while :; do sleep 0.2; done"], {})
    os._exit(0)
os.wait()
time.sleep(float(sys.argv[2]))
"""


def daemon(stays_seconds: float, **other: Any) -> tuple[LaunchSpec, str]:
    word = f"daemon-{uuid7().hex}"
    return spec(command=(sys.executable, "-c", DAEMON, word, str(stays_seconds)), **other), word


# Whole ends ----------------------------------------------------------------------------------------------------------------


def test_devices_are_known_before_the_supervisor_says_a_word(executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("compute.executors.local._launch", lambda _folder, _files: None)  # it died at once
    job = python("pass")
    executor.start(job)
    status = executor.status(job.attempt_id)
    assert (status.state, status.devices) == (AttemptState.LOST, ("CPU-0",))


def test_a_daemon_ends_with_the_job_that_started_it(executor: LocalExecutor) -> None:
    job, word = daemon(0.5)
    executor.start(job)
    until(lambda: len(alive(word)) > 0, "the daemon runs")

    assert ended(executor, job.attempt_id).state is AttemptState.SUCCEEDED
    assert alive(word) == []


def test_a_daemon_ends_when_its_job_is_cancelled(executor: LocalExecutor) -> None:
    job, word = daemon(60)
    executor.start(job)
    until(lambda: len(alive(word)) > 1, "the daemon and its parent run")

    executor.cancel(job.attempt_id, reason="Enough.")

    assert ended(executor, job.attempt_id).state is AttemptState.CANCELLED
    assert alive(word) == []


def test_a_daemon_ends_when_its_job_times_out(executor: LocalExecutor) -> None:
    job, word = daemon(60, wall_seconds=1)

    assert ran(executor, job).state is AttemptState.TIMED_OUT
    assert alive(word) == []


def test_a_process_whose_first_thread_has_ended_is_still_ended(executor: LocalExecutor) -> None:
    """It looks like a zombie, and works on."""
    word = f"undead-{uuid7().hex}"
    job = python(
        f"""
        import ctypes, threading, time
        word = "{word}"
        def work():
            print("up", flush=True)
            time.sleep(60)
        threading.Thread(target=work).start()
        time.sleep(0.2)
        ctypes.CDLL(None).syscall(60, 0)  # exit of this thread alone
        """,
        wall_seconds=2,
    )
    executor.start(job)
    says(executor, job.attempt_id, "up")

    status = ended(executor, job.attempt_id)

    assert status.state is AttemptState.TIMED_OUT
    until(lambda: not alive(word), "the threads are gone")


def test_a_job_that_ignores_being_asked_is_killed_after_the_grace(jobs: Path) -> None:
    executor = executor_in(jobs, grace_seconds=1.0)
    job = spec("trap '' TERM INT HUP; echo up; while :; do sleep 0.1; done")
    executor.start(job)
    says(executor, job.attempt_id, "up")

    asked = time.monotonic()
    executor.cancel(job.attempt_id, reason="Enough.")
    ended(executor, job.attempt_id)

    assert 1.0 <= time.monotonic() - asked < 10


def test_a_job_that_is_asked_may_still_write_its_report(executor: LocalExecutor) -> None:
    job = spec("trap 'echo partial > report.txt; exit 0' TERM; echo up; while :; do sleep 0.05; done", artefact_globs=("*.txt",))
    executor.start(job)
    says(executor, job.attempt_id, "up")

    executor.cancel(job.attempt_id, reason="Enough.")

    assert ended(executor, job.attempt_id).state is AttemptState.CANCELLED, "what it exits with then is not its result"
    assert [kept.path for kept in executor.artefacts(job.attempt_id)] == ["report.txt"]


# Limits --------------------------------------------------------------------------------------------------------------------


def test_a_fork_bomb_is_ended(jobs: Path) -> None:
    executor = executor_in(jobs, processes_max=30)
    word = f"bomb-{uuid7().hex}"
    job = python(
        f"""
        import os, time
        word = "{word}"
        for _ in range(100):  # bounded: a test must not need its subject to survive
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
        time.sleep(60)
        """
    )

    status = ran(executor, job)

    assert (status.state, status.infrastructure) == (AttemptState.FAILED, False)
    assert status.reason == "It ran more than 30 processes at once, the most this pool allows."
    assert alive(word) == []


def test_the_memory_of_all_processes_together_is_limited(executor: LocalExecutor) -> None:
    job = python(
        """
        import os, time
        for _ in range(3):
            if os.fork() == 0:
                block = bytearray(os.urandom(1)) * 70_000_000
                time.sleep(60)
        time.sleep(60)
        """,
        memory_bytes=150 * 1024**2,
    )

    status = ran(executor, job)

    assert (status.state, status.infrastructure) == (AttemptState.FAILED, False)
    assert "of memory; it may use 150 MiB" in status.reason


def test_memory_that_processes_share_counts_once(executor: LocalExecutor) -> None:
    job = python(
        """
        import os, time
        block = bytearray(os.urandom(1)) * 80_000_000
        for _ in range(4):
            if os.fork() == 0:
                time.sleep(1.5)
                os._exit(0)
        time.sleep(1.5)
        """,
        memory_bytes=200 * 1024**2,
    )

    assert ran(executor, job).state is AttemptState.SUCCEEDED


def test_one_huge_allocation_fails_before_it_hurts(executor: LocalExecutor) -> None:
    status = ran(executor, python("block = bytearray(3 * 1024**3)", memory_bytes=64 * 1024**2))

    assert (status.state, status.exit_code) == (AttemptState.FAILED, 1)


def test_a_huge_file_is_cut_off(jobs: Path) -> None:
    executor = executor_in(jobs, file_bytes_max=1024**2)
    job = spec("head -c 5000000 /dev/zero > big; code=$?; ls -l big; exit $code")

    status = ran(executor, job)

    assert status.state is AttemptState.FAILED
    assert " 1048576 " in output(executor, job.attempt_id)


def test_a_disk_that_runs_low_evicts_a_job_that_did_not_fill_it(jobs: Path) -> None:
    executor = executor_in(jobs, disk_reserve_bytes=2**60)

    status = ran(executor, spec("sleep 60"))

    assert (status.state, status.infrastructure) == (AttemptState.EVICTED, True)


def test_a_disk_that_runs_low_fails_a_job_that_filled_it(jobs: Path) -> None:
    executor = executor_in(jobs, disk_reserve_bytes=2**60, file_bytes_max=100_000)

    status = ran(executor, spec("head -c 90000 /dev/urandom > a; cp a b; sync; sleep 60"))

    assert (status.state, status.infrastructure) == (AttemptState.FAILED, False)
    assert "filled the disk" in status.reason


def test_a_flood_of_output_neither_fills_the_disk_nor_stops_the_clock(executor: LocalExecutor, jobs: Path) -> None:
    job = spec("yes", wall_seconds=2, output_bytes_max=50_000)

    status = ran(executor, job)

    assert status.state is AttemptState.TIMED_OUT
    assert (jobs / str(job.attempt_id) / "output.log").stat().st_size < 51_000


def test_a_job_sees_little_of_the_platform(executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    """No standard input, no open file of ours, a low priority, an ordinary mask for new files."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://secret")
    job = spec("cat; ls /proc/self/fd | wc -l; nice; umask; tr '\\0' '\\n' < /proc/$PPID/environ")

    ran(executor, job)

    files, nice, mask, *supervisors_environment = output(executor, job.attempt_id).splitlines()
    assert (files, nice, mask) == ("4", str(min(19, os.nice(0) + 10)), "0022"), "0, 1, 2 and the one that ls itself opened"
    assert not any("secret" in line for line in supervisors_environment)


# Artefacts -----------------------------------------------------------------------------------------------------------------


def test_links_and_pipes_are_never_kept(executor: LocalExecutor, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the platform's", encoding="utf-8")
    job = spec(
        f"ln -s {secret} a.txt; ln -s {tmp_path} folder; mkfifo pipe.txt; "
        "mkdir real; echo mine > real/b.txt; ln -s real/b.txt c.txt",
        artefact_globs=("**/*.txt", "folder/*"),
    )

    status = ran(executor, job)

    assert status.state is AttemptState.SUCCEEDED
    assert [kept.path for kept in executor.artefacts(job.attempt_id)] == ["real/b.txt"]


def test_a_work_folder_that_became_a_link_gives_nothing(executor: LocalExecutor, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "secret.txt").write_text("the platform's", encoding="utf-8")
    job = spec(f'rm -rf "$PWD"; ln -s {tmp_path / "elsewhere"} "$PWD"', artefact_globs=("**/*.txt",))

    ran(executor, job)

    assert executor.artefacts(job.attempt_id) == []
    assert (tmp_path / "elsewhere" / "secret.txt").exists(), "clearing up removes the link, not what it points at"


def test_artefacts_stay_within_their_limit(executor: LocalExecutor) -> None:
    job = spec(
        "head -c 600 /dev/zero > a.bin; head -c 600 /dev/zero > b.bin; head -c 300 /dev/zero > c.bin",
        artefact_globs=("*.bin",),
        artefact_bytes_max=1000,
    )

    ran(executor, job)

    assert [kept.path for kept in executor.artefacts(job.attempt_id)] == ["a.bin", "c.bin"]
    assert "2 files were kept as artefacts; 1 more would have passed the limit." in output(executor, job.attempt_id)


@pytest.mark.parametrize("glob", ["/etc/*", "../*", "a/../../b", ""])
def test_patterns_that_leave_the_work_folder_are_refused(executor: LocalExecutor, glob: str) -> None:
    with pytest.raises(ExecutorError) as refused:
        executor.start(spec(artefact_globs=(glob,)))

    assert refused.value.permanent


def test_a_monstrous_work_folder_is_cleared_away(executor: LocalExecutor, jobs: Path) -> None:
    """Deeper than Python can recurse and than a path can be long, and closed to its owner."""
    job = python(
        """
        import os
        os.makedirs("closed/inner"); os.chmod("closed", 0)
        for _ in range(3000):
            os.mkdir("d"); os.chdir("d")
        """,
        artefact_globs=("**/*",),
    )

    assert ran(executor, job).state is AttemptState.SUCCEEDED
    until(lambda: not (jobs / str(job.attempt_id) / "work").exists(), "the work folder is gone")
    forgotten(executor, job.attempt_id)
    assert not (jobs / str(job.attempt_id)).exists()


# Crashes -------------------------------------------------------------------------------------------------------------------


def supervisor_of(attempt_id: UUID) -> psutil.Process:
    (found,) = (
        process
        for process in psutil.process_iter(["cmdline"])
        if "compute.executors.supervise" in (process.info["cmdline"] or ()) and str(attempt_id) in process.info["cmdline"][3]
    )
    return found


def test_a_killed_supervisor_means_lost_and_nothing_is_left_running(executor: LocalExecutor) -> None:
    survivor = f"survivor-{uuid7().hex}"
    script = f"(sh -c ': {survivor}; while :; do sleep 0.2; done' &); env -i sh -c ': {survivor}; sleep 60' & "
    job = spec(script + "echo up; wait", gpus=2)
    executor.start(job)
    says(executor, job.attempt_id, "up")
    until(lambda: len(alive(survivor)) >= 2, "its children run")

    supervisor_of(job.attempt_id).kill()

    status = ended(executor, job.attempt_id)
    assert (status.state, status.infrastructure) == (AttemptState.LOST, True)
    assert status.started_at is not None
    assert alive(survivor) == []
    assert executor.status(job.attempt_id) == status, "lost stays lost"
    assert ran(executor, spec(gpus=2)).state is AttemptState.SUCCEEDED, "its devices are free again"


def test_devices_of_a_lost_attempt_change_hands_only_when_its_processes_are_gone(executor: LocalExecutor) -> None:
    """Nobody has asked for its status since; the next start finds out."""
    survivor = f"survivor-{uuid7().hex}"
    job = spec(f"(sh -c ': {survivor}; while :; do sleep 0.2; done' &); echo up; wait; sleep 60", gpus=2)
    executor.start(job)
    says(executor, job.attempt_id, "up")
    supervisor = supervisor_of(job.attempt_id)
    supervisor.kill()
    until(lambda: not psutil.pid_exists(supervisor.pid) or supervisor.status() == psutil.STATUS_ZOMBIE, "it is dead")

    executor.start(spec("true", gpus=2))

    assert alive(survivor) == []
    assert executor.status(job.attempt_id).state is AttemptState.LOST


def test_a_job_outlives_the_worker_that_started_it(jobs: Path, executor: LocalExecutor) -> None:
    """kill -9 of the worker, and of its whole process group, changes nothing."""
    job = spec("echo one; sleep 1; echo two")
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(jobs), str(job.attempt_id)],
        cwd=ROOT,
        env={"PATH": os.defpath, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}:{os.environ.get('PYTHONPATH', '')}"},
        start_new_session=True,
        stdout=subprocess.PIPE,
    )
    with worker:
        assert worker.stdout is not None
        assert worker.stdout.readline() == b"started\n"
        os.killpg(worker.pid, signal.SIGKILL)

    assert ended(executor, job.attempt_id).state is AttemptState.SUCCEEDED
    assert output(executor, job.attempt_id) == "one\ntwo\n"


WORKER = """
import sys, time
from pathlib import Path
from uuid import UUID
from executor_jobs import spec
from compute.executors.local import LocalExecutor
executor = LocalExecutor(slots={"CPU": 2}, folder=Path(sys.argv[1]), nvidia_smi="none")
executor.start(spec("echo one; sleep 1; echo two", attempt_id=UUID(sys.argv[2])))
print("started", flush=True)
time.sleep(60)
"""


def test_a_shutdown_of_the_machine_evicts(executor: LocalExecutor) -> None:
    job = spec("echo up; sleep 60")
    executor.start(job)
    says(executor, job.attempt_id, "up")

    supervisor_of(job.attempt_id).terminate()

    status = ended(executor, job.attempt_id)
    assert (status.state, status.infrastructure) == (AttemptState.EVICTED, True)


def test_stopping_the_platform_evicts_everything(executor: LocalExecutor) -> None:
    done, first, second = spec("true"), spec("echo up; sleep 60"), spec("echo up; sleep 60")
    ran(executor, done)
    for job in (first, second):
        executor.start(job)
        says(executor, job.attempt_id, "up")

    evicted = executor.evict_all("The platform was stopped.")

    assert set(evicted) == {first.attempt_id, second.attempt_id}
    for job in (first, second):
        status = executor.status(job.attempt_id)
        assert (status.state, status.reason) == (AttemptState.EVICTED, "The platform was stopped.")
    assert executor.status(done.attempt_id).state is AttemptState.SUCCEEDED


def test_many_starters_at_once_share_the_devices_without_a_clash(jobs: Path) -> None:
    """Eight workers want two slots; each has its own executor, as in separate processes."""
    started: list[LaunchSpec] = []
    refused: list[bool] = []

    def work() -> None:
        job = spec("sleep 60")
        try:
            executor_in(jobs).start(job)
        except ExecutorError as error:
            refused.append(error.permanent)
        else:
            started.append(job)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    executor = executor_in(jobs)
    assert (len(started), refused) == (2, [False] * 6)
    assert len({device for job in started for device in executor.status(job.attempt_id).devices}) == 2
    executor.evict_all("Done.")


def test_one_attempt_started_by_many_runs_once(jobs: Path) -> None:
    job = spec("echo once; sleep 1")
    threads = [threading.Thread(target=executor_in(jobs).start, args=(job,)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    executor = executor_in(jobs)
    assert ended(executor, job.attempt_id).state is AttemptState.SUCCEEDED
    assert output(executor, job.attempt_id) == "once\n"


# Sources -------------------------------------------------------------------------------------------------------------------


def test_nothing_of_the_machine_or_the_repository_runs_during_a_checkout(
    executor: LocalExecutor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hooks, filters and templates are how a checkout runs somebody's code."""
    older, _ = repository(tmp_path / "project")
    trap = tmp_path / "sprung"
    for folder in (tmp_path / "project/.git/hooks", tmp_path / "template/hooks"):
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("post-checkout", "reference-transaction", "pre-auto-gc", "post-upload-pack"):
            (folder / name).write_text(f"#!/bin/sh\ntouch {trap}\n", encoding="utf-8")
            (folder / name).chmod(0o755)
    (tmp_path / "gitconfig").write_text(
        f"[init]\n\ttemplateDir = {tmp_path}/template\n[core]\n\thooksPath = {tmp_path}/template/hooks\n"
        f"[uploadpack]\n\tpackObjectsHook = touch {trap};\n",
        encoding="utf-8",
    )
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "gitconfig").rename(tmp_path / ".gitconfig")
    git(tmp_path / "project", "config", "uploadpack.packObjectsHook", f"touch {trap};")

    job = spec("cat which.txt", source=Repository(str(tmp_path / "project"), older))
    assert ran(executor, job).state is AttemptState.SUCCEEDED

    assert not trap.exists()


def test_a_commit_on_no_branch_is_found_by_its_name(executor: LocalExecutor, tmp_path: Path) -> None:
    older, newer = repository(tmp_path / "project")
    git(tmp_path / "project", "reset", "--hard", "--quiet", older)

    job = spec("cat which.txt", source=Repository(str(tmp_path / "project"), newer))

    assert ran(executor, job).state is AttemptState.SUCCEEDED
    assert "second" in output(executor, job.attempt_id)


def test_a_repository_of_another_user_can_be_fetched(executor: LocalExecutor, tmp_path: Path) -> None:
    """git calls that ownership dubious and refuses, unless told about this one folder."""
    older, _ = repository(tmp_path / "project")
    if os.geteuid() == 0:  # another user can't give a folder away; for them the repository is their own, and works as well
        for path in [tmp_path / "project", *(tmp_path / "project").rglob("*")]:
            os.chown(path, 65534, 65534)

    status = ran(executor, spec("cat which.txt", source=Repository(str(tmp_path / "project"), older)))

    assert status.state is AttemptState.SUCCEEDED


@pytest.mark.parametrize(
    "source",
    [
        Repository("https://example.org/a.git", "main"),
        Repository("https://example.org/a.git", "A" * 40),
        Repository("https://example.org/a.git", "--upload-pack=touch /tmp/x".ljust(40, "a")),
        Repository("https://ada:secret@example.org/a.git", "a" * 40),
        Repository("http://example.org/a.git", "a" * 40),
        Repository("ssh://example.org/a.git", "a" * 40),
        Repository("git@example.org:a.git", "a" * 40),
        Repository("ext::sh -c 'touch /tmp/x'", "a" * 40),
        Repository("file:///etc", "a" * 40),
        Repository("--upload-pack=/bin/sh", "a" * 40),
        Repository("https://example.org/a.git\n[core]", "a" * 40),
        Repository("/etc", "a" * 40),
        Repository("relative/path", "a" * 40),
        Repository("https://example.org/a.git", "a" * 40, "main"),
        Repository("https://example.org/a.git", "a" * 40, "refs/heads/a:refs/heads/b"),
        Repository("https://example.org/a.git", "a" * 40, "refs/heads/*"),
        Repository("https://example.org/a.git", "a" * 40, "refs/../main"),
        Image("pytorch/pytorch:latest"),
    ],
    ids=repr,
)
def test_sources_that_must_not_reach_git_are_refused(executor: LocalExecutor, source: Any) -> None:
    with pytest.raises(ExecutorError) as refused:
        executor.start(spec(source=source))

    assert refused.value.permanent
    assert executor.attempts() == []


def test_a_link_does_not_lead_out_of_the_allowed_folders(tmp_path: Path) -> None:
    repository(tmp_path / "private")
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "way-out").symlink_to(tmp_path / "private")
    executor = LocalExecutor(slots={"CPU": 1}, folder=tmp_path / "jobs", repositories=[tmp_path / "public"], nvidia_smi="none")

    with pytest.raises(ExecutorError, match="not in a folder whose repositories this pool may use"):
        executor.start(spec(source=Repository(str(tmp_path / "public" / "way-out"), "a" * 40)))


@pytest.fixture
def silent_server() -> Any:
    """Takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"https://127.0.0.1:{server.getsockname()[1]}/project.git"


def test_a_checkout_that_hangs_is_given_up_as_infrastructure(jobs: Path, silent_server: str) -> None:
    executor = executor_in(jobs, checkout_seconds=1)

    status = ran(executor, spec(source=Repository(silent_server, "a" * 40)))

    assert (status.state, status.started_at, status.infrastructure) == (AttemptState.FAILED, None, True)
    assert status.reason == "Fetching the sources took longer than 1 s."


def test_a_checkout_can_be_cancelled(executor: LocalExecutor, silent_server: str) -> None:
    job = spec(source=Repository(silent_server, "a" * 40))
    executor.start(job)
    assert executor.status(job.attempt_id).state is AttemptState.STARTING

    executor.cancel(job.attempt_id, reason="Never mind.")

    status = ended(executor, job.attempt_id)
    assert (status.state, status.started_at) == (AttemptState.CANCELLED, None)


# Where it does not work ----------------------------------------------------------------------------------------------------


def test_it_refuses_what_was_placed_on_another_machine(jobs: Path) -> None:
    executor = LocalExecutor(slots={"CPU": 1}, folder=jobs, nvidia_smi="none", host="gpu1")
    with pytest.raises(ExecutorError, match=r"placed on host “gpu2”.*which is host “gpu1”.*PLEDGEWORKS_HOST") as refused:
        executor.start(spec(host="gpu2"))
    assert refused.value.permanent
    assert executor.attempts() == []
    assert ran(executor, spec(host="gpu1")).state is AttemptState.SUCCEEDED


def test_it_refuses_to_work_in_production_unless_told_so(executor: LocalExecutor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLEDGEWORKS_ENV", "production")
    settings.cache_clear()
    with pytest.raises(ExecutorError, match="does not confine the jobs it runs") as refused:
        executor.start(spec())
    assert refused.value.permanent

    monkeypatch.setenv("PLEDGEWORKS_ALLOW_UNCONFINED", "true")
    settings.cache_clear()
    assert ran(executor, spec()).state is AttemptState.SUCCEEDED


def test_every_process_of_a_job_carries_its_marker(executor: LocalExecutor) -> None:
    """What finds orphans; a checkout's git included."""
    job = spec(f"echo ${MARKER}")

    ran(executor, job)

    assert output(executor, job.attempt_id).strip() == str(job.attempt_id)


def test_processor_time_of_all_its_processes_is_told_while_it_runs(executor: LocalExecutor) -> None:
    job = spec(f"{sys.executable} -c 'while True: pass' & sleep 60")
    executor.start(job)
    until(lambda: (found := executor.activity(job.attempt_id)) is not None and (found.cpu_seconds or 0) > 0.2, "it is noted")
    found = executor.activity(job.attempt_id)
    assert found is not None
    assert (found.has_gpus, found.gpu_percent) == (False, None)
    executor.cancel(job.attempt_id, reason="Seen enough.")
    ended(executor, job.attempt_id)
    assert executor.activity(job.attempt_id) is None


DRIVER = """#!/bin/sh
id=GPU-5c1c1ab0-7b3f-11ee-b962-0242ac120002
case "$1" in
  -L) echo "GPU 0: NVIDIA H100 80GB HBM3 (UUID: $id)" ;;
  *) echo "$id, $(cat "$(dirname "$0")/busy")" ;;
esac
"""


@pytest.mark.parametrize(("printed", "percent"), [("37", 37), ("0", 0), ("[N/A]", None)])
def test_the_driver_is_asked_how_busy_a_gpu_is(jobs: Path, tmp_path: Path, printed: str, percent: int | None) -> None:
    driver = tmp_path / "nvidia-smi"
    driver.write_text(DRIVER)
    driver.chmod(0o755)
    (tmp_path / "busy").write_text(printed)
    executor = LocalExecutor(slots={}, folder=jobs, limits=Limits(grace_seconds=0.5), nvidia_smi=str(driver))
    job = spec("sleep 60", flavor="h100")
    executor.start(job)
    until(lambda: executor.activity(job.attempt_id) is not None, "its command runs")
    found = executor.activity(job.attempt_id)
    assert found is not None
    assert (found.has_gpus, found.gpu_percent) == (True, percent)
    executor.cancel(job.attempt_id, reason="Seen enough.")
    ended(executor, job.attempt_id)
