"""Places of shared pages that domains fill, so that the kernel need not know them.

In a domain's views.py:

    @hooks.headline(order=10)
    def pledged(session: Session) -> Iterable[Figure]:
        yield Figure("Paid to maintainers", money, url_for("pledge.leaderboard"), "by 43 companies, all years")

    @hooks.project_section(order=20)
    def compute_of(session: Session, project: Project) -> Section | None:
        return Section("Compute", "compute/_project_section.html", {"grants": ...})
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from sqlalchemy.orm import Session

from core.identity.models import Organisation, Person, Project
from core.money import Money


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the home page: what it counts, and over whom, in `note`."""

    label: str
    value: Money | int | str
    href: str | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a project's or organisation's public page: a heading, and a template that gets `context`."""

    title: str
    template: str
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ToDo:
    """Something that waits for a person: shown on its page after signing in."""

    label: str
    href: str
    count: int | None = None
    due: str | None = None


Provider = TypeVar("Provider", bound=Callable[..., Any])


class Hook(Generic[Provider]):
    """Functions registered for one place, in order."""

    def __init__(self) -> None:
        self._providers: list[tuple[int, str, Provider]] = []

    def __call__(self, *, order: int = 100) -> Callable[[Provider], Provider]:
        def register(provider: Provider) -> Provider:
            self._providers.append((order, f"{provider.__module__}.{provider.__qualname__}", provider))
            self._providers.sort(key=lambda entry: entry[:2])
            return provider

        return register

    @property
    def providers(self) -> list[Provider]:
        return [provider for _, _, provider in self._providers]


headline: Hook[Callable[[Session], Iterable[Figure]]] = Hook()
"""Figures of the home page."""
project_section: Hook[Callable[[Session, Project], Section | None]] = Hook()
"""Sections of /projects/<slug>."""
organisation_section: Hook[Callable[[Session, Organisation], Section | None]] = Hook()
"""Sections of /organisations/<slug>."""
to_do: Hook[Callable[[Session, Person], Iterable[ToDo]]] = Hook()
"""What waits for a person, on /work."""
