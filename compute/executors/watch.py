"""One command of an attempt under watch, from its first process to the end of its last."""

import contextlib
import os
import resource
import selectors
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psutil

from compute.executors import files, processes
from compute.executors.base import AttemptState
from compute.executors.output import Output
from compute.executors.rundir import Limits, RunDir, Used

TICK_SECONDS = 0.1
"""How often a request to stop and the clock are looked at."""

MEASURE_SECONDS = 0.5
"""How often memory, processes and disk are measured; each time costs a walk over the process table."""

NOTE_SECONDS = 5.0
"""How often the processor time is written down for whoever asks what the attempt is doing."""

DRAIN_SECONDS = 2.0
"""How long output is read on after the last process ended, in case somebody else was handed the pipe."""


@dataclass(frozen=True, slots=True)
class Ending:
    """How a command came to its end: by itself, with a code, or in a state and for a reason that we gave it."""

    exit_code: int | None
    state: AttemptState | None = None  # None: it ended by itself
    reason: str = ""
    infrastructure: bool = False


class Watch:
    """Runs commands of one attempt, one at a time."""

    def __init__(
        self, folder: RunDir, output: Output, limits: Limits, memory_bytes: int, stop_asked: Callable[[], Ending | None]
    ) -> None:
        self._folder = folder
        self._output = output
        self._limits = limits
        self._memory_bytes = memory_bytes
        self._stop_asked = stop_asked
        self._measure_at = 0.0  # monotonic
        self._note_at = 0.0  # monotonic

    def run(
        self,
        command: list[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        seconds: float,
        late: Ending,
        began: Callable[[int], None] | None = None,
    ) -> Ending:
        """Run a command until it ends, `seconds` are over (`late`), a limit is broken or a stop is asked for.

        Every process that came out of it is ended then, wherever it hid. `began` is told the leader's process id.
        """
        try:
            leader, reader = self._spawn(command, cwd, environment)
        except (OSError, subprocess.SubprocessError) as error:
            return _not_started(command[0], error)
        deadline = time.monotonic() + seconds  # from now: starting it may have taken a while on a busy machine
        if began is not None:
            began(leader)
        ended: dict[int, int] = {}
        with selectors.DefaultSelector() as selector, contextlib.closing(os.fdopen(reader, "rb", buffering=0)) as pipe:
            selector.register(pipe, selectors.EVENT_READ)
            cause = self._until(leader, ended, selector, lambda: self._cause(deadline, late))
            if cause is not None:
                # First politely, so that a test runner can write its report; only the leader's group, the rest is killed below.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(leader, signal.SIGTERM)
                grace = time.monotonic() + self._limits.grace_seconds
                over = Ending(None)
                self._until(leader, ended, selector, lambda: over if time.monotonic() >= grace else None)
            survivors = processes.kill_descendants(ended)
            self._drain(selector)
        if cause is None and leader in ended:
            cause = _by_itself(ended[leader])
        assert cause is not None
        return cause if not survivors else _with_survivors(cause, survivors)

    def _spawn(self, command: list[str], cwd: Path, environment: Mapping[str, str]) -> tuple[int, int]:
        """Start the leader in a session of its own. Returns its process id and the reading end of its output."""
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        try:
            process = subprocess.Popen(
                command,
                cwd=cwd,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=writer,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                umask=0o022,
                preexec_fn=lambda: _before_exec(self._memory_bytes, self._limits),  # noqa: PLW1509 - there are no threads here
            )
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        process.returncode = 0  # `processes.reap` collects it with all the others; Popen must not wait for it as well
        return process.pid, reader

    def _until(
        self,
        leader: int,
        ended: dict[int, int],
        selector: selectors.BaseSelector,
        cause: Callable[[], Ending | None],
    ) -> Ending | None:
        """Pump output until the leader has ended (None) or there is a cause to end it."""
        while True:
            self._pump(selector, TICK_SECONDS)
            ended |= processes.reap()
            if leader in ended:
                return None
            if (found := cause()) is not None:
                return found

    def _pump(self, selector: selectors.BaseSelector, timeout: float) -> bool:
        """Move what output there is. False: no more is coming. A flood is interrupted after a while, so that limits are seen."""
        if not selector.get_map():
            time.sleep(timeout)  # the command closed its output and works on
            return False
        until = time.monotonic() + timeout
        while (left := until - time.monotonic()) > 0 and selector.select(left):
            pipe = next(iter(selector.get_map().values())).fd
            data = os.read(pipe, 65536)
            if not data:
                selector.unregister(pipe)
                return False
            self._output.write(data)
        return True

    def _drain(self, selector: selectors.BaseSelector) -> None:
        until = time.monotonic() + DRAIN_SECONDS
        while selector.get_map() and time.monotonic() < until:
            self._pump(selector, TICK_SECONDS)

    def _cause(self, deadline: float, late: Ending) -> Ending | None:
        if (asked := self._stop_asked()) is not None:
            return asked
        if time.monotonic() >= deadline:
            return late
        return self._broken_limit()

    def _broken_limit(self) -> Ending | None:
        if time.monotonic() < self._measure_at:
            return None
        self._measure_at = time.monotonic() + MEASURE_SECONDS
        running = processes.descendants()
        self._note_use(running)
        if len(running) > self._limits.processes_max:
            return _failed(f"It ran more than {self._limits.processes_max} processes at once, the most this pool allows.")
        used = processes.memory_bytes(running, self._memory_bytes)
        if used > self._memory_bytes:
            return _failed(f"It used {_size(used)} of memory; it may use {_size(self._memory_bytes)}.")
        return self._disk_low()

    def _note_use(self, running: Sequence[psutil.Process]) -> None:
        if time.monotonic() >= self._note_at:
            self._note_at = time.monotonic() + NOTE_SECONDS
            self._folder.write_used(Used(processes.cpu_seconds(running), datetime.now(UTC)))

    def _disk_low(self) -> Ending | None:
        if shutil.disk_usage(self._folder.path).free >= self._limits.disk_reserve_bytes:
            return None
        used = sum(files.used_bytes(path) for path in self._folder.scratch)
        if used > self._limits.file_bytes_max:
            return _failed(f"It filled the disk of the pool with {_size(used)}; it may use {_size(self._limits.file_bytes_max)}.")
        reason = f"The disk of the pool has less than {_size(self._limits.disk_reserve_bytes)} left."
        return Ending(None, AttemptState.EVICTED, reason, infrastructure=True)


def _before_exec(memory_bytes: int, limits: Limits) -> None:
    """In the new process, between fork and exec."""
    processes.die_with_parent()
    os.nice(limits.nice)  # the web and the workers come first
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as score:
        score.write("800")  # if the machine runs out of memory, a job dies and not the database
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (limits.file_bytes_max, limits.file_bytes_max))
    # Stops one process from taking the machine's memory between two measurements. It counts reserved as well as used memory
    # (thread stacks, arenas), hence the slack; RLIMIT_AS would count address space, of which CUDA reserves terabytes.
    data_max = 2 * memory_bytes + 1024**3
    resource.setrlimit(resource.RLIMIT_DATA, (data_max, data_max))
    if os.geteuid() != 0:  # the kernel does not hold root to it, and counts all processes of a user, hence the slack
        own = sum(process.num_threads() for process in psutil.process_iter() if _is_mine(process))
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        wanted = own + 4 * limits.processes_max
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


