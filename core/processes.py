"""`pledgeworks up`: the whole platform in the foreground, for development, demonstrations and one-machine installations.

It owns its children: web, worker, and in development what stands in for the world outside. They are told to end when it ends,
however it ends: Ctrl-C, SIGTERM, or (on Linux, by the parent-death signal) kill -9.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType

import click
import requests

from core.config import ROOT, Environment, settings
from core.db import dispose_engine, engine, session_scope
from core.db.migrate import upgrade
from core.errors import DomainError, InfrastructureError
from core.identity import people

START_SECONDS = 30.0
STOP_SECONDS = 15.0
PR_SET_PDEATHSIG = 1

before_stop: list[Callable[[], None]] = []
"""Called after web and worker have ended and before the database does: what else runs on this machine is stopped here."""

in_development: dict[str, Sequence[str]] = {}
"""More processes that run beside web and worker outside production: name → arguments of Python."""

Loader = Callable[[], Sequence[str]]


class PortTaken(DomainError):
    """Another program listens where the web server should."""

    code = "port_taken"


def up_command(load_demo: Loader) -> click.Command:
    """The command `up`; app.py passes what fills an empty installation with the demo and answers lines to print."""

    @click.command()
    @click.option("--port", type=click.IntRange(1, 65_535), default=None, help="Port of the web server; default PORT or 8000.")
    @click.option("--demo/--no-demo", default=True, show_default=True, help="Load the demo into an empty database.")
    @click.option("--web-workers", type=click.IntRange(1, 64), default=2, show_default=True)
    def up(port: int | None, demo: bool, web_workers: int) -> None:
        """Start database, web and worker here, and stop all of it with Ctrl-C."""
        chosen = port or settings().port
        require_free_port(chosen)
        upgrade(engine())
        welcome: Sequence[str] = ()
        if demo and settings().pledgeworks_env is Environment.DEVELOPMENT:
            welcome = load_demo()
        with session_scope() as session:
            if not people.anybody(session):
                link = f"http://127.0.0.1:{chosen}{people.first_run_path()}"
                welcome = [f"Nobody has an account yet. Make the first administrator at {link}"]
        _Platform(chosen, web_workers).run(welcome)

    return up


def require_free_port(port: int) -> None:
    """Refuse a port somebody listens on.

    Raises:
        PortTaken: with the way to choose another one.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTaken(
                f"Port {port} can't be used ({(error.strerror or 'taken').lower()}); another program holds it. "
                f"Stop that program or choose another port: make run PORT={port + 1 if port < 65_535 else 8000}.",
                port=port,
            ) from None


class _Platform:
    """Web and worker as children of this process."""

    def __init__(self, port: int, web_workers: int) -> None:
        self._port = port
        self._stop = threading.Event()
        environment = {**os.environ, "PORT": str(port), "PYTHONPATH": _python_path()}
        web = ["-m", "gunicorn", "app:create_app()", "--bind", f"127.0.0.1:{port}", "--workers", str(web_workers)]
        web += ["--worker-class", "gthread", "--threads", "4", "--preload", "--log-level", "warning", "--graceful-timeout", "5"]
        self._commands: dict[str, Sequence[str]] = {"web": web, "worker": ["-m", "app", "worker"]}
        if settings().pledgeworks_env is Environment.DEVELOPMENT:
            self._commands |= in_development
        self._environment = environment
        self._children: dict[str, subprocess.Popen[bytes]] = {}

    def run(self, welcome: Sequence[str]) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        try:
            for name, arguments in self._commands.items():
                self._children[name] = subprocess.Popen(  # noqa: S603 - our own two commands
                    [sys.executable, *arguments],
                    cwd=ROOT,
                    env=self._environment,
                    start_new_session=True,  # Ctrl-C reaches us alone; we end the children in order
                    preexec_fn=_end_with_parent,  # noqa: PLW1509 - one prctl call, before any thread of ours matters
                )
            self._wait_until_ready()
            if not self._stop.is_set():
                _announce(self._port, welcome)
            self._watch()
        finally:
            self._end()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._stop.is_set():
            self._require_children()
            try:
                if requests.get(f"http://127.0.0.1:{self._port}/healthz", timeout=2).ok:
                    return
            except (requests.ConnectionError, requests.Timeout):
                pass  # not listening, or still importing
            if time.monotonic() > deadline:
                raise InfrastructureError(f"The web server did not answer within {START_SECONDS:.0f} s; see its lines above.")
            self._stop.wait(0.1)

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            self._require_children()

    def _require_children(self) -> None:
        for name, child in self._children.items():
            code = child.poll()
            if code is not None and not self._stop.is_set():
                raise InfrastructureError(f"The {name} process ended by itself (exit code {code}); see its lines above.")

    def _end(self) -> None:
        click.echo("\nStopping …", err=True)
        for child in self._children.values():
            if child.poll() is None:
                child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for name, child in self._children.items():
            try:
                child.wait(timeout=max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                click.echo(f"The {name} process did not end in {STOP_SECONDS:.0f} s and was killed.", err=True)
                child.kill()
                child.wait()
        for stop in before_stop:
            stop()
        dispose_engine()
        click.echo("Stopped.", err=True)


def _end_with_parent() -> None:
    """Linux: ask for SIGTERM when the parent is gone. Elsewhere a killed parent leaves its children to be ended by hand."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def _python_path() -> str:
    inherited = os.environ.get("PYTHONPATH")
    return f"{ROOT}{os.pathsep}{inherited}" if inherited else str(ROOT)


def _announce(port: int, welcome: Sequence[str]) -> None:
    click.echo(f"\nPledgeworks runs at http://127.0.0.1:{port}  (Ctrl-C stops it)\n")
    for line in welcome:
        click.echo(line)
