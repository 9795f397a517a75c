"""The tables of `pledge` and their status graphs."""

from pledge.models.host_orders import LIVE_HOST_ORDERS, NEXT_HOST_ORDER, HostOrder, HostOrderStatus
from pledge.models.instalments import NEXT_INSTALMENT, InstalmentStatus, InstalmentWay, PledgeInstalment
from pledge.models.invoice_endings import InvoiceEnding
from pledge.models.invoices import PAYABLE_INVOICES, UNENDED_INVOICES, InvoiceStanding, InvoiceWish, PayInInvoice
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
from pledge.models.pay_ins import (
    ARRIVED,
    NEXT_PAY_IN,
    UNPAID,
    CardLimit,
    MovementKind,
    PayIn,
    PayInMovement,
    PayInStatus,
    StripeCustomer,
    StripeEvent,
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
from pledge.models.refunds import LIVE_REFUNDS, NEXT_REFUND, PayInRefund, RefundStatus
from pledge.models.rules import PledgeMinimum, RenewalRule

__all__ = [
    "ARRIVED",
    "LIVE_HOST_ORDERS",
    "LIVE_REFUNDS",
    "NEXT_HOST_ORDER",
    "NEXT_INSTALMENT",
    "NEXT_MEMBERSHIP",
    "NEXT_PAY_IN",
    "NEXT_REFUND",
    "PAYABLE_INVOICES",
    "RENEWING",
    "UNENDED_INVOICES",
    "UNPAID",
    "AnnualReport",
    "CardLimit",
    "HostOrder",
    "HostOrderStatus",
    "InKindHelp",
    "InKindKind",
    "InstalmentStatus",
    "InstalmentWay",
    "InvoiceEnding",
    "InvoiceStanding",
    "InvoiceWish",
    "MemberOrigin",
    "MemberRole",
    "MembershipException",
    "MembershipStatus",
    "MovementKind",
    "PayIn",
    "PayInInvoice",
    "PayInMovement",
    "PayInRefund",
    "PayInStatus",
    "PaymentChannel",
    "Pledge",
    "PledgeInstalment",
    "PledgeMember",
    "PledgeMinimum",
    "PledgePayment",
    "PledgeRule",
    "RefundStatus",
    "Reminder",
    "RenewalRule",
    "StripeCustomer",
    "StripeEvent",
]
