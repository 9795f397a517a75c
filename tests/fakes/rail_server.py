"""The trial payment service (payouts/rails/fake_server.py) inside a test: started on a free port, stopped at the end."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from payouts.rails.fake_server import FakeRailServer


@contextmanager
def serving(journal: Path, *, seed: int = 1) -> Iterator[FakeRailServer]:
    server = FakeRailServer(journal, seed=seed)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def payments(server: FakeRailServer) -> list[tuple[str, int]]:
    """What really happened: (reference, minor units) of every payment, seen or not yet seen by look-ups."""
    with server.journal() as rows:
        found = rows.execute("SELECT reference, amount_minor FROM transfer ORDER BY rowid").fetchall()
    return [(str(reference), int(amount)) for reference, amount in found]
