"""Headers of every answer: what a browser may load, embed and remember."""

import secrets

from flask import Response, g, request

from core.config import settings

PERMISSIONS = ", ".join(f"{feature}=()" for feature in ("camera", "geolocation", "microphone", "payment", "usb"))


def csp_nonce() -> str:
    """This answer's nonce, for the few script and style elements of the base layout."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    nonce: str = g.csp_nonce
    return nonce


def add(response: Response) -> Response:
    """Set the security headers, leaving alone what a view decided itself."""
    headers = response.headers
    headers.setdefault("X-Content-Type-Options", "nosniff")
    headers.setdefault("Referrer-Policy", "same-origin")
    headers.setdefault("Permissions-Policy", PERMISSIONS)
    headers.setdefault("Cross-Origin-Opener-Policy", "same-origin")
    headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    headers.setdefault("Content-Security-Policy", _policy(response))
    if request.is_secure:
        headers.setdefault("Strict-Transport-Security", "max-age=31536000; includeSubDomains")
    if response.mimetype == "text/html" and request.endpoint != "static":
        # Pages show what one person may see; the back button after signing out must not.
        headers.setdefault("Cache-Control", "no-store" if "pledgeworks" in str(request.cookies) else "no-cache")
        headers.setdefault("Vary", "Cookie, HX-Request")
    return response


def _policy(response: Response) -> str:
    if response.mimetype != "text/html":
        # A file opened by itself (an attachment, a badge, an export) loads nothing and runs nothing.
        return "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"
    nonce = csp_nonce()
    rules = [
        "default-src 'none'",
        f"script-src 'nonce-{nonce}'",
        f"style-src 'nonce-{nonce}'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
    if settings().base_url.startswith("https://"):
        rules.append("upgrade-insecure-requests")
    return "; ".join(rules)
