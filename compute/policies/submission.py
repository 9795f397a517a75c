"""What a job may be made of: bounded, exact, and without secrets."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from compute.executors.base import is_reserved_variable
from compute.models import SourceKind
from core.errors import InvalidInput

COMMAND_CHARACTERS_MAX = 8_000
VARIABLES_MAX = 32
VARIABLE_CHARACTERS_MAX = 1_000
GLOBS_MAX = 16
OUTPUT_BYTES_MAX = 20_000_000
ARTEFACT_BYTES_MAX = 50_000_000

_COMMIT = re.compile(r"[0-9a-f]{40}")
_REF = re.compile(r"refs(/[A-Za-z0-9_+@=][A-Za-z0-9._+@=-]*)+")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_DURATION = re.compile(r"(?:(\d{1,4})h)?(?:(\d{1,5})m(?:in)?)?(?:(\d{1,8})s?)?")
_IMAGE = re.compile(r"[a-z0-9]([a-z0-9._/:@-]{0,250}[a-z0-9])?")
_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|PRIVATE|API_?KEY|ACCESS_?KEY", re.IGNORECASE)


def parse_duration(text: str) -> int:
    """Seconds of `90`, `90s`, `20m`, `3h20m` or `3 h 20 min`.

    Raises:
        InvalidInput: not written like that.
    """
    found = _DURATION.fullmatch(text.replace(" ", ""))
    if not found or not any(found.groups()):
        raise InvalidInput(f"“{text[:40]}” is not a duration; write 90s, 20m or 3h20m.", field="wall_time")
    hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds


def parse_environment(text: str) -> dict[str, str]:
    """Variables from a form, one NAME=VALUE a line.

    Raises:
        InvalidInput: a line without an equals sign, or a name twice.
    """
    environment: dict[str, str] = {}
    for line in filter(str.strip, text.splitlines()):
        name, equals, value = line.partition("=")
        if not equals or name.strip() in environment:
            raise InvalidInput(f"“{line[:60]}” is not NAME=VALUE, or names a variable twice.", field="environment")
        environment[name.strip()] = value.strip()
    return environment


def check_source(
    kind: SourceKind,
    *,
    command: str,
    repository: str | None,
    commit: str | None,
    image: str | None,
    ref: str | None,
    local_roots: Sequence[Path],
) -> None:
    """Refuse a source the platform can't name exactly.

    Raises:
        InvalidInput: no command, a branch where a commit must be, a ref that is none, an address that is neither https nor
            an allowed folder.
    """
    if not command.strip():
        raise InvalidInput("Say what to run, such as `make test`.", field="command")
    if len(command) > COMMAND_CHARACTERS_MAX or "\0" in command:
        raise InvalidInput(
            f"The command is longer than {COMMAND_CHARACTERS_MAX:,} characters; keep it in a script.", field="command"
        )
    if kind is SourceKind.REPOSITORY:
        _check_repository(repository, local_roots)
        if not commit or not _COMMIT.fullmatch(commit):
            raise InvalidInput(
                "Name the exact commit by its 40 hexadecimal digits (`git rev-parse HEAD`); branches and tags can move.",
                field="commit",
            )
        if ref is not None and (not _REF.fullmatch(ref) or ".." in ref):
            raise InvalidInput("Give the branch or tag in full, such as refs/heads/main or refs/tags/v1.0.", field="ref")
    elif repository or commit or ref:
        # A ref above all: donors trust some refs, and only of a repository can it be shown that the commit is part of one.
        raise InvalidInput(
            f"A repository, a commit and a ref go with the source “repository”, not with “{kind}”.", field="repository"
        )
    if kind is SourceKind.IMAGE:
        if not image or not _IMAGE.fullmatch(image):
            raise InvalidInput("Name the container image, such as docker.io/library/python@sha256:….", field="image")
    elif image:
        raise InvalidInput(f"An image goes with the source “image”, not with “{kind}”.", field="image")


def _check_repository(repository: str | None, local_roots: Sequence[Path]) -> None:
    if not repository:
        raise InvalidInput("Name the repository: an https address.", field="repository")
    parts = urlsplit(repository)
    if parts.scheme == "https" and parts.hostname and len(repository) <= 500:
        if parts.username or parts.password:
            raise InvalidInput("Leave the name and password out of the address; jobs get no secrets.", field="repository")
        return
    if repository.startswith("/"):
        # Resolved first: neither `..` nor a link leads out of an allowed folder.
        wanted = Path(repository).resolve()
        if any(wanted == root or root in wanted.parents for root in local_roots):
            return
        raise InvalidInput(f"{repository} is not in a folder this installation allows jobs to read.", field="repository")
    raise InvalidInput(f"“{repository[:100]}” is not an https address.", field="repository")


def check_environment(environment: Mapping[str, str]) -> None:
    """Refuse variables that are too many, too long or named like a secret: what a job is told can be read by everybody.

    Raises:
        InvalidInput: names the variable.
    """
    if len(environment) > VARIABLES_MAX:
        raise InvalidInput(f"{len(environment)} variables are more than the {VARIABLES_MAX} a job may have.", field="environment")
    for name, value in environment.items():
        if not _VARIABLE.fullmatch(name):
            raise InvalidInput(f"“{name[:80]}” can't be the name of a variable.", field="environment")
        if is_reserved_variable(name):
            raise InvalidInput(f"{name} is set by the platform; choose another name.", field="environment")
        if _SECRET.search(name):
            raise InvalidInput(
                f"{name} looks like a secret. A job's environment is shown on its page; jobs get no secrets.", field="environment"
            )
        if len(value) > VARIABLE_CHARACTERS_MAX or "\0" in value or "\n" in value:
            raise InvalidInput(
                f"{name} is longer than {VARIABLE_CHARACTERS_MAX:,} characters or has several lines.", field="environment"
            )


def check_artefact_globs(globs: Sequence[str]) -> None:
    """Refuse patterns that reach outside the work folder.

    Raises:
        InvalidInput: names the pattern.
    """
    if len(globs) > GLOBS_MAX:
        raise InvalidInput(f"{len(globs)} patterns are more than the {GLOBS_MAX} a job may have.", field="artefacts")
    for pattern in globs:
        path = PurePosixPath(pattern)
        if not pattern or len(pattern) > 200 or path.is_absolute() or ".." in path.parts or "\0" in pattern:
            raise InvalidInput(
                f"“{pattern[:80]}” must be a path inside the work folder, such as reports/*.xml.", field="artefacts"
            )
