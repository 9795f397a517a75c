"""How errors look: a page for people, problem+json (RFC 9457) under /api and for whoever asks for JSON."""

import json
import re
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from typing import Any

import structlog
from flask import Response, g, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from psycopg.errors import UndefinedColumn, UndefinedTable
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from werkzeug.exceptions import HTTPException

from core.config import settings
from core.errors import DomainError, InfrastructureError
from core.web.context import Application, roll_back
from core.web.visitor import SignInNeeded

log = structlog.get_logger("pledgeworks.web")

SENTENCES = {
    400: ("Your browser sent something we can't read", "Go back and try again."),
    401: ("You need to sign in", "Sign in and try again."),
    403: ("You may not do this", "If it should be yours to do, ask an administrator of this installation."),
    404: ("There is no such page", "The address may be mistyped, or the thing is gone, or it isn't yours to see."),
    405: ("This address can't be used that way", "Go back and use the buttons of the page."),
    409: ("A rule refuses this", "Nothing was changed."),
    413: ("That is too large", "Send a smaller file; the page that asks for it names the limit."),
    415: ("We can't read that kind of content", "Send it in the form the page or the reference asks for."),
    422: ("Something needs correcting", "Nothing was changed."),
    429: ("Too many requests", "Wait a little, then try again."),
    500: ("Something broke on our side", "Nothing was changed. It has been written down; please try again."),
    503: ("We can't reach the database", "Nothing was changed. Please try again in a moment."),
}  # fmt: skip
"""For every status we answer with: the title of its page, and what to do."""

CODES = {413: "too_large", 503: "unavailable", 500: "internal"}


def register(app: Application) -> None:
    """Give every kind of error its answer."""
    app.register_error_handler(CSRFError, _csrf)
    app.register_error_handler(SignInNeeded, _sign_in)
    app.register_error_handler(DomainError, _domain)
    app.register_error_handler(InfrastructureError, _infrastructure)
    app.register_error_handler(OperationalError, _database)
    app.register_error_handler(InterfaceError, _database)
    app.register_error_handler(PoolTimeout, _database)
    app.register_error_handler(ProgrammingError, _schema)
    app.register_error_handler(HTTPException, _http)
    app.register_error_handler(Exception, _unexpected)


@cache
def catalogue() -> list[tuple[str, int, str]]:
    """Every stable code with its status and its meaning, by code."""
    found = {
        "form_expired": (400, "A form that was open for too long or came from another session."),
        "internal": (500, "A fault of ours; it has been written down."),
        "too_large": (413, "A body beyond the limit."),
        "unavailable": (503, "The database does not answer."),
    }
    for kind in _kinds(DomainError):
        meaning = " ".join((kind.__doc__ or "").strip().split("\n\n")[0].split())
        found.setdefault(kind.code, (kind.status, meaning))
    return [(code, status, meaning) for code, (status, meaning) in sorted(found.items())]


def _kinds(kind: type[DomainError]) -> Iterator[type[DomainError]]:
    yield kind
    for subclass in kind.__subclasses__():
        yield from _kinds(subclass)


def wants_json() -> bool:
    """Programs get problem+json: under /api always, elsewhere when they say so."""
    if request.path.startswith("/api/"):
        return True
    accept = request.accept_mimetypes
    return accept["application/json"] > accept["text/html"] or accept["application/problem+json"] > accept["text/html"]


def problem(
    status: int, *, code: str, detail: str, extra: dict[str, Any] | None = None, headers: dict[str, str] | None = None
) -> Response:
    """An RFC 9457 problem. `type` is the place of this code in docs/reference/error-codes.md."""
    body = {
        **{name: value for name, value in (extra or {}).items() if name not in {"type", "title", "status", "detail"}},
        "type": f"{settings().base_url}/errors#{code}",
        "title": SENTENCES.get(status, (HTTPStatus(status).phrase, ""))[0],
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": g.get("request_id"),
    }
    return Response(
        json.dumps(body, default=str, ensure_ascii=False),
        status=status,
        mimetype="application/problem+json",
        headers=headers,
    )


