"""The tables of the books."""

from core.books.models.bank import BankAccount, BankLine, BankLinePart, BankStatement, Direction, Match, StatementFormat
from core.books.models.reconciliation import (
    ClosedMonth,
    Explanation,
    FeedReading,
    OutsideMovement,
    ProviderBalance,
    Side,
    Subject,
)
from core.books.models.second_looks import AloneLimit, Assignment, Deed, Proposal

__all__ = [
    "AloneLimit",
    "Assignment",
    "BankAccount",
    "BankLine",
    "BankLinePart",
    "BankStatement",
    "ClosedMonth",
    "Deed",
    "Direction",
    "Explanation",
    "FeedReading",
    "Match",
    "OutsideMovement",
    "Proposal",
    "ProviderBalance",
    "Side",
    "StatementFormat",
    "Subject",
]
