"""What a finished attempt left and what of it is kept: regular files of its own work folder, within limits."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from compute.executors import files
from compute.executors.base import Artefact, ExecutorError
from compute.executors.rundir import RunDir

FILES_MAX = 200
PATH_BYTES_MAX = 500
CHUNK_BYTES = 1024 * 1024


def check_globs(globs: Sequence[str]) -> None:
    """Refuse patterns that could only be meant to leave the work folder.

    Raises:
        ExecutorError: with the pattern at fault.
    """
    for glob in globs:
        if not glob or glob.startswith("/") or ".." in PurePosixPath(glob).parts or "\0" in glob or len(glob) > PATH_BYTES_MAX:
            raise ExecutorError(f"“{glob}” is not a pattern of files inside the work folder.", permanent=True)


@dataclass(frozen=True, slots=True)
class Collected:
    """The kept files, and a sentence about what was left behind, if anything was."""

    artefacts: tuple[Artefact, ...]
    note: str


def collect(folder: RunDir, globs: Sequence[str], bytes_max: int) -> Collected:
    """Copy matching files out of the work folder.

    Symbolic links are never followed, neither as a file nor as a folder on the way: a link could point at anything the
    platform may read. Nothing of the job runs any more, so nothing changes under our feet.
    """
    patterns = [re.compile(_expression(glob)) for glob in globs]
    folder.artefacts.mkdir(exist_ok=True)
    kept: list[Artefact] = []
    left = 0
    room = bytes_max
    for path in _files(folder.work) if patterns else ():
        if not any(pattern.fullmatch(path) for pattern in patterns):
            continue
        artefact = _copy(folder, path, room, number=len(kept)) if len(kept) < FILES_MAX else None
        if artefact is None:
            left += 1
            continue
        kept.append(artefact)
        room -= artefact.size_bytes
    note = f"{len(kept)} files were kept as artefacts; {left} more would have passed the limit." if left else ""
    return Collected(tuple(kept), note)


def _files(root: Path) -> Iterator[str]:
    """Relative paths of what could be an artefact; git's own folder is left out."""
    for entry in files.walk(root):
        path = os.path.relpath(entry.path, root)
        # A name that is not printable text could be neither shown nor asked for.
        if path.isprintable() and len(os.fsencode(path)) <= PATH_BYTES_MAX and not path.startswith(".git/"):
            yield path


def _copy(folder: RunDir, path: str, room: int, *, number: int) -> Artefact | None:
    """Copy one file. None: it is not a regular file of the work folder, or larger than what is left."""
    source = _open_beneath(folder.work, path)
    if source is None:
        return None
    target = folder.artefact_file(number)
    digest, size = hashlib.sha256(), 0
    with os.fdopen(source, "rb") as reader, target.open("wb") as writer:
        if os.fstat(source).st_size <= room:
            while chunk := reader.read(CHUNK_BYTES):
                size += len(chunk)
                digest.update(chunk)
                writer.write(chunk)
            return Artefact(path, size, digest.hexdigest())
    target.unlink()
    return None


def _open_beneath(root: Path, path: str) -> int | None:
    """Open a regular file below `root` without passing through any symbolic link, and without waiting on a pipe."""
    *folders, name = path.split("/")
    current = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)  # `walk` has seen that it is a folder
    try:
        for part in folders:
            inner = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=current)
            os.close(current)
            current = inner
        opened = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=current)
    except OSError:
        return None  # a link, or not readable
    finally:
        os.close(current)
    if stat.S_ISREG(os.fstat(opened).st_mode):
        return opened
    os.close(opened)
    return None


def _expression(glob: str) -> str:
    """A pattern as a regular expression over whole relative paths: `*` and `?` stay inside a folder, `**/` crosses folders."""
    parts = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(parts.get(piece, re.escape(piece)) for piece in re.split(r"(\*\*/|\*\*|\*|\?)", glob))
