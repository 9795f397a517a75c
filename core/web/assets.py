"""Addresses of static files that change with their content, so that browsers may keep them for a year."""

import hashlib
import time
from functools import lru_cache
from pathlib import Path

from flask import request

from core.config import ROOT, Environment, settings

STATIC = ROOT / "static"


def asset_url(name: str) -> str:
    """`/static/css/tokens.css?v=…`, under the prefix this request came by."""
    return f"{request.script_root}/static/{name}?v={fingerprint(name)}"


def fingerprint(name: str) -> str:
    """The first digits of the content's SHA-256: read once in production, every second in development."""
    return _read(name, 0 if settings().pledgeworks_env is Environment.PRODUCTION else int(time.monotonic()))


@lru_cache(maxsize=200)
def _read(name: str, _second: int) -> str:
    return hashlib.sha256(Path(STATIC, name).read_bytes()).hexdigest()[:12]
