"""CSV that is safe to open in a spreadsheet."""

import csv
import io
from collections.abc import Iterable
from decimal import Decimal


def harmless(text: str) -> str:
    """A cell no spreadsheet takes for a formula: a name such as `=cmd(…)` is shown, never run (OWASP, CSV injection)."""
    one_line = " ".join(text.split())
    return f"'{one_line}" if one_line.startswith(("=", "+", "-", "@")) else one_line


def as_csv(rows: Iterable[Iterable[str | int | Decimal]]) -> bytes:
    """Rows as CSV (RFC 4180, UTF-8), every text harmless; numbers are numbers, also below zero."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([harmless(cell) if isinstance(cell, str) else str(cell) for cell in row] for row in rows)
    return out.getvalue().encode()
