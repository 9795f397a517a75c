"""One exact commit of a repository into an empty folder, with git told to trust nothing.

No hooks, no configuration of the machine or the user, no prompt, no credential, only the protocols `https` and `file`, no
submodules. The commit is fetched alone where the server allows it (all current ones do), else with all branches and tags.
git checks the content of a commit against its name, so a server can't slip in another one.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from compute.executors.base import ExecutorError, Repository

COMMIT = re.compile(r"[0-9a-f]{40}")
URL_CHARACTERS = re.compile(r"[!-~]{1,2000}")  # printable ASCII without space: nothing that could end a line of configuration


def check(source: Repository, allowed_folders: Sequence[Path]) -> None:
    """Refuse what must never reach git.

    Raises:
        ExecutorError: with a sentence that says what to write instead.
    """
    if not COMMIT.fullmatch(source.commit):
        raise ExecutorError(f"“{source.commit}” is not a commit: give all 40 hexadecimal digits, in lower case.", permanent=True)
    if not URL_CHARACTERS.fullmatch(source.url):
        raise ExecutorError("The repository's address holds characters that no address has.", permanent=True)
    if source.url.startswith("/"):
        path = Path(source.url).resolve()
        if not any(path.is_relative_to(folder.resolve()) for folder in allowed_folders):
            raise ExecutorError(
                f"{source.url} is not in a folder whose repositories this pool may use; give an https address.", permanent=True
            )
        return
    address = urlsplit(source.url)
    if address.scheme != "https" or not address.hostname:
        raise ExecutorError(f"“{source.url}” is not an https address of a repository.", permanent=True)
    if address.username is not None or address.password is not None:
        raise ExecutorError("The repository's address may not hold a user name or password.", permanent=True)


def environment(source: Repository, home: Path) -> dict[str, str]:
    """The whole environment of our git commands. Writes the one configuration file they read into `home`.

    `safe.directory` is needed for a local repository that belongs to another user, and git takes it from a file only: it drops
    what the command line says on its way to the process that serves a local repository.
    """
    configuration = home / "gitconfig"
    lines = [
        "[core]\n\thooksPath = /dev/null\n\taskPass = /bin/false\n",
        "[credential]\n\thelper =\n",
        '[protocol]\n\tallow = never\n[protocol "https"]\n\tallow = always\n[protocol "file"]\n\tallow = always\n',
        "[http]\n\tlowSpeedLimit = 1000\n\tlowSpeedTime = 60\n",
        "[gc]\n\tauto = 0\n[advice]\n\tdetachedHead = false\n[submodule]\n\trecurse = false\n",
    ]
    if source.url.startswith("/"):
        resolved = str(Path(source.url).resolve())
        names = {source.url, resolved, f"{resolved}/.git"}
        lines.append("[safe]\n" + "".join(f"\tdirectory = {_quoted(name)}\n" for name in sorted(names)))
    configuration.write_text("".join(lines), encoding="utf-8")
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(configuration),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "https:file",
        "GIT_LFS_SKIP_SMUDGE": "1",
    }


NO_SUCH_COMMIT = b"not our ref"
"""What a server that gives commits by their names says when it has none of that name."""


@dataclass(frozen=True, slots=True)
class Step:
    """One git command. Each must succeed, or its fallback."""

    what: str  # completes "Could not …"
    command: list[str]
    fallback: list[str] | None = None  # tried when the command fails, unless the server said NO_SUCH_COMMIT
    needs_commit: bool = False  # fails if what was fetched does not hold the commit


def steps(source: Repository, work: Path) -> list[Step]:
    """The commands in order."""
    git = ["git", "-C", str(work)]
    fetch = [*git, "fetch", "--quiet", "--no-tags", "--end-of-options", source.url]
    everything = [*git, "fetch", "--quiet", "--end-of-options", source.url]
    return [
        Step("prepare the work folder", ["git", "init", "--quiet", "--template=", str(work)]),
        Step(
            "fetch the commit",
            [*fetch[:-2], "--depth=1", *fetch[-2:], source.commit],
            fallback=[*everything, "+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"],
        ),
        # ^{commit}: a tag or a tree of that name is not what was asked for.
        Step("check out the commit", [*git, "checkout", "--quiet", "--detach", f"{source.commit}^{{commit}}"], needs_commit=True),
    ]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
