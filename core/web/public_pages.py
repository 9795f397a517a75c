"""Public pages, drawn at most every two seconds per process: what a project or an organisation is, with every domain's section.

They are the same for everybody (who draws them is not told who asks), cost several queries each, and are asked for most.
Whoever changed something a moment ago sees the change at once: its browser carries a short-lived cookie then.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from flask import Response, current_app, render_template, request
from markupsafe import Markup
from sqlalchemy.orm import Session

from core.config import settings
from core.identity.models import Organisation, Project
from core.web.context import Application, db
from core.web.hooks import Hook, Section

LAG_SECONDS = 2.0
KEPT_MAX = 500
CHANGED = "pledgeworks-changed"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A page, or a section of one, as it is shown: its title and what stands below or under it."""

    title: str
    body: Markup


Thing = TypeVar("Thing", Project, Organisation)
_kept: dict[tuple[object, ...], tuple[float, Drawn]] = {}


def kept(key: tuple[object, ...], draw: Callable[[], Drawn]) -> Drawn:
    """The page of this key as it was drawn a moment ago, or drawn now. The key says all that it depends on."""
    # Tests look at their own uncommitted rows.
    fresh = CHANGED in request.cookies or cast("Application", current_app).bind is not None
    place, now = (request.script_root, *key), time.monotonic()
    known = _kept.get(place)
    if known is not None and not fresh and now - known[0] < LAG_SECONDS:
        return known[1]
    drawn = draw()
    if not fresh:
        if len(_kept) >= KEPT_MAX:
            _kept.clear()
        _kept[place] = (now, drawn)
    return drawn


def draw(title: str, template: str, **context: object) -> Drawn:
    """Draw one of our own templates."""
    return Drawn(title, Markup(render_template(template, **context)))  # noqa: S704 - escaped there


def sections_of(hook: Hook[Callable[[Session, Thing], Section | None]], thing: Thing) -> Sequence[Drawn]:
    """Every domain's section of this thing's public page, in order."""
    found = [section for provider in hook.providers if (section := provider(db(), thing))]
    return [draw(section.title, section.template, **section.context) for section in found]


def remember_change(response: Response) -> Response:
    """After a POST that was taken, this browser reads its own writes."""
    if request.method not in {"GET", "HEAD", "OPTIONS"} and response.status_code < 400 and not request.path.startswith("/api/"):
        secure = settings().base_url.startswith("https://")
        response.set_cookie(CHANGED, "1", max_age=int(LAG_SECONDS) + 2, secure=secure, httponly=True, samesite="Lax")
    return response
