"""HTTP, keys and faults. The order is Stripe's: credentials, rate, parameters, then the key, then the effect.

v1 idempotency: the first answer under a key is kept, a 500 included, and replayed with `Idempotent-Replayed`; other parameters
or another endpoint under it are a 400 `idempotency_error`; while it runs, a 409. Nothing is kept of a request that never began
(401, 429, parameters the endpoint does not have). Version 2 (JSON instead of forms) keeps successes only, whatever it answered: a
request that failed runs again under its key. Faults strike POSTs, or what their `on` names:

    cut_before, cut_after   the connection ends without an answer; nothing happened / it happened
    500_before, 500_after   an error is answered and kept under the key; nothing happened / it happened
    slow                    takes the key, waits `seconds`, then does it and answers, whoever still listens
    429, 401                refused before anything happens
    html                    a proxy's page instead of an answer; nothing happened
"""

import json
import random
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from payouts.rails.fake_server import Behaviour
from tests.fakes.stripe import balances, checkout, connect, contract, global_payouts, invoices, pages, refunds
from tests.fakes.stripe.forms import decode
from tests.fakes.stripe.routes import ROUTES, Route
from tests.fakes.stripe.world import Object, Refusal, SavedAnswer, World, expanded, public

KEY = "sk_test_stand_in_of_stripe"
KEY_CHARACTERS_MAX = 255
BODY_BYTES_MAX = 200_000
_ENDPOINTS = (balances, checkout, connect, global_payouts, invoices, refunds)  # importing them registers their routes


@dataclass
class Fault:
    """One thing to go wrong: with a probability, at most `times` times."""

    kind: str
    rate: float = 1.0
    times: int | None = None
    seconds: float = 0.0
    on: str = "POST"
    """The beginning of `METHOD /path`."""


@dataclass(frozen=True)
class Seen:
    """A request that got as far as an endpoint."""

    endpoint: str
    parameters: Mapping[str, Any]
    headers: Mapping[str, str]
    url: str


@dataclass
class Log:
    requests: list[Seen] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    """What Stripe itself would not have taken, or not have answered. A test that leaves one behind fails."""


class StripeServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1; `port` 0 takes a free one."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, world: World | None = None, *, port: int = 0, seed: int | None = 1) -> None:
        self.world = world or World()
        self.faults: list[Fault] = []
        self.log = Log()
        self._rng = random.Random(seed)
        contract.prepare()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def misbehave(self, behaviour: Behaviour) -> None:
        """The same words as the trial rail's, for tests that treat every rail alike."""
        with self.world.lock:
            self.faults = [Fault(each.kind, each.rate, each.times, each.seconds) for each in behaviour.faults]
            self.world.visibility_seconds = behaviour.visibility_seconds

    def draw(self, request: str) -> Fault | None:
        """The fault of this request, if any."""
        with self.world.lock:
            for fault in self.faults:
                left = fault.times is None or fault.times > 0
                if left and request.startswith(fault.on) and self._rng.random() < fault.rate:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


@contextmanager
def serving(world: World | None = None, *, port: int = 0, seed: int | None = 1) -> Iterator[StripeServer]:
    """A server in a thread. At the end nothing may have been sent or answered that Stripe's own contract refuses."""
    server = StripeServer(world, port=port, seed=seed)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        contract.remember((each.endpoint, each.parameters) for each in server.log.requests)
    assert server.log.violations == []


