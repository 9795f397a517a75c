"""JUnit XML to counts and names, read with a bare expat parser that takes no entities, no depth and no endless input."""

from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

BYTES_MAX = 20_000_000
DEPTH_MAX = 20
FAILED_MAX = 50
NAME_CHARACTERS_MAX = 300


class NotJUnit(Exception):
    """The file is not JUnit XML the platform reads; the message says why."""


@dataclass(slots=True)
class TestSummary:
    """What a test run came to."""

    tests: int = 0
    failures: int = 0
    errors: int = 0
    skipped: int = 0
    failed: list[str] = field(default_factory=list)
    """Names of failed tests, at most `FAILED_MAX`."""

    @property
    def passed(self) -> int:
        return self.tests - self.failures - self.errors - self.skipped

    def add(self, other: "TestSummary") -> None:
        """Count another file's tests in."""
        self.tests += other.tests
        self.failures += other.failures
        self.errors += other.errors
        self.skipped += other.skipped
        self.failed = [*self.failed, *other.failed][:FAILED_MAX]

    def to_json(self) -> dict[str, Any]:
        return {
            "tests": self.tests,
            "passed": self.passed,
            "failures": self.failures,
            "errors": self.errors,
            "skipped": self.skipped,
            "failed": self.failed,
        }


def summarise(content: bytes) -> TestSummary:
    """Count test cases and name the failed ones. Each case counts once: as an error before a failure before a skip.

    Raises:
        NotJUnit: too large, too deep, with a document type, not XML, or without any test suite.
    """
    if len(content) > BYTES_MAX:
        raise NotJUnit(f"larger than {BYTES_MAX // 1_000_000} MB")
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.StartDoctypeDeclHandler = reader.doctype
    try:
        parser.Parse(content, True)
    except expat.ExpatError as error:
        raise NotJUnit(f"not XML: {expat.errors.messages[error.code]} in line {error.lineno}") from None
    if not reader.suites:
        raise NotJUnit("without a test suite")
    return reader.summary


class _Reader:
    """Collects test cases as expat meets them."""

    def __init__(self) -> None:
        self.summary = TestSummary()
        self.suites = 0
        self._depth = 0
        self._case = ""
        self._outcomes: set[str] = set()

    def doctype(self, *_: object) -> None:
        # A report has no use for one; entities that swell and files that are fetched come in through it.
        raise NotJUnit("with a document type")

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > DEPTH_MAX:
            raise NotJUnit("nested too deep")
        if name in {"testsuite", "testsuites"}:
            self.suites += 1
        elif name == "testcase":
            parts = (attributes.get("classname", ""), attributes.get("name", ""))
            self._case = "::".join(part for part in parts if part)[:NAME_CHARACTERS_MAX]
            self._outcomes = set()
        elif name in {"failure", "error", "skipped"}:
            self._outcomes.add(name)

    def end(self, name: str) -> None:
        self._depth -= 1
        if name != "testcase":
            return
        self.summary.tests += 1
        if "error" in self._outcomes:
            self.summary.errors += 1
        elif "failure" in self._outcomes:
            self.summary.failures += 1
        elif "skipped" in self._outcomes:
            self.summary.skipped += 1
        if self._outcomes & {"error", "failure"} and len(self.summary.failed) < FAILED_MAX:
            self.summary.failed.append(self._case)
