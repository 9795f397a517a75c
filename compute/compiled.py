"""The scheduler's core path, compiled to machine code where somebody asked for it: the same source, the same decisions, faster.

`make compiled` (compute/compiling.py) translates the modules below with mypyc into a folder that is named by their source and by
this Python. From then on they are imported from there. After any change of the source the name is another, so that an old
translation is never used: until it is made again, the source itself runs. ADR 19 says what it gains.
"""

import hashlib
import os
import sys
import sysconfig
from collections.abc import Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "build" / "compiled"
SOURCE = ROOT / "compute" / "scheduling"
PACKAGE = "compute.scheduling"
MODULES = (
    "core",
    "events",
    "knobs",
    "lanes",
    "learning.estimates",
    "learning.ideal",
    "line",
    "order",
    "parking",
    "quotas.groups",
    "rulebook",
    "rules.grants",
    "rules.limits",
    "rules.offers",
    "told",
    "turns",
)
"""What an event passes through. What is asked now and then, such as why a job waits, runs as it is written."""

OFF = {"0", "false", "no", "off", "f", "n"}


def path_of(module: str) -> Path:
    """Where the source of a module is, from the root."""
    return Path("compute", "scheduling", *module.split(".")).with_suffix(".py")


@cache
def place() -> Path:
    """Where the translation of this very source belongs, made or not."""
    seen = hashlib.sha256("\0".join([sysconfig.get_config_var("EXT_SUFFIX"), *MODULES]).encode())
    for path in sorted(SOURCE.rglob("*.py")):  # all of them: the translation relies on what the others are like
        seen.update(path.relative_to(SOURCE).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return FOLDER / seen.hexdigest()[:20]


def in_use() -> bool:
    """Whether this process decides with the translation."""
    return any(isinstance(finder, _Finder) for finder in sys.meta_path)


def prefer() -> None:
    """Import the translation from now on, if it was made from this source and PLEDGEWORKS_COMPILED does not forbid it."""
    # Read here and not from the settings, which are read later than modules are imported.
    if os.environ.get("PLEDGEWORKS_COMPILED", "").strip().lower() not in OFF and place().is_dir() and not in_use():
        sys.meta_path.insert(0, _Finder(place()))


class _Finder(MetaPathFinder):
    """Finds the translated modules, and the library that they share."""

    def __init__(self, folder: Path) -> None:
        self._places = {f"{PACKAGE}.{name}": (folder / path_of(name)).parent for name in MODULES}
        self._places |= {path.name.partition(".")[0]: folder for path in folder.glob("*__mypyc.*")}

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """Where a module is imported from; None: as always."""
        folder = self._places.get(fullname)
        return PathFinder.find_spec(fullname, [str(folder)], target) if folder is not None else None
