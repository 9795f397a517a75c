"""The output of an attempt: streamed to a file while it runs, and never more than its limit.

Past the limit the beginning stays in the file, the newest part is kept in memory and written at the end, and what was between
them is dropped with a note: a test run's summary stands at the end of its log. The pipe is always emptied, so that a talkative
job is not held up by it.
"""

import os
from collections import deque
from pathlib import Path

TAIL_BYTES_MAX = 64 * 1024


class Output:
    """Writes one attempt's output.log."""

    def __init__(self, path: Path, bytes_max: int) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._tail_max = min(TAIL_BYTES_MAX, bytes_max // 4)
        self._head_left = bytes_max - self._tail_max
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self._dropped = 0

    def write(self, data: bytes) -> None:
        """Take output of the job."""
        head, rest = data[: self._head_left], data[self._head_left :]
        if head:
            self._head_left -= len(head)
            _write_all(self._file, head)
        if rest:
            self._tail.append(rest)
            self._tail_bytes += len(rest)
            self._trim()

    def note(self, sentence: str) -> None:
        """A line of the platform's own, outside the limit."""
        _write_all(self._file, f"[pledgeworks] {sentence}\n".encode())

    def finish(self, notes: list[str]) -> None:
        """Write what is kept of the end, then the platform's last words."""
        if self._dropped:
            self.note(f"… {self._dropped:,} bytes of output are missing here: the job passed its limit.")
        for piece in self._tail:
            _write_all(self._file, piece)
        self._tail.clear()
        for sentence in notes:
            self.note(sentence)
        os.close(self._file)

    def _trim(self) -> None:
        while self._tail_bytes > self._tail_max:
            oldest = self._tail.popleft()
            surplus = self._tail_bytes - self._tail_max
            gone = min(surplus, len(oldest))
            if gone < len(oldest):
                self._tail.appendleft(oldest[gone:])
            self._tail_bytes -= gone
            self._dropped += gone


def _write_all(file: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(file, view) :]
