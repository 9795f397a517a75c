"""What is wrong with a manifest: one sentence per fault, with its place and how bad it is."""

import enum
import re
from dataclasses import dataclass

from core.urls import shown

FINDINGS_MAX = 200
_PLAIN_NAME = re.compile(r"[A-Za-z_$][A-Za-z0-9_$-]*")


class Severity(enum.StrEnum):
    """Whether a finding makes the manifest invalid."""

    ERROR = "error"  # readers of the format refuse it, and so do we
    WARNING = "warning"  # accepted; somebody should look


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault. `path` is its place in the document, empty for the file as a whole; a broken file has line and column."""

    severity: Severity
    path: str
    message: str
    line: int | None = None
    column: int | None = None

    @property
    def place(self) -> str:
        """The place in words."""
        if self.line is not None:
            return f"line {self.line}, column {self.column}"
        return self.path or "whole file"


class Findings:
    """Findings in the order they were made. A hostile file can have a fault per byte, so there is an end."""

    def __init__(self) -> None:
        self._found: list[Finding] = []

    def error(self, path: str, message: str, *, line: int | None = None, column: int | None = None) -> None:
        self._add(Finding(Severity.ERROR, path, message, line, column))

    def warning(self, path: str, message: str) -> None:
        self._add(Finding(Severity.WARNING, path, message))

    def all(self) -> tuple[Finding, ...]:
        return tuple(self._found)

    def _add(self, finding: Finding) -> None:
        if len(self._found) < FINDINGS_MAX:
            self._found.append(finding)
        elif len(self._found) == FINDINGS_MAX:
            self._found.append(
                Finding(Severity.ERROR, "", f"There are more than {FINDINGS_MAX} findings; the others are left out.")
            )


def member(path: str, name: str) -> str:
    """The path of a member of the object at `path`: `funding.plans`, or `funding["odd name"]`."""
    if not _PLAIN_NAME.fullmatch(name):
        return f'{path}["{shown(name, 40)}"]'
    return f"{path}.{name}" if path else name


def item(path: str, index: int) -> str:
    """The path of an item of the list at `path`."""
    return f"{path}[{index}]"
