"""An executor of a few files: attempts that really start once, run for a moment, and are seen alike by every process."""

import json
import os
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import BinaryIO
from uuid import UUID, uuid4

from compute.executors.base import Artefact, AttemptState, AttemptStatus, Capacity, LaunchSpec, Stop, UnknownAttempt

RUNS_FOR = timedelta(milliseconds=400)


class FolderExecutor:
    """Its folder is the truth: one file per attempt, made by link(2), which happens once or not at all."""

    name = "folder"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def capacity(self) -> Capacity:
        return Capacity({}, detected=False)

    def start(self, spec: LaunchSpec) -> None:
        draft = self._folder / f".{uuid4()}"
        draft.write_text(json.dumps({"at": datetime.now(UTC).isoformat(), "gpus": spec.gpus, "pid": os.getpid()}))
        try:
            os.link(draft, self._path(spec.attempt_id))
            with (self._folder / "starts").open("a") as log:
                log.write(f"{spec.attempt_id}\n")
        except FileExistsError:
            pass  # started before
        finally:
            draft.unlink()

    def status(self, attempt_id: UUID) -> AttemptStatus:
        try:
            begun = datetime.fromisoformat(json.loads(self._path(attempt_id).read_text())["at"])
        except FileNotFoundError:
            raise UnknownAttempt(attempt_id) from None
        if datetime.now(UTC) < begun + RUNS_FOR:
            return AttemptStatus(attempt_id, AttemptState.RUNNING, begun, None, None, "", 0, infrastructure=False)
        return AttemptStatus(attempt_id, AttemptState.SUCCEEDED, begun, begun + RUNS_FOR, 0, "", 0, infrastructure=False)

    def cancel(self, attempt_id: UUID, *, reason: str, stop: Stop = Stop.CANCELLED) -> None:
        raise AssertionError("nobody cancels here")

    def read_output(self, attempt_id: UUID, offset: int, limit: int) -> bytes:
        return b""

    def artefacts(self, attempt_id: UUID) -> list[Artefact]:
        return []

    def open_artefact(self, attempt_id: UUID, path: str) -> BinaryIO:
        return BytesIO()

    def forget(self, attempt_id: UUID) -> None:
        return

    def _path(self, attempt_id: UUID) -> Path:
        return self._folder / f"{attempt_id}.json"