class _Handler(BaseHTTPRequestHandler):
    server: StripeServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._serve("GET")

    def do_POST(self) -> None:
        self._serve("POST")

    def do_DELETE(self) -> None:
        self._serve("DELETE")

    def _serve(self, method: str) -> None:
        self.request_id = self.server.world.new_id("req")
        parts = urlsplit(self.path)
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(min(length, BODY_BYTES_MAX)).decode()
        if parts.path.startswith(("/connect/", "/c/pay/", "/i/", "/_stand_in/money")):
            pages.serve(self, self.server.world, method, parts.path, body)
            return
        if parts.path == "/_stand_in/faults" and method == "POST":
            self.server.faults = [Fault(**each) for each in json.loads(body)]
            self._answer(200, {"faults": len(self.server.faults)})
            return
        try:
            self._api(method, parts.path, body if method == "POST" else parts.query)
        except Refusal as refusal:
            self._answer(refusal.status, refusal.body)

    def _api(self, method: str, path: str, form: str) -> None:
        if self.headers.get("Authorization") != f"Bearer {KEY}":
            raise Refusal(401, "Invalid API Key provided: sk_test_****", kind="invalid_request_error")
        fault = self.server.draw(f"{method} {path}")
        kind = fault.kind if fault else ""
        if kind == "401":
            raise Refusal(401, "Expired API Key provided: sk_test_****", code="api_key_expired")
        if fault and kind == "429":
            body = {"error": {"type": "invalid_request_error", "code": "rate_limit", "message": "Too many requests."}}
            self._answer(429, body, {"Retry-After": str(fault.seconds or 1)})
            return
        if kind == "cut_before":
            self._cut()
            return
        if kind == "html":
            self._answer(502, None)
            return
        found = ((route, ids) for route in ROUTES if (ids := route.match(method, path)) is not None)
        route, ids = next(found, (None, {}))
        if route is None:
            raise Refusal(404, f"Unrecognized request URL ({method}: {path}).")
        given = self._parameters(route, form)
        key = self.headers.get("Idempotency-Key") if method == "POST" else None
        if key is not None and not self._first_under(key, f"{method} {path}", given):
            return
        self._carry_out(route, ids, given, key, fault)

    def _parameters(self, route: Route, form: str) -> dict[str, Any]:
        """What was sent, in the types of the endpoint, and noted. Stripe refuses what it does not know."""
        try:
            is_json = route.path.startswith("/v2/") and route.method == "POST"
            given = contract.typed_request(route.name, json.loads(form or "{}") if is_json else decode(form))
        except ValueError as error:
            raise Refusal(400, f"Invalid encoding: {error}") from error
        wrong = contract.wrong_in_request(route.name, given)
        with self.server.world.lock:
            self.server.log.requests.append(Seen(route.name, given, dict(self.headers), self.path))
            self.server.log.violations += wrong
        if wrong:
            raise Refusal(400, f"Received unknown or wrong parameters: {wrong[0]}", code="parameter_unknown")
        return given

    def _first_under(self, key: str, endpoint: str, given: dict[str, Any]) -> bool:
        """Take a key, or answer for it: replayed, still running, or another request's."""
        if len(key) > KEY_CHARACTERS_MAX:
            raise Refusal(400, f"Idempotency keys have at most {KEY_CHARACTERS_MAX} characters.", kind="idempotency_error")
        parameters = json.dumps(given, sort_keys=True).encode()
        with self.server.world.lock:
            saved = self.server.world.answers.get(key)
            if saved is None or (saved.may_run_again and saved.parameters == parameters):
                self.server.world.answers[key] = SavedAnswer(endpoint, parameters, self.request_id)
                return True
        if (saved.endpoint, saved.parameters) != (endpoint, parameters):
            raise Refusal(
                400,
                "Keys for idempotent requests can only be used with the same parameters and the same endpoint they were first "
                f"used with. Try using a key other than '{key}' if you meant to execute a different request.",
                kind="idempotency_error",
            )
        if saved.status is None:
            raise Refusal(
                409,
                f"There is currently another in-progress request using this Idempotent Key ({key}).",
                code="idempotency_key_in_use",
                kind="idempotency_error",
            )
        self._answer(saved.status, saved.body, {"Idempotent-Replayed": "true", "Original-Request": saved.request_id})
        return False

    def _carry_out(self, route: Route, ids: dict[str, str], given: dict[str, Any], key: str | None, fault: Fault | None) -> None:
        """The effect and the saved answer, together; then the answer, if the fault lets it through."""
        kind = fault.kind if fault else ""
        if fault and kind == "slow":
            time.sleep(fault.seconds)
        world, broken = self.server.world, {"error": {"type": "api_error", "message": "An unknown error occurred."}}
        with world.lock:
            world.pass_time()
            status, body = 500, broken
            if kind != "500_before":
                status, body = self._effect(route, ids, given)
            happened = status, body
            if kind == "500_after":
                status, body = 500, broken
            wrong = contract.wrong_in_answer(route.name, body, error=status != 200)
            self.server.log.violations += wrong
            if key is not None:
                saved = world.answers[key]
                saved.status, saved.body = happened if route.path.startswith("/v2/") else (status, body)
        if kind == "cut_after":
            self._cut()
        else:
            self._answer(status, body)

    def _effect(self, route: Route, ids: dict[str, str], given: dict[str, Any]) -> tuple[int, Object]:
        wanted = {name: each for name, each in given.items() if name != "expand"}
        try:
            made = route.run(self.server.world, self.server.url, wanted, ids)
            # As JSON and back, so that what is kept is what was answered, whatever becomes of the object.
            return 200, json.loads(json.dumps(public(expanded(self.server.world, made, given.get("expand", [])))))
        except Refusal as refusal:
            return refusal.status, refusal.body

    def _answer(self, status: int, body: Object | None, headers: Mapping[str, str] | None = None) -> None:
        kind = "text/html" if body is None else "application/json"
        self.send(status, b"<h1>Bad gateway</h1>" if body is None else json.dumps(body).encode(), kind, headers or {})

    def send(self, status: int, content: bytes, kind: str, headers: Mapping[str, str]) -> None:
        """One answer, with Stripe's number of the request."""
        try:
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Request-Id": self.request_id, **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True  # the caller gave up waiting; what happened, happened

    def _cut(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name for it
        """Quiet: `server.log` says more than an access log."""
