"""The one page of Stripe that payees see here: onboarding, which works once and for minutes."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Protocol

from tests.fakes.stripe import connect
from tests.fakes.stripe.world import World

PAGE = """<!doctype html><html lang="en"><title>Onboarding (stand-in of Stripe)</title><h1>Onboarding (stand-in of Stripe)</h1>
<p>Here Stripe would ask for name, address, an identity document and a bank account.</p>
<form method="post"><button>Tell Stripe everything</button></form></html>"""


class Answering(Protocol):
    def send(self, status: int, content: bytes, kind: str, headers: Mapping[str, str]) -> None: ...


def serve(handler: Answering, world: World, method: str, path: str) -> None:
    """GET opens the link, once; POST is the payee's last click."""
    token = path.rsplit("/", 1)[1]
    link = world.links.get(token)
    if link is None:
        handler.send(HTTPStatus.NOT_FOUND, b"There is no such page.", "text/plain", {})
    elif method == "POST" and link["used"]:
        connect.finish_onboarding(world, link["account"])
        handler.send(HTTPStatus.SEE_OTHER, b"", "text/html", {"Location": link["return_url"]})
    elif method == "POST" or link["used"] or world.now() > link["expires_at"]:
        handler.send(HTTPStatus.SEE_OTHER, b"", "text/html", {"Location": link["refresh_url"]})
    else:
        link["used"] = True
        handler.send(HTTPStatus.OK, PAGE.encode(), "text/html; charset=utf-8", {})
