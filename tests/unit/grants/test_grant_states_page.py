"""docs/reference/grant-states.md has every state and step of the code, and no other."""

import re
from enum import StrEnum
from pathlib import Path

import pytest

from grants.models import applications, grants, programmes, reviews

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "grant-states.md").read_text(encoding="utf-8")
GRAPHS = {
    "Programme": programmes.PROGRAMME_NEXT,
    "Round": programmes.ROUND_NEXT,
    "Application": applications.NEXT,
    "Review": reviews.REVIEW_NEXT,
    "Grant": grants.GRANT_NEXT,
    "Instalment": grants.INSTALMENT_NEXT,
    "Document": grants.PAPERWORK_NEXT,
    "Report": grants.REPORT_NEXT,
}


@pytest.mark.parametrize("title", GRAPHS)
def test_the_page_has_the_graph_of_the_code(title: str) -> None:
    section = PAGE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    rows = re.findall(r"^\| `(\w+)` \| .+ \| (.+) \|$", section, re.MULTILINE)
    written = {state: set(re.findall(r"`(\w+)`", steps)) for state, steps in rows}
    graph: dict[StrEnum, frozenset[StrEnum]] = dict(GRAPHS[title])  # type: ignore[arg-type]
    assert written == {str(state): {str(step) for step in steps} for state, steps in graph.items()}
