"""A payment service to try things with: real HTTP on loopback, real state, no real money, and faults on request.

It has two faces. `/keyed` honours idempotency keys as Stripe does (the first answer is replayed, a saved 500 included; other
parameters under the same key are refused); `/plain` pays as often as it is asked. Everything it did is in a SQLite journal,
so that it survives its own death. Faults (`PUT /faults`) are tried in order on each payment:

    cut_before, cut_after   the connection ends without an answer; the money did not move / did
    500_before, 500_after   an error is answered; the money did not move / did
    slow                    sleeps `seconds` first, then pays and answers, whoever still listens
    429, 401                refuses before anything happens
"""

import json
import random
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from payouts.rails.base import canonical

BODY_BYTES_MAX = 100_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS transfer (
    id TEXT PRIMARY KEY, face TEXT NOT NULL, reference TEXT NOT NULL, amount_minor INTEGER NOT NULL, currency TEXT NOT NULL,
    account TEXT NOT NULL, memo TEXT NOT NULL, visible_at REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS idempotency_key (
    key TEXT PRIMARY KEY, parameters BLOB NOT NULL, status INTEGER, body TEXT
);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


@dataclass
class Fault:
    """One thing to go wrong: with a probability, at most `times` times."""

    kind: str
    rate: float = 1.0
    times: int | None = None
    seconds: float = 0.0


@dataclass
class Behaviour:
    """How the server misbehaves. Kept in the journal, so that a restart does not heal it."""

    faults: list[Fault] = field(default_factory=list)
    visibility_seconds: float = 0.0
    """How long a payment stays invisible to look-ups."""
    latency_seconds: float = 0.0
    """How long every payment takes, half of it before the money moves."""


class FakeRailServer(ThreadingHTTPServer):
    """Listens on 127.0.0.1; `port` 0 takes a free one."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, journal: Path, *, port: int = 0, seed: int | None = None) -> None:
        journal.parent.mkdir(parents=True, exist_ok=True)
        self._journal = journal
        self._rng = random.Random(seed)  # noqa: S311 - chooses faults, no secrets
        self._lock = threading.Lock()
        with self.journal() as rows:
            rows.executescript(SCHEMA)
            rows.execute("PRAGMA journal_mode = WAL")
            # A request that was running when we died never answered and is not running any more.
            rows.execute("DELETE FROM idempotency_key WHERE status IS NULL")
            stored = rows.execute("SELECT value FROM setting WHERE name = 'behaviour'").fetchone()
        self.behaviour = _behaviour(json.loads(stored[0])) if stored else Behaviour()
        super().__init__(("127.0.0.1", port), _Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    @contextmanager
    def journal(self) -> Iterator[sqlite3.Connection]:
        """A transaction on the journal that takes the write lock at once."""
        rows = sqlite3.connect(self._journal, timeout=10, isolation_level=None)
        try:
            rows.execute("PRAGMA synchronous = FULL")
            if rows.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                rows.execute("BEGIN IMMEDIATE")
            yield rows
            if rows.in_transaction:
                rows.execute("COMMIT")
        finally:
            rows.close()

    def misbehave(self, behaviour: Behaviour) -> None:
        with self._lock, self.journal() as rows:
            rows.execute("INSERT OR REPLACE INTO setting VALUES ('behaviour', ?)", (json.dumps(asdict(behaviour)),))
            self.behaviour = behaviour

    def draw(self) -> Fault | None:
        """The fault of the next payment, if any."""
        with self._lock:
            for fault in self.behaviour.faults:
                if (fault.times is None or fault.times > 0) and self._rng.random() < fault.rate:
                    if fault.times is not None:
                        fault.times -= 1
                    return fault
        return None


class _Handler(BaseHTTPRequestHandler):
    """One connection. Answers are JSON; what is not asked rightly is refused before anything happens."""

    server: FakeRailServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        match parts.path:
            case "/health":
                self._answer(200, {"status": "ok"})
            case "/journal":
                with self.server.journal() as rows:
                    columns = ("id", "face", "reference", "amount_minor", "currency", "account", "memo")
                    listed = rows.execute(f"SELECT {', '.join(columns)} FROM transfer ORDER BY rowid").fetchall()  # noqa: S608
                self._answer(200, {"transfers": [dict(zip(columns, row, strict=True)) for row in listed]})
            case "/keyed/transfers" | "/plain/transfers":
                reference = parse_qs(parts.query).get("reference", [""])[0]
                with self.server.journal() as rows:
                    found = rows.execute(
                        "SELECT id, reference, amount_minor, currency FROM transfer"
                        " WHERE face = ? AND reference = ? AND visible_at <= ? ORDER BY rowid",
                        (parts.path.split("/")[1], reference, time.time()),
                    ).fetchall()
                self._answer(200, {"transfers": [_public(*row) for row in found]})
            case _:
                self._answer(404, {"code": "not_found"})

    def do_PUT(self) -> None:
        wanted = self._body()
        if self.path != "/faults" or wanted is None:
            self._answer(404, {"code": "not_found"})
            return
        self.server.misbehave(_behaviour(wanted))
        self._answer(200, {"status": "ok"})

    def do_POST(self) -> None:
        wanted = self._body()
        if self.path not in {"/keyed/transfers", "/plain/transfers"} or wanted is None:
            self._answer(404, {"code": "not_found"})
            return
        problem = _problem(wanted)
        if problem:
            self._answer(422, problem)
            return
        fault = self.server.draw()
        kind = fault.kind if fault else ""
        if fault and kind == "slow":
            time.sleep(fault.seconds)
        if fault and kind == "429":
            self._answer(429, {"code": "rate_limit"}, {"Retry-After": str(fault.seconds)})
        elif kind == "401":
            self._answer(401, {"code": "unauthorized"})
        elif kind == "cut_before":
            self._cut()
        else:
            self._pay(wanted, kind)

    def _pay(self, wanted: dict[str, Any], fault: str) -> None:
        time.sleep(self.server.behaviour.latency_seconds / 2)
        face = self.path.split("/")[1]
        key = self.headers.get("Idempotency-Key") if face == "keyed" else None
        if key and not self._first_under(key, wanted):
            return
        status, body = 500, {"code": "internal_error"}
        with self.server.journal() as rows:
            if fault != "500_before":
                made = ("tr_" + uuid4().hex[:20], wanted["reference"], wanted["amount_minor"], wanted["currency"])
                visible_at = time.time() + self.server.behaviour.visibility_seconds
                rows.execute(
                    "INSERT INTO transfer VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                    (made[0], face, *made[1:], wanted["destination"]["account"], str(wanted.get("memo", "")), visible_at),
                )
                if fault != "500_after":
                    status, body = 201, _public(*made)
            if key:  # in the transaction of the effect itself, as a real service would
                rows.execute("UPDATE idempotency_key SET status = ?, body = ? WHERE key = ?", (status, json.dumps(body), key))
        time.sleep(self.server.behaviour.latency_seconds / 2)
        if fault == "cut_after":
            self._cut()
        else:
            self._answer(status, body)

    def _first_under(self, key: str, wanted: dict[str, Any]) -> bool:
        """Take a key, or answer for it: replayed, still running, or another request's."""
        parameters = canonical(wanted)
        with self.server.journal() as rows:
            known = rows.execute("SELECT parameters, status, body FROM idempotency_key WHERE key = ?", (key,)).fetchone()
            if known is None:
                rows.execute("INSERT INTO idempotency_key VALUES (?, ?, NULL, NULL)", (key, parameters))
                return True
        if known[0] != parameters:
            self._answer(400, {"code": "idempotency_error"})
        elif known[1] is None:
            self._answer(409, {"code": "idempotency_key_in_use"})
        else:
            self._answer(known[1], json.loads(known[2]), {"Idempotent-Replayed": "true"})
        return False

    def _body(self) -> dict[str, Any] | None:
        length = int(self.headers.get("Content-Length") or 0)
        if not 0 < length <= BODY_BYTES_MAX:
            return None
        try:
            parsed = json.loads(self.rfile.read(length))
        except ValueError:
            return None
        return parsed if isinstance(parsed, dict) else None

    def _answer(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        content = json.dumps(body).encode()
        try:
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
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
        """Quiet: its journal says more than an access log."""


def _public(transfer_id: str, reference: str, amount_minor: int, currency: str) -> dict[str, Any]:
    paid = {"id": transfer_id, "reference": reference, "amount_minor": amount_minor, "currency": currency}
    return {**paid, "fee_minor": 0}  # a trial costs nothing


def _problem(wanted: dict[str, Any]) -> dict[str, str] | None:
    """Why a request is refused for good."""
    amount, destination = wanted.get("amount_minor"), wanted.get("destination")
    if not isinstance(amount, int) or amount <= 0:
        return {"code": "amount_invalid", "message": "The amount is not a positive number of minor units."}
    if not all(isinstance(wanted.get(name), str) and wanted[name] for name in ("reference", "currency")):
        return {"code": "parameter_missing", "message": "Reference or currency is missing."}
    if not isinstance(destination, dict) or not isinstance(destination.get("account"), str):
        return {"code": "destination_missing", "message": "There is no account to pay to."}
    if destination["account"].startswith("closed"):
        return {"code": "account_closed", "message": "The payee's account is closed."}
    return None


def _behaviour(stored: dict[str, Any]) -> Behaviour:
    faults = [Fault(**fault) for fault in stored.get("faults", [])]
    return Behaviour(faults, stored.get("visibility_seconds", 0.0), stored.get("latency_seconds", 0.0))
