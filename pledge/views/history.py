"""Events of the pledge, told in its own words."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from core.audit import Event

WORDS = {
    "host_order.asked": "Fiscal host told to expect it",
    "host_order.expected": "Fiscal host expects it",
    "host_order.expired": "Fiscal host expects it no longer",
    "host_order.given_back": "Fiscal host gave it back; nothing of it had settled",
    "host_order.paid": "Fiscal host booked that it came",
    "host_order.refused": "Fiscal host did not take it on",
    "in_kind.recorded": "Help in kind entered",
    "in_kind.struck_out": "Help in kind struck out",
    "instalment.announced": "Instalment planned",
    "instalment.arrival_noted": "Instalment seen on the bank statement",
    "instalment.given_back": "Instalment given back by the fiscal host",
    "instalment.followed": "Instalment followed its payments",
    "instalment.failed": "Instalment did not come",
    "instalment.paid": "Instalment found on the bank statement",
    "instalment.reopened": "Instalment to be sent again",
    "instalment.sent": "Instalment sent",
    "instalment.settled": "Instalment settled in the ledger",
    "invoice.asked": "Invoice asked for",
    "invoice.draft": "Invoice begun at Stripe",
    "invoice.ending_asked": "Invoice said to be payable by nobody any more",
    "invoice.ending_confirmed": "Invoice ended here, since its account is gone",
    "invoice.ending_declined": "Invoice not ended here",
    "invoice.found_elsewhere": "Invoice paid to our bank, to be ended at Stripe",
    "invoice.not_sent": "Invoice not e-mailed",
    "invoice.open": "Invoice made",
    "invoice.paid": "Invoice paid",
    "invoice.paid_elsewhere": "Invoice ended as paid elsewhere",
    "invoice.sent": "Invoice e-mailed",
    "invoice.unknown": "Invoice not known to Stripe any more",
    "invoice.uncollectible": "Invoice written off at Stripe",
    "invoice.void": "Invoice withdrawn",
    "invoice.withdrawal_asked": "Invoice to be withdrawn",
    "member_file.imported": "Member file read",
    "membership.activated": "Became a member",
    "membership.active": "Active",
    "membership.applied": "Asked to join",
    "membership.checked": "Application accepted",
    "membership.described": "Description changed",
    "membership.due_soon": "Report due soon",
    "membership.exception_granted": "More time given",
    "membership.lapsed": "Lapsed",
    "membership.overdue": "Report overdue",
    "membership.reinstated": "Reinstated",
    "membership.reminded": "Reminded",
    "membership.withdrawn": "Left the pledge",
    "pay_in.disputed": "Online payment disputed by the bank",
    "pay_in.expired": "Online payment closed, unpaid",
    "pay_in.failed": "Online payment did not come",
    "pay_in.given_up": "Online payment given up by the company",
    "pay_in.lost": "Online payment taken back by the bank",
    "pay_in.not_as_asked": "Online payment is not what was asked for, and not booked",
    "pay_in.paid": "Online payment arrived",
    "pay_in.processing": "Online payment on its way",
    "pay_in.refunded_full": "Online payment refunded",
    "pay_in.refunded_part": "Online payment refunded in part",
    "pay_in.settled": "Online payment settled in the ledger",
    "pay_in.unknown_movement": "Online payment has a movement that nobody can book",
    "pay_in.started": "Online payment begun",
    "payment.corrected": "Payment corrected",
    "payment.recorded": "Payment entered",
    "payment.struck_out": "Payment struck out",
    "pledge.developers_corrected": "Developers corrected",
    "pledge.opened": "Year entered",
    "refund.approved": "Refund approved",
    "refund.asked": "Refund asked for",
    "refund.done": "Refund arrived",
    "refund.failed": "Refund failed",
    "refund.pending": "Refund on its way",
    "refund.turned_down": "Refund turned down",
    "report.corrected": "Report corrected",
    "report.published": "Report published",
}


@dataclass(frozen=True, slots=True)
class Told:
    """One event for the timeline."""

    at: datetime
    verb: str
    actor_name: str
    reason: str | None


def told(events: Iterable[Event]) -> list[Told]:
    """The events with their words, and the numbers that belong to them."""
    return [Told(event.at, WORDS[event.verb], event.actor_name, _detail(event)) for event in events]


def _detail(event: Event) -> str | None:
    details = event.details
    parts = []
    if "before" in details and "after" in details:
        parts.append(f"{details['before']} → {details['after']}.")
    elif "amount" in details or "declared" in details:
        parts.append(f"{details.get('amount') or details['declared']}.")
    elif "developers" in details:
        parts.append(f"{details['developers']} developers.")
    return " ".join([*parts, *([event.reason] if event.reason else [])]) or None
