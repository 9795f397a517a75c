"""The embedded server: started by the first who needs it, stopped by the last, whatever happens to the others."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[3]
ASK = "from core.db import engine; from sqlalchemy import text; engine().connect().execute(text('select 1')); "


@pytest.fixture
def data() -> Iterator[Path]:
    """A data folder with a short path: the server's socket lies in it."""
    with tempfile.TemporaryDirectory(prefix="pw-emb-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
        for process in postmasters(Path(folder)):
            process.kill()


def start(data: Path, code: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PLEDGEWORKS_DATA": str(data)}
    environment.pop("DATABASE_URL", None)
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env=environment)


def ask(data: Path) -> int:
    """A short command that needs the database; its exit code."""
    return start(data, ASK).wait()


def hold(data: Path) -> subprocess.Popen[bytes]:
    """A process that uses the server until it is killed."""
    mark = data / f"ready-{time.monotonic_ns()}"
    process = start(data, f"{ASK} open({str(mark)!r}, 'w').close(); import time; time.sleep(60)")
    deadline = time.monotonic() + 20
    while not mark.exists():
        assert time.monotonic() < deadline, "the server did not start in time"
        time.sleep(0.05)
    return process


def postmasters(data: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter(["name", "cmdline"]):
        arguments = process.info["cmdline"] or []
        if process.info["name"] == "postgres" and str(data / "postgres") in arguments:
            found.append(process)
    return found


def gone(data: Path) -> bool:
    deadline = time.monotonic() + 10
    while postmasters(data) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not postmasters(data)


def test_the_last_to_leave_stops_it_and_the_next_starts_it_again(data: Path) -> None:
    holder = hold(data)
    assert ask(data) == 0, "a command beside a running platform"
    assert len(postmasters(data)) == 1, "it left, and the server stays for the other"
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert postmasters(data), "killed: nobody could stop the server"
    assert ask(data) == 0, "and the next one finds it running"
    assert gone(data), "as the last to leave it stops it"
    assert ask(data) == 0, "and it starts again"


def test_a_dead_server_is_started_again_without_repair(data: Path) -> None:
    assert ask(data) == 0
    holder = hold(data)
    for process in [holder, *postmasters(data)]:
        process.kill()
    holder.wait()
    assert gone(data)
    # The machine died and came back: the pid in the file now belongs to some other program.
    pid_file = data / "postgres" / "postmaster.pid"
    pid_file.write_text("\n".join([str(os.getpid()), *pid_file.read_text().splitlines()[1:]]) + "\n")
    assert ask(data) == 0


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGKILL])
def test_a_making_that_was_cut_short_is_begun_anew(data: Path, sent: signal.Signals) -> None:
    # SystemExit on SIGTERM, as under `up`: Python then kills initdb, which leaves a folder that looks like a database.
    maker = start(data, f"import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(1)); {ASK}")
    deadline = time.monotonic() + 20
    while not (data / "postgres" / "PG_VERSION").exists():
        assert time.monotonic() < deadline
        assert maker.poll() is None
        time.sleep(0.01)
    maker.send_signal(sent)
    maker.wait()
    assert ask(data) == 0
    assert not (data / "postgres.half-made").exists()


def test_the_mark_of_another_folder_removes_nothing(data: Path) -> None:
    # The making was cut short before a volume was mounted there, or a backup restored.
    assert ask(data) == 0
    kept = data / "postgres" / "PG_VERSION"
    inode = kept.stat().st_ino
    (data / "postgres.half-made").write_text("1:1")
    assert ask(data) == 0
    assert kept.stat().st_ino == inode


def test_a_folder_with_other_things_in_it_is_left_alone(data: Path) -> None:
    (data / "postgres").mkdir()
    (data / "postgres" / "restored-so-far").write_text("a backup that is still being copied")
    for _ in range(2):
        assert ask(data) != 0
        assert (data / "postgres" / "restored-so-far").exists()


def run_command(data: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app", *arguments],
        cwd=ROOT, env={**os.environ, "PLEDGEWORKS_DATA": str(data), **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_a_fresh_folder_becomes_a_ready_installation_and_nothing_is_left_running(data: Path) -> None:
    early = run_command(data, "task", "list")
    assert early.returncode == 3
    assert "Run: pledgeworks db upgrade" in early.stderr
    assert len(early.stderr.strip().splitlines()) == 1
    result = run_command(data, "db", "upgrade")
    assert (result.returncode, result.stderr) == (0, "")
    assert gone(data)
    assert "No such task" in run_command(data, "task", "list").stdout
    assert gone(data)


def test_a_database_that_does_not_answer_is_one_sentence_and_exit_code_3(data: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
        result = run_command(data, "task", "list", DATABASE_URL=f"postgresql://me:hush@127.0.0.1:{port}/db")
    assert result.returncode == 3
    assert len(result.stderr.strip().splitlines()) == 1
    assert "does not answer" in result.stderr
    assert "hush" not in result.stderr


@pytest.mark.parametrize("address", ["foo", "mysql://me@host/db", "sqlite://"])
def test_an_address_of_something_else_is_one_sentence_and_exit_code_3(data: Path, address: str) -> None:
    result = run_command(data, "task", "list", DATABASE_URL=address)
    assert result.returncode == 3
    assert "is not the address of a PostgreSQL" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_taken_port_is_one_sentence_and_exit_code_1(data: Path) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        result = run_command(data, "up", "--port", str(port), "--no-demo")
    assert result.returncode == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert f"PORT={port + 1}" in result.stderr
