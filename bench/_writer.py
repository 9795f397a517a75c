"""Commits batches of rows in a process of its own, in their order, while the next ones are decided."""

import multiprocessing
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection

import psycopg

TABLE = """
CREATE TABLE start (job bigint PRIMARY KEY, lane text NOT NULL, gpus bigint NOT NULL, started_at bigint NOT NULL,
                    ends_by bigint NOT NULL, backfilled boolean NOT NULL)
"""
COPY = "COPY start FROM STDIN"
BATCH = 200
ON_THE_WAY_MAX = 16
"""Batches that may be on their way; whoever decides waits then."""


class Writer:
    """The near end: takes rows, knows what is durable."""

    def __init__(self, far: Connection) -> None:
        self._far = far
        self._rows: list[str] = []
        self._jobs: list[int] = []
        self._batches: list[str] = []
        self._on_the_way: list[tuple[float, list[int]]] = []  # when decided, and the jobs, oldest first
        self._not_durable: set[int] = set()
        self.waits: list[float] = []  # seconds from the last decision of a batch to its commit

    def take(self, job: int, row: str) -> None:
        """A decision; a full batch goes to be committed."""
        self._rows.append(row)
        self._jobs.append(job)
        self._not_durable.add(job)
        if len(self._rows) >= BATCH:
            self._send()

    def moment_over(self) -> None:
        """Let nobody wait for a full batch while there is nothing to commit."""
        while self._on_the_way and self._far.poll():
            self._hear()
        if not self._on_the_way:
            self._send()

    def wait_for(self, job: int) -> None:
        """Nothing follows from a start before it is durable."""
        if job in self._not_durable:
            if job in self._jobs:
                self._send()
            while job in self._not_durable:
                self._hear()

    def flush(self) -> None:
        """Commit what is left, and wait until all is durable."""
        self._send()
        while self._on_the_way:
            self._hear()

    def again(self) -> float:
        """Seconds for the same batches once more, one after the other, with nothing in between."""
        self._far.send("")
        self._far.recv()
        begun = time.perf_counter()
        for number, batch in enumerate(self._batches):
            if number >= ON_THE_WAY_MAX:  # more would fill the pipes both ways, and both ends would wait for ever
                self._confirmed()
            self._far.send(batch)
        for _ in self._batches[:ON_THE_WAY_MAX]:
            self._confirmed()
        return time.perf_counter() - begun

    def _send(self) -> None:
        while len(self._on_the_way) >= ON_THE_WAY_MAX:
            self._hear()
        if self._rows:
            batch = "".join(self._rows)
            self._batches.append(batch)
            self._far.send(batch)
            self._on_the_way.append((time.perf_counter(), self._jobs))
            self._rows, self._jobs = [], []

    def _hear(self) -> None:
        self._confirmed()
        decided, jobs = self._on_the_way.pop(0)
        self.waits.append(time.perf_counter() - decided)
        self._not_durable.difference_update(jobs)

    def _confirmed(self) -> None:
        refused = self._far.recv()
        if refused:
            raise RuntimeError(f"The database refused a batch of starts, so this run measures nothing: {refused}")


@contextmanager
def writer(address: str) -> Iterator[Writer]:
    """A process that commits to a table, and both gone afterwards."""
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute(TABLE)
        context = multiprocessing.get_context("spawn")
        near, far = context.Pipe()
        process = context.Process(target=_write, args=(far, address), daemon=True)
        process.start()
        far.close()
        try:
            assert near.recv() == "", "the writer is connected"
            yield Writer(near)
        finally:
            near.close()
            process.join()
            connection.execute("DROP TABLE start")


def _write(near: Connection, address: str) -> None:
    """The far end: a transaction for each batch, and word of it once it is committed; an empty batch empties the table."""
    with psycopg.connect(address) as connection:
        near.send("")
        while True:
            try:
                batch = near.recv()
            except EOFError:
                return
            try:
                if batch:
                    with connection.cursor() as cursor, cursor.copy(COPY) as copy:
                        copy.write(batch)
                else:
                    connection.execute("TRUNCATE start")
                connection.commit()
                refused = ""
            except psycopg.Error as error:
                connection.rollback()
                refused = str(error)
            near.send(refused)
