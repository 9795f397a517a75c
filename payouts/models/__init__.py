"""The tables of `payouts` and their status graphs."""

from payouts.models.bank import BankFile, BankImport
from payouts.models.controls import Alarm, PayoutRule, RailSwitch, RuleKind
from payouts.models.payouts import (
    CLOSED,
    NEXT,
    NEXT_ATTEMPT,
    AttemptFailure,
    AttemptState,
    Outcome,
    Payout,
    PayoutAttempt,
    PayoutStatus,
    Resolution,
)
from payouts.models.recipients import Destination, DestinationLook, Notice, PayeeDocument, Recipient, RecipientKind, Standing
from payouts.models.runs import NEXT_RUN, Run, RunApproval, RunStatus

__all__ = [
    "CLOSED",
    "NEXT",
    "NEXT_ATTEMPT",
    "NEXT_RUN",
    "Alarm",
    "AttemptFailure",
    "AttemptState",
    "BankFile",
    "BankImport",
    "Destination",
    "DestinationLook",
    "Notice",
    "Outcome",
    "PayeeDocument",
    "Payout",
    "PayoutAttempt",
    "PayoutRule",
    "PayoutStatus",
    "RailSwitch",
    "Recipient",
    "RecipientKind",
    "Resolution",
    "RuleKind",
    "Run",
    "RunApproval",
    "RunStatus",
    "Standing",
]
