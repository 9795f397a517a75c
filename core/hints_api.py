"""The door for calls of providers that sign nothing. Its address is a secret, and no log of ours has it."""

import hmac

from apiflask import APIBlueprint
from flask import request
from flask.typing import ResponseReturnValue

from core import hints
from core.clock import utc_now
from core.config import settings
from core.errors import NotFound
from core.web import db

CALL_BYTES_MAX = 100_000
"""Open Collective's calls are a few kilobytes."""

bp = APIBlueprint("hints_api", __name__, url_prefix="/api/v1")


@bp.post("/webhooks/open-collective/<secret>")
@bp.doc(hide=True)
def open_collective(secret: str) -> ResponseReturnValue:
    """Something happened at Open Collective, perhaps. What the call says is not read."""
    known = settings().pledgeworks_opencollective_webhook_secret
    if known is None or not hmac.compare_digest(secret.encode(), known.get_secret_value().encode()):
        raise NotFound("There is nothing here.")
    request.max_content_length = CALL_BYTES_MAX
    request.get_data(cache=False)
    hints.hear(db(), "open_collective", now=utc_now())
    return "", 200
