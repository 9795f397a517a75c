"""`pledgeworks up`: the whole platform in the foreground, for development, demonstrations and one-machine installations.

It owns its children: web, worker, and in development what stands in for the world outside. They are forked off this process, so
that the platform is imported once, and before it opens the database, so that nothing of that is shared. They are told to end
when it ends, however it ends: Ctrl-C, SIGTERM, or (on Linux, by the parent-death signal) kill -9.
"""

import ctypes
import fcntl
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from multiprocessing.context import ForkProcess
from pathlib import Path
from types import FrameType
from typing import IO, Any

import click
import requests
from flask import Flask
from gunicorn.app.base import BaseApplication

from core.config import Environment, settings
from core.db import dispose_engine, engine, session_scope
from core.db.embedded import EmbeddedServer
from core.db.migrate import upgrade
from core.errors import DomainError, InfrastructureError
from core.identity import people

START_SECONDS = 30.0
STOP_SECONDS = 15.0
PR_SET_PDEATHSIG, PR_SET_NAME = 1, 15

before_stop: list[Callable[[], None]] = []
"""Called after web and worker have ended and before the database does: what else runs on this machine is stopped here."""

in_development: dict[str, Sequence[str]] = {}
"""More processes that run beside web and worker outside production: name → command and arguments of `pledgeworks`."""

Loader = Callable[[], Sequence[str]]
Factory = Callable[[], Flask]


class AlreadyRunning(DomainError):
    """Another `pledgeworks up` works on this data folder."""

    code = "already_running"


class PortTaken(DomainError):
    """Another program listens where the web server should."""

    code = "port_taken"


def up_command(load_demo: Loader, create_app: Factory) -> click.Command:
    """The command `up`; app.py passes what fills an empty installation with the demo and answers lines to print."""

    @click.command()
    @click.option("--port", type=click.IntRange(1, 65_535), default=None, help="Port of the web server; default PORT or 8000.")
    @click.option("--demo/--no-demo", default=True, show_default=True, help="Load the demo into an empty database.")
    @click.option("--web-workers", type=click.IntRange(1, 64), default=2, show_default=True)
    @click.pass_context
    def up(context: click.Context, port: int | None, demo: bool, web_workers: int) -> None:
        """Start database, web and worker here, and stop all of it with Ctrl-C."""
        chosen = port or settings().port
        require_free_port(chosen)
        os.environ["PORT"] = str(chosen)  # links say it, in this process and in the children
        settings.cache_clear()
        lock = _require_alone(settings().data_folder)
        in_production = settings().pledgeworks_env is Environment.PRODUCTION
        root = context.find_root().command
        commands = {"worker": ["worker"], **({} if in_production else in_development)}
        children: dict[str, Callable[[], None]] = {"web": partial(_serve, create_app, chosen, web_workers)}
        children |= {name: partial(root.main, list(words), "pledgeworks") for name, words in commands.items()}
        with lock, _Platform(chosen, children, lock) as platform:
            upgrade(engine())
            welcome = load_demo() if demo and not in_production else ()
            with session_scope() as session:
                if not people.anybody(session):
                    link = f"http://127.0.0.1:{chosen}{people.first_run_path()}"
                    welcome = [f"Nobody has an account yet. Make the first administrator at {link}"]
            platform.run(welcome)

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


