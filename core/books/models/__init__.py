"""The tables of the books."""

from core.books.models.bank import BankAccount, BankLine, BankStatement, Direction, Match, StatementFormat
from core.books.models.reconciliation import ClosedMonth, Explanation, OutsideMovement, Subject

__all__ = [
    "BankAccount",
    "BankLine",
    "BankStatement",
    "ClosedMonth",
    "Direction",
    "Explanation",
    "Match",
    "OutsideMovement",
    "StatementFormat",
    "Subject",
]
