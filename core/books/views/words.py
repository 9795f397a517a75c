"""What a line probably is, in words, with the next step."""

from dataclasses import dataclass

from core.books.matching import Kind, Suggestion
from core.books.models import BankLine, Direction
from core.books.second_looks import came_from
from core.identity.models import Person


@dataclass(frozen=True, slots=True)
class Explained:
    """A suggestion for people."""

    suggestion: Suggestion
    label: str
    tone: str
    advice: str
    can_confirm: bool = False
    """This person may confirm it as it is."""
    is_for_another: bool = False
    """This person may neither confirm nor link it: they brought it themselves."""


LABELS = {
    Kind.POSTED: ("In the ledger already", "info"),
    Kind.EXACT: ("As expected", "good"),
    Kind.NOT_SAID: ("Announced, not said to be sent", "info"),
    Kind.PARTIAL: ("Too little", "warn"),
    Kind.TOO_MUCH: ("Too much", "warn"),
    Kind.TWICE: ("Came twice", "warn"),
    Kind.SEVERAL: ("Names several", "warn"),
    Kind.SAME_AMOUNT: ("Same amount, no reference", "neutral"),
    Kind.UNKNOWN: ("Unknown", "neutral"),
}
assert LABELS.keys() == set(Kind)
SAYS_WHAT_IT_IS = frozenset({Kind.POSTED, Kind.EXACT, Kind.SAME_AMOUNT})
"""Where the next step is to confirm or to link."""


def explained(suggestion: Suggestion, line: BankLine, person: Person) -> Explained:
    """The suggestion in words for this person."""
    label, tone = LABELS[suggestion.kind]
    if suggestion.kind in SAYS_WHAT_IT_IS and came_from(line, person):
        advice = "You read the CSV file that it is from, so somebody else in finance says whether it is that."
        return Explained(suggestion, label, tone, advice, is_for_another=True)
    mine = suggestion.expected is not None and suggestion.expected.said_by == person.id
    ready = suggestion.kind in {Kind.EXACT, Kind.SAME_AMOUNT} and suggestion.expected is not None and suggestion.expected.is_said
    return Explained(suggestion, label, tone, _advice(suggestion, line, mine=mine), can_confirm=ready and not mine)


def _advice(suggestion: Suggestion, line: BankLine, *, mine: bool) -> str:
    each, money = suggestion.expected, line.money
    match suggestion.kind:
        case Kind.POSTED:
            assert suggestion.movement is not None
            return f"{suggestion.movement.who}, {money}. Link the two; nothing is posted again."
        case Kind.SEVERAL:
            named = ", ".join(f"{other.reference} ({other.money})" for other in suggestion.others)
            return f"It names {named}. If it is their sum, choose them; else set it aside, then assign it to each."
        case Kind.UNKNOWN if line.direction is Direction.OUT:
            return (
                "Nothing of this amount is expected. If it pays several at once, choose them; if the bank took it as a fee, "
                "book it as one; else find out who ordered it."
            )
        case Kind.UNKNOWN:
            return "Nothing of this amount or with this text is expected. Set it aside and ask the sender, or link it."
    assert each is not None
    if mine:
        return f"{each.who}, {each.reference}. You said that it was sent, so somebody else in finance confirms that it arrived."
    paid = "arrived" if line.direction is Direction.IN else "left"
    return {
        Kind.EXACT: f"{each.who}, {each.reference}. Confirm that it {paid}.",
        Kind.NOT_SAID: f"{each.who} announced {each.reference} and did not say that it was sent. "
        "Take this line for evidence; somebody else in finance confirms it then.",
        Kind.PARTIAL: f"{each.who} owes {each.money} under {each.reference}. Set it aside until the rest comes.",
        Kind.TOO_MUCH: f"{each.who} owes {each.money} under {each.reference}. Set it aside, assign {each.money} of it, and ask "
        "the company about the rest: it announces another instalment, or gets it back.",
        Kind.TWICE: f"Another line is {each.reference} of {each.who}. Set this one aside and ask the company.",
        Kind.SAME_AMOUNT: f"{each.who} is to {'pay' if line.direction is Direction.IN else 'get'} just this under "
        f"{each.reference}, which the bank does not name. Compare names and days before you confirm.",
    }[suggestion.kind]
