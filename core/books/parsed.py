"""What a statement says, whatever it came as: plain values, no database."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from core.books.models import Direction, StatementFormat
from core.errors import InvalidInput
from core.money import Money

LINES_MAX = 50_000
NOT_A_REFERENCE = frozenset({"", "NOTPROVIDED", "NOTAPPLICABLE", "NONREF", "NONE", "NA", "UNKNOWN"})
"""What banks write into a field for a reference when there is none."""


class StatementUnreadable(InvalidInput):
    """The file is no statement that can be taken; nothing of it was."""

    code = "statement_unreadable"


@dataclass(frozen=True, slots=True)
class ParsedLine:
    """One booked movement. Texts are one line each, trimmed, and bounded."""

    position: int
    booked_on: date
    value_on: date | None
    direction: Direction
    money: Money
    bank_reference: str | None = None
    end_to_end: str | None = None
    counterparty: str | None = None
    counterparty_account: str | None = None
    text: str = ""


@dataclass(frozen=True, slots=True)
class ParsedStatement:
    """One account's movements, with the balances around them if the bank says them."""

    format: StatementFormat
    account: str
    currency: str
    name: str
    lines: Sequence[ParsedLine]
    not_booked: int = 0
    """Movements the bank only announces. They come again when they are booked, and are left out until then."""
    opening: Money | None = None
    closing: Money | None = None
    from_on: date | None = None
    until_on: date | None = None

    @property
    def change(self) -> Money:
        """What the lines come to."""
        return sum(
            (line.money if line.direction is Direction.IN else -line.money for line in self.lines), Money(0, self.currency)
        )


def identities(statement: ParsedStatement) -> list[str]:
    """What makes each line this one and no other, in the order of the lines.

    All that the bank says about it, and which of several equal ones of the file it is: two transfers of the same day, amount
    and text are two. With the bank's own reference a line is the same in every statement of the account; a CAMT line without
    one is the same only in a statement of the same name. CSV files have no name to go by, and may overlap.
    """
    seen: Counter[str] = Counter()
    found = []
    for line in statement.lines:
        here = statement.name if statement.format is StatementFormat.CAMT and not line.bank_reference else ""
        parts = (
            here, line.booked_on.isoformat(), line.value_on.isoformat() if line.value_on else "", line.direction.value,
            str(line.money.amount_minor), line.money.currency, line.bank_reference or "", line.end_to_end or "",
            line.counterparty or "", line.counterparty_account or "", line.text,
        )  # fmt: skip
        content = "".join(f"{len(part)}:{part}" for part in parts)
        seen[content] += 1
        found.append(hashlib.sha256(f"{seen[content]}:{content}".encode()).hexdigest())
    return found


def one_line(text: str | None, length_max: int = 250) -> str | None:
    """A text of the bank's as it is kept: one line, no control characters, not endless; none if nothing is left."""
    kept = " ".join("".join(c if c.isprintable() else " " for c in text or "").split())[:length_max].strip()
    return kept or None


def reference(text: str | None) -> str | None:
    """A reference, unless the bank says that there is none."""
    kept = one_line(text, 140)
    return None if kept is None or re.sub(r"[^A-Z0-9]", "", kept.upper()) in NOT_A_REFERENCE else kept
