"""The JSON API's shell: bearer tokens with scopes, idempotency keys, rate limits, cursor pages, OpenAPI.

READ = scope("jobs:read", "See jobs, their logs and their cost")

@bp.post("/jobs")
@bp.input(JobIn)                       # pydantic; its errors become a 422 problem
@bp.output(JobOut, status_code=201)
@authenticated("jobs:write")
@idempotent
def create_job(json_data: JobIn) -> JobOut:
    require_project(project.id)        # a token limited to another project is refused
    job = services.submit(db(), ..., person=current_person(), now=utc_now())
    return JobOut.of(job)
"""

import functools
import hashlib
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

from apiflask.exceptions import HTTPError
from flask import Response, current_app, g, request
from flask.typing import ResponseReturnValue
from pydantic import BaseModel, Field
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert

from core.clock import utc_now
from core.db import new_id
from core.errors import DomainError, NotAllowed
from core.identity import limits, tokens
from core.identity.models import ApiToken, IdempotentAnswer
from core.web.context import Application, db
from core.web.errors import problem
from core.web.visitor import SEEN_EVERY, Visitor, current_person, visitor

PER_TOKEN = limits.Limit(count=600, per=timedelta(minutes=1))
KEY_HEADER = "Idempotency-Key"
REPLAYED_HEADER = "Idempotency-Replayed"
SCOPES: dict[str, str] = {}
"""Every scope a token can have, and what it allows in words."""

P = ParamSpec("P")
R = TypeVar("R")


class BadToken(DomainError):
    """No token, or one that is unknown, expired or revoked."""

    code = "bad_token"
    status = 401


class ScopeMissing(NotAllowed):
    """The token lives, but was not made for this."""

    code = "scope_missing"


class KeyMissing(DomainError):
    """A POST without an Idempotency-Key: a repeat after a lost answer could do the deed twice."""

    code = "idempotency_key_missing"
    status = 400


class KeyReused(DomainError):
    """The key stands for another request already."""

    code = "idempotency_key_reused"
    status = 422


class Paging(BaseModel):
    """Query of a list: where to go on, and how many."""

    cursor: str | None = Field(default=None, description="`next_cursor` of the page before; none for the first page.")
    limit: int = Field(default=50, ge=1, le=200, description="How many entries at most.")


def scope(name: str, words: str) -> str:
    """Make a scope known: it can be chosen for tokens from now on."""
    SCOPES[name] = words
    return name


