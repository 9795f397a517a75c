"""Whom a donor's offer is for."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, Self
from uuid import UUID

from compute.models import JobKind
from core.errors import InvalidInput


@dataclass(frozen=True, slots=True)
class Request:
    """What an offer's policy is asked about."""

    project_id: UUID
    host_id: UUID | None
    """The organisation the project is hosted by, if any."""
    kind: JobKind
    ref: str | None
    """The branch or tag the submitter names."""


@dataclass(frozen=True, slots=True)
class OfferPolicy:
    """The donor's conditions. An empty condition asks for nothing; all that are set must hold."""

    projects: frozenset[UUID] = frozenset()
    hosts: frozenset[UUID] = frozenset()
    """Projects hosted by one of these organisations. Projects and hosts add to each other: either is enough."""
    kinds: frozenset[JobKind] = frozenset()
    trusted_refs: tuple[str, ...] = ()
    """Patterns such as `refs/heads/main` or `refs/tags/v*`."""

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Read what `to_json` wrote."""
        return cls(
            projects=frozenset(UUID(item) for item in value.get("projects", ())),
            hosts=frozenset(UUID(item) for item in value.get("hosts", ())),
            kinds=frozenset(JobKind(item) for item in value.get("kinds", ())),
            trusted_refs=tuple(value.get("trusted_refs", ())),
        )

    def to_json(self) -> dict[str, Any]:
        """As kept in the offer's row: sorted, so that equal policies are equal bytes."""
        return {
            "projects": sorted(str(item) for item in self.projects),
            "hosts": sorted(str(item) for item in self.hosts),
            "kinds": sorted(str(item) for item in self.kinds),
            "trusted_refs": list(self.trusted_refs),
        }

    def permits(self, request: Request) -> bool:
        """Whether a job of this kind, project and ref may draw on the offer."""
        return (
            self._permits_project(request)
            and (not self.kinds or request.kind in self.kinds)
            and (not self.trusted_refs or any(ref_matches(request.ref, pattern) for pattern in self.trusted_refs))
        )

    def _permits_project(self, request: Request) -> bool:
        if not self.projects and not self.hosts:
            return True
        return request.project_id in self.projects or (request.host_id is not None and request.host_id in self.hosts)


def parse_refs(text: str) -> tuple[str, ...]:
    """Ref patterns from a form, one a line.

    Raises:
        InvalidInput: not a full ref name such as refs/heads/main.
    """
    patterns = tuple(line.strip() for line in text.splitlines() if line.strip())
    for pattern in patterns:
        if not pattern.startswith("refs/") or len(pattern) > 200:
            raise InvalidInput(
                f"“{pattern[:60]}” is not a full ref; write refs/heads/main or refs/tags/v*.", field="trusted_refs"
            )
    return patterns


def ref_matches(ref: str | None, pattern: str) -> bool:
    """Whether a branch or tag is one of those that a pattern means."""
    return ref is not None and fnmatchcase(ref, pattern)
