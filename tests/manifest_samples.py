"""A manifest without a fault, to be spoilt in one place."""

import copy
import json
from typing import Any

from grants.manifests.report import Report, examine

HOME = "https://example.org/funding.json"

PERFECT: dict[str, Any] = {
    "$schema": "https://fundingjson.org/schema/v1.1.0.json",
    "version": "v1.1.0",
    "entity": {
        "type": "group",
        "role": "maintainer",
        "name": "The Inference Team",
        "email": "team@example.org",
        "phone": "+49-30-123456",
        "description": "We maintain a server for large models.",
        "webpageUrl": {"url": "https://example.org/team"},
    },
    "projects": [
        {
            "guid": "fast-server",
            "name": "Fast Server",
            "description": "Serves large models quickly.",
            "webpageUrl": {"url": "https://example.org/fast"},
            "repositoryUrl": {"url": "https://example.org/fast/code"},
            "licenses": ["spdx:Apache-2.0"],
            "tags": ["inference", "gpu"],
        }
    ],
    "funding": {
        "channels": [{"guid": "bank", "type": "bank", "address": "", "description": ""}],
        "plans": [
            {
                "guid": "ci-costs",
                "status": "active",
                "name": "Cost of continuous integration",
                "amount": 25000,
                "currency": "USD",
                "frequency": "yearly",
                "channels": ["bank"],
            }
        ],
        "history": [{"year": 2025, "income": 1200.5, "expenses": 900, "currency": "USD"}],
    },
}


def perfect() -> dict[str, Any]:
    return copy.deepcopy(PERFECT)


def report_on(document: Any, url: str = HOME) -> Report:
    return examine(json.dumps(document).encode(), url)


def places(report: Report) -> list[tuple[str, str]]:
    return [(str(finding.severity), finding.path) for finding in report.findings]
