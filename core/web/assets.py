"""Addresses of static files that change with their content, so that browsers may keep them for a year."""

import hashlib
from functools import cache

from flask import current_app, url_for

from core.config import ROOT


def asset_url(name: str) -> str:
    """`/static/css/app.css?v=…`."""
    return url_for("static", filename=name, v=fingerprint(name, current_app.debug))


@cache
def _fingerprint(name: str) -> str:
    return hashlib.sha256((ROOT / "static" / name).read_bytes()).hexdigest()[:12]


def fingerprint(name: str, changing: bool) -> str:
    """The content's hash, read once per process unless files change under a debugging one."""
    if changing:
        _fingerprint.cache_clear()
    return _fingerprint(name)
