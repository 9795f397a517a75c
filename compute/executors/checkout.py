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

SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
COMMIT = re.compile(r"[0-9a-f]{40}")
REF = re.compile(r"refs(/[A-Za-z0-9_+@=][A-Za-z0-9._+@=-]*)+")
URL_CHARACTERS = re.compile(r"[!-~]{1,2000}")  # printable ASCII without space: nothing that could end a line of configuration


def check(source: Repository, allowed_folders: Sequence[Path]) -> None:
    """Refuse what must never reach git.

    Raises:
        ExecutorError: with a sentence that says what to write instead.
    """
    if not COMMIT.fullmatch(source.commit):
        raise ExecutorError(f"“{source.commit}” is not a commit: give all 40 hexadecimal digits, in lower case.", permanent=True)
    if source.ref is not None and (not REF.fullmatch(source.ref) or ".." in source.ref or len(source.ref) > 250):
        raise ExecutorError(f"“{source.ref}” is not a full name of a branch or tag, such as refs/heads/main.", permanent=True)
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
        lines.append("[uploadpack]\n\tallowFilter = true\n")  # we are the server of a local repository, too
        lines.append("[safe]\n" + "".join(f"\tdirectory = {_quoted(name)}\n" for name in sorted(names)))
    configuration.write_text("".join(lines), encoding="utf-8")
    return {
        "PATH": SEARCH_PATH,
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": str(configuration),
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "https:file",
        "GIT_LFS_SKIP_SMUDGE": "1",
    }


@dataclass(frozen=True, slots=True)
class Step:
    """One git command. Each must succeed, or its fallback; `fault` says when the submitter is to blame that it did not."""

    what: str  # completes "Could not …"
    command: list[str]
    fallback: list[str] | None = None
    fault: str = ""  # the sentence for the submitter
    fault_said: bytes = b""  # what git says then; empty: they are to blame whatever it says


def steps(source: Repository, folder: Path) -> list[Step]:
    """The commands in order, for the work folder `folder/work`."""
    work = folder / "work"
    git = ["git", "-C", str(work)]
    everything = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
    absent = f"{source.url} has no commit {source.commit}."
    return [
        *(_proof(source, source.ref, folder / "proof") if source.ref is not None else []),
        Step("prepare the work folder", ["git", "init", "--quiet", "--template=", str(work)]),
        Step(
            "fetch the commit",
            [*git, "fetch", "--quiet", "--no-tags", "--depth=1", "--end-of-options", source.url, source.commit],
            fallback=[*git, "fetch", "--quiet", "--end-of-options", source.url, *everything],
            fault=absent,
            fault_said=b"not our ref",  # a server that gives commits by their names, and has none of this name
        ),
        # ^{commit}: a tag or a tree of that name is not what was asked for.
        Step("check out the commit", [*git, "checkout", "--quiet", "--detach", f"{source.commit}^{{commit}}"], fault=absent),
    ]


def _proof(source: Repository, ref: str, proof: Path) -> list[Step]:
    """Show that the commit is part of the ref: anybody can name a branch, and a server gives commits that are on none.

    Only the history is fetched (no tree, no file), into a folder of its own; git does that from a named remote only.
    """
    git = ["git", "-C", str(proof)]
    fetch = ["fetch", "--quiet", "--no-tags", "--filter=tree:0", "--end-of-options", "origin", f"+{ref}:refs/proof/ref"]
    return [
        Step("prepare the proof", ["git", "init", "--quiet", "--bare", "--template=", str(proof)]),
        Step("prepare the proof", [*git, "remote", "add", "--", "origin", source.url]),
        Step(
            "fetch the history",
            [*git, *fetch],
            fault=f"{source.url} has no {ref}.",
            fault_said=b"couldn't find remote ref",
        ),
        Step(
            "look into the history",
            [*git, "merge-base", "--is-ancestor", source.commit, "refs/proof/ref"],
            fault=f"Commit {source.commit} is not part of {ref} of {source.url}, and the pool or an offer asks for that.",
        ),
    ]


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
