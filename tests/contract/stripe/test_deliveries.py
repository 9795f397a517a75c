"""The stand-in delivers as Stripe does: signed anew each time, until it is taken, sometimes twice and in any order."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pledge.providers.stripe_signature import notice_from
from tests.fakes.stripe import World
from tests.fakes.stripe.webhooks import SECRET, Deliverer

REFUSED_FIRST = 3


class Endpoint(ThreadingHTTPServer):
    """Takes deliveries after refusing some."""

    daemon_threads = True

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.refused = 0
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        found = notice_from(body, self.headers["Stripe-Signature"], secrets=[SECRET], now=datetime.now(UTC))
        if self.server.refused < REFUSED_FIRST:
            self.server.refused += 1
            self.send_response(503)
        else:
            self.server.taken.append(found.id)
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
        """Quiet."""


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()


def test_every_event_is_delivered_in_the_end_some_twice_and_in_disorder(endpoint: Endpoint) -> None:
    world = World()
    made = [world.notify("balance.available", {"object": "balance", "number": number})["id"] for number in range(30)]
    deliverer = Deliverer(world, f"http://127.0.0.1:{endpoint.server_port}/", twice=0.3)
    deliverer.start()
    try:
        end = time.monotonic() + 20
        while set(endpoint.taken) != set(made) and time.monotonic() < end:
            time.sleep(0.05)
        time.sleep(0.7)  # what comes twice
    finally:
        deliverer.stop()
    assert set(endpoint.taken) == set(made)
    assert deliverer.answers.count(503) == REFUSED_FIRST
    assert len(endpoint.taken) > len(made)
    assert endpoint.taken != sorted(endpoint.taken, key=made.index)
