"""One look at a manifest: what is wrong with it, and how every address in it is proven. Form, API and CLI show this."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from core.urls import Address, parse
from grants.manifests import provenance, reading, rules
from grants.manifests.findings import Finding, Findings, Severity, member
from grants.manifests.provenance import DEFAULT_BRANCHES, Outcome, Publication, Shape
from grants.manifests.rules import NamedUrl

Lists = Callable[[NamedUrl], str | None]
"""Gives the text of the well-known list that an address names; none if nobody was to read it."""


class ListUnavailable(Exception):
    """A well-known list could not be read. `for_now`: the network failed, so that it says nothing about the list."""

    def __init__(self, message: str, *, for_now: bool) -> None:
        super().__init__(message)
        self.message, self.for_now = message, for_now


@dataclass(frozen=True, slots=True)
class Provenance:
    """How one address of the manifest is proven, and what to publish where it is not."""

    path: str
    url: str
    well_known: str | None
    outcome: Outcome
    reason: str = ""
    publish: Publication | None = None
    for_now: bool = False
    """The network failed; asking again may help."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found. A document can be read and still be invalid; then the findings say why."""

    manifest_url: str
    findings: tuple[Finding, ...]
    provenance: tuple[Provenance, ...]
    document: Mapping[str, Any] | None
    """Plain JSON values, unknown members included; none if the file can't be read."""

    @property
    def errors(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is Severity.ERROR)

    @property
    def warnings(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity is Severity.WARNING)

    @property
    def is_valid(self) -> bool:
        return self.document is not None and not self.errors

    @property
    def unproven(self) -> tuple[Provenance, ...]:
        return tuple(each for each in self.provenance if each.outcome in {Outcome.REQUIRED, Outcome.FAILED})

    @property
    def network_failed(self) -> bool:
        return any(each.for_now for each in self.provenance)


def examine(
    content: bytes, manifest_url: str, *, lists: Lists | None = None, default_branches: Collection[str] = DEFAULT_BRANCHES
) -> Report:
    """Validate a manifest as published at `manifest_url`. Without `lists`, no well-known list is read.

    Raises:
        BadAddress: `manifest_url` is no http(s) address.
    """
    manifest = parse(manifest_url)
    findings = Findings()
    document = reading.read(content, findings)
    urls = rules.check(document, findings) if document is not None else []
    if manifest.segments[-1:] != (provenance.MANIFEST_NAME,):
        findings.warning(
            "", f"The address {manifest} does not end in /{provenance.MANIFEST_NAME}, so it proves no other address."
        )
    proven = tuple(_prove(manifest, named, lists, default_branches, findings) for named in urls)
    return Report(
        manifest_url=manifest_url,
        findings=findings.all(),
        provenance=proven,
        document=reading.plain(document) if document is not None else None,
    )


def _prove(
    manifest: Address, named: NamedUrl, lists: Lists | None, default_branches: Collection[str], findings: Findings
) -> Provenance:
    target = parse(named.url)
    well_known = parse(named.well_known) if named.well_known else None
    verdict = provenance.judge(manifest, target, well_known, default_branches=default_branches)
    publish = provenance.publication(manifest, target)

    def so(outcome: Outcome, reason: str = "", *, for_now: bool = False) -> Provenance:
        needed = publish if outcome in {Outcome.REQUIRED, Outcome.FAILED} else None
        return Provenance(named.path, named.url, named.well_known, outcome, reason, needed, for_now)

    match verdict.shape:
        case Shape.NOT_REQUIRED:
            return so(Outcome.NOT_REQUIRED)
        case Shape.REQUIRED:
            return so(Outcome.REQUIRED, verdict.reason)
        case Shape.INVALID:
            tell = findings.error if verdict.refused_everywhere else findings.warning
            tell(member(named.path, "wellKnown"), verdict.reason)
            return so(Outcome.FAILED, verdict.reason)
    try:
        text = lists(named) if lists else None
    except ListUnavailable as unavailable:
        return so(Outcome.FAILED, unavailable.message, for_now=unavailable.for_now)
    if text is None:
        return so(Outcome.REQUIRED, "The wellKnown list is named, and was not read yet.")
    fault = provenance.find_in_list(text, manifest)
    return so(Outcome.FAILED, fault) if fault else so(Outcome.VERIFIED)


def as_json(report: Report) -> dict[str, Any]:
    """The report for programs: the same for API and command line."""
    return {
        "manifest_url": report.manifest_url,
        "valid": report.is_valid,
        "findings": [
            {
                "severity": finding.severity,
                "path": finding.path,
                "message": finding.message,
                **({"line": finding.line, "column": finding.column} if finding.line is not None else {}),
            }
            for finding in report.findings
        ],
        "provenance": [
            {
                "path": each.path,
                "url": each.url,
                "well_known": each.well_known,
                "outcome": each.outcome,
                "reason": each.reason or None,
                "publish": {"address": each.publish.address, "content": each.publish.content} if each.publish else None,
            }
            for each in report.provenance
        ],
    }
