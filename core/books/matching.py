"""What each line probably is: plain values in, one suggestion per line out. Nothing is decided here; people confirm.

A line is suggested for at most one thing, and a thing for at most one line: who comes first (by day of booking, then by place)
has it, and a second line with the same reference is named as what it is, money that came twice.
"""

import enum
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from core.books.models import Direction
from core.books.sources import Expected
from core.money import Money


class Kind(enum.StrEnum):
    """What a line probably is."""

    POSTED = "posted"  # it is in the ledger already: link the two
    EXACT = "exact"  # just what was expected: confirm it
    NOT_SAID = "not_said"  # just what was announced, but nobody said that it was sent
    PARTIAL = "partial"  # less than expected under this reference
    TOO_MUCH = "too_much"  # more than expected under this reference
    TWICE = "twice"  # another line is the one that was expected
    SEVERAL = "several"  # it names several things that are expected
    SAME_AMOUNT = "same_amount"  # no reference, but one thing of just this amount is expected
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Line:
    """A line that met nothing in the ledger yet."""

    id: UUID
    on: date
    direction: Direction
    money: Money
    texts: Sequence[str]
    order: int = 0


@dataclass(frozen=True, slots=True)
class Movement:
    """What an entry of the ledger moves on the bank's account, all its transfers together, and that met no line yet."""

    entry_id: UUID
    on: date
    direction: Direction
    money: Money
    references: Sequence[str]
    who: str
    path: str


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One line's best explanation."""

    kind: Kind
    expected: Expected | None = None
    movement: Movement | None = None
    others: Sequence[Expected] = ()
    """With SEVERAL: what it names."""

    @classmethod
    def unknown(cls) -> "Suggestion":
        return cls(Kind.UNKNOWN)


def suggest(lines: Iterable[Line], expected: Iterable[Expected], movements: Iterable[Movement]) -> Mapping[UUID, Suggestion]:
    """One suggestion for every line."""
    ordered = sorted(lines, key=lambda line: (line.on, line.order, line.id))
    waiting, posted = list(expected), list(movements)
    named = {line.id: _names(line) for line in ordered}
    found = _posted(ordered, posted, named)
    taken: set[str] = set()
    rest = [line for line in ordered if line.id not in found]
    # Lines of just the right amount first: a partial payment that came earlier must not take what a whole one came for.
    for fits in (True, False):
        for line in rest:
            if line.id not in found:
                suggestion = _by_reference(line, waiting, named[line.id], taken, fits=fits)
                if suggestion is not None:
                    found[line.id] = suggestion
    found.update(_by_amount([line for line in rest if line.id not in found], waiting, taken))
    return {line.id: found.get(line.id, Suggestion.unknown()) for line in ordered}


def _posted(lines: Sequence[Line], movements: Sequence[Movement], named: Mapping[UUID, "_Names"]) -> dict[UUID, Suggestion]:
    found: dict[UUID, Suggestion] = {}
    taken: set[UUID] = set()
    by_money: dict[tuple[Direction, Money], list[Movement]] = defaultdict(list)
    for movement in sorted(movements, key=lambda movement: (movement.on, movement.entry_id)):
        by_money[movement.direction, movement.money].append(movement)
    for line in lines:
        for movement in by_money[line.direction, line.money]:
            if movement.entry_id not in taken and any(named[line.id].has(reference) for reference in movement.references):
                found[line.id] = Suggestion(Kind.POSTED, movement=movement)
                taken.add(movement.entry_id)
                break
    return found


def _by_reference(line: Line, expected: Sequence[Expected], names: "_Names", taken: set[str], *, fits: bool) -> Suggestion | None:
    mentioned = [each for each in expected if each.direction is line.direction and names.has(each.reference)]
    mentioned = [each for each in mentioned if each.money.currency == line.money.currency]
    if not mentioned:
        return None
    if len(mentioned) > 1:
        return None if fits else Suggestion(Kind.SEVERAL, others=tuple(mentioned))
    (one,) = mentioned
    if fits:
        if one.money != line.money or one.key in taken:
            return None
        taken.add(one.key)
        return Suggestion(Kind.EXACT if one.is_said else Kind.NOT_SAID, expected=one)
    if one.key in taken:
        return Suggestion(Kind.TWICE, expected=one)
    return Suggestion(Kind.PARTIAL if line.money < one.money else Kind.TOO_MUCH, expected=one)


def _by_amount(lines: Sequence[Line], expected: Sequence[Expected], taken: set[str]) -> dict[UUID, Suggestion]:
    """Only where it is certain which: one line and one expected thing of this amount."""
    by_money: dict[tuple[Direction, Money], list[Expected]] = defaultdict(list)
    for each in expected:
        if each.key not in taken:
            by_money[each.direction, each.money].append(each)
    alike: dict[tuple[Direction, Money], list[Line]] = defaultdict(list)
    for line in lines:
        alike[line.direction, line.money].append(line)
    return {
        same[0].id: Suggestion(Kind.SAME_AMOUNT, expected=by_money[what][0])
        for what, same in alike.items()
        if len(same) == 1 and len(by_money[what]) == 1
    }


class _Names:
    """The references in a line's texts. Banks drop hyphens, add spaces and break lines in the middle of them."""

    def __init__(self, texts: Sequence[str]) -> None:
        self._raw = " ".join(texts).upper()
        self._plain = _plain(self._raw)

    def has(self, reference: str) -> bool:
        plain = _plain(reference)
        if len(plain) < 6 or plain not in self._plain:  # too short to be told from any other word
            return False
        # “…-1” is not “…-10”: what follows must be another word.
        apart = "[^A-Z0-9]*".join(plain)
        return re.search(rf"{apart}(?![A-Z0-9])", self._raw) is not None


def _names(line: Line) -> _Names:
    return _Names(line.texts)


def _plain(text: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", text.upper())