def _require_alone(folder: Path) -> IO[str]:
    """Refuse a second `up` on one data folder: it would stop the first one's jobs when it ends.

    Returns:
        The lock; the kernel drops it however this process ends.

    Raises:
        AlreadyRunning: somebody else holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "up.lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise AlreadyRunning(
            f"The platform already runs on {folder}. Stop it there first, or name another folder with PLEDGEWORKS_DATA."
        ) from None
    return lock


class _Platform:
    """Web and worker as children of this process. Made before the database is opened; they wait until `run` lets them go."""

    def __init__(self, port: int, children: Mapping[str, Callable[[], None]], lock: IO[str]) -> None:
        self._port = port
        self._lock = lock
        self._stop = threading.Event()
        self._running = False
        self._children: dict[str, ForkProcess] = {}
        self._gate, self._opener = os.pipe()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)
        for name, act in children.items():
            # A daemon, so that whatever goes wrong before `_end` can run, Python ends it and does not wait for it.
            child = multiprocessing.get_context("fork").Process(target=self._be_child, args=(name, act), name=name, daemon=True)
            child.start()
            self._children[name] = child
        os.close(self._gate)

    def __enter__(self) -> "_Platform":
        return self

    def __exit__(self, *_error: object) -> None:
        self._end()

    def run(self, welcome: Sequence[str]) -> None:
        self._running = True
        os.write(self._opener, b"." * len(self._children))
        self._wait_until_ready()
        if not self._stop.is_set():
            _announce(self._port, welcome)
        while not self._stop.wait(0.5):
            self._require_children()

    def _be_child(self, name: str, act: Callable[[], None]) -> None:
        os.setsid()  # Ctrl-C reaches the parent alone; it ends its children in order
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # Until it has handlers of its own, a child that is told to end still leaves the database properly.
        signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
        _end_with_parent(name)
        os.close(self._opener)
        self._lock.close()  # a fork shares it; a killed parent's must not be held by children that are still ending
        if not os.read(self._gate, 1):
            return  # the parent ended before it was ready
        try:
            if settings().database_url is None:
                EmbeddedServer.attach(settings().data_folder)
            act()
        finally:
            dispose_engine()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._stop.set()
        if not self._running:
            raise SystemExit(128 + number)  # still migrating or loading the demo: both are undone whole

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._stop.is_set():
            self._require_children()
            try:
                if requests.get(f"http://127.0.0.1:{self._port}/healthz", timeout=2).ok:
                    return
            except (requests.ConnectionError, requests.Timeout):
                pass  # not listening yet
            if time.monotonic() > deadline:
                raise InfrastructureError(f"The web server did not answer within {START_SECONDS:.0f} s; see its lines above.")
            self._stop.wait(0.1)

    def _require_children(self) -> None:
        for name, child in self._children.items():
            if child.exitcode is not None and not self._stop.is_set():
                raise InfrastructureError(
                    f"The {name} process ended by itself (exit code {child.exitcode}); see its lines above."
                )

    def _end(self) -> None:
        if self._stop.is_set() or self._running:
            click.echo("\nStopping …", err=True)
        for child in self._children.values():
            child.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for name, child in self._children.items():
            child.join(timeout=max(0.1, deadline - time.monotonic()))
            if child.is_alive():
                click.echo(f"The {name} process did not end in {STOP_SECONDS:.0f} s and was killed.", err=True)
                child.kill()
                child.join()
        for stop in before_stop:
            stop()
        dispose_engine()
        if self._stop.is_set() or self._running:
            click.echo("Stopped.", err=True)


class _Web(BaseApplication):
    """gunicorn, configured here instead of on a command line."""

    def __init__(self, create_app: Factory, options: Mapping[str, object]) -> None:
        self._create_app = create_app
        self._options = options
        super().__init__()

    def load_config(self) -> None:
        for name, value in self._options.items():
            self.cfg.set(name, value)

    def load(self) -> Any:  # Flask, which gunicorn's types would not take for a WSGI application
        return self._create_app()


def _serve(create_app: Factory, port: int, workers: int) -> None:
    options = {
        "bind": f"127.0.0.1:{port}",
        "workers": workers,
        "worker_class": "gthread",
        "threads": 3,
        "preload_app": True,
        "loglevel": "warning",
        "graceful_timeout": 5,
    }
    _Web(create_app, options).run()


def _end_with_parent(name: str) -> None:
    """Linux: ask for SIGTERM when the parent is gone, and be told apart by `ps`. Elsewhere they are ended by hand."""
    if sys.platform == "linux":
        prctl = ctypes.CDLL(None).prctl
        prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        prctl(PR_SET_NAME, f"pledge:{name}"[:15].encode())


def _announce(port: int, welcome: Sequence[str]) -> None:
    click.echo(f"\nPledgeworks runs at http://127.0.0.1:{port}  (Ctrl-C stops it)\n")
    for line in welcome:
        click.echo(line)