def answer(
    status: int,
    *,
    code: str,
    detail: str | None = None,
    extra: dict[str, Any] | None = None,
    headers: dict[str, str] | None = None,
    template: str = "errors/error.html",
    **context: Any,
) -> ResponseReturnValue:
    """The error in the form its asker reads, after undoing what the request wrote."""
    title, advice = SENTENCES.get(status, (HTTPStatus(status).phrase, ""))
    if wants_json():
        return problem(status, code=code, detail=detail or advice, extra=extra, headers=headers)
    body = render_template(template, title=title, advice=advice, detail=detail, status=status, **context)
    return body, status, headers or {}


def _domain(error: DomainError) -> ResponseReturnValue:
    roll_back()
    wait = error.details.get("retry_after_seconds")
    return answer(
        error.status,
        code=error.code,
        detail=error.message,
        extra=error.details,
        headers={"Retry-After": str(wait)} if wait else None,
    )


def _sign_in(error: SignInNeeded) -> ResponseReturnValue:
    from flask import redirect, url_for

    roll_back()
    if wants_json():
        return problem(401, code=error.code, detail=error.message)
    target = request.full_path.rstrip("?") if request.method == "GET" else None
    response = redirect(url_for("identity.sign_in", next=target), code=303)
    if request.headers.get("HX-Request"):
        response.headers["HX-Redirect"] = response.location
    return response


def _csrf(error: CSRFError) -> ResponseReturnValue:
    roll_back()
    # Only a form of our own pages is offered to be sent again; another site's would be its trick, not the person's wish.
    ours = request.headers.get("Sec-Fetch-Site", "") == "same-origin"
    typed = [
        (name, value)
        for name, value in request.form.items(multi=True)
        if name != "csrf_token" and not re.search("password|proof|secret|token", name)
    ]
    complete = len(typed) + ("csrf_token" in request.form) == len(list(request.form.items(multi=True))) and not request.files
    return answer(
        400,
        code="form_expired",
        detail="This form was open for too long or came from another session, so it was not accepted. Nothing was changed.",
        template="errors/form_expired.html",
        typed=typed if ours else [],
        complete=complete,
        target=request.full_path.rstrip("?"),
    )


def _http(error: HTTPException) -> ResponseReturnValue:
    roll_back()
    status = error.code or 500
    if error.response is not None or status < 400:
        return error
    name = HTTPStatus(status).name.lower()
    headers = {
        name: value for name, value in error.get_headers() if name.lower() not in {"content-type", "content-length"}
    }  # Allow, Retry-After …
    said = error.description if error.description != type(error).description else None  # by our own abort(), not by Werkzeug
    return answer(status, code=CODES.get(status, name), detail=said, headers=headers)


def _infrastructure(error: InfrastructureError) -> ResponseReturnValue:
    roll_back()
    log.error("infrastructure", error=str(error))
    return _unavailable()


def _database(error: Exception) -> ResponseReturnValue:
    roll_back_quietly()
    log.error("database", error=str(getattr(error, "orig", error)).strip().splitlines()[0])
    return _unavailable()


def _schema(error: ProgrammingError) -> ResponseReturnValue:
    """A table or column that is not there: the database waits for `pledgeworks db upgrade`. Anything else is our bug."""
    if not isinstance(error.orig, UndefinedTable | UndefinedColumn):
        return _unexpected(error)
    return _database(error)


def _unavailable() -> ResponseReturnValue:
    g.visitor = None  # the page is drawn without asking the database who is there
    g.bare = True
    return answer(503, code="unavailable", headers={"Retry-After": "5"})


def _unexpected(error: Exception) -> ResponseReturnValue:
    roll_back_quietly()
    log.exception("unexpected", error=type(error).__name__)
    g.visitor = None
    g.bare = True
    return answer(500, code="internal", extra={"request_id": g.get("request_id")})


def roll_back_quietly() -> None:
    """Roll back where the connection itself may be what broke: then there is nothing left to undo."""
    try:
        roll_back()
    except (OperationalError, InterfaceError):
        g.pop("session").invalidate()
