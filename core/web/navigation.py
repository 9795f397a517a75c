"""The navigation as data: domains add entries, and an entry whose page does not exist is not shown."""

import enum
from dataclasses import dataclass
from functools import lru_cache

from flask import current_app, g, request
from jinja2 import Environment
from markupsafe import Markup
from werkzeug.exceptions import HTTPException
from werkzeug.routing import MapAdapter

from core.identity.models import Role
from core.web.visitor import visitor


class Area(enum.Enum):
    """Where an entry stands."""

    PUBLIC = "public"
    WORK = "work"
    ACCOUNT = "account"
    FOOTER = "footer"


ROLES_OF_OWNERS = frozenset({Role.PLEDGE_EDITOR, Role.COMPUTE_DONOR, Role.COMPUTE_SUBMITTER, Role.MAINTAINER})
"""What owning an organisation brings; the other roles are the platform's, and owning a company gives none of them."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A link. Work entries are shown to people with any of the `roles`, in whatever scope, and to administrators and auditors."""

    label: str
    path: str
    area: Area = Area.PUBLIC
    roles: frozenset[Role] = frozenset()
    everyone: bool = False
    """Shown to every signed-in person, whatever its roles."""
    order: int = 100
    admin: bool = False
    """Only for administrators."""

    def shown_to(self, roles: frozenset[Role] | None, *, is_admin: bool) -> bool:
        """Is it shown to somebody with these roles? `None` is nobody: not signed in."""
        if self.area is not Area.WORK:
            return True
        if roles is None:
            return False
        if self.admin:
            return is_admin
        owner = {Role.OWNER} if self.roles & ROLES_OF_OWNERS else set()
        return self.everyone or is_admin or not roles.isdisjoint({*self.roles, Role.AUDITOR, *owner})


_entries: list[Entry] = [
    Entry("Leaderboard", "/pledges", order=10),
    Entry("Programmes", "/programmes", order=20),
    Entry("Grants", "/grants", order=30),
    Entry("Compute", "/compute", order=40),
    Entry("Ledger", "/ledger", order=50),
    Entry("Projects", "/projects", order=60),
    Entry("My work", "/work", Area.WORK, everyone=True, order=10),
    Entry("Account", "/account", Area.ACCOUNT, order=10),
    Entry("Second factor", "/account/second-factor", Area.ACCOUNT, order=20),
    Entry("Sessions", "/account/sessions", Area.ACCOUNT, order=30),
    Entry("API tokens", "/account/tokens", Area.ACCOUNT, order=40),
    Entry("Open ledger", "/ledger", Area.FOOTER, order=10),
    Entry("API", "/api/v1/openapi.json", Area.FOOTER, order=20),
    Entry("Errors", "/errors", Area.FOOTER, order=30),
    Entry("People", "/admin/people", Area.WORK, admin=True, order=90),
]


def add(label: str, path: str, *, roles: tuple[Role, ...] = (), everyone: bool = False, order: int = 100) -> None:
    """Add a link to the work areas; called once, when a domain's views are imported."""
    _entries.append(Entry(label, path, Area.WORK, frozenset(roles), everyone, order))


def main() -> Markup:
    """Both lists of the header."""
    return _list(Area.PUBLIC, "Public pages") + _list(Area.WORK, "Work")


def account() -> Markup:
    """The signed-in person's own pages."""
    return _list(Area.ACCOUNT)


def footer() -> Markup:
    """What stands at the end of every page."""
    return _list(Area.FOOTER)


def _list(area: Area, name: str = "") -> Markup:
    who = visitor()
    roles, is_admin = (who.roles, who.is_admin) if who is not None else (None, False)
    return _drawn(area, name, roles, is_admin, _current_path(), current_app.jinja_env)


# What a list looks like depends on the roles held and on where one is, so few are ever drawn.
@lru_cache(maxsize=500)
def _drawn(
    area: Area, name: str, roles: frozenset[Role] | None, is_admin: bool, current_path: str, environment: Environment
) -> Markup:
    shown = [entry for entry in _existing() if entry.area is area and entry.shown_to(roles, is_admin=is_admin)]
    template = environment.get_template("components/navigation.html")
    drawn = template.render(area=area.value, name=name, entries=shown, current_path=current_path)
    return Markup(drawn)  # noqa: S704 - our own template, escaped there


def _current_path() -> str:
    if "navigation_path" not in g:
        path = request.path
        here = [entry.path for entry in _existing() if path == entry.path or path.startswith(f"{entry.path}/")]
        g.navigation_path = max(here, key=len, default="")
    found: str = g.navigation_path
    return found


def _existing() -> list[Entry]:
    """Entries with a page, in order; found once per application."""
    found: list[Entry] | None = current_app.extensions.get("navigation")
    if found is None:
        adapter = current_app.url_map.bind("localhost")
        found = sorted((entry for entry in _entries if _leads_somewhere(adapter, entry.path)), key=lambda e: e.order)
        current_app.extensions["navigation"] = found
    return found


def _leads_somewhere(adapter: MapAdapter, path: str) -> bool:
    try:
        adapter.match(path, method="GET")
    except HTTPException as answer:
        return answer.code is not None and answer.code < 400  # a redirect to the path with a slash leads there too
    return True
