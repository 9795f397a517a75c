"""CSV that is safe to open in a spreadsheet."""

import csv
import io
import unicodedata
from collections.abc import Iterable
from decimal import Decimal


def harmless(text: str) -> str:
    """A cell no spreadsheet takes for a formula: a name such as `=cmd(…)` is shown, never run (OWASP, CSV injection)."""
    one_line = " ".join(text.split())
    # What a program drops or reads as its plain twin when it opens the file: NUL, a BOM, a zero-width space, a full-width sign.
    plain = unicodedata.normalize("NFKC", one_line)
    seen = "".join(sign for sign in plain if unicodedata.category(sign) not in {"Cc", "Cf"}).lstrip()
    return f"'{one_line}" if seen.startswith(("=", "+", "-", "@")) else one_line


def as_csv(rows: Iterable[Iterable[str | int | Decimal]]) -> bytes:
    """Rows as CSV (RFC 4180, UTF-8), every text harmless; numbers are numbers, also below zero."""
    out = io.StringIO(newline="")
    csv.writer(out).writerows([harmless(cell) if isinstance(cell, str) else str(cell) for cell in row] for row in rows)
    return out.getvalue().encode()
