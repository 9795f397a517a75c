"""Runs jobs on this machine, as the user the platform runs as.

It keeps jobs whole (one commit, their own devices, all their processes, their limits) but does not confine them: a job can
read what the platform's user can read. So it refuses to work in production unless the operator says otherwise, and pools for
strangers' code belong on Kubernetes. docs/reference/local-executor.md has every limit and guarantee.
"""

import fcntl
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import BinaryIO
from uuid import UUID

from compute.executors import checkout, devices, files, processes
from compute.executors.artefacts import check_globs
from compute.executors.base import (
    Activity,
    Artefact,
    AttemptState,
    AttemptStatus,
    Capacity,
    ExecutorError,
    Image,
    LaunchSpec,
    Repository,
    Stop,
    UnknownAttempt,
    is_reserved_variable,
)
from compute.executors.rundir import MARKER, Limits, Orders, Progress, Result, RunDir, StopRequest
from core.config import ROOT, Environment, settings

ENVIRONMENT_BYTES_MAX = 32 * 1024
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class LocalExecutor:
    """The executor of the pool that is this machine."""

    name = "local"

    def __init__(
        self,
        *,
        slots: Mapping[str, int],
        folder: Path | None = None,
        repositories: Sequence[Path] = (),
        limits: Limits | None = None,
        nvidia_smi: str = "nvidia-smi",
        flavors: Mapping[str, str] | None = None,
        host: str = "",
    ) -> None:
        """`slots` are declared beside the GPUs that are found; local repositories must lie under one of `repositories`.
        `host` is what pools call this machine.

        A declared slot is a turn to run, no GPU: a job in it is told to see none.
        """
        self._folder = folder or settings().data_folder / "jobs"
        self._repositories = repositories
        self._limits = limits or Limits()
        self._slots = slots
        self._nvidia_smi = nvidia_smi
        self._flavors = flavors
        self._host = host or settings().host

    def refusal(self) -> str | None:
        """Why it will not start jobs on this installation; None if it will."""
        if not sys.platform.startswith("linux"):
            return "The local executor needs Linux: it finds a job's processes through /proc."
        if settings().pledgeworks_env is Environment.PRODUCTION and not settings().pledgeworks_allow_unconfined:
            return (
                "The local executor does not confine the jobs it runs, so it does not work in production. Use a Kubernetes pool, "
                "or set PLEDGEWORKS_ALLOW_UNCONFINED=true if every job comes from people you trust with this machine."
            )
        return None

    def capacity(self) -> Capacity:
        """The GPUs that were found when this executor was first asked, and the declared slots.

        A flavor that was declared is not counted among the found: the declaration is what the operator wants of this machine.
        """
        gpus: dict[str, int] = dict(self._slots)
        for device in self._gpus:
            if device.flavor not in self._slots:
                gpus[device.flavor] = gpus.get(device.flavor, 0) + 1
        return Capacity(gpus, detected=bool(self._gpus))

    def start(self, spec: LaunchSpec) -> None:
        """Check the spec, take the devices, leave a supervisor behind."""
        self._check(spec)
        folder = self._rundir(spec.attempt_id)
        if folder.progress() is not None:
            return
        folder.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with _locked(folder) as lock:
            # Somebody supervises it, or did: then it was started. A supervisor's first deed is to write its progress.
            if lock is None or folder.progress() is not None or folder.result() is not None:
                return
            if spec.gpus:
                allocation = devices.allocate(
                    self._of_flavor(spec.flavor),
                    self._folder / "devices",
                    flavor=spec.flavor,
                    count=spec.gpus,
                    attempt_id=spec.attempt_id,
                    settle_former=self._settle_former,
                )
            else:
                allocation = devices.Allocation((), ())
            try:
                names = tuple(device.name for device in allocation.devices)
                folder.write_orders(Orders(spec, self._limits, names, allocation.environment))
                _launch(folder, [lock, *allocation.files])
            except (OSError, subprocess.SubprocessError) as error:
                raise ExecutorError(f"The job could not be started on this machine: {error}.", permanent=False) from error
            finally:
                allocation.close()

    def status(self, attempt_id: UUID) -> AttemptStatus:
        """Read what the supervisor wrote; if there is neither a result nor a supervisor, bury the attempt as lost."""
        folder = self._known(attempt_id)
        result = folder.result()
        if result is None:
            with _locked(folder, wait=False) as lock:
                if lock is not None:
                    # Between the first look and the lock the supervisor may have ended in order.
                    result = folder.result() or _bury(folder, attempt_id)
        output_bytes = folder.output.stat().st_size if folder.output.exists() else 0
        if result is not None:
            return AttemptStatus(
                attempt_id=attempt_id,
                state=result.state,
                started_at=result.started_at,
                ended_at=result.ended_at,
                exit_code=result.exit_code,
                reason=result.reason,
                output_bytes=output_bytes,
                infrastructure=result.infrastructure,
                devices=result.devices,
            )
        progress = _so_far(folder)
        return AttemptStatus(
            attempt_id=attempt_id,
            state=progress.state,
            started_at=progress.started_at,
            ended_at=None,
            exit_code=None,
            reason="",
            output_bytes=output_bytes,
            infrastructure=False,
            devices=progress.devices,
        )

    def activity(self, attempt_id: UUID) -> Activity | None:
        """What its supervisor noted of its processes, and what the driver says of its GPUs."""
        folder = self._known(attempt_id)
        progress = folder.progress()
        if progress is None or progress.state is not AttemptState.RUNNING or folder.result() is not None:
            return None
        used = folder.used()
        has_gpus = any(name.startswith(("GPU-", "MIG-")) for name in progress.devices)
        busy = devices.busy_percent(self._nvidia_smi) if has_gpus else {}
        measured = [busy[name] for name in progress.devices if name in busy]
        return Activity(
            at=datetime.now(UTC),
            has_gpus=has_gpus,
            # All of them or nothing: an unmeasured one may be the one that works.
            gpu_percent=max(measured) if measured and len(measured) == len(progress.devices) else None,
            cpu_seconds=used.cpu_seconds if used else None,
        )

    def cancel(self, attempt_id: UUID, *, reason: str, stop: Stop = Stop.CANCELLED) -> None:
        """Leave the wish where the supervisor looks several times a second. The first wish counts."""
        self._known(attempt_id).request_stop(StopRequest(stop, reason))

    def evict_all(self, reason: str, timeout_seconds: float | None = None) -> list[UUID]:
        """End everything that runs here, because the platform itself stops; returns what was evicted.

        Waits until it has happened: by default as long as polite ending may take, and a little longer.
        """
        running = [attempt_id for attempt_id in self.attempts() if not self.status(attempt_id).state.is_final]
        for attempt_id in running:
            self.cancel(attempt_id, reason=reason, stop=Stop.EVICTED)
        deadline = time.monotonic() + (timeout_seconds if timeout_seconds is not None else self._limits.grace_seconds + 10)
        while time.monotonic() < deadline and any(not self.status(attempt_id).state.is_final for attempt_id in running):
            time.sleep(0.1)
        return running

    def attempts(self) -> list[UUID]:
        """Every attempt this machine knows of, oldest id first."""
        folders = self._folder.glob("*/spec.json") if self._folder.exists() else ()
        return sorted(UUID(path.parent.name) for path in folders)

    def read_output(self, attempt_id: UUID, offset: int, limit: int) -> bytes:
        """Read a part of the log, which grows while the attempt runs."""
        folder = self._known(attempt_id)
        if not folder.output.exists():
            return b""
        with folder.output.open("rb") as log:
            log.seek(offset)
            return log.read(limit)

    def artefacts(self, attempt_id: UUID) -> list[Artefact]:
        """What the result names."""
        result = self._known(attempt_id).result()
        return sorted(result.artefacts, key=lambda artefact: artefact.path) if result else []

    def open_artefact(self, attempt_id: UUID, path: str) -> BinaryIO:
        """Open a kept file by the name it had in the work folder; no part of that name reaches the file system."""
        folder = self._known(attempt_id)
        result = folder.result()
        for number, artefact in enumerate(result.artefacts if result else ()):
            if artefact.path == path:
                return folder.artefact_file(number).open("rb")
        raise ExecutorError(f"Attempt {attempt_id} left no artefact “{path}”.", permanent=True)

    def forget(self, attempt_id: UUID) -> None:
        """Delete the attempt's folder."""
        folder = self._rundir(attempt_id)
        if not folder.path.exists():
            return
        if folder.orders() is not None and folder.result() is None:
            raise ExecutorError(f"Attempt {attempt_id} has not ended and can't be forgotten yet.", permanent=False)
        with _locked(folder) as lock:
            if lock is None:  # its supervisor is still clearing the work folder away
                raise ExecutorError(f"Attempt {attempt_id} is being cleared away; try again.", permanent=False)
            files.remove(folder.path)

    # ---------------------------------------------------------------------------------------------------------------------

    @cached_property
    def _gpus(self) -> list[devices.Device]:
        return devices.detected(self._nvidia_smi, self._flavors)

    def _of_flavor(self, flavor: str) -> list[devices.Device]:
        """The devices of a flavor. The driver is asked only if nobody declared any: a broken one must not stop CPU jobs."""
        declared = [device for device in devices.declared(self._slots) if device.flavor == flavor]
        return declared or [device for device in self._gpus if device.flavor == flavor]

    def _check(self, spec: LaunchSpec) -> None:
        """Refuse what can never run here."""
        if (refusal := self.refusal()) is not None:
            raise ExecutorError(refusal, permanent=True)
        if spec.host not in {"", self._host}:
            raise ExecutorError(
                f"This job was placed on host “{spec.host}”, and the local executor runs jobs on its own machine only, which is "
                f"host “{self._host}”. Take that host out of service, or set PLEDGEWORKS_HOST if it is this machine.",
                permanent=True,
            )
        if isinstance(spec.source, Image):
            raise ExecutorError(
                "This pool runs commands on its own machine and can't run container images; choose a Kubernetes pool, "
                "or give a repository and a command.",
                permanent=True,
            )
        if isinstance(spec.source, Repository):
            checkout.check(spec.source, self._repositories)
            if shutil.which("git", path=checkout.SEARCH_PATH) is None:
                raise ExecutorError("Git is not installed on this machine, so it can't fetch a repository.", permanent=True)
        if not spec.command or not spec.command[0] or any("\0" in part for part in spec.command):
            raise ExecutorError("The job names no command that could be run.", permanent=True)
        if spec.wall_seconds < 1 or spec.memory_bytes < 1 or spec.output_bytes_max < 0 or spec.gpus < 0:
            raise ExecutorError("The job's wall time and memory must be positive, its other limits not negative.", permanent=True)
        check_globs(spec.artefact_globs)
        _check_environment(spec.environment)

    def _rundir(self, attempt_id: UUID) -> RunDir:
        return RunDir(self._folder / str(attempt_id))

    def _known(self, attempt_id: UUID) -> RunDir:
        folder = self._rundir(attempt_id)
        if folder.orders() is None:
            raise UnknownAttempt(attempt_id)
        return folder

    def _settle_former(self, attempt_id: UUID) -> None:
        """Before a device changes hands: if its last holder was lost, end what it left."""
        if self._rundir(attempt_id).orders() is not None:
            self.status(attempt_id)


