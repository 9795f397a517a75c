"""The tables of the books."""

from core.books.models.bank import BankAccount, BankLine, BankStatement, Direction, Match, StatementFormat
from core.books.models.reconciliation import ClosedMonth, Explanation, OutsideMovement, Subject
from core.books.models.second_looks import AloneLimit, Deed, Proposal

__all__ = [
    "AloneLimit",
    "BankAccount",
    "BankLine",
    "BankStatement",
    "ClosedMonth",
    "Deed",
    "Direction",
    "Explanation",
    "Match",
    "OutsideMovement",
    "Proposal",
    "StatementFormat",
    "Subject",
]