def _is_mine(process: psutil.Process) -> bool:
    try:
        return bool(process.uids().real == os.getuid())
    except psutil.Error:
        return False


def _not_started(program: str, error: Exception) -> Ending:
    """As a shell says it, 127 and 126, where the command is to blame."""
    if isinstance(error, FileNotFoundError):
        return Ending(127, reason=f"The command “{program}” was not found.")
    if isinstance(error, PermissionError) or (isinstance(error, OSError) and error.errno == 8):  # ENOEXEC
        return Ending(126, reason=f"“{program}” can't be executed: {error.strerror}.")
    if isinstance(error, OSError) and error.errno == 7:  # E2BIG
        return Ending(126, reason="The command and its environment are longer than the system allows.")
    return Ending(None, AttemptState.FAILED, f"The executor could not start the command: {error}.", infrastructure=True)


def _by_itself(wait_status: int) -> Ending:
    code = processes.exit_code(wait_status)
    if os.WIFSIGNALED(wait_status):
        return Ending(code, reason=f"It was ended by signal {signal.Signals(os.WTERMSIG(wait_status)).name}.")
    return Ending(code, reason="" if code == 0 else f"It ended with exit code {code}.")


def _failed(reason: str) -> Ending:
    return Ending(None, AttemptState.FAILED, reason)


def _with_survivors(ending: Ending, survivors: int) -> Ending:
    reason = f"{ending.reason} {survivors} of its processes could not be ended.".strip()
    return Ending(ending.exit_code, ending.state, reason, ending.infrastructure)


def _size(size_bytes: int) -> str:
    return f"{size_bytes / 1024**2:,.0f} MiB" if size_bytes < 10 * 1024**3 else f"{size_bytes / 1024**3:,.1f} GiB"
