"""The sections of public pages, drawn at most every two seconds per process.

They are the same for everybody (their providers are not told who asks), cost several queries each, and are what such pages are
asked for most. Whoever changed something a moment ago sees the change at once: its browser carries a short-lived cookie then.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast
from uuid import UUID

from flask import Response, current_app, render_template, request
from markupsafe import Markup
from sqlalchemy.orm import Session

from core.config import settings
from core.identity.models import Organisation, Project
from core.web.context import Application, db
from core.web.hooks import Hook, Section

LAG_SECONDS = 2.0
KEPT_MAX = 2_000
CHANGED = "pledgeworks-changed"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A section as it stands on the page."""

    title: str
    body: Markup


Thing = TypeVar("Thing", Project, Organisation)
_kept: dict[tuple[int, UUID], tuple[float, Sequence[Drawn]]] = {}


def sections_of(hook: Hook[Callable[[Session, Thing], Section | None]], thing: Thing) -> Sequence[Drawn]:
    """Every domain's section of this thing's public page, in order."""
    # Tests look at their own uncommitted rows.
    fresh = CHANGED in request.cookies or cast("Application", current_app).bind is not None
    key, now = (id(hook), thing.id), time.monotonic()
    known = _kept.get(key)
    if known is not None and not fresh and now - known[0] < LAG_SECONDS:
        return known[1]
    found = [section for provider in hook.providers if (section := provider(db(), thing))]
    drawn = [
        Drawn(section.title, Markup(render_template(section.template, **section.context)))  # noqa: S704 - our own templates
        for section in found
    ]
    if not fresh:
        if len(_kept) >= KEPT_MAX:
            _kept.clear()
        _kept[key] = (now, drawn)
    return drawn


def remember_change(response: Response) -> Response:
    """After a POST that was taken, this browser reads its own writes."""
    if request.method not in {"GET", "HEAD", "OPTIONS"} and response.status_code < 400 and not request.path.startswith("/api/"):
        secure = settings().base_url.startswith("https://")
        response.set_cookie(CHANGED, "1", max_age=int(LAG_SECONDS) + 2, secure=secure, httponly=True, samesite="Lax")
    return response
