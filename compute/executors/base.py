"""All that the rest of the platform knows of an executor: what runs the jobs of a pool."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import BinaryIO, Protocol, runtime_checkable
from uuid import UUID


class AttemptState(enum.StrEnum):
    """Where one try to run a job stands, as the executor sees it."""

    STARTING = "starting"  # devices taken, sources being checked out or an image pulled; the command does not run yet
    RUNNING = "running"  # the command runs
    SUCCEEDED = "succeeded"  # it ended with exit code 0
    FAILED = "failed"  # it ended with another code, broke a limit, or could not be started
    TIMED_OUT = "timed_out"  # it was stopped at its declared wall time
    CANCELLED = "cancelled"  # somebody asked for its end
    EVICTED = "evicted"  # the platform or the donor needed the devices; the job did nothing wrong
    LOST = "lost"  # whoever watched it is gone, and nobody knows how it ended

    @property
    def is_final(self) -> bool:
        """Whether nothing will happen any more; such an attempt holds no device and no process."""
        return self not in {AttemptState.STARTING, AttemptState.RUNNING}


class Stop(enum.StrEnum):
    """Why a running attempt is ended from outside; decides whether its use is charged or credited back."""

    CANCELLED = "cancelled"  # a person withdrew the job: its use is charged
    EVICTED = "evicted"  # the platform takes the devices back: its use is credited


def is_reserved_variable(name: str) -> bool:
    """Whether an environment variable is the platform's to set, in every executor."""
    return name in {"HOME", "TMPDIR", "CUDA_VISIBLE_DEVICES"} or name.startswith("PLEDGEWORKS_")


@dataclass(frozen=True, slots=True)
class Repository:
    """A source repository at one exact commit. The executor never follows a branch or a tag."""

    url: str  # https://…, or an absolute path where the executor allows local repositories
    commit: str  # 40 hexadecimal digits
    ref: str | None = (
        None  # refs/heads/…: the commit must be part of it, or nothing runs. Set where an offer or a pool trusts refs
    )


@dataclass(frozen=True, slots=True)
class Image:
    """A container image, pinned by digest where it matters."""

    reference: str


Source = Repository | Image | None
"""What a command runs in: a checkout, an image, or (None) an empty work folder."""


@dataclass(frozen=True, slots=True)
class LaunchSpec:
    """Everything an executor needs to run one attempt. Nothing in it is a secret of the platform."""

    attempt_id: UUID  # names the attempt for ever; starting it twice starts it once
    job_id: UUID
    source: Source
    command: tuple[str, ...]  # argv; a script is ("sh", "-c", script)
    environment: Mapping[str, str]  # added to the executor's own minimal one; no reserved names
    gpus: int  # whole devices (or slices, when the flavor is a slice); 0 for a job that needs none
    flavor: str
    wall_seconds: int  # declared; at its end the attempt is stopped
    memory_bytes: int  # of the whole process tree
    output_bytes_max: int  # more output is dropped, with a note in its place
    artefact_globs: tuple[str, ...] = ()  # relative to the work folder, `**` allowed
    artefact_bytes_max: int = 0  # of all artefacts together
    host: str = ""  # the machine it was placed on, by its executor's name for it; empty: the pool is one machine


@dataclass(frozen=True, slots=True)
class AttemptStatus:
    """What is known of an attempt at this moment."""

    attempt_id: UUID
    state: AttemptState
    started_at: datetime | None  # when the command began to run; None if it never did
    ended_at: datetime | None
    exit_code: int | None  # the command's own, 128 + signal if a signal ended it; None if it never ended by itself
    reason: str  # a sentence for people; empty while nothing is worth saying
    output_bytes: int  # how much of the output can be read now
    infrastructure: bool  # the end was not the job's doing (checkout failed, could not start, evicted, lost): credit it back
    devices: tuple[str, ...] = ()  # which devices it has or had, as the executor names them


@dataclass(frozen=True, slots=True)
class Artefact:
    """A file that a finished attempt left and that was kept."""

    path: str  # relative to the work folder, with forward slashes
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Capacity:
    """How many devices of each flavor a pool has, whether used at the moment or not."""

    gpus: Mapping[str, int]
    detected: bool  # True: counted by asking the hardware; False: declared by whoever set the pool up


@dataclass(frozen=True, slots=True)
class Activity:
    """What an attempt's devices and processes were doing when they were looked at."""

    at: datetime
    has_gpus: bool  # False: its devices are declared slots, and only its processes can be measured
    gpu_percent: int | None  # of the busiest of its GPUs: part of the last second in which a kernel ran. None: not measured
    cpu_seconds: float | None  # processor time of all its processes since they began. None: not measured


class ExecutorError(Exception):
    """The executor could not do what it was asked.

    `permanent` says whether asking again can help: a spec it can never run is permanent, a full disk is not. The message is a
    sentence for people.
    """

    def __init__(self, message: str, *, permanent: bool) -> None:
        super().__init__(message)
        self.message = message
        self.permanent = permanent


class UnknownAttempt(ExecutorError):
    """The executor has never heard of this attempt, or has forgotten it."""

    def __init__(self, attempt_id: UUID) -> None:
        super().__init__(f"Attempt {attempt_id} is not known to this executor.", permanent=True)


@runtime_checkable
class SeesActivity(Protocol):
    """An executor that can tell what an attempt is doing. Not every one can; then it is said to be not measured."""

    def activity(self, attempt_id: UUID) -> Activity | None:
        """What it is doing now; None once it has ended, or before its command runs.

        Raises:
            ExecutorError: it can't be looked at now.
        """


class Executor(Protocol):
    """Runs attempts on the devices of one pool. Every method may be called again after a crash of the caller."""

    name: str

    def capacity(self) -> Capacity:
        """The devices of the pool."""

    def start(self, spec: LaunchSpec) -> None:
        """Begin an attempt and return at once. Starting an attempt that was already started changes nothing.

        Raises:
            ExecutorError: it can't run here (permanent), or not now, devices not free or disk full (not permanent). Nothing
                was started then.
        """

    def status(self, attempt_id: UUID) -> AttemptStatus:
        """What is known now. Finds out about lost attempts on the way.

        Raises:
            UnknownAttempt: it was never started here, or is forgotten.
        """

    def cancel(self, attempt_id: UUID, *, reason: str, stop: Stop = Stop.CANCELLED) -> None:
        """Ask for the end of an attempt and all its processes; returns at once, `status` tells when it has happened.

        An attempt that has ended keeps its own ending. `reason` is a sentence and becomes the status's.
        """

    def read_output(self, attempt_id: UUID, offset: int, limit: int) -> bytes:
        """At most `limit` bytes of standard output and error together, from `offset`; empty at the end of what there is."""

    def artefacts(self, attempt_id: UUID) -> list[Artefact]:
        """What a finished attempt left, by path; empty before its end."""

    def open_artefact(self, attempt_id: UUID, path: str) -> BinaryIO:
        """The bytes of one artefact, by the path that `artefacts` gave; the caller closes it.

        Raises:
            ExecutorError: there is none of that path.
        """

    def forget(self, attempt_id: UUID) -> None:
        """Delete what is kept of a finished attempt; forgetting it twice is fine.

        Raises:
            ExecutorError: it has not ended (not permanent).
        """
