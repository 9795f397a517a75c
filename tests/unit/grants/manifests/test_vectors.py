"""Every row of the shared vectors, in the column that is ours."""

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from manifest_samples import HOME, perfect

from core.urls import parse
from grants.manifests import provenance
from grants.manifests.findings import Findings, Severity
from grants.manifests.report import examine
from grants.manifests.rules import check_tag

pytestmark = pytest.mark.needs_shared


def rows(shared: Path, kind: str) -> list[dict[str, str]]:
    with (shared / "data" / "fundingjson_vectors.csv").open(encoding="utf-8", newline="") as lines:
        found = [row for row in csv.DictReader(lines) if row["kind"].startswith(kind)]
    assert found, f"the vectors have no rows of kind {kind}"
    return found


def test_every_address_vector(shared: Path) -> None:
    wrong = []
    for row in rows(shared, "wellKnown"):
        manifest, target = parse(row["a"]), parse(row["b"])
        shape = provenance.judge(manifest, target, parse(row["c"]) if row["c"] else None).shape
        if row["ours"] == "required unless default branch":
            branch = row["a"].split("/blob/")[1].split("/")[0]
            told = provenance.judge(manifest, target, None, default_branches=(branch,)).shape
            assert (shape, told) == ("required", "not_required")
        elif shape != row["ours"]:
            wrong.append((row, shape))
    assert wrong == []


def test_every_tag_vector(shared: Path) -> None:
    for row in rows(shared, "tag"):
        findings = Findings()
        check_tag(row["a"], "projects[0].tags[0]", findings)
        refused = any(finding.severity is Severity.ERROR for finding in findings.all())
        assert refused == (row["ours"] == "reject"), row["a"]


def _many_projects(count: int) -> dict[str, Any]:
    manifest = perfect()
    [project] = manifest["projects"]
    manifest["projects"] = [{**project, "guid": f"project-{i}"} for i in range(count)]
    return manifest


def _set(path: str, value: Any) -> dict[str, Any]:
    manifest: Any = perfect()
    *steps, last = path.replace("[]", ".0").split(".")
    inner = manifest
    for step in steps:
        inner = inner[int(step)] if step.isdigit() else inner[step]
    if value is None:
        del inner[last]
    else:
        inner[last] = value
    return manifest  # type: ignore[no-any-return]


def _repeated_guids() -> dict[str, Any]:
    manifest = _many_projects(3)
    for project, guid in zip(manifest["projects"], ("aaa", "bbb", "aaa"), strict=True):
        project["guid"] = guid
    return manifest


def _repeated_plans() -> dict[str, Any]:
    manifest = perfect()
    manifest["funding"]["plans"] *= 2
    return manifest


def _channels(count: int) -> dict[str, Any]:
    manifest = perfect()
    manifest["funding"]["channels"] = [{"guid": f"bank-{i}", "type": "bank"} for i in range(count)]
    manifest["funding"]["plans"][0]["channels"] = ["bank-0"]
    return manifest


# What each row of kind "field" means, as manifests. The key is (a, b) of the row.
FIELDS: dict[tuple[str, str], list[dict[str, Any]]] = {
    ("version", "absent (allowed by JSON schema v1.1.0)"): [_set("version", None)],
    ("projects", "0 or 31 items"): [_many_projects(0), _many_projects(31)],
    ("projects[].guid", "a,b,a (duplicate, not adjacent)"): [_repeated_guids()],
    ("funding.plans[].guid", "duplicate"): [_repeated_plans()],
    ("funding.channels", "0 or 11 items"): [_channels(0), _channels(11)],
    ("funding.plans[].channels", "unknown guid"): [_set("funding.plans[].channels", ["nowhere"])],
    ("funding.history", "51 items"): [_set("funding.history", [{"year": 2000, "currency": "USD"}] * 51)],
    ("funding.history[].year", "1969 or 2076"): [_set("funding.history[].year", year) for year in (1969, 2076)],
    ("projects[].guid", "a[b"): [_set("projects[].guid", "a[b")],
    ("projects[].guid", "a--b"): [_set("projects[].guid", "a--b")],
    ("projects[].licenses", "spdx:NOT-A-LICENCE"): [_set("projects[].licenses", ["spdx:NOT-A-LICENCE"])],
    ("projects[].licenses", "Some Own Licence 1.0"): [_set("projects[].licenses", ["Some Own Licence 1.0"])],
    ("entity.name", "1 character"): [_set("entity.name", "J")],
    ("entity.phone", "+49 30 123"): [_set("entity.phone", "+49 30 123")],
    ("funding.plans[].amount", "0"): [_set("funding.plans[].amount", 0)],
    ("funding.plans[].amount", "1000000001"): [_set("funding.plans[].amount", 1000000001)],
}


def test_every_field_vector(shared: Path) -> None:
    table = {(row["a"], row["b"]): row for row in rows(shared, "field")}
    crlf = table.pop(("well-known list", "CRLF line ends"))
    assert crlf["ours"] == "found"
    assert provenance.find_in_list(f"https://other.org/funding.json\r\n{HOME}\r\n", parse(HOME)) is None
    assert table.keys() == FIELDS.keys()
    for key, row in table.items():
        for manifest in FIELDS[key]:
            report = examine(json.dumps(manifest).encode(), HOME)
            assert report.is_valid == row["ours"].startswith("accept"), (key, report.findings)
            # A rule that refuses names a place below the member it is about, and one that flags does, too.
            found_at = [re.sub(r"\[[0-9]+\]", "[]", finding.path) for finding in report.findings]
            if row["ours"] not in {"accept", "accept = any amount"} or key[0] == "version":
                assert any(path.startswith(key[0]) for path in found_at), (key, report.findings)


def test_a_phone_with_spaces_gets_the_hint() -> None:
    [finding] = examine(json.dumps(_set("entity.phone", "+49 30 123")).encode(), HOME).findings
    assert finding.path == "entity.phone"
    assert "Spaces are not allowed" in finding.message


def test_free_text_licences_are_flagged_as_not_osi() -> None:
    [finding] = examine(json.dumps(_set("projects[].licenses", ["Some Own Licence 1.0"])).encode(), HOME).findings
    assert (finding.severity, finding.path) == (Severity.WARNING, "projects[0].licenses[0]")
    assert "OSI" in finding.message
