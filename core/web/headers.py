"""Headers of every answer: what a browser may load, embed and remember."""

import secrets

from flask import Response, g, request

from core.config import settings

EVERYWHERE = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in ("camera", "geolocation", "microphone", "payment", "usb")),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def csp_nonce() -> str:
    """This answer's nonce, for the few script and style elements of the base layout."""
    if "csp_nonce" not in g:
        g.csp_nonce = secrets.token_urlsafe(16)
    nonce: str = g.csp_nonce
    return nonce


def add(response: Response) -> Response:
    """Set the security headers, leaving alone what a view decided itself."""
    ours = {**EVERYWHERE, "Content-Security-Policy": _policy(response)}
    if request.is_secure:
        ours["Strict-Transport-Security"] = "max-age=31536000; includeSubDomains"
    if response.mimetype == "text/html" and request.endpoint != "static":
        # Pages show what one person may see; the back button after signing out must not.
        ours["Cache-Control"] = "no-store" if any("pledgeworks" in name for name in request.cookies) else "no-cache"
        ours["Vary"] = "Cookie, HX-Request"
    decided = {name.lower() for name in response.headers.keys()}  # noqa: SIM118 - iterating gives pairs
    response.headers.extend({name: value for name, value in ours.items() if name.lower() not in decided})
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
