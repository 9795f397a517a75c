"""Which pools may run a job, by where its code comes from."""

import pytest

from compute.models import Origin, Trust
from compute.policies.trust import admits, must_prove, runs_own_program, same_repository

MAIN = ("refs/heads/main", "refs/tags/v*")


@pytest.mark.parametrize(
    ("origin", "ref", "taken", "proven"),
    [
        (Origin.PLATFORM, None, True, False),
        (Origin.MAINTAINER, None, True, False),
        (Origin.MAINTAINER, "refs/heads/mine", True, False),
        (Origin.REPOSITORY, "refs/heads/main", True, True),
        (Origin.REPOSITORY, "refs/tags/v1.2", True, True),
        (Origin.REPOSITORY, "refs/heads/mine", False, True),
        (Origin.REPOSITORY, "refs/pull/7/head", False, True),
        (Origin.REPOSITORY, None, False, True),
        (Origin.ELSEWHERE, "refs/heads/main", False, True),
        (Origin.ELSEWHERE, None, False, True),
    ],
)
def test_reviewed_pools_take_maintainers_and_reviewed_branches(
    origin: Origin, ref: str | None, taken: bool, proven: bool
) -> None:
    assert admits(Trust.REVIEWED, MAIN, origin, ref) is taken
    assert must_prove(Trust.REVIEWED, origin) is proven
    assert admits(Trust.OPEN, MAIN, origin, ref), "an open pool takes everybody's"
    assert not must_prove(Trust.OPEN, origin)


def test_without_a_reviewed_branch_maintainers_are_left() -> None:
    assert not admits(Trust.REVIEWED, (), Origin.REPOSITORY, "refs/heads/main")
    assert admits(Trust.REVIEWED, (), Origin.MAINTAINER, None)


OWN = "https://github.com/vllm-project/vllm"


@pytest.mark.parametrize("same", [OWN, OWN + ".git", OWN + "/", "https://GitHub.com/vllm-project/vllm"])
def test_a_repository_is_known_however_it_is_written(same: str) -> None:
    assert same_repository(same, OWN)


@pytest.mark.parametrize(
    "other",
    [
        None,
        "",
        "https://github.com/somebody/vllm",
        "https://github.com:8443/vllm-project/vllm",
        "https://github.com@evil.example/vllm-project/vllm",
        "https://evil.example/vllm-project/vllm",
        "https://github.com/vllm-project/vllm?from=elsewhere",
        "https://github.com/vllm-project/VLLM",
    ],
)
def test_what_only_looks_like_it_is_another(other: str | None) -> None:
    assert not same_repository(other, OWN)
    assert not same_repository(other, None)


@pytest.mark.parametrize("command", ["./run", "./ci/gpu-tests.sh", "./ci/gpu-tests.sh --world=2 tests/kernels -k a,b"])
def test_a_program_of_the_checkout_is_its_own(command: str) -> None:
    assert runs_own_program(command)


@pytest.mark.parametrize(
    "command",
    [
        "", "make test", "sh -c x", "/bin/sh", "../x", "./../x", "./a/../../x", "./", "./ci/", "./x; id", "./x && id", "./x | sh",
        "./x $(id)", "./x `id`", "./x > /etc/y", "./x\nid", "./x\n", "./x 'a b'", "./x *",
        "./x ~", "./x \\", "./x  y", " ./x", "A=b ./x",
        "./ｘ",
    ],
)  # fmt: skip
def test_words_of_the_submitters_own_are_not(command: str) -> None:
    assert not runs_own_program(command)
