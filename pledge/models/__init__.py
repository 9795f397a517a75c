"""The tables of `pledge` and their status graphs."""

from pledge.models.instalments import NEXT_INSTALMENT, InstalmentStatus, PledgeInstalment
from pledge.models.members import (
    NEXT_MEMBERSHIP,
    RENEWING,
    MemberOrigin,
    MemberRole,
    MembershipException,
    MembershipStatus,
    PledgeMember,
    Reminder,
)
from pledge.models.pledges import (
    AnnualReport,
    InKindHelp,
    InKindKind,
    PaymentChannel,
    Pledge,
    PledgePayment,
    PledgeRule,
)
from pledge.models.rules import PledgeMinimum, RenewalRule

__all__ = [
    "NEXT_INSTALMENT",
    "NEXT_MEMBERSHIP",
    "RENEWING",
    "AnnualReport",
    "InKindHelp",
    "InKindKind",
    "InstalmentStatus",
    "MemberOrigin",
    "MemberRole",
    "MembershipException",
    "MembershipStatus",
    "PaymentChannel",
    "Pledge",
    "PledgeInstalment",
    "PledgeMember",
    "PledgeMinimum",
    "PledgePayment",
    "PledgeRule",
    "Reminder",
    "RenewalRule",
]
