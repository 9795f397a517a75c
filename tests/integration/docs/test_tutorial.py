"""The tutorial, done by a machine: a running platform with the demo, and every shell block beside it, in order."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "tutorial" / "first-fifteen-minutes.md"


@dataclass(frozen=True)
class Step:
    """A shell block and the lines it must print."""

    commands: str
    expected: tuple[str, ...]


def steps() -> list[Step]:
    """Every `sh` block with the `text` block that follows it."""
    blocks = re.findall(r"```sh\n(.*?)```(?:\n\n```text\n(.*?)```)?", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return [Step(commands, tuple(line for line in expected.splitlines() if line.strip())) for commands, expected in blocks]


@pytest.fixture
def environment() -> Iterator[dict[str, str]]:
    """The environment of a second terminal beside `make run` on a fresh data folder."""
    with tempfile.TemporaryDirectory(prefix="pw-tut-", ignore_cleanup_errors=True) as folder:
        commands = Path(folder) / "bin"
        commands.mkdir()
        shim = commands / "pledgeworks"
        shim.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m app "$@"\n')
        shim.chmod(0o755)
        (Path(folder) / "work").mkdir()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        made = {**os.environ, "PLEDGEWORKS_DATA": f"{folder}/data", "PATH": f"{commands}:{os.environ['PATH']}", "HERE": folder}
        made.pop("DATABASE_URL", None)
        running = subprocess.Popen([sys.executable, "-m", "app", "up", "--port", str(port)], cwd=ROOT, env=made)
        try:
            wait_for(port, running)
            yield made
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(timeout=60)


def wait_for(port: int, running: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert running.poll() is None, "make run ended by itself"
        try:
            if requests.get(f"http://127.0.0.1:{port}/healthz", timeout=5).ok:
                return
        except (requests.ConnectionError, requests.Timeout):
            time.sleep(0.2)
    raise AssertionError("the platform did not start in time")


def test_every_step_of_the_tutorial_prints_what_it_says(environment: dict[str, str]) -> None:
    found = steps()
    assert len(found) >= 8, "the page lost its shell blocks"
    for step in found:
        result = subprocess.run(
            ["bash", "-ec", step.commands],
            cwd=f"{environment['HERE']}/work", env=environment, text=True, check=False, timeout=180,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert result.returncode == 0, f"{step.commands}\n{result.stdout}"
        for line in step.expected:
            pattern = ".*?".join(re.escape(part.strip()) for part in line.split("…"))
            assert re.search(pattern, result.stdout), f"“{line}” is not in what this printed:\n{step.commands}\n{result.stdout}"
