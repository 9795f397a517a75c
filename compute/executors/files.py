"""Walking and removing folders that a job filled: any depth, any number, any name, no link followed."""

import itertools
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from core.errors import InfrastructureError

ENTRIES_MAX = 200_000
"""How much of a folder is looked at: a job can make more files than anybody wants to walk."""

DEPTH_MAX = 100


def walk(root: Path) -> Iterator[os.DirEntry[str]]:
    """Everything below `root` that is no folder, in a stable order. Ends quietly at ENTRIES_MAX entries and DEPTH_MAX levels."""
    if root.is_symlink():
        return
    left = ENTRIES_MAX
    stack = [(str(root), 0)]
    while stack:
        folder, depth = stack.pop()
        try:
            with os.scandir(folder) as listing:
                entries = sorted(itertools.islice(listing, left), key=lambda entry: entry.name)
        except OSError:
            continue  # gone or closed to us: there is nothing to see
        left -= len(entries)
        yield from (entry for entry in entries if not entry.is_dir(follow_symlinks=False))
        folders = [entry.path for entry in entries if entry.is_dir(follow_symlinks=False)]
        if depth < DEPTH_MAX:
            stack += [(path, depth + 1) for path in reversed(folders)]


def used_bytes(root: Path) -> int:
    """What the files below take on the disk (holes don't count), as far as `walk` looks."""
    used = 0
    for entry in walk(root):
        try:
            used += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue  # deleted meanwhile
    return used


def remove(*roots: Path) -> None:
    """Delete whole folders. `rm` copes with depths and permissions that shutil.rmtree (recursive) does not.

    Raises:
        InfrastructureError: something could not be deleted.
    """
    existing = [str(root) for root in roots if root.exists() or root.is_symlink()]
    if not existing:
        return
    if subprocess.run(["rm", "-rf", "--", *existing], capture_output=True, check=False).returncode != 0:
        # A job may leave folders that even their owner can't write to.
        subprocess.run(["chmod", "-R", "u+rwX", "--", *existing], capture_output=True, check=False)
        again = subprocess.run(["rm", "-rf", "--", *existing], capture_output=True, text=True, check=False)
        if again.returncode != 0:
            raise InfrastructureError(f"Can't delete what an attempt left: {again.stderr.strip()}")
