"""Whole process trees: seeing them, measuring them, and ending them without leaving one behind (Linux).

A process that calls setsid() and forks twice leaves its session, its group and its parent. It stays a descendant all the same
if an ancestor is a *child subreaper* (prctl(2)): orphans are then handed to that ancestor instead of to process 1.
"""

import contextlib
import ctypes
import os
import resource
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36


def become_subreaper() -> None:
    """Adopt every orphan among our descendants from now on.

    Raises:
        OSError: the kernel refuses (no Linux, or a filter).
    """
    _prctl(PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends, however it ends; for use between fork and exec."""
    _prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass(frozen=True, slots=True)
class Leader:
    """One process for ever: its number alone is given to others after it."""

    pid: int
    start_ticks: int  # since the machine started
    boot: str  # which start of the machine, and which space of process ids


def leader(pid: int) -> Leader:
    """Name a living process, the leader of a session, so that it is known again."""
    return Leader(pid, _start_ticks(pid), _boot())


def descendants() -> list[psutil.Process]:
    """Every process below this one. Zombies count: one whose first thread has ended may still run others."""
    return psutil.Process().children(recursive=True)


def kill_descendants(ended: dict[int, int], deadline_seconds: float = 30.0) -> int:
    """Kill every process below this one and reap them into `ended` (see `reap`).

    They are all stopped first: a stopped process can't fork, so a fork bomb can't outrun the killing. Returns how many survived,
    which only a process in an uninterruptible call of the kernel does.
    """
    deadline = time.monotonic() + deadline_seconds
    while True:
        frozen: set[int] = set()
        while fresh := [process for process in descendants() if process.pid not in frozen]:
            _send(fresh, signal.SIGSTOP)
            frozen |= {process.pid for process in fresh}
        left = descendants()
        _send(left, signal.SIGKILL)
        ended |= reap()
        if not left or time.monotonic() > deadline:
            return len(left)
        time.sleep(0.01)


def reap() -> dict[int, int]:
    """Collect every ended child, adopted ones included: process id → wait status."""
    ended: dict[int, int] = {}
    with contextlib.suppress(ChildProcessError):  # no child at all
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            ended[found[0]] = found[1]
    return ended


def exit_code(wait_status: int) -> int:
    """As a shell says it: the code, or 128 + the signal that ended the process."""
    code = os.waitstatus_to_exitcode(wait_status)
    return code if code >= 0 else 128 - code


def memory_bytes(processes: Iterable[psutil.Process], enough: int) -> int:
    """Memory in use by these processes together.

    Resident sizes count a shared page once per process, so a big forking server looks bigger than it is. Only when they add up
    to more than `enough` are the proportional sizes read, which are fair but costlier.
    """
    processes = list(processes)
    resident = sum(_measure(process, "rss") for process in processes)
    return resident if resident <= enough else sum(_measure(process, "pss") for process in processes)


def cpu_seconds(processes: Iterable[psutil.Process]) -> float:
    """Processor time that these living descendants used, those they waited for included, and all that this process reaped."""
    reaped = resource.getrusage(resource.RUSAGE_CHILDREN)
    return reaped.ru_utime + reaped.ru_stime + sum(_cpu_seconds(process) for process in processes)


def orphans(marker: str, session: Leader | None) -> list[psutil.Process]:
    """Processes that an attempt left behind when its supervisor was killed.

    Known by the marker in the environment they were started with, or by the session of their command. (A process that
    changed both is not found: the local executor does not confine.)
    """
    session = session if session is not None and session.boot == _boot() else None
    return [
        process
        for process in psutil.process_iter()
        if process.pid != os.getpid() and _alive(process) and _belongs(process, marker.encode(), session)
    ]


def kill_orphans(marker: str, session: Leader | None, deadline_seconds: float = 10.0) -> int:
    """Kill what `orphans` finds until it finds nothing. Returns how many are left."""
    deadline = time.monotonic() + deadline_seconds
    while left := orphans(marker, session):
        _send(left, signal.SIGSTOP)
        _send(left, signal.SIGKILL)
        if time.monotonic() > deadline:
            return len(left)
        time.sleep(0.02)
    return 0


def _belongs(process: psutil.Process, marker: bytes, session: Leader | None) -> bool:
    try:
        if marker in Path(f"/proc/{process.pid}/environ").read_bytes().split(b"\0"):
            return True
        return session is not None and os.getsid(process.pid) == session.pid and not _is_another(session)
    except OSError:
        return False  # it ended, or is another user's and so none of ours


def _is_another(session: Leader) -> bool:
    """Whether the leader's number was given to a later process, whose session is no concern of ours.

    While a session has members its leader's number is given to nobody, so a leader that is gone is the one we mean.
    """
    try:
        return _start_ticks(session.pid) != session.start_ticks
    except FileNotFoundError:
        return False


def _start_ticks(pid: int) -> int:
    # The 22nd field; the second holds the program's name in brackets and may itself hold spaces and brackets.
    return int(Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip() + os.readlink("/proc/self/ns/pid")


def _alive(process: psutil.Process) -> bool:
    """Whether it still runs: a zombie is only waiting for its parent, unless other threads than its first go on."""
    try:
        return process.status() != psutil.STATUS_ZOMBIE or process.num_threads() > 1
    except psutil.Error:
        return False


def _send(processes: Iterable[psutil.Process], sent: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):  # ended meanwhile
            process.send_signal(sent)


def _cpu_seconds(process: psutil.Process) -> float:
    try:
        used = process.cpu_times()
    except psutil.Error:
        return 0.0  # ended meanwhile: reaped, and counted there
    return float(used.user + used.system + used.children_user + used.children_system)


def _measure(process: psutil.Process, what: str) -> int:
    try:
        return int(process.memory_info().rss if what == "rss" else process.memory_full_info().pss)
    except psutil.Error:
        return 0  # ended meanwhile


_libc = ctypes.CDLL(None, use_errno=True)  # loaded here: between fork and exec is no time to load libraries


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
