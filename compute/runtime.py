"""The executors this process can reach, made once from the settings."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

from compute.executors.base import Executor
from compute.executors.local import LocalExecutor
from core.config import ROOT, Environment, settings
from core.errors import InvalidInput


@cache
def executors() -> Mapping[str, Executor]:
    """Every executor by its name. The local one is left out where it refuses to work (production, unless told so)."""
    local = LocalExecutor(slots=local_slots(), repositories=local_repositories())
    return {} if local.refusal() else {local.name: local}


def local_slots() -> dict[str, int]:
    """Declared slots of this machine by flavor, from PLEDGEWORKS_LOCAL_SLOTS (`cpu=2`, several with commas).

    Raises:
        InvalidInput: not of that form.
    """
    slots = {}
    for part in filter(None, (part.strip() for part in settings().pledgeworks_local_slots.split(","))):
        flavor, _, count = part.partition("=")
        if not flavor or not count.isdigit():
            raise InvalidInput(f"PLEDGEWORKS_LOCAL_SLOTS has “{part}”; write flavor=number, such as cpu=2.")
        slots[flavor] = int(count)
    return slots


def local_repositories() -> tuple[Path, ...]:
    """Folders whose Git repositories jobs may read by path: this project in development, none in production."""
    return (ROOT,) if settings().pledgeworks_env is Environment.DEVELOPMENT else ()
