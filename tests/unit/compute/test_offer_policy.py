"""For whom an offer is."""

from uuid import UUID

import pytest

from compute.models import JobKind
from compute.policies import OfferPolicy, Request
from compute.policies.offers import parse_refs
from core.errors import InvalidInput

VLLM, DEEPSPEED, FOUNDATION = UUID(int=1), UUID(int=2), UUID(int=9)
CI_ON_MAIN = Request(project_id=VLLM, host_id=FOUNDATION, kind=JobKind.CI, ref="refs/heads/main")


@pytest.mark.parametrize(
    ("policy", "permitted"),
    [
        (OfferPolicy(), True),
        (OfferPolicy(projects=frozenset({VLLM})), True),
        (OfferPolicy(projects=frozenset({DEEPSPEED})), False),
        (OfferPolicy(hosts=frozenset({FOUNDATION})), True),
        (OfferPolicy(projects=frozenset({DEEPSPEED}), hosts=frozenset({FOUNDATION})), True),
        (OfferPolicy(kinds=frozenset({JobKind.BENCHMARK})), False),
        (OfferPolicy(trusted_refs=("refs/heads/main", "refs/tags/v*")), True),
        (OfferPolicy(trusted_refs=("refs/tags/v*",)), False),
        (OfferPolicy(projects=frozenset({VLLM}), kinds=frozenset({JobKind.BENCHMARK})), False),
    ],
)
def test_all_conditions_that_are_set_must_hold(policy: OfferPolicy, permitted: bool) -> None:
    assert policy.permits(CI_ON_MAIN) is permitted


def test_a_trusted_ref_is_not_assumed() -> None:
    asked = Request(project_id=VLLM, host_id=None, kind=JobKind.CI, ref=None)
    assert not OfferPolicy(trusted_refs=("refs/heads/*",)).permits(asked)


def test_a_project_without_host_is_nobodys_hosted_project() -> None:
    asked = Request(project_id=DEEPSPEED, host_id=None, kind=JobKind.CI, ref=None)
    assert not OfferPolicy(hosts=frozenset({FOUNDATION})).permits(asked)


def test_a_policy_reads_back_what_it_wrote() -> None:
    policy = OfferPolicy(frozenset({VLLM}), frozenset({FOUNDATION}), frozenset({JobKind.CI}), ("refs/heads/main",))
    assert OfferPolicy.from_json(policy.to_json()) == policy


def test_refs_are_full_names() -> None:
    assert parse_refs("refs/heads/main\n\n refs/tags/v* \n") == ("refs/heads/main", "refs/tags/v*")
    with pytest.raises(InvalidInput, match="full ref"):
        parse_refs("main")
