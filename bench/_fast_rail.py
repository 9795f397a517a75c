"""A rail that answers at once: the trial rail's face with idempotency keys, in memory. Its own process, printed address first.

It stands for the quickest service there could be, so that what is measured around it is ours.
"""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class FastRail(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self) -> None:
        self.paid: dict[str, dict[str, Any]] = {}
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: FastRail
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        reference = wanted["reference"]
        made = {name: wanted[name] for name in ("reference", "amount_minor", "currency")} | {"id": f"tr_{reference}"}
        self._answer(self.server.paid.setdefault(self.headers["Idempotency-Key"], made))

    def do_GET(self) -> None:
        """Every payment there is, for whoever compares."""
        self._answer({"paid": list(self.server.paid.values())})

    def _answer(self, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n".encode()
        self.wfile.write(head + content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name for it
        """Quiet: it is a benchmark."""


if __name__ == "__main__":
    with FastRail() as rail:
        print(f"http://127.0.0.1:{rail.server_port}", flush=True)
        rail.serve_forever()
