"""Building the Flask application around the domains' blueprints."""

from collections.abc import Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from flask import Blueprint, Response, abort, request
from flask_wtf import CSRFProtect
from jinja2 import StrictUndefined
from werkzeug.middleware.proxy_fix import ProxyFix

from core.config import ROOT, settings
from core.identity import roles
from core.web import api, context, errors, filters, headers, logs, navigation, public_pages
from core.web.assets import asset_url
from core.web.context import Application
from core.web.visitor import visitor

BODY_BYTES_MAX = 25_000_000
"""No upload is larger; pages that take files name their own, smaller limits."""
TEXT_BYTES_MAX = 2_000_000
"""No form without files and no JSON document is larger, unless its view says so."""
LOOPBACK = {"127.0.0.1", "localhost", "::1"}


def build_app(*, pages: Sequence[Blueprint], apis: Sequence[Blueprint]) -> Application:
    """A Flask application around the given blueprints."""
    app = Application(
        "pledgeworks",
        title="Pledgeworks",
        version="1",
        template_folder=str(ROOT / "templates"),
        static_folder=str(ROOT / "static"),
        spec_path="/api/v1/openapi.json",
        docs_path=None,
        json_errors=False,
    )
    if proxies := settings().pledgeworks_trusted_proxies:
        # X-Forwarded-Host is never believed: our name is PLEDGEWORKS_BASE_URL's.
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=proxies, x_proto=proxies, x_host=0)  # type: ignore[method-assign]
    secure = settings().base_url.startswith("https://")
    app.config.update(
        SECRET_KEY=settings().secret("web").hex(),
        SESSION_COOKIE_NAME="__Host-pledgeworks-page" if secure else "pledgeworks-page",
        SESSION_COOKIE_SECURE=secure,
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        MAX_CONTENT_LENGTH=BODY_BYTES_MAX,
        MAX_FORM_MEMORY_SIZE=TEXT_BYTES_MAX,
        SEND_FILE_MAX_AGE_DEFAULT=timedelta(days=365),  # asset_url() names the content, so a name never changes its content
        WTF_CSRF_TIME_LIMIT=None,  # a token lives as long as its session
        OPENAPI_VERSION="3.1.0",
    )
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(
        asset_url=asset_url,
        csp_nonce=headers.csp_nonce,
        navigation=navigation,
        role_words=roles.WORDS,
        visitor=visitor,
    )
    filters.register(app)
    errors.register(app)
    api.register(app)
    logs.register(app)
    csrf = CSRFProtect()
    app.before_request(_check_host)
    app.before_request(_refuse_nul)
    app.before_request(_limit_body)
    csrf.init_app(app)
    app.after_request(headers.add)
    app.after_request(public_pages.remember_change)
    app.teardown_appcontext(context.close)

    for blueprint in pages:
        # APIFlask asks every blueprint; pages have no place in the API's description.
        blueprint.enable_openapi = False  # type: ignore[attr-defined]
        app.register_blueprint(blueprint)
    for blueprint in apis:
        csrf.exempt(blueprint)  # bearer tokens only: a browser sends none by itself
        app.register_blueprint(blueprint)
    return app


def _check_host() -> Response | None:
    """Answer only to our own name: links and redirects are made of it. Health checks come by address."""
    if request.endpoint in {"web.healthz", "web.readyz"} or _hostname(request.host) in _own_names():
        return None
    abort(400, f"{request.host} is not an address of this installation; set PLEDGEWORKS_BASE_URL if it should be.")


def _refuse_nul() -> None:
    """PostgreSQL keeps no text with a NUL in it, so nothing here has such a name."""
    if "\0" in request.path or any("\0" in text for pair in request.args.items(multi=True) for text in pair):
        abort(400, "The address holds a NUL character (%00); nothing here has one in its name.")


def _limit_body() -> None:
    """Before anything reads the body: only uploads may be large."""
    if request.mimetype != "multipart/form-data":
        request.max_content_length = TEXT_BYTES_MAX


def _own_names() -> set[str]:
    own = urlsplit(settings().base_url).hostname
    return LOOPBACK | ({own} if own else set())


def _hostname(host: str) -> str:
    return host.rsplit(":", 1)[0].strip("[]") if not host.endswith("]") else host.strip("[]")
