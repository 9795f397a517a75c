"""What a job may be made of."""

from pathlib import Path
from typing import Any

import pytest

from compute.models import SourceKind
from compute.policies import check_artefact_globs, check_environment, check_source
from core.errors import InvalidInput

COMMIT = "0123456789abcdef0123456789abcdef01234567"
GOOD: dict[str, Any] = {"command": "make test", "repository": None, "commit": None, "image": None, "ref": None, "local_roots": ()}


def test_the_three_kinds_of_source_are_taken() -> None:
    check_source(SourceKind.COMMAND, **GOOD)
    check_source(SourceKind.REPOSITORY, **GOOD | {"repository": "https://github.com/vllm-project/vllm", "commit": COMMIT})
    check_source(SourceKind.IMAGE, **GOOD | {"image": "docker.io/library/python@sha256:" + "a" * 64})


@pytest.mark.parametrize(
    ("kind", "change", "field"),
    [
        (SourceKind.COMMAND, {"command": "  "}, "command"),
        (SourceKind.COMMAND, {"command": "x" * 8001}, "command"),
        (SourceKind.COMMAND, {"command": "true\0"}, "command"),
        (SourceKind.COMMAND, {"repository": "https://example.org/r"}, "repository"),
        (SourceKind.COMMAND, {"image": "python"}, "image"),
        (SourceKind.COMMAND, {"ref": "refs/heads/main"}, "repository"),
        (SourceKind.REPOSITORY, {"repository": "https://example.org/r", "commit": COMMIT, "ref": "main"}, "ref"),
        (SourceKind.REPOSITORY, {"repository": "https://example.org/r", "commit": COMMIT, "ref": "refs/heads/a:b"}, "ref"),
        (SourceKind.REPOSITORY, {"commit": COMMIT}, "repository"),
        (SourceKind.REPOSITORY, {"repository": "https://example.org/r"}, "commit"),
        (SourceKind.REPOSITORY, {"repository": "https://example.org/r", "commit": "main"}, "commit"),
        (SourceKind.REPOSITORY, {"repository": "https://example.org/r", "commit": COMMIT.upper()}, "commit"),
        (SourceKind.REPOSITORY, {"repository": "https://example.org/r", "commit": COMMIT[:39]}, "commit"),
        (SourceKind.REPOSITORY, {"repository": "http://example.org/r", "commit": COMMIT}, "repository"),
        (SourceKind.REPOSITORY, {"repository": "ssh://git@example.org/r", "commit": COMMIT}, "repository"),
        (SourceKind.REPOSITORY, {"repository": "https://user:pw@example.org/r", "commit": COMMIT}, "repository"),
        (SourceKind.REPOSITORY, {"repository": "file:///etc", "commit": COMMIT}, "repository"),
        (SourceKind.REPOSITORY, {"repository": "/etc", "commit": COMMIT}, "repository"),
        (SourceKind.IMAGE, {}, "image"),
        (SourceKind.IMAGE, {"image": "bad image"}, "image"),
    ],
)
def test_what_can_not_be_named_exactly_is_refused(kind: SourceKind, change: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        check_source(kind, **GOOD | change)
    assert refused.value.field == field


def test_a_local_repository_must_lie_in_an_allowed_folder(tmp_path: Path) -> None:
    inside, outside = tmp_path / "allowed" / "repo", tmp_path / "elsewhere"
    inside.mkdir(parents=True)
    outside.mkdir()
    (tmp_path / "allowed" / "link").symlink_to(outside)
    asked = GOOD | {"commit": COMMIT, "local_roots": (tmp_path / "allowed",)}
    check_source(SourceKind.REPOSITORY, **asked | {"repository": str(inside)})
    for way_out in (outside, tmp_path / "allowed" / ".." / "elsewhere", tmp_path / "allowed" / "link"):
        with pytest.raises(InvalidInput, match="not in a folder"):
            check_source(SourceKind.REPOSITORY, **asked | {"repository": str(way_out)})


@pytest.mark.parametrize(
    "environment",
    [
        {"1BAD": "x"},
        {"HF_TOKEN": "x"},
        {"aws_secret_access_key": "x"},
        {"DB_PASSWORD": "x"},
        {"HOME": "/root"},
        {"PLEDGEWORKS_JOB_ID": "another's"},
        {"CUDA_VISIBLE_DEVICES": "0,1,2,3"},
        {"NAME": "x" * 1001},
        {"NAME": "two\nlines"},
        {f"V{i}": "x" for i in range(33)},
    ],
)
def test_variables_are_few_short_and_no_secrets(environment: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        check_environment(environment)


def test_ordinary_variables_are_taken() -> None:
    check_environment({"PYTHONHASHSEED": "0", "WORLD_SIZE": "2"})


@pytest.mark.parametrize("pattern", ["/etc/*", "../*", "a/../../b", "", "x" * 201])
def test_artefacts_stay_in_the_work_folder(pattern: str) -> None:
    with pytest.raises(InvalidInput):
        check_artefact_globs([pattern])
    check_artefact_globs(["reports/*.xml", "**/bench.json"])
