"""Finding overlaps between a register of interests and what hangs on a project. Plain data in, overlaps out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from grants.models import InterestKind, LinkKind

Node: TypeAlias = UUID
"""An organisation's or project's id."""


@dataclass(frozen=True)
class Tie:
    """A link from a project to an organisation or another project."""

    project: Node
    kind: LinkKind
    other: Node


@dataclass(frozen=True)
class Held:
    """An interest of somebody in an organisation or project."""

    interest_id: UUID
    kind: InterestKind
    subject: Node


@dataclass(frozen=True)
class Overlap:
    """An interest that touches a project, over a path of links (empty: the project itself)."""

    held: Held
    path: tuple[Tie, ...]


def overlaps(project: Node, ties: Sequence[Tie], register: Sequence[Held], *, depth: int) -> list[Overlap]:
    """Every interest that touches the project within `depth` links, each over its shortest path.

    "Used by" and "depends on" count as one step each. Who owns a project counts as that project: ownership costs no step.
    """
    paths = _reach(project, ties, depth)
    return [Overlap(held, paths[held.subject]) for held in register if held.subject in paths]


def _reach(project: Node, ties: Sequence[Tie], depth: int) -> dict[Node, tuple[Tie, ...]]:
    """Everything within reach and the shortest way there, breadth first."""
    paths: dict[Node, tuple[Tie, ...]] = {project: ()}
    layer = [project]
    for step in range(depth + 1):
        found = list(layer)
        for node in layer:
            for tie in ties:
                if tie.project == node and tie.kind is LinkKind.OWNED_BY and tie.other not in paths:
                    paths[tie.other] = (*paths[node], tie)
        if step == depth:
            break
        layer = []
        for node in found:
            for tie in ties:
                if tie.project == node and tie.kind is not LinkKind.OWNED_BY and tie.other not in paths:
                    paths[tie.other] = (*paths[node], tie)
                    layer.append(tie.other)
    return paths