def authenticated(*scopes: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """For bearers of a living token with all these scopes. `current_person()` is then the token's person."""
    for name in scopes:
        assert name in SCOPES, f"declare the scope {name} first"

    def decorate(view: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(view)
        def gate(*args: P.args, **kwargs: P.kwargs) -> R:
            token = _bearer(now=utc_now())
            missing = [name for name in scopes if name not in token.scopes]
            if missing:
                raise ScopeMissing(
                    f"This token lacks the scope “{missing[0]}”; make one that has it under Account → API tokens.",
                    scope=missing[0],
                )
            return view(*args, **kwargs)

        cast("Any", gate).token_scopes = scopes  # read by describe(); wraps() carries it outwards
        return gate

    return decorate


def api_token() -> ApiToken:
    """The token of this request; only inside `@authenticated` views."""
    here = visitor()
    assert here is not None, "api_token() outside an @authenticated view"
    assert here.token is not None, "api_token() outside an @authenticated view"
    return here.token


def require_project(project_id: UUID) -> None:
    """Refuse a token that is limited to another project.

    Raises:
        NotAllowed: it is.
    """
    token = api_token()
    if token.project_id is not None and token.project_id != project_id:
        raise NotAllowed("This token is limited to another project.")


def idempotent(view: Callable[P, R]) -> Callable[P, R | Response]:
    """A POST that needs an Idempotency-Key. The first answer is kept in the deed's own transaction; repeats get it again.

    Raises:
        KeyMissing, KeyReused: see there.
    """

    @functools.wraps(view)
    def gate(*args: P.args, **kwargs: P.kwargs) -> R | Response:
        key = request.headers.get(KEY_HEADER, "")
        if not re.fullmatch(r"[\x21-\x7e]{8,200}", key):
            raise KeyMissing(
                f"Send a header {KEY_HEADER} of 8 to 200 printable characters, the same one when you repeat this request."
            )
        answer, fresh = _claim_key(key, now=utc_now())
        if not fresh:
            return _replay(answer)
        g.idempotent_answer = answer  # filled in by finish_idempotent, once the view's answer is known
        return view(*args, **kwargs)

    cast("Any", gate).needs_idempotency_key = True
    return gate


def keep_answer(answer: ResponseReturnValue) -> ResponseReturnValue:
    """Write the view's answer beside its deed. Called between the view and its commit."""
    row: IdempotentAnswer | None = g.pop("idempotent_answer", None)
    if row is None:
        return answer
    response = current_app.make_response(answer)
    row.status, row.body, row.media_type = response.status_code, response.get_data(), response.content_type or ""
    row.location = response.headers.get("Location")
    return response


def register(app: Application) -> None:
    """OpenAPI's words, validation errors as problems, and the place where answers are kept."""
    app.before_commit = keep_answer
    app.config["SECURITY_SCHEMES"] = {
        "token": {"type": "http", "scheme": "bearer", "description": "An API token (`pw_…`) of Account → API tokens."}
    }
    app.error_callback = _validation_problem  # not error_processor(): that would take over every HTTP error of the pages too
    app.spec_processor(lambda spec: _describe(app, spec))


def _bearer(*, now: datetime) -> ApiToken:
    kind, _, secret = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not secret:
        raise BadToken("Send an API token: Authorization: Bearer pw_… Make one under Account → API tokens.")
    token = tokens.find(db(), secret.strip(), now=now)
    if token is None:
        raise BadToken("This token is unknown, expired or revoked; make a new one under Account → API tokens.")
    taken = limits.take(db(), f"token:{token.id}", PER_TOKEN, now=now)
    if taken.over:
        wait = max(1, int((taken.resets_at - now).total_seconds()))
        raise limits.TooMany(
            f"This token may send {PER_TOKEN.count} requests a minute; go on in {wait} s.", retry_after_seconds=wait
        )
    if token.used_at is None or now - token.used_at > SEEN_EVERY:
        with limits.apart(db()) as connection:
            connection.execute(update(ApiToken).where(ApiToken.id == token.id).values(used_at=now))
    person = token.person
    g.visitor = Visitor(person.id, person.name, person.email, person.is_admin, frozenset(), token=token)
    return token


def _claim_key(key: str, *, now: datetime) -> tuple[IdempotentAnswer, bool]:
    """The row of this key: ours to fill, or one that is filled. A request in flight with the same key is waited for."""
    person = current_person()
    digest = hashlib.sha256(request.full_path.encode() + b"\n" + request.get_data()).digest()
    route = f"{request.method} {request.path}"[:250]
    mine = new_id()
    db().execute(
        insert(IdempotentAnswer)
        .values(
            id=mine, person_id=person.id, route=route, key=key, request_hash=digest,
            status=0, body=b"", media_type="", location=None, created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["person_id", "route", "key"])
    )  # fmt: skip
    row = (
        db()
        .scalars(
            select(IdempotentAnswer).where(
                IdempotentAnswer.person_id == person.id, IdempotentAnswer.route == route, IdempotentAnswer.key == key
            )
        )
        .one()
    )
    if row.request_hash != digest:
        raise KeyReused(f"This {KEY_HEADER} stands for another request; use a new key for a new request.")
    return row, row.id == mine


def _replay(row: IdempotentAnswer) -> Response:
    response = Response(row.body, status=row.status, content_type=row.media_type)
    response.headers[REPLAYED_HEADER] = "true"
    if row.location:
        response.headers["Location"] = row.location
    return response


def _validation_problem(error: HTTPError) -> Response:
    found = [
        {"path": f"{place}.{name}" if place != "json" else str(name), "message": sentence}
        for place, fields in (error.detail or {}).items()
        for name, sentences in (fields.items() if isinstance(fields, dict) else [("", fields)])
        for sentence in (sentences if isinstance(sentences, list) else [sentences])
    ]
    detail = f"{found[0]['path']}: {found[0]['message']}" if found else str(error.message)
    return problem(error.status_code, code="invalid_input", detail=detail, extra={"errors": found})


def _describe(app: Application, spec: dict[str, Any] | str) -> dict[str, Any]:
    """Say in the OpenAPI document what the decorators demand."""
    assert isinstance(spec, dict), "the document is made as JSON"
    schemas = spec.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = {
        "type": "object",
        "description": "RFC 9457. `code` is stable; docs/reference/error-codes.md lists them.",
        "properties": {
            "type": {"type": "string", "format": "uri"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "code": {"type": "string"},
            "request_id": {"type": ["string", "null"]},
        },
        "required": ["type", "title", "status", "detail", "code"],
    }
    refusal = {
        "description": "Refused; nothing was written.",
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
    for rule in app.url_map.iter_rules():
        path = spec.get("paths", {}).get(re.sub(r"<(?:[^:<>]+:)?([^<>]+)>", r"{\1}", rule.rule), {})
        view = app.view_functions[rule.endpoint]
        for method in (rule.methods or set()) & {"GET", "POST", "PUT", "PATCH", "DELETE"}:
            operation = path.get(method.lower())
            if operation is None:
                continue
            # APIFlask describes its own 4xx bodies; here every one of them is a problem.
            refused = [status for status in operation["responses"] if status.startswith(("4", "5"))]
            operation["responses"] |= dict.fromkeys([*refused, "default"], refusal)
            scopes = getattr(view, "token_scopes", None)
            if scopes is not None:
                operation["security"] = [{"token": []}]
                operation["x-scopes"] = list(scopes)
            if getattr(view, "needs_idempotency_key", False):
                operation.setdefault("parameters", []).append(
                    {
                        "name": KEY_HEADER,
                        "in": "header",
                        "required": True,
                        "schema": {"type": "string", "minLength": 8, "maxLength": 200},
                        "description": "Chosen by the client; a repeat with the same key gets the first answer again.",
                    }
                )
    return spec