def _check_environment(environment: Mapping[str, str]) -> None:
    size = 0
    for name, value in environment.items():
        if not NAME.fullmatch(name) or "\0" in value:
            raise ExecutorError(f"“{name}” can't be set as an environment variable.", permanent=True)
        if is_reserved_variable(name):
            raise ExecutorError(f"{name} is set by the platform and can't be chosen by a job.", permanent=True)
        size += len(name) + len(value.encode()) + 2
    if size > ENVIRONMENT_BYTES_MAX:
        raise ExecutorError(f"The job's environment is larger than {ENVIRONMENT_BYTES_MAX // 1024} KiB.", permanent=True)


@contextmanager
def _locked(folder: RunDir, *, wait: bool = True) -> Iterator[int | None]:
    """The attempt's lock as an open file, or None if its supervisor holds it.

    Another process may hold it for the moment a look at the attempt takes; `wait` is longer than that.
    """
    lock = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + (1.0 if wait else 0.0)
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    yield None
                    return
                time.sleep(0.02)
            else:
                break
        yield lock
    finally:
        os.close(lock)


def _launch(folder: RunDir, inherited: list[int]) -> None:
    """Start the supervisor, which leaves us at once: this returns when it stands on its own feet."""
    with folder.trouble.open("ab") as trouble:
        subprocess.run(
            [sys.executable, "-m", "compute.executors.supervise", str(folder.path), *map(str, inherited)],
            cwd=ROOT,
            # None of the platform's secrets; where Python finds its packages is none.
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
            stdin=subprocess.DEVNULL,
            stdout=trouble,
            stderr=trouble,
            pass_fds=inherited,
            timeout=60,
            check=True,
        )


def _so_far(folder: RunDir) -> Progress:
    """What the supervisor wrote last; before its first word, what it was ordered."""
    progress = folder.progress()
    if progress is None:
        orders = folder.orders()
        progress = Progress(AttemptState.STARTING, orders.devices if orders else ())
    return progress


def _bury(folder: RunDir, attempt_id: UUID) -> Result:
    """The supervisor is gone without a result: end what it left and write down that the attempt is lost."""
    progress = _so_far(folder)
    left = processes.kill_orphans(f"{MARKER}={attempt_id}", progress.session)
    reason = "The process that watched over it was killed, or the machine stopped; nobody knows how it ended."
    if left:
        reason += f" {left} of its processes could not be ended."
    result = Result(
        state=AttemptState.LOST,
        reason=reason,
        infrastructure=True,
        started_at=progress.started_at,
        ended_at=datetime.now(UTC),
        devices=progress.devices,
    )
    folder.write_result(result)
    files.remove(*folder.scratch)
    return result
