"""The folder of one attempt: all that the local executor and the supervisor of an attempt tell each other.

    spec.json         what to run; written once, before the supervisor begins
    supervisor.lock   held (flock) from before the supervisor begins until it is gone; free and no result means lost
    status.json       written by the supervisor at each change
    used.json         processor time so far; replaced every few seconds while the command runs
    stop.json         somebody wants an end: which, and why; the first one counts
    result.json       how it ended; written once, and durable before anybody reads it
    output.log        standard output and error, within the limit
    artefacts/        the kept files, under plain numbers; result.json has their names
    work/ home/ tmp/  what the command sees; deleted at the end, and proof/ (see checkout.py) with them

JSON files are replaced in one step, so that a reader finds the old or the new one, never half of one.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from compute.executors.base import Artefact, AttemptState, Image, LaunchSpec, Repository, Source, Stop
from compute.executors.processes import Leader

MARKER = "PLEDGEWORKS_ATTEMPT_ID"
"""In the environment of every process of an attempt; how orphans are found when their supervisor is gone."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the owner of the machine allows to every attempt, beside what the attempt declares."""

    checkout_seconds: int = 300  # a job is not charged for its checkout, so this bounds what a slow server can block
    grace_seconds: float = 10.0  # between asking processes to end and killing them
    processes_max: int = 512
    file_bytes_max: int = 8 * 1024**3  # of one file, and of the work folder once the disk runs low
    disk_reserve_bytes: int = 1024**3  # an attempt is stopped when the disk has less than this left
    nice: int = 10


@dataclass(frozen=True, slots=True)
class Orders:
    """What the supervisor is to do."""

    spec: LaunchSpec
    limits: Limits
    devices: tuple[str, ...]
    device_environment: Mapping[str, str]

    def to_json(self) -> dict[str, Any]:
        spec = asdict(self.spec) | {
            "attempt_id": str(self.spec.attempt_id),
            "job_id": str(self.spec.job_id),
            "source": _source_to_json(self.spec.source),
            "environment": dict(self.spec.environment),
        }
        return {
            "spec": spec,
            "limits": asdict(self.limits),
            "devices": list(self.devices),
            "device_environment": dict(self.device_environment),
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Orders":
        spec = data["spec"]
        return cls(
            spec=LaunchSpec(
                **spec
                | {
                    "attempt_id": UUID(spec["attempt_id"]),
                    "job_id": UUID(spec["job_id"]),
                    "source": _source_from_json(spec["source"]),
                    "command": tuple(spec["command"]),
                    "artefact_globs": tuple(spec["artefact_globs"]),
                }
            ),
            limits=Limits(**data["limits"]),
            devices=tuple(data["devices"]),
            device_environment=data["device_environment"],
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """status.json."""

    state: AttemptState
    devices: tuple[str, ...] = ()
    started_at: datetime | None = None
    session: Leader | None = None  # of the command

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"started_at": self.started_at.isoformat() if self.started_at else None}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Progress":
        return cls(
            AttemptState(data["state"]),
            tuple(data["devices"]),
            _moment(data["started_at"]),
            Leader(**data["session"]) if data["session"] else None,
        )


@dataclass(frozen=True, slots=True)
class Used:
    """used.json: processor time of the command so far."""

    cpu_seconds: float
    at: datetime

    def to_json(self) -> dict[str, Any]:
        return {"cpu_seconds": self.cpu_seconds, "at": self.at.isoformat()}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Used":
        return cls(data["cpu_seconds"], datetime.fromisoformat(data["at"]))


@dataclass(frozen=True, slots=True)
class StopRequest:
    """stop.json."""

    stop: Stop
    reason: str

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "StopRequest":
        return cls(Stop(data["stop"]), data["reason"])


@dataclass(frozen=True, slots=True)
class Result:
    """result.json."""

    state: AttemptState
    reason: str
    infrastructure: bool
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    devices: tuple[str, ...] = ()
    artefacts: tuple[Artefact, ...] = field(default=())

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {
            "started_at": self.started_at.isoformat() if self.started_at else None,
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Result":
        return cls(
            **data
            | {
                "state": AttemptState(data["state"]),
                "started_at": _moment(data["started_at"]),
                "ended_at": _moment(data["ended_at"]),
                "devices": tuple(data["devices"]),
                "artefacts": tuple(Artefact(**artefact) for artefact in data["artefacts"]),
            }
        )


class RunDir:
    """The folder of one attempt and its files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = path / "supervisor.lock"
        self.output = path / "output.log"
        self.work = path / "work"
        self.home = path / "home"
        self.tmp = path / "tmp"
        self.proof = path / "proof"  # a repository's history, while it is looked into
        self.artefacts = path / "artefacts"
        self.trouble = path / "supervisor.log"  # what the supervisor itself had to complain about

    @property
    def scratch(self) -> tuple[Path, ...]:
        """What is of no use after the end."""
        return (self.work, self.home, self.tmp, self.proof)

    def orders(self) -> Orders | None:
        return Orders.from_json(data) if (data := self._read("spec.json")) else None

    def progress(self) -> Progress | None:
        return Progress.from_json(data) if (data := self._read("status.json")) else None

    def used(self) -> Used | None:
        return Used.from_json(data) if (data := self._read("used.json")) else None

    def stop_request(self) -> StopRequest | None:
        return StopRequest.from_json(data) if (data := self._read("stop.json")) else None

    def result(self) -> Result | None:
        return Result.from_json(data) if (data := self._read("result.json")) else None

    def write_orders(self, orders: Orders) -> None:
        self._write("spec.json", orders.to_json(), durable=True)

    def write_progress(self, progress: Progress) -> None:
        self._write("status.json", progress.to_json())

    def write_used(self, used: Used) -> None:
        self._write("used.json", used.to_json())

    def write_result(self, result: Result) -> None:
        self._write("result.json", result.to_json(), durable=True)

    def request_stop(self, request: StopRequest) -> bool:
        """Ask for an end. False: somebody has asked before, and theirs counts."""
        fresh = self._fresh("stop.json", asdict(request), durable=False)
        try:
            (self.path / "stop.json").hardlink_to(fresh)
        except FileExistsError:
            return False
        finally:
            fresh.unlink()
        return True

    def artefact_file(self, number: int) -> Path:
        return self.artefacts / f"{number:04}"

    def _read(self, name: str) -> dict[str, Any] | None:
        try:
            data: dict[str, Any] = json.loads((self.path / name).read_bytes())
        except FileNotFoundError:
            return None
        return data

    def _write(self, name: str, data: dict[str, Any], *, durable: bool = False) -> None:
        self._fresh(name, data, durable=durable).replace(self.path / name)
        if durable:
            folder = os.open(self.path, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _fresh(self, name: str, data: dict[str, Any], *, durable: bool) -> Path:
        path = self.path / f".{name}.{os.getpid()}"
        with path.open("w", encoding="utf-8") as out:
            json.dump(data, out)
            if durable:
                out.flush()
                os.fsync(out.fileno())
        return path


def _source_to_json(source: Source) -> dict[str, str] | None:
    return None if source is None else {"kind": type(source).__name__, **asdict(source)}


def _source_from_json(data: dict[str, str] | None) -> Source:
    if data is None:
        return None
    fields = {name: value for name, value in data.items() if name != "kind"}
    return Repository(**fields) if data["kind"] == Repository.__name__ else Image(**fields)


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
