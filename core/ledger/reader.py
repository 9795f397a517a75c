"""Reading a JSON export piece by piece: a ledger may be larger than memory, and the file may come from anybody."""

import json
import re
from collections.abc import Iterator
from typing import IO, Any

from core.errors import InvalidInput

PIECE_CHARACTERS = 1 << 20
RECORD_CHARACTERS_MAX = 64 << 20

_GAP = re.compile(r"[ \t\r\n]*")


class NotAnExport(InvalidInput):
    """The file is not a ledger export in JSON."""

    code = "not_a_ledger_export"


def read(stream: IO[str]) -> Iterator[tuple[str, Any]]:
    """The members of the export's one object: (name, value), and for a list (name, item) for each of its items.

    Raises:
        NotAnExport: not JSON, cut off, or not an object.
    """
    source = _Source(stream)
    source.expect("{", "an object")
    if not source.take("}"):
        yield from _members(source)
    source.expect_end()


def _members(source: "_Source") -> Iterator[tuple[str, Any]]:
    while True:
        name = source.value()
        if not isinstance(name, str):
            raise source.broken("a name in quotes")
        source.expect(":", "a colon")
        if source.take("["):
            if not source.take("]"):
                yield name, source.value()
                while source.take(","):
                    yield name, source.value()
                source.expect("]", "the end of a list")
        else:
            yield name, source.value()
        if not source.take(","):
            break
    source.expect("}", "the end of the export")


class _Source:
    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._text = ""
        self._at = 0
        self._passed = 0
        self._decoder = json.JSONDecoder()

    def take(self, character: str) -> bool:
        """Step over a character, if it comes next."""
        self._skip_gap()
        if not self._text.startswith(character, self._at):
            return False
        self._at += 1
        return True

    def expect(self, character: str, what: str) -> None:
        if not self.take(character):
            raise self.broken(what)

    def expect_end(self) -> None:
        self._skip_gap()
        if self._at < len(self._text):
            raise self.broken("the end of the file")

    def value(self) -> Any:
        """The next JSON value."""
        self._skip_gap()
        while True:
            try:
                value, end = self._decoder.raw_decode(self._text, self._at)
            except (ValueError, RecursionError):
                # Wrong, or only cut by the end of the piece: more text tells.
                if len(self._text) - self._at > RECORD_CHARACTERS_MAX or not self._more():
                    raise self.broken("a value") from None
                continue
            if end == len(self._text) and self._more():
                continue  # a number could go on in the next piece
            self._at = end
            return value

    def broken(self, what: str) -> NotAnExport:
        near = self._text[self._at : self._at + 20]
        found = f"“{near}”" if near else "nothing"
        return NotAnExport(
            f"This is not a ledger export in JSON: at character {self._passed + self._at + 1} {what} should stand, not {found}."
        )

    def _skip_gap(self) -> None:
        while True:
            gap = _GAP.match(self._text, self._at)
            assert gap is not None
            self._at = gap.end()
            if self._at < len(self._text) or not self._more():
                return

    def _more(self) -> bool:
        piece = self._stream.read(PIECE_CHARACTERS)
        self._passed += self._at
        self._text = self._text[self._at :] + piece
        self._at = 0
        return bool(piece)
