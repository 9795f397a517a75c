"""`pledgeworks up`: everything starts, Ctrl-C stops everything, and a killed run starts again without repair."""

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
import requests

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def data() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pw-up-", ignore_cleanup_errors=True) as folder:
        yield Path(folder)
        for process in processes_of(Path(folder)):
            process.kill()


@pytest.fixture
def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


def processes_of(data: Path) -> list[psutil.Process]:
    """Every process that works on this data folder, told by its environment or its arguments."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            mine = process.environ().get("PLEDGEWORKS_DATA") == str(data)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            mine = False
        if (mine or str(data / "postgres") in (process.info["cmdline"] or [])) and process.status() != psutil.STATUS_ZOMBIE:
            found.append(process)
    return found


def start(data: Path, port: int) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "PLEDGEWORKS_DATA": str(data)}
    environment.pop("DATABASE_URL", None)
    process = subprocess.Popen([sys.executable, "-m", "app", "up", "--port", str(port), "--no-demo"], cwd=ROOT, env=environment)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).ok:
                return process
        except (requests.ConnectionError, requests.Timeout):
            assert process.poll() is None, "it ended instead of starting"
        time.sleep(0.1)
    raise AssertionError("it did not start in time")


def all_gone(data: Path) -> bool:
    deadline = time.monotonic() + 20
    while processes_of(data) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not processes_of(data)


def test_ctrl_c_stops_all_of_it_cleanly(data: Path, port: int) -> None:
    process = start(data, port)
    assert requests.get(f"http://127.0.0.1:{port}/", timeout=10).status_code in {200, 302, 303}
    problem = requests.get(f"http://127.0.0.1:{port}/api/v1/nothing", timeout=10).json()
    assert problem["type"].startswith(f"http://127.0.0.1:{port}/"), "links say the port that was chosen"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=30) == 0
    assert all_gone(data)


def test_a_second_one_on_the_same_folder_is_refused(data: Path, port: int) -> None:
    process = start(data, port)
    second = subprocess.run(
        [sys.executable, "-m", "app", "up", "--port", str(port - 1)],
        cwd=ROOT, env={**os.environ, "PLEDGEWORKS_DATA": str(data)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert second.returncode == 1
    assert "already runs on" in second.stderr
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    assert all_gone(data)


def test_a_killed_run_leaves_nothing_behind_and_starts_again(data: Path, port: int) -> None:
    process = start(data, port)
    process.kill()
    process.wait()
    assert all_gone(data), "web and worker end with their parent, and the last of them stops the database"
    again = start(data, port)
    again.send_signal(signal.SIGTERM)
    assert again.wait(timeout=30) == 0
    assert all_gone(data)


def test_when_a_child_dies_the_rest_is_stopped_and_the_exit_code_says_infrastructure(data: Path, port: int) -> None:
    process = start(data, port)
    (worker,) = [child for child in psutil.Process(process.pid).children() if child.name() == "pledge:worker"]
    worker.kill()
    assert process.wait(timeout=30) == 3
    assert all_gone(data)
