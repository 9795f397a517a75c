"""The page of payout states says what the code says."""

import re
from pathlib import Path

import pytest

from payouts.models import NEXT, NEXT_ATTEMPT, NEXT_RUN, AttemptFailure, RuleKind

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "payout-states.md").read_text()


@pytest.mark.parametrize(("heading", "graph"), [("Payout", NEXT), ("Attempt", NEXT_ATTEMPT), ("Run", NEXT_RUN)])
def test_every_state_and_step_is_there(heading: str, graph: dict[str, frozenset[str]]) -> None:
    section = PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]
    told: dict[str, set[str]] = {}
    for line in section.splitlines():
        cells = line.split("|")
        for state in re.findall(r"`(\w+)`", cells[1]) if len(cells) == 5 else []:
            told[state] = set(re.findall(r"`(\w+)`", cells[3]))
    assert told == {state.value: {after.value for after in steps} for state, steps in graph.items()}  # type: ignore[attr-defined]


def test_every_limit_and_way_to_fail_is_there() -> None:
    for word in [*RuleKind, *AttemptFailure]:
        assert f"`{word}`" in PAGE
