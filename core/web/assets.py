"""Addresses of static files that change with their content, so that browsers may keep them for a year."""

import hashlib
import os
from functools import cache, lru_cache
from pathlib import Path

from flask import request

from core.config import ROOT, Environment, settings

STATIC = str(ROOT / "static")


def asset_url(name: str) -> str:
    """`/static/css/tokens.css?v=…`, under the prefix this request came by."""
    return f"{request.script_root}/static/{name}?v={fingerprint(name)}"


def fingerprint(name: str) -> str:
    """The first digits of the content's SHA-256: read once in production, whenever the file changed in development."""
    if settings().pledgeworks_env is Environment.PRODUCTION:
        return _once(name)
    return _when_changed(
        name, os.stat(f"{STATIC}/{name}").st_mtime_ns
    )  # pathlib would cost more than the rest of the page's head


@cache
def _once(name: str) -> str:
    return hashlib.sha256(Path(STATIC, name).read_bytes()).hexdigest()[:12]


@lru_cache(maxsize=200)
def _when_changed(name: str, _changed_at: int) -> str:
    return hashlib.sha256(Path(STATIC, name).read_bytes()).hexdigest()[:12]
