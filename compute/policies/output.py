"""A job's output as text that is safe to show: whole lines, no terminal control, valid Unicode."""

import re
from dataclasses import dataclass

# ECMA-48 control sequences (colours, cursor), operating system commands (titles, links), and single-character escapes.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-~])")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True, slots=True)
class Window:
    """A part of the output."""

    text: str
    offset: int
    """Where it begins, in bytes."""
    next_offset: int
    """Where to go on reading."""
    total_bytes: int
    complete: bool
    """Whether nothing follows and nothing will."""


def window(raw: bytes, *, offset: int, total_bytes: int, ended: bool) -> Window:
    """Make text of raw bytes that begin at `offset`. While more can come the last, unfinished line waits for its end."""
    kept = raw
    more = not ended or offset + len(raw) < total_bytes
    if more and (end := raw.rfind(b"\n")) >= 0:
        kept = raw[: end + 1]
    elif more and len(raw) < 4096:
        kept = b""  # a short line without end: wait for the rest of it
    next_offset = offset + len(kept)
    return Window(plain(kept), offset, next_offset, total_bytes, complete=ended and next_offset >= total_bytes)


def plain(raw: bytes) -> str:
    """UTF-8 text without escape sequences and control characters. A line that was drawn over keeps its last state."""
    text = _ESCAPES.sub("", raw.decode("utf-8", errors="replace")).replace("\r\n", "\n")
    if "\r" in text:
        text = "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
    return _CONTROLS.sub("", text)
