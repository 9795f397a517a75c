"""`python -m compute.compiling` (`make compiled`): translate the scheduler's core path to machine code. Takes half a minute.

Needs a C compiler, Python's headers, and what requirements-dev.txt lists. Nothing in the source tree changes; the result is in
build/compiled, and a process that starts from now on uses it. `rm -r build/compiled` undoes it.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from compute.compiled import FOLDER, MODULES, ROOT, path_of, place

NEEDED = ("compute/scheduling", "core/__init__.py", "core/errors.py", "core/units.py")
"""What the modules import, and nothing else: types are looked up there."""

CONFIG = "[mypy]\nstrict = true\n"


def main() -> int:
    """Translate, unless it was done, and say where the result is."""
    missing = what_is_missing()
    if missing:
        sys.stderr.write(f"The scheduler can't be compiled here: {missing}\n")
        return 1
    sys.stdout.write(f"{build()}\n")
    return 0


def what_is_missing() -> str:
    """What it takes and is not there, as a sentence; empty if all is there."""
    compiler = os.environ.get("CC") or "cc"
    if shutil.which(compiler.split()[0]) is None:
        return f"there is no C compiler “{compiler}”; on Debian and Ubuntu: apt-get install gcc libc6-dev."
    headers = Path(sysconfig.get_path("include")) / "Python.h"
    if not headers.is_file():
        return f"Python's headers ({headers}) are not there; on Debian and Ubuntu: apt-get install python3-dev."
    if shutil.which("mypyc", path=_path()) is None:
        return "there is no mypyc; install what requirements-dev.txt lists."
    return ""


def build() -> Path:
    """The folder of the translation of this source, made if it was not there.

    Raises:
        CalledProcessError: mypyc or the compiler refused; what they said is on standard error.
    """
    if place().is_dir():
        return place()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="new-", dir=FOLDER) as name:
        work = Path(name)
        for path in NEEDED:
            source, copy = ROOT / path, work / "made" / path
            copy.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy)
        (work / "made/compute/__init__.py").touch()
        (work / "made/mypy.ini").write_text(CONFIG, encoding="utf-8")
        done = subprocess.run(  # noqa: S603 - names of our own modules, nothing from outside
            ["mypyc", *(str(path_of(module)) for module in MODULES)],  # noqa: S607 - of this environment, see _path
            cwd=work / "made",
            env={**os.environ, "PATH": _path(), "MYPYC_OPT_LEVEL": "2", "MYPYPATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.stderr.write(done.stdout + done.stderr)
            done.check_returncode()
        shutil.rmtree(work / "made/build")
        # In one step, so that nobody finds half of it; whoever was faster made the same.
        try:
            (work / "made").rename(place())
        except OSError:
            if not place().is_dir():
                raise
    return place()


def _path() -> str:
    """This Python's own commands first."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])


if __name__ == "__main__":
    raise SystemExit(main())
