"""One JSON event per line and request, with an id that the error page and problem+json show too."""

import time
from uuid import uuid4

import structlog
from flask import Flask, Response, g, request

from core.logging import configure_logging

QUIET = {"static", "web.healthz", "web.readyz"}
SECRET_IN_ADDRESS = {"hints_api.open_collective"}
"""Of these the rule is logged, not the address."""

log = structlog.get_logger("pledgeworks.request")


def register(app: Flask) -> None:
    """Give every request an id and, at its end, a line."""
    configure_logging()

    @app.before_request
    def begin() -> None:
        # Our own id always: one that a client chose could be anything, twice.
        g.request_id = uuid4().hex[:16]
        g.started = time.perf_counter()
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(request_id=g.request_id)

    @app.after_request
    def end(response: Response) -> Response:
        response.headers["X-Request-Id"] = g.get("request_id", "")
        if request.endpoint not in QUIET:
            who = g.get("visitor")
            log.info(
                "request",
                method=request.method,
                path=str(request.url_rule) if request.endpoint in SECRET_IN_ADDRESS else request.path,
                status=response.status_code,
                ms=round((time.perf_counter() - g.get("started", time.perf_counter())) * 1000, 1),
                person=str(who.person_id) if who else None,
            )
        return response
